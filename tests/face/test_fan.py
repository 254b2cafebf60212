"""2DFAN-4: layout, shapes, and where the maxima of its heat maps lie."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from avatarkit.face.fan import FAN, HEAT_PX, INPUT_PX, load_2dfan4, peaks  # noqa: E402
from avatarkit.weights.errors import WrongFile  # noqa: E402

from .knowing_nets import heat_of  # noqa: E402


@pytest.fixture(scope="module")
def net() -> FAN:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FAN().eval()


def test_layout_is_the_published_one(net: FAN) -> None:
    """Keys and shapes that tell, and the published file's 95.6 MB less what its container takes."""
    state = {key: tensor for key, tensor in net.state_dict().items() if not key.endswith("num_batches_tracked")}
    assert len(state) == 945
    assert sum(tensor.numel() for tensor in state.values()) == 23_874_320
    shapes = {
        "conv1.weight": (64, 3, 7, 7),
        "conv2.downsample.2.weight": (128, 64, 1, 1),
        "conv3.conv3.weight": (32, 32, 3, 3),
        "m0.b2_plus_1.conv1.weight": (128, 256, 3, 3),
        "m3.b3_4.bn3.running_var": (64,),
        "top_m_2.conv2.weight": (64, 128, 3, 3),
        "l3.weight": (68, 256, 1, 1),
        "al2.weight": (256, 68, 1, 1),
    }
    assert {key: tuple(state[key].shape) for key in shapes} == shapes
    assert "conv3.downsample.2.weight" not in state
    assert "al3.weight" not in state


def test_shapes_and_the_same_answer(net: FAN) -> None:
    crop = torch.rand(1, 3, INPUT_PX, INPUT_PX, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        heat, again = net(crop), net(crop)
    assert heat.shape == (1, 68, HEAT_PX, HEAT_PX)
    assert torch.isfinite(heat).all()
    assert torch.equal(heat, again)


def test_state_dicts_with_and_without_counters(net: FAN) -> None:
    state = dict(net.state_dict())
    older = {key: tensor for key, tensor in state.items() if not key.endswith("num_batches_tracked")}
    crop = torch.rand(1, 3, INPUT_PX, INPUT_PX, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        assert torch.equal(load_2dfan4(older)(crop), net(crop))
    load_2dfan4(state)
    older.pop("m1.b1_4.conv1.weight")
    with pytest.raises(WrongFile, match=r"given\.pth: .*m1\.b1_4\.conv1\.weight"):
        load_2dfan4(older, "given.pth")


def test_peaks_to_a_fraction_of_a_pixel() -> None:
    places = np.random.default_rng(0).uniform(1, HEAT_PX - 2, (68, 2))
    found = peaks(heat_of(places)[0]).numpy()
    np.testing.assert_allclose(found, places, atol=1e-4)


def test_peaks_of_wider_and_weaker_maps() -> None:
    places = np.random.default_rng(1).uniform(4, HEAT_PX - 5, (20, 2))
    for sigma, height in ((0.6, 1.0), (2.0, 0.3)):
        found = peaks(heat_of(places, sigma)[0] * height).numpy()
        np.testing.assert_allclose(found, places, atol=0.05)


def test_odd_maps_stay_near_their_maximum() -> None:
    flat, negative, corner, alone = torch.zeros(4, 16, 16)
    negative.fill_(-1.0)
    negative[5, 6] = -0.5
    corner[0, 15] = 1.0
    alone[7, 8] = 1.0
    found = peaks(torch.stack([flat, negative, corner, alone])).numpy()
    np.testing.assert_array_equal(found, [(0, 0), (6, 5), (15, 0), (8, 7)])


def test_the_step_is_at_most_half_a_pixel() -> None:
    maps = torch.rand(50, 9, 9, generator=torch.Generator().manual_seed(0))
    found = peaks(maps)
    flat = maps.reshape(50, -1).argmax(1)
    whole = torch.stack([flat % 9, flat // 9], 1)
    assert (found - whole).abs().max() <= 0.5
