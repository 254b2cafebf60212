"""S3FD: layout, shapes, and where its boxes lie."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from avatarkit.face.s3fd import S3FD, decode, load_s3fd  # noqa: E402
from avatarkit.weights.errors import WrongFile  # noqa: E402

from .knowing_nets import empty_levels, plant_box  # noqa: E402


@pytest.fixture(scope="module")
def net() -> S3FD:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return S3FD().eval()


def test_layout_is_the_published_one(net: S3FD) -> None:
    """Keys and shapes that tell, and the published file's 89.8 MB less what its container takes."""
    state = net.state_dict()
    assert len(state) == 65
    assert sum(tensor.numel() for tensor in state.values()) == 22_459_110
    shapes = {
        "conv1_1.weight": (64, 3, 3, 3),
        "fc6.weight": (1024, 512, 3, 3),
        "conv3_3_norm.weight": (256,),
        "conv3_3_norm_mbox_conf.weight": (4, 256, 3, 3),
        "conv4_3_norm_mbox_conf.bias": (2,),
        "fc7_mbox_loc.weight": (4, 1024, 3, 3),
        "conv7_2_mbox_loc.bias": (4,),
    }
    assert {key: tuple(state[key].shape) for key in shapes} == shapes
    assert [float(state[f"conv{stage}_3_norm.weight"][0]) for stage in (3, 4, 5)] == [10, 8, 5]


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 160), (65, 70)])
def test_six_levels(net: S3FD, height: int, width: int) -> None:
    with torch.inference_mode():
        levels = net(torch.full((2, 3, height, width), 90.0))
    assert [tuple(scores.shape) for scores, _ in levels[:2]] == [
        (2, height // 4, width // 4),
        (2, height // 8, width // 8),
    ]
    for scores, offsets in levels:
        assert offsets.shape == (2, 4, *scores.shape[1:])
        assert (scores > 0).all()
        assert (scores < 1).all()


def test_same_picture_same_answer(net: S3FD) -> None:
    picture = torch.rand(1, 3, 64, 80, generator=torch.Generator().manual_seed(1)) * 255
    with torch.inference_mode():
        first, again = net(picture), net(picture)
    for (scores, offsets), (scores2, offsets2) in zip(first, again, strict=True):
        assert torch.equal(scores, scores2)
        assert torch.equal(offsets, offsets2)


def test_the_first_layer_sees_bgr_less_the_published_mean(net: S3FD) -> None:
    seen: list[torch.Tensor] = []
    hook = net.get_submodule("conv1_1").register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        net(torch.tensor([10.0, 20.0, 30.0]).view(1, 3, 1, 1).expand(1, 3, 64, 64))
    hook.remove()
    assert seen[0][0, :, 5, 7].tolist() == [30.0 - 104.0, 20.0 - 117.0, 10.0 - 123.0]


def test_first_level_takes_the_likeliest_background(net: S3FD) -> None:
    features = torch.zeros(1, 256, 4, 4)
    conf = net.get_submodule("conv3_3_norm_mbox_conf")
    before = conf.bias.detach().clone()
    with torch.inference_mode():
        conf.bias.copy_(torch.tensor([-3.0, 2.0, 0.5, 1.0]))
        scores, _ = net._head(0, features)
        conf.bias.copy_(before)
    assert torch.allclose(scores, torch.full((1, 4, 4), math.exp(1) / (math.exp(1) + math.exp(2))))


@pytest.mark.parametrize(
    "box",
    [(30.0, 40.0, 47.5, 59.25), (100.0, 60.0, 175.5, 160.0), (0.0, 0.0, 255.0, 200.0), (301.25, 3.5, 330.0, 38.0)],
)
def test_planted_box_comes_back(box: tuple[float, float, float, float]) -> None:
    levels = empty_levels(256, 384)
    plant_box(levels, box, 0.875)
    ((found, score),) = decode(levels, 0.5)
    np.testing.assert_allclose(found, box, atol=1e-3)
    assert score == 0.875


def test_anchor_without_offset() -> None:
    """The middle of the second cell of the third row at stride 8, four strides wide."""
    levels = empty_levels(128, 128)
    levels[1][0][0, 2, 1] = 0.9
    ((box, _),) = decode(levels, 0.5)
    assert box == pytest.approx((11.5 - 16, 19.5 - 16, 11.5 + 16, 19.5 + 16))


def test_best_first_and_not_without_bound() -> None:
    levels = empty_levels(256, 256)
    levels[0][0][0] = torch.rand(64, 64, generator=torch.Generator().manual_seed(0)) * 0.4 + 0.55
    found = [score for _, score in decode(levels, 0.5)]
    assert len(found) == 1000
    assert found == sorted(found, reverse=True)
    assert found[0] == pytest.approx(float(levels[0][0].max()))


def test_wrong_state_dict_is_refused(net: S3FD) -> None:
    state = dict(net.state_dict())
    load_s3fd(state)
    state.pop("fc7.bias")
    state["fc8.bias"] = torch.zeros(3)
    with pytest.raises(WrongFile, match=r"1 keys missing \(fc7\.bias\), 1 keys too many \(fc8\.bias\)"):
        load_s3fd(state, "given.pth")
