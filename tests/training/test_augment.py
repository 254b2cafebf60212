"""Augmentation of pairs and of drivers: pictures and what is known about them stay together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from avatarkit.errors import UsageError
from avatarkit.face import landmarks as lm
from avatarkit.head.coordinates import measure
from avatarkit.training.augment.color import DRIVER_COLORS, PAIR_COLORS, ColorStrength, change_colors, color_change
from avatarkit.training.augment.flip import flip_frame
from avatarkit.training.augment.pairs import augment_driver, augment_pair

SIZE = 40
NO_COLORS = ColorStrength(0, 0, 0, 0, 0)
FRAMES = ("source", "driver", "other_source", "other_driver")


def frame(samples: int, seed: int) -> dict[str, Tensor]:
    draws = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(samples, *shape, generator=draws)

    return {
        "image": (255 * uniform(3, SIZE, SIZE)).to(torch.uint8),
        "matte": (255 * uniform(1, SIZE, SIZE)).to(torch.uint8),
        "landmarks": SIZE * uniform(478, 3),
        "head": uniform(4, 4),
        "gaze": uniform(2, 2) - 0.5,
        "eye_opening": uniform(2),
        "mouth_opening": uniform(),
    }


@pytest.fixture
def batch() -> dict[str, Any]:
    frames: dict[str, Any] = {name: frame(6, seed) for seed, name in enumerate(FRAMES)}
    return {**frames, "clip": torch.arange(6), "positions": list(range(6))}


SEEDS = torch.tensor([11, 12, 13, 2**62, 15, 16])


def same(one: dict[str, Any], other: dict[str, Any], rows: slice = slice(None)) -> bool:
    return all(torch.equal(value[rows], other[name][column]) for name in FRAMES for column, value in one[name].items())


def test_same_seeds_same_samples_whatever_stands_beside_them(batch: dict[str, Any]) -> None:
    first = augment_pair(batch, SEEDS)
    assert same(first, augment_pair(batch, SEEDS))
    part = {name: {key: value[2:5] for key, value in batch[name].items()} for name in FRAMES}
    assert same(first, augment_pair(part, SEEDS[2:5]), slice(2, 5))
    torch.manual_seed(5)
    assert same(first, augment_pair(batch, SEEDS))
    assert not same(first, augment_pair(batch, SEEDS + 1))


def test_mixed_precision_does_not_reach_pictures(batch: dict[str, Any]) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        found = augment_pair(batch, SEEDS)
    assert same(found, augment_pair(batch, SEEDS))


def test_ranges_and_untouched_entries(batch: dict[str, Any]) -> None:
    before = {key: value.clone() for key, value in batch["source"].items()}
    found = augment_pair(batch, SEEDS)
    for name in FRAMES:
        for column in ("image", "matte"):
            assert found[name][column].dtype == torch.float32
            assert 0 <= found[name][column].min() < 0.05
            assert 0.95 < found[name][column].max() <= 1
    assert found["positions"] == batch["positions"]
    assert torch.equal(found["clip"], batch["clip"])
    assert all(torch.equal(batch["source"][key], value) for key, value in before.items())


def test_both_frames_of_a_clip_change_alike_and_clips_on_their_own(batch: dict[str, Any]) -> None:
    batch["driver"] = batch["source"]
    batch["other_source"] = batch["other_driver"] = batch["source"]
    found = augment_pair(batch, SEEDS)
    for column, value in found["source"].items():
        assert torch.equal(value, found["driver"][column])
    assert not torch.equal(found["source"]["image"], found["other_source"]["image"])
    assert torch.equal(found["other_driver"]["image"], found["other_source"]["image"])


def test_colours_change_alike_even_where_pictures_differ(batch: dict[str, Any]) -> None:
    """A colour of the source that the driver has too is one colour afterwards."""
    for name in ("source", "driver"):
        batch[name]["image"][:, :, 5:35, 18:22] = 120
    found = augment_pair(batch, SEEDS)
    greys = [found[name]["image"][:, :, 10, 19] for name in ("source", "driver")]
    assert torch.equal(*greys)
    assert (greys[0] - 120 / 255).abs().max() > 0.01


def test_without_other_clips(batch: dict[str, Any]) -> None:
    alone = {name: batch[name] for name in ("source", "driver")}
    found, all_found = augment_pair(alone, SEEDS), augment_pair(batch, SEEDS)
    assert set(found) == {"source", "driver"}
    assert torch.equal(found["source"]["image"], all_found["source"]["image"])


def test_about_half_are_turned_over() -> None:
    image = torch.zeros(200, 3, 2, 2)
    image[..., 1] = 1
    batch = {"source": {"image": image}, "driver": {"image": image}}
    turned = augment_pair(batch, torch.arange(200), NO_COLORS)["source"]["image"][:, 0, 0, 0]
    assert 75 <= turned.sum() <= 125


def test_one_seed_per_sample(batch: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="need one for each of 6"):
        augment_pair(batch, SEEDS[:5])
    with pytest.raises(UsageError, match="need one for each of 1"):
        augment_driver(torch.zeros(1, 3, 8, 8), torch.zeros(1, 478, 2), SEEDS)


# Flips


def test_flipped_twice_is_itself() -> None:
    given, chosen = frame(3, 0), torch.ones(3, dtype=torch.bool)
    twice = flip_frame(flip_frame(given, chosen), chosen)
    for column, value in given.items():
        torch.testing.assert_close(twice[column], value, rtol=0, atol=1e-5)


def test_only_marked_samples_are_turned() -> None:
    given = frame(3, 0)
    found = flip_frame(given, torch.tensor([False, True, False]))
    for column in given:
        assert torch.equal(found[column][[0, 2]], given[column][[0, 2]])
    assert torch.equal(found["image"][1], given["image"][1].flip(-1))


def test_landmarks_follow_the_picture() -> None:
    """Dots drawn at the right eye's corner and at the mouth's left one."""
    given, chosen = frame(1, 0), torch.ones(1, dtype=torch.bool)
    given["image"] = torch.zeros(1, 3, SIZE, SIZE)
    dots = {33: (5, 9), 291: (30, 22)}
    for channel, (point, (x, y)) in enumerate(dots.items()):
        given["landmarks"][0, point, :2] = torch.tensor([float(x), float(y)])
        given["image"][0, channel, y, x] = 1
    found = flip_frame(given, chosen)
    for channel, twin in enumerate((263, 61)):
        x, y = found["landmarks"][0, twin, :2].int().tolist()
        assert found["image"][0, channel, y, x] == 1


def test_what_is_measured_on_turned_landmarks(hopper_landmarks: np.ndarray) -> None:
    state = measure(hopper_landmarks)
    given = {
        "image": torch.zeros(1, 3, 600, 512),
        "landmarks": torch.from_numpy(hopper_landmarks)[None],
        "gaze": torch.from_numpy(state.gaze)[None],
        "eye_opening": torch.from_numpy(state.eye_opening)[None],
        "mouth_opening": torch.tensor([state.mouth_opening]),
    }
    found = flip_frame(given, torch.tensor([True]))
    turned = measure(found["landmarks"][0].numpy())
    np.testing.assert_allclose(found["gaze"][0], turned.gaze, atol=1e-6)
    np.testing.assert_allclose(found["eye_opening"][0], turned.eye_opening, atol=1e-6)
    assert found["mouth_opening"].item() == pytest.approx(turned.mouth_opening, abs=0.01)


def test_head_carries_mirrored_points_to_the_mirrored_picture() -> None:
    given = frame(1, 3)
    turned = flip_frame(given, torch.tensor([True]))["head"][0]
    point, mirrored = torch.tensor([0.3, -0.2, 0.7, 1.0]), torch.tensor([-0.3, -0.2, 0.7, 1.0])
    seen, wanted = turned @ mirrored, given["head"][0] @ point
    torch.testing.assert_close(seen, wanted * torch.tensor([-1.0, 1.0, 1.0, 1.0]))


def test_unknown_column_is_refused() -> None:
    with pytest.raises(UsageError, match="column depth"):
        flip_frame({"image": torch.zeros(1, 3, 2, 2), "depth": torch.zeros(1)}, torch.tensor([True]))


# Colours


def test_middle_draws_change_no_colour() -> None:
    image = torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    found = change_colors(image, color_change(torch.full((2, 7), 0.5), DRIVER_COLORS))
    torch.testing.assert_close(found, image, rtol=0, atol=1e-5)


def test_exact_changes() -> None:
    image = torch.tensor([0.2, 0.4, 0.6]).reshape(1, 3, 1, 1)

    def changed(strength: ColorStrength) -> list[float]:
        found = change_colors(image, color_change(torch.ones(1, 7), strength))
        return [round(value, 4) for value in found.flatten().tolist()]

    assert changed(ColorStrength(0.5, 0, 0, 0, 0)) == [0.3, 0.6, 0.9]
    assert changed(ColorStrength(0, 0.5, 0, 0, 0)) == [0.05, 0.35, 0.65]
    assert changed(ColorStrength(0, 0, 0, 0.5, 0)) == [0.3, 0.6, 0.9]
    grey = 0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.6
    assert changed(ColorStrength(0, 0, 0.5, 0, 0)) == [round(1.5 * x - 0.5 * grey, 4) for x in (0.2, 0.4, 0.6)]
    assert changed(ColorStrength(0, 0, 0, 0, 1)) == [0.2, 0.4, 0.6]
    assert changed(ColorStrength(9, 0, 0, 0, 0)) == [1, 1, 1]


def test_hue_turns_colours_and_leaves_greys() -> None:
    turn = color_change(torch.tensor([[0.5, 0.5, 0.5, 1.0, 0.5, 0.5, 0.5]]), ColorStrength(0, 0, 0, 0, 1 / 3))
    red, grey = (torch.tensor(color).reshape(1, 3, 1, 1) for color in ([0.8, 0.2, 0.2], [0.4, 0.4, 0.4]))
    assert change_colors(red, turn).argmax(1).item() != 0
    torch.testing.assert_close(change_colors(grey, turn), grey, rtol=0, atol=1e-4)


def test_drivers_change_more_than_pairs() -> None:
    image = torch.rand(50, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    draws = torch.rand(50, 7, generator=torch.Generator().manual_seed(1))
    apart = [
        (change_colors(image, color_change(draws, strength)) - image).abs().mean()
        for strength in (PAIR_COLORS, DRIVER_COLORS)
    ]
    assert apart[1] > 2 * apart[0]


# The driver's shape is tested in test_augment_shape.py.


@pytest.fixture
def crops(grace_hopper: np.ndarray, hopper_landmarks: np.ndarray) -> tuple[Tensor, Tensor]:
    """Three times one face, cut out at 128 pixels, with its landmarks there."""
    points = torch.from_numpy(hopper_landmarks[:, :2]).float()
    oval = points[list(lm.FACE_OVAL)]
    side = int(1.5 * (oval[:, 1].max() - oval[:, 1].min()))
    left, top = (oval.mean(0) - side / 2).int().tolist()
    cut = torch.from_numpy(grace_hopper[top : top + side, left : left + side].copy()).permute(2, 0, 1)[None]
    small = torch.nn.functional.interpolate(cut.float() / 255, (128, 128), mode="area")
    scale = 128 / side
    there = (points - torch.tensor([left, top]) + 0.5) * scale - 0.5
    return small.repeat(3, 1, 1, 1), there[None].repeat(3, 1, 1)


def test_drivers_differ_by_seed_and_by_nothing_else(crops: tuple[Tensor, Tensor]) -> None:
    seeds = torch.tensor([1, 2, 1])
    found = augment_driver(*crops, seeds)
    assert torch.equal(found[0], found[2])
    assert (found[0] - found[1]).abs().mean() > 0.02
    assert torch.equal(found[1:2], augment_driver(crops[0][1:2], crops[1][1:2], seeds[1:2]))
    assert found.min() >= 0
    assert found.max() <= 1


def test_driver_keeps_its_type_and_takes_no_gradient(crops: tuple[Tensor, Tensor]) -> None:
    image, seeds = crops[0].bfloat16().requires_grad_(), torch.tensor([1, 2, 3])
    with torch.autocast("cpu", torch.bfloat16):
        found = augment_driver(image, crops[1], seeds)
        exact = augment_driver(crops[0], crops[1], seeds)
    assert found.dtype == torch.bfloat16
    assert not found.requires_grad
    assert torch.equal(exact, augment_driver(*crops, seeds))


def test_a_matte_turns_over_with_its_picture() -> None:
    ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    turned = flip_frame({"image": ramp.expand(1, 3, 4, 4), "matte": ramp}, torch.tensor([True]))
    assert torch.equal(turned["matte"], ramp.flip(-1))
    assert torch.equal(turned["image"][:, :1], turned["matte"])
