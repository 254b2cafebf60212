"""Samples: what they hold, that nothing but seed and position decides, and what cannot be trained on."""

from __future__ import annotations

import shutil
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_clips import drawn_clip, drawn_columns, drawn_matte, write_dataset
from torch.utils.data import DataLoader, default_collate

from avatarkit.data.marks import write_selection
from avatarkit.data.order import positions
from avatarkit.data.pairs import PairDataset, PhotoDataset
from avatarkit.data.samples import SampleSpec
from avatarkit.errors import InputError, UsageError
from avatarkit.head.matrix import head_matrix

FRAMES = ("source", "driver", "other_source", "other_driver")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    clips = [drawn_clip(f"p{n}", f"p{n}", 1, seed=n) for n in range(5)]
    write_dataset(folder, {"train": [clips[:2], clips[2:]]}, kind="photos")
    return folder


def flat(sample: dict[str, Any]) -> list[tuple[str, torch.Tensor]]:
    nested = {key: value if isinstance(value, dict) else {"": value} for key, value in sample.items()}
    return [(f"{a}/{b}", tensor) for a, inner in nested.items() for b, tensor in inner.items()]


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return len(flat(a)) == len(flat(b)) and all(
        name == other and torch.equal(x, y) for (name, x), (other, y) in zip(flat(a), flat(b), strict=True)
    )


def number_of(frame: dict[str, torch.Tensor]) -> int:
    """The number of a drawn frame, by its matte."""
    return int(frame["matte"].max()) - 100


def test_sample_holds_two_frames_of_a_clip_and_two_of_another_person(dataset: Path) -> None:
    pairs = PairDataset(dataset, "train", seed=0)
    seeds = {"a-1": 1, "b-1": 2, "a-2": 3, "c/1.x": 4}
    for position in range(4 * len(pairs)):
        sample = pairs[position]
        clip, other = pairs.clips[sample["clip"]], pairs.clips[sample["other_clip"]]
        assert clip.identity != other.identity
        for info, names in ((clip, FRAMES[:2]), (other, FRAMES[2:])):
            numbers = [number_of(sample[name]) for name in names]
            assert all(0 <= n - 10 * seeds[info.clip_id] < info.frames for n in numbers)
            assert abs(numbers[0] - numbers[1]) >= info.frames // 2
    assert set(sample) == {*FRAMES, "clip", "other_clip"}


def test_frame_holds_what_was_stored(dataset: Path) -> None:
    pairs = PairDataset(dataset, "train", seed=0)
    frame, columns = pairs.frame("b-1", 2), drawn_columns(4, 2)
    assert {name: (tuple(t.shape), t.dtype) for name, t in frame.items()} == {
        "image": ((3, 32, 32), torch.uint8),
        "matte": ((1, 32, 32), torch.uint8),
        "landmarks": ((478, 3), torch.float32),
        "head": ((4, 4), torch.float32),
        "gaze": ((2, 2), torch.float32),
        "eye_opening": ((2,), torch.float32),
        "mouth_opening": ((), torch.float32),
    }
    assert np.array_equal(frame["matte"][0].numpy(), drawn_matte(22))
    assert np.allclose(frame["landmarks"], columns["landmarks"][2], atol=1e-5)
    for name in ("gaze", "eye_opening", "mouth_opening"):
        assert np.array_equal(frame[name].numpy(), columns[name][2])
    expected = head_matrix(np.eye(3), columns["translation_px"][2], columns["scale_px"][2], 32)
    assert np.array_equal(frame["head"].numpy(), expected)
    with pytest.raises(KeyError, match="has frames 0 to 3, not 4"):
        pairs.frame("b-1", 4)
    with pytest.raises(KeyError):
        pairs.frame("d-1")


@pytest.mark.parametrize("size", [8, 12, 16, 48])
def test_resized_frames_keep_their_geometry(dataset: Path, size: int) -> None:
    stored = PairDataset(dataset, "train", seed=0).frame("a-1", 1)
    frame = PairDataset(dataset, "train", seed=0, size=size).frame("a-1", 1)
    assert frame["image"].shape == (3, size, size)
    assert frame["matte"].shape == (1, size, size)
    assert torch.equal(frame["head"], stored["head"])
    edge_units = (frame["landmarks"][:, :2] + 0.5) / size
    assert torch.allclose(edge_units, (stored["landmarks"][:, :2] + 0.5) / 32, atol=1e-5)
    assert torch.allclose(frame["landmarks"][:, 2], stored["landmarks"][:, 2] * size / 32, atol=1e-4)
    means = [f["image"].double().mean((1, 2)) for f in (frame, stored)]
    assert torch.allclose(*means, atol=1.0)


def test_each_epoch_has_each_clip_once(dataset: Path) -> None:
    pairs = PairDataset(dataset, "train", seed=0)
    for epoch in range(3):
        clips = [int(pairs[epoch * len(pairs) + place]["clip"]) for place in range(len(pairs))]
        assert sorted(clips) == list(range(4))
    assert same(next(iter(pairs)), pairs[0])
    assert len(list(pairs)) == 4


def test_other_clips_have_equal_chances(dataset: Path) -> None:
    pairs = PairDataset(dataset, "train", seed=0, with_matte=False, size=8)
    drawn = Counter((int(s["clip"]), int(s["other_clip"])) for s in (pairs[p] for p in range(600)))
    # Sorted by person: a-1, a-2, b-1, c; two others for a, three for b and c.
    assert set(drawn) == {(0, 2), (0, 3), (1, 2), (1, 3), *((2, k) for k in (0, 1, 3)), *((3, k) for k in (0, 1, 2))}
    assert min(drawn.values()) > 30


def test_only_seed_and_position_decide(dataset: Path, tmp_path: Path) -> None:
    pairs = PairDataset(dataset, "train", seed=5)
    samples = [pairs[position] for position in range(10)]
    again = PairDataset(dataset, "train", seed=5)
    assert all(same(again[position], samples[position]) for position in (7, 2, 9, 0))
    other = PairDataset(dataset, "train", seed=6)
    assert not all(same(other[position], samples[position]) for position in range(10))
    shutil.copytree(dataset, tmp_path / "copy")
    assert same(PairDataset(tmp_path / "copy", "train", seed=5)[3], samples[3])


def of_one_video(folder: Path, frames: int = 12) -> Path:
    """Two clips of one video, in one of which every other mouth is wide open; and another person."""
    clips = [drawn_clip(f"v-{n}", "a", frames, seed=2 * n, video="v") for n in range(2)]
    for clip in clips:
        for name in ("mouth_opening", "eye_opening"):
            clip.columns[name][:] = 0.1
    clips[1].columns["mouth_opening"][::2] = 0.9
    write_dataset(folder, {"train": [[*clips, drawn_clip("b", "b", frames, seed=9)]]})
    return folder


def test_drivers_differ_from_their_source_and_come_from_all_clips_of_the_video(tmp_path: Path) -> None:
    folder = of_one_video(tmp_path / "data")
    open_mouths: dict[int, float] = {}
    for candidates in (1, 6):
        pairs = PairDataset(folder, "train", seed=0, sample=SampleSpec(candidates=candidates))
        shown = [pairs[position] for position in range(120)]
        mine = [sample for sample in shown if pairs.clips[sample["clip"]].identity == "a"]
        apart = [abs(float(s["source"]["mouth_opening"] - s["driver"]["mouth_opening"])) > 0.5 for s in mine]
        open_mouths[candidates] = sum(apart) / len(apart)
        clips = {(number_of(s["source"]) // 20, number_of(s["driver"]) // 20) for s in mine}
        assert clips == ({(0, 0), (1, 1)} if candidates == 1 else {(0, 0), (1, 1), (0, 1), (1, 0)})
        assert all(number_of(s["source"]) != number_of(s["driver"]) for s in mine)
    assert open_mouths[1] < 0.4
    assert open_mouths[6] > 0.75


def test_turned_heads_count_as_different(tmp_path: Path) -> None:
    clip = drawn_clip("a", "a", 12)
    for name in ("mouth_opening", "eye_opening"):
        clip.columns[name][:] = 0.1
    clip.columns["rotation"][6:] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]
    write_dataset(tmp_path / "data", {"train": [[clip, drawn_clip("b", "b", 12, seed=5)]]})
    pairs = PairDataset(tmp_path / "data", "train", seed=0, sample=SampleSpec(candidates=8))
    mine = [sample for sample in (pairs[position] for position in range(60)) if number_of(sample["source"]) < 20]
    across = [(number_of(s["source"]) < 6) != (number_of(s["driver"]) < 6) for s in mine]
    assert sum(across) > 0.9 * len(across)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_change_nothing_and_reading_resumes_in_mid_epoch(dataset: Path, method: str) -> None:
    pairs = PairDataset(dataset, "train", seed=1, size=16)
    start, batches = 3, 3

    def read(workers: int) -> list[dict[str, Any]]:
        order = list(islice(positions(start=start), 2 * batches))
        context = method if workers else None
        return list(DataLoader(pairs, 2, sampler=order, num_workers=workers, multiprocessing_context=context))

    expected = [default_collate([pairs[start + 2 * b], pairs[start + 2 * b + 1]]) for b in range(batches)]
    for workers in (0, 1, 4) if method == "fork" else (1,):
        found = read(workers)
        assert len(found) == batches
        assert all(same(a, b) for a, b in zip(found, expected, strict=True))


def test_parts_can_be_left_out(dataset: Path) -> None:
    sample = PairDataset(dataset, "val", seed=0, with_matte=False, sample=SampleSpec(other=False))[0]
    assert set(sample) == {"source", "driver", "clip"}
    assert "matte" not in sample["source"]


def test_selection_is_kept(dataset: Path) -> None:
    write_selection(dataset, ["a-1", "c/1.x"], {})
    assert {info.clip_id for info in PairDataset(dataset, "train", 0).clips} == {"a-1", "c/1.x"}
    assert len(PairDataset(dataset, "train", 0, selected=False)) == 4


def test_candidates_are_for_single_drivers() -> None:
    for spec in ({"candidates": 0}, {"candidates": 2, "window": 3}, {"kind": "photos", "candidates": 2}):
        with pytest.raises(UsageError):
            SampleSpec(**spec)  # type: ignore[arg-type]


def test_photos_come_once_an_epoch(photos: Path) -> None:
    data = PhotoDataset(photos, "train", seed=2, size=16)
    for epoch in range(2):
        numbers = [number_of(data[epoch * 5 + place]) for place in range(5)]
        assert sorted(numbers) == [0, 10, 20, 30, 40]
    sample = data[1]
    assert sample["image"].shape == (3, 16, 16)
    assert data.clips[sample["clip"]].clip_id == f"p{number_of(sample) // 10}"
    assert same(next(iter(data)), data[0])


def test_a_photo_brings_one_of_another_person(tmp_path: Path) -> None:
    people = "aaabc"
    clips = [drawn_clip(f"{person}{n}", person, 1, seed=n) for n, person in enumerate(people)]
    write_dataset(tmp_path / "photos", {"train": [clips[:2], clips[2:]]}, kind="photos")
    data = PhotoDataset(tmp_path / "photos", "train", seed=0, size=8, with_matte=False)
    samples = [data[position] for position in range(300)]
    drawn = Counter((int(sample["clip"]), int(sample["partner"]["clip"])) for sample in samples)
    # Sorted by person: 0 to 2 are a's.
    others = {number: {3, 4} for number in range(3)} | {3: {0, 1, 2, 4}, 4: {0, 1, 2, 3}}
    assert set(drawn) == {(clip, other) for clip in others for other in others[clip]}
    again = PhotoDataset(tmp_path / "photos", "train", seed=0, size=8, with_matte=False)
    assert all(same(again[position]["partner"], samples[position]["partner"]) for position in (299, 4, 5))
    write_dataset(tmp_path / "alone", {"train": [clips[:3]]}, kind="photos")
    with pytest.raises(InputError, match=r"split train has photos of one person only \(a\), two people are needed"):
        PhotoDataset(tmp_path / "alone", "train", 0)
    assert "partner" not in PhotoDataset(tmp_path / "alone", "train", 0, sample=SampleSpec("photos", other=False))[0]


def test_what_cannot_be_trained_on_is_refused(dataset: Path, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such dataset"):
        PairDataset(tmp_path / "none", "train", 0)
    with pytest.raises(InputError, match="is a dataset of photos, videos are needed"):
        PairDataset(photos, "train", 0)
    with pytest.raises(InputError, match="is a dataset of videos, photos are needed"):
        PhotoDataset(dataset, "train", 0)
    with pytest.raises(InputError, match="no clip of split test; the dataset has train 4, val 1"):
        PairDataset(dataset, "test", 0)
    with pytest.raises(InputError, match=r"split val has clips of one person only \(d\)"):
        PairDataset(dataset, "val", 0)
    with pytest.raises(UsageError, match="size 0"):
        PairDataset(dataset, "train", 0, size=0)
    with pytest.raises(IndexError, match="count from 0"):
        PairDataset(dataset, "train", 0)[-1]
    write_selection(dataset, [], {})
    with pytest.raises(InputError, match="no clip of split train that is selected"):
        PairDataset(dataset, "train", 0)


def test_clips_of_one_frame_have_no_pair(tmp_path: Path) -> None:
    clips = [drawn_clip("a", "a", 1), drawn_clip("b", "b", 2, seed=1), drawn_clip("c", "c", 3, seed=2)]
    write_dataset(tmp_path / "short", {"train": [clips]})
    assert [info.clip_id for info in PairDataset(tmp_path / "short", "train", 0).clips] == ["b", "c"]


def test_frame_of_another_size_is_named(tmp_path: Path) -> None:
    from avatarkit.data.pictures import encode_image

    clip = drawn_clip("a", "a", 2)
    clip.images[1] = encode_image(np.zeros((16, 16, 3), np.uint8))
    write_dataset(tmp_path / "odd", {"train": [[clip]]})
    pairs = PairDataset(tmp_path / "odd", "train", 0, sample=SampleSpec(other=False))
    with pytest.raises(InputError, match="image 1: is 16 x 16 pixels, expected 32 x 32"):
        pairs[0]
