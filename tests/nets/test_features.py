"""Feature nets against torchvision's VGG, the published files' keys, and what happens without weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn

from avatarkit.errors import UsageError
from avatarkit.nets.features.imagenet import VGG16, VGG19
from avatarkit.nets.features.open import open_features
from avatarkit.nets.features.vgg import FeatureNet, VGGFeatures, sequential_places
from avatarkit.nets.features.vggface import VGGFace
from avatarkit.systems.megaportraits.build import build_gaze_net
from avatarkit.systems.megaportraits.config import PRESETS
from avatarkit.systems.megaportraits.gaze_features import GazeFeatures
from avatarkit.weights.errors import MissingWeights, WrongFile

THIN = (2, 3, 4, 5, 6)
CONVS_16, CONVS_19 = (2, 2, 3, 3, 3), (2, 2, 4, 4, 4)


def plain_vgg(convs: Sequence[int]) -> nn.Sequential:
    """A VGG of few channels as torchvision lays it out, with random weights."""
    layout: list[str | int] = []
    for count, width in zip(convs, THIN, strict=True):
        layout += [*[width] * count, "M"]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torchvision.models.vgg.make_layers(layout)


def first_relus(features: nn.Sequential, image: Tensor) -> list[Tensor]:
    """What leaves the first ReLU of each block."""
    maps, is_first = [], True
    for layer in features:
        image = layer(image.clone())
        if isinstance(layer, nn.ReLU) and is_first:
            maps.append(image.clone())
        is_first = isinstance(layer, nn.MaxPool2d) or (is_first and not isinstance(layer, nn.ReLU))
    return maps


def renamed(state: dict[str, Tensor], convs: Sequence[int], others: Sequence[str]) -> dict[str, Tensor]:
    """Torchvision's names as VGGFace's, with keys of a classifier."""
    names = {place: name for name, place in sequential_places(convs, "").items()}
    found = {f"{names[key.split('.')[0]]}.{key.split('.')[1]}": value for key, value in state.items()}
    return {**found, **{key: torch.zeros(1) for key in others}}


FC = [f"fc{layer}.{kind}" for layer in (6, 7, 8) for kind in ("weight", "bias")]
CLASSIFIER = [f"classifier.{layer}.{kind}" for layer in (0, 3, 6) for kind in ("weight", "bias")]


def vgg19_state(features: nn.Sequential) -> dict[str, Tensor]:
    state = {f"features.{key}": value for key, value in features.state_dict().items()}
    return {**state, **{key: torch.zeros(1) for key in CLASSIFIER}}


@pytest.fixture
def image(parity_rule) -> Tensor:
    return torch.from_numpy(parity_rule.picture(40, 48)).permute(2, 0, 1)[None]


def published(name: str) -> tuple[VGGFeatures, nn.Sequential]:
    """One of our nets with few channels, filled, and the network that it should be."""
    if name in ("vgg16", "vgg19"):
        net, convs = (VGG16(THIN), CONVS_16) if name == "vgg16" else (VGG19(THIN), CONVS_19)
        reference = plain_vgg(convs)
        net.load_state(vgg19_state(reference))
        return net, reference
    reference = plain_vgg(CONVS_16)
    if name == "gaze":
        return GazeFeatures(reference), reference
    net = VGGFace(THIN)
    net.load_state(renamed(reference.state_dict(), CONVS_16, FC))
    return net, reference


NAMES = ("vgg16", "vgg19", "vggface", "gaze")


@pytest.mark.parametrize("name", NAMES)
def test_feature_maps_are_the_first_relus_of_each_block(name: str, image: Tensor) -> None:
    net, reference = published(name)
    if name == "vggface":
        seen = 255 * image - torch.tensor([129.186, 104.762, 93.594])[:, None, None]
    else:
        seen = (image - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[
            :, None, None
        ]
    with torch.no_grad():
        maps, wanted = net(image), first_relus(reference, seen)
    assert [tuple(found.shape[1:]) for found in maps] == [
        (2, 40, 48), (3, 20, 24), (4, 10, 12), (5, 5, 6), (6, 2, 3),
    ]  # fmt: skip
    for found, right in zip(maps, wanted, strict=True):
        torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_protocol(name: str, image: Tensor) -> None:
    net: FeatureNet = published(name)[0]
    assert (net.name, net.weights_sha256) == (name, None)
    before, prediction = image.clone(), image.clone().requires_grad_()
    first = net(prediction)
    assert torch.equal(prediction, before)
    assert all(torch.equal(one, other) for one, other in zip(first, net(image), strict=True))
    sum(found.sum() for found in first).backward()
    assert prediction.grad is not None
    assert torch.isfinite(prediction.grad).all()
    assert prediction.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in net.parameters())
    with pytest.raises(UsageError, match="need 16"):
        net(image[..., :15])


@pytest.mark.parametrize("convs", [CONVS_16, CONVS_19])
def test_places_are_torchvisions(convs: Sequence[int]) -> None:
    places = sequential_places(convs, "")
    found = [str(place) for place, layer in enumerate(plain_vgg(convs)) if isinstance(layer, nn.Conv2d)]
    assert list(places.values()) == found
    assert [name for name in places if name.endswith("_1")] == [f"conv{block}_1" for block in range(1, 6)]


def test_full_nets_fit_the_published_files() -> None:
    with torch.device("meta"):
        full = torchvision.models.vgg19(weights=None).state_dict()
        shapes = {key: tuple(value.shape) for key, value in VGG19().convs.state_dict().items()}
    assert set(full) == {f"{place}.{kind}" for place in sequential_places(CONVS_19, "features.").values() for kind in
                         ("weight", "bias")} | set(CLASSIFIER)  # fmt: skip
    for name, place in sequential_places(CONVS_19, "features.").items():
        if f"{name}.weight" in shapes:
            assert shapes[f"{name}.weight"] == tuple(full[f"{place}.weight"].shape)
    assert "conv5_1.weight" in shapes
    assert "conv5_2.weight" not in shapes


def test_keys_missing_and_left_over_are_listed() -> None:
    state = vgg19_state(plain_vgg(CONVS_19))
    state["features.1.running_mean"] = state.pop("features.34.bias")
    with pytest.raises(WrongFile, match=r"given: .*features\.34\.bias.*features\.1\.running_mean") as caught:
        VGG19(THIN).load_state(state, "given")
    assert "\n" not in str(caught.value)
    state = renamed(plain_vgg(CONVS_16).state_dict(), CONVS_16, FC[:-1])
    with pytest.raises(WrongFile, match=r"fc8\.bias"):
        VGGFace(THIN).load_state(state)


def test_wrong_shape_is_named() -> None:
    state = {**vgg19_state(plain_vgg(CONVS_19)), "features.5.bias": torch.zeros(7)}
    with pytest.raises(WrongFile, match=r"given: is not VGG19's state dict: .*conv2_1\.bias"):
        VGG19(THIN).load_state(state, "given")


def test_gaze_net_of_a_checkpoint() -> None:
    trunk = plain_vgg(CONVS_16)
    state = {f"trunk.{key}": value for key, value in trunk.state_dict().items()}
    net = GazeFeatures.of_net({**state, "blink.weight": torch.zeros(1)}, "run/gaze.safetensors")
    assert torch.equal(net.convs["conv5_1"].weight, trunk[24].weight)
    # A copy: a gaze net that trains on must not pull the loss along.
    assert net.convs["conv5_1"].weight.data_ptr() != trunk[24].weight.data_ptr()
    for wrong in ({}, {"trunk.0.bias": torch.zeros(3)}):
        with pytest.raises(WrongFile, match=r"run: is not the trunk of a gaze net: it has no "):
            GazeFeatures.of_net(wrong, "run")


@pytest.mark.parametrize(("name", "key"), [("vgg19", "vgg19"), ("vggface", "vggface")])
def test_missing_weights_say_how_to_get_them_and_how_to_do_without(
    name: str, key: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AVATARKIT_WEIGHTS", str(tmp_path))
    with pytest.raises(MissingWeights) as caught:
        open_features(name, without=f"--set loss.{key}=0")
    text = str(caught.value)
    assert f"avatarkit weights fetch {name}" in text
    assert text.endswith(f"to train without: --set loss.{key}=0")
    assert "\n" not in text
    assert caught.value.exit_code == 5
    with pytest.raises(MissingWeights) as caught:
        open_features(name)
    assert "without" not in str(caught.value)


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(UsageError, match="vgg16, vgg19, vggface"):
        open_features("vgg11")


def test_vgg16_needs_its_convolutions_alone() -> None:
    reference, net = plain_vgg(CONVS_16), VGG16(THIN)
    net.load_state({f"features.{key}": value for key, value in reference.state_dict().items()})
    assert torch.equal(net.convs["conv5_1"].weight, reference.state_dict()["24.weight"])
    with pytest.raises(WrongFile, match=r"classifier\.6\.weight2"):
        net.load_state({**vgg19_state(reference), "classifier.6.weight2": torch.zeros(1)})


def test_published_layout_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: Tensor) -> None:
    reference = plain_vgg(CONVS_19)
    torch.save(vgg19_state(reference), tmp_path / "vgg19.pth")
    monkeypatch.setattr(VGG19.__init__, "__defaults__", (THIN,))
    net = VGG19.from_file(tmp_path / "vgg19.pth")
    assert len(net.weights_sha256 or "") == 64
    torch.testing.assert_close(net(image)[4], published("vgg19")[0](image)[4])


def test_features_of_our_gaze_net() -> None:
    net = build_gaze_net(PRESETS["tiny-64"].gaze, seed=0)
    features = GazeFeatures.of_net(net.state_dict(), "run")
    crops = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    seen = (crops - net.get_buffer("mean")) / net.get_buffer("std")
    for found, right in zip(features(crops), first_relus(net.trunk, seen), strict=True):
        torch.testing.assert_close(found, right)
