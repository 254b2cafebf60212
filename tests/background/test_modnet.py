"""MODNet against its authors' own outputs, its checkpoints, and the sizes around it."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from avatarkit.background.modnet import MODNetMatting, net_size
from avatarkit.background.modnet_net import MODNet, load_modnet
from avatarkit.errors import DependencyError, InputError
from avatarkit.runtime import sha256_file

# Of "key shape\n" for every key of the authors' checkpoint, in its order.
KEYS_SHA256 = "fc4f6d113553ce9240d4f97e50f0b037b1af960e9c064b1e04a759a31a9e387f"
# The authors' matte of the parity picture, rows 5, 45, 85, 125 and columns 7, 57, 107, 157; and its mean.
MATTE = [
    [0.77805054, 0.79482645, 0.70586556, 0.71803933],
    [0.80069900, 0.67462474, 0.84394240, 0.71555406],
    [0.58443242, 0.89002711, 0.64560145, 0.74381953],
    [0.78278519, 0.63233918, 0.82585001, 0.65554440],
]
MATTE_MEAN = 0.73928034


@pytest.fixture(scope="module")
def parity_matte(parity_rule) -> NDArray[np.float32]:
    net = MODNet()
    parity_rule.fill(net, gain=1.0)
    picture = torch.from_numpy(parity_rule.picture(128, 160)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        return net(picture * 2 - 1)[0, 0].numpy()


@pytest.fixture
def state(modnet: MODNetMatting) -> dict[str, torch.Tensor]:
    return dict(modnet._net.state_dict())


def keys_text(shapes: dict[str, list[int]]) -> str:
    return "".join(f"{key} {shape}\n" for key, shape in shapes.items())


def test_keys_are_the_checkpoints(state: dict[str, torch.Tensor]) -> None:
    text = keys_text({key: list(tensor.shape) for key, tensor in state.items()})
    assert len(state) == 751
    assert hashlib.sha256(text.encode()).hexdigest() == KEYS_SHA256


def test_agrees_with_the_authors_network(parity_matte: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(parity_matte[5::40, 7::50], MATTE, rtol=1e-4)
    assert parity_matte.mean() == pytest.approx(MATTE_MEAN, rel=1e-5)


@pytest.mark.media
def test_agrees_with_the_authors_network_everywhere(parity_matte, parity_dir: Path) -> None:
    with np.load(parity_dir / "modnet.npz") as known:
        np.testing.assert_allclose(parity_matte, known["matte"], rtol=1e-4)
    keys = json.loads((parity_dir / "modnet-keys.json").read_text())
    assert hashlib.sha256(keys_text(keys).encode()).hexdigest() == KEYS_SHA256


@pytest.mark.parametrize("prefix", ["", "module."])
def test_checkpoint_with_and_without_prefix(
    prefix: str, modnet: MODNetMatting, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "modnet.ckpt"
    torch.save(OrderedDict((prefix + key, tensor) for key, tensor in state.items()), path)
    loaded = MODNetMatting.from_file(path)
    image = np.random.default_rng(0).integers(0, 256, (64, 512, 3), dtype=np.uint8)
    assert np.array_equal(loaded.matte(image), modnet.matte(image))
    assert (loaded.name, loaded.weights_sha256) == ("modnet", sha256_file(path))


def test_missing_and_extra_keys_are_listed(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = tmp_path / "other.ckpt"
    del state["f_branch.conv_f.1.layers.0.bias"]
    state["f_branch.extra"] = torch.zeros(1)
    torch.save(state, path)
    with pytest.raises(InputError, match=r"other\.ckpt") as caught:
        MODNetMatting.from_file(path)
    message = str(caught.value)
    assert "f_branch.conv_f.1.layers.0.bias" in message
    assert "f_branch.extra" in message
    assert "\n" not in message


def test_wrong_shape_is_named(state: dict[str, torch.Tensor]) -> None:
    state["lr_branch.se_block.fc.0.weight"] = torch.zeros(2, 2)
    with pytest.raises(InputError, match=r"lr_branch\.se_block\.fc\.0\.weight") as caught:
        load_modnet(state, "given")
    assert str(caught.value).startswith("given: ")
    assert "\n" not in str(caught.value)


def test_missing_weights_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AVATARKIT_WEIGHTS", str(tmp_path))
    with pytest.raises(DependencyError, match="avatarkit weights fetch modnet"):
        MODNetMatting.from_registry()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((512, 512), (512, 512)),
        ((1024, 1024), (512, 512)),
        ((100, 100), (512, 512)),
        ((1920, 1080), (896, 512)),
        ((1080, 1920), (512, 896)),
        ((600, 400), (576, 384)),  # long enough, and not too short: its own size
        ((300, 400), (512, 672)),
        ((530, 5), (512, 32)),
        ((3, 40), (512, 2048)),
        ((1, 1), (512, 512)),
    ],
)
def test_working_size(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert net_size(*size) == expected


class Brightness(torch.nn.Module):
    """In place of the network: the picture's own brightness as matte."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        assert image.shape[2] % 32 == 0
        assert image.shape[3] % 32 == 0
        assert image.min() >= -1
        assert image.max() <= 1
        return (image.mean(1, keepdim=True) + 1) / 2


@pytest.mark.parametrize(("height", "width"), [(40, 64), (700, 900), (512, 512), (1500, 1100), (500, 519)])
def test_matte_lies_where_the_picture_does_without_blocks(height: int, width: int) -> None:
    y, x = np.mgrid[:height, :width] / max(height, width)
    level = 0.5 + 0.4 * np.sin(5 * x + 1) * np.cos(4 * y)
    image = np.repeat(np.rint(255 * level)[..., None], 3, 2).astype(np.uint8)
    alpha = MODNetMatting(Brightness()).matte(image)
    assert alpha.shape == (height, width)
    assert alpha.dtype == np.float32
    assert np.abs(alpha - level).max() < 0.02


def test_with_landmarks_only_what_is_joined_to_the_face_stays() -> None:
    image = np.zeros((512, 512, 3), np.uint8)
    image[200:500, 100:300] = 255
    image[240:260, 150:170] = 0  # a hole in the face
    image[50:300, 400:480] = 255  # somebody else
    matting = MODNetMatting(Brightness())
    angle = np.linspace(0, 2 * np.pi, 40)
    face = np.stack([200 + 70 * np.cos(angle), 260 + 55 * np.sin(angle)], 1)
    assert matting.matte(image)[100, 440] == 1
    alpha = matting.matte(image, face)
    assert alpha[:, 350:].max() == 0
    assert alpha[250, 160] == 1
    assert alpha[480, 200] == 1


def test_face_outside_of_the_picture_changes_nothing() -> None:
    image = np.full((512, 512, 3), 200, np.uint8)
    far = np.array([[900, 900], [950, 900], [920, 980]], np.float32)
    matting = MODNetMatting(Brightness())
    assert np.array_equal(matting.matte(image, far), matting.matte(image))
