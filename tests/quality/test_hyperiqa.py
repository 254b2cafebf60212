"""HyperIQA against its authors' own outputs, its checkpoints, and the frames around it."""

from __future__ import annotations

import hashlib
import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from avatarkit.errors import DependencyError, InputError, UsageError
from avatarkit.quality.hyperiqa import HyperIQA
from avatarkit.quality.hyperiqa_net import HyperIQANet, load_hyperiqa
from avatarkit.quality.patches import cut_patches
from avatarkit.quality.protocol import QualityModel
from avatarkit.runtime import sha256_file

# Of "key shape\n" for every key of the authors' checkpoint, in its order.
KEYS_SHA256 = "c78d5d22827d9c48963b1158a524bc6e9e01bddadd7d04a2557b5e09cc8559cb"
# The authors' scores of the parity batch, and places 0, 20, 40, 100 and 223 of their local features.
SCORES = [0.034407414, 0.034427002, 0.034472845]
LOCAL = [
    [0.0036846027, 0.0022786157, 0.079984263, 0.043146707, 0.085635133],
    [0.0046026483, -0.0031209504, 0.082165740, 0.042938769, 0.085666560],
    [0.0139418319, 0.0015213676, 0.081793234, 0.042816013, 0.085595712],
]


@pytest.fixture(scope="module")
def net(parity_rule) -> HyperIQANet:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", no_network)
        patch.setattr(torch.hub, "load_state_dict_from_url", no_network)
        net = HyperIQANet()
    parity_rule.fill(net, gain=0.35)
    return net


def no_network(*_: Any, **__: Any) -> None:
    raise AssertionError("building the network went to the internet")


@pytest.fixture(scope="module")
def parity(net: HyperIQANet, parity_rule) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    picture = parity_rule.picture(224, 224)
    batch = np.stack([picture, picture[::-1], picture[..., ::-1]])
    batch = (batch - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    with torch.inference_mode():
        score, local = net(torch.from_numpy(batch).permute(0, 3, 1, 2))
    return score.numpy(), local.numpy()


def keys_text(shapes: dict[str, list[int]]) -> str:
    return "".join(f"{key} {shape}\n" for key, shape in shapes.items())


def test_keys_are_the_checkpoints(net: HyperIQANet) -> None:
    shapes = {key: list(tensor.shape) for key, tensor in net.state_dict().items()}
    assert len(shapes) == 355
    assert hashlib.sha256(keys_text(shapes).encode()).hexdigest() == KEYS_SHA256


def test_agrees_with_the_authors_network(parity) -> None:
    score, local = parity
    # The three scores lie close together: at the bar of 1e-4 a swap of two would just about be seen.
    np.testing.assert_allclose(score, SCORES, rtol=1e-5)
    # Places near zero are sums of larger parts; they are measured by those.
    np.testing.assert_allclose(local[:, [0, 20, 40, 100, 223]], LOCAL, rtol=1e-4, atol=1e-6)


@pytest.mark.media
def test_agrees_with_the_authors_network_everywhere(parity, parity_dir: Path) -> None:
    with np.load(parity_dir / "hyperiqa.npz") as known:
        np.testing.assert_allclose(parity[0], known["score"], rtol=1e-5)
        np.testing.assert_allclose(parity[1], known["target_in_vec"], rtol=1e-4, atol=1e-6)
    keys = json.loads((parity_dir / "hyperiqa-keys.json").read_text())
    assert hashlib.sha256(keys_text(keys).encode()).hexdigest() == KEYS_SHA256


def test_every_edge_counts_at_512(net: HyperIQANet) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    right, below = frame.copy(), frame.copy()
    right[:, -1] = 0
    below[-1] = 0
    base, *changed = HyperIQA(net).score(np.stack([frame, right, below]))
    assert all(score != base for score in changed)


def test_score_is_the_mean_over_the_patches(net: HyperIQANet) -> None:
    frame = np.random.default_rng(1).integers(0, 256, (230, 300, 3), dtype=np.uint8)
    model = HyperIQA(net)
    single = [model.score(patch[None])[0] for patch in cut_patches(frame, 224)]
    assert len(single) == 4
    np.testing.assert_allclose(model.score(frame[None]), [np.mean(single)], rtol=1e-5)


class Redness(torch.nn.Module):
    """In place of the network: the mean of the normalised red, and a count of passes."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def forward(self, patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        assert patches.shape[1:] == (3, 224, 224)
        self.sizes.append(len(patches))
        return patches[:, 0].mean(dim=(1, 2)), patches


@pytest.mark.parametrize("batch", [1, 5, 16, 100])
def test_batches_run_over_frames(batch: int) -> None:
    net, levels = Redness(), [0, 255, 10, 128, 77]
    frames = np.stack([np.full((400, 300, 3), level, np.uint8) for level in levels])
    scores = HyperIQA(net, batch_patches=batch).score(frames)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, (np.array(levels) / 255 - 0.485) / 0.229, atol=1e-5)
    full, rest = divmod(4 * len(levels), batch)
    assert net.sizes == [batch] * full + [rest] * bool(rest)


def test_same_frames_same_scores(net: HyperIQANet) -> None:
    model: QualityModel = HyperIQA(net)
    frames = np.random.default_rng(2).integers(0, 256, (2, 64, 90, 3), dtype=np.uint8)
    before, first = frames.copy(), model.score(frames)
    model.score(frames[:, ::-1])
    assert np.array_equal(first, model.score(frames))
    assert np.array_equal(frames, before)
    assert np.isfinite(first).all()
    np.testing.assert_allclose(first, [model.score(frame[None])[0] for frame in frames], rtol=1e-5)


def test_no_frames_no_scores() -> None:
    scores = HyperIQA(Redness()).score(np.zeros((0, 300, 300, 3), np.uint8))
    assert (scores.shape, scores.dtype) == ((0,), np.float32)


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((300, 300, 3), np.uint8),
        np.zeros((1, 300, 300, 4), np.uint8),
        np.zeros((1, 0, 300, 3), np.uint8),
        np.zeros((1, 300, 300, 3), np.float32),
    ],
)
def test_refuses_other_arrays(frames: Any) -> None:
    with pytest.raises(InputError, match="uint8"):
        HyperIQA(Redness()).score(frames)


def test_refuses_an_empty_batch() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        HyperIQA(Redness(), batch_patches=0)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_checkpoint_and_its_hash(prefix: str, net: HyperIQANet, tmp_path: Path) -> None:
    path = tmp_path / "koniq.pkl"
    torch.save({prefix + key: tensor for key, tensor in net.state_dict().items()}, path)
    model = HyperIQA.from_file(path)
    frame = np.random.default_rng(3).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    assert np.array_equal(model.score(frame), HyperIQA(net).score(frame))
    assert (model.name, model.weights_sha256) == ("hyperiqa", sha256_file(path))


def test_missing_and_extra_keys_are_listed(net: HyperIQANet) -> None:
    state = dict(net.state_dict())
    state["res.fc.weight"] = state.pop("res.lda4_fc.weight")
    with pytest.raises(InputError, match=r"res\.lda4_fc\.weight.*res\.fc\.weight") as caught:
        load_hyperiqa(state, "given")
    assert "\n" not in str(caught.value)


def test_wrong_shape_is_named(net: HyperIQANet) -> None:
    state = {**net.state_dict(), "fc5b_fc.bias": torch.zeros(3)}
    with pytest.raises(InputError, match=r"given: .*fc5b_fc\.bias") as caught:
        load_hyperiqa(state, "given")
    assert "\n" not in str(caught.value)


def test_missing_weights_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AVATARKIT_WEIGHTS", str(tmp_path))
    with pytest.raises(DependencyError, match="avatarkit weights fetch hyperiqa"):
        HyperIQA.from_registry()
