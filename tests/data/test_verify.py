"""Verification: a sound dataset has no problems, and each kind of damage is named in one line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
from drawn_clips import ATTRIBUTES, drawn_clip, drawn_frame, drawn_matte, write_dataset, write_shard

from avatarkit.atomic import write_json
from avatarkit.data.clip import ClipData
from avatarkit.data.marks import Removed, write_removed, write_selection
from avatarkit.data.pictures import encode_image, encode_matte
from avatarkit.data.shard import seal_shard, shard_path
from avatarkit.data.verify import verify
from avatarkit.errors import InputError
from avatarkit.reading import read_json

NAME = "train-00000"


def reseal(dataset: Path, clips: Sequence[ClipData], name: str = NAME, **attributes: str) -> None:
    """Replace a shard by another one that manifest and counts agree with."""
    temporary = write_shard(dataset / ".new", clips, {**ATTRIBUTES, **attributes})
    stats = seal_shard(dataset, name, temporary, [clip.info for clip in clips])
    relist(dataset, name, sha256=stats.sha256, bytes=stats.bytes, clips=stats.clips, frames=stats.frames)


def relist(dataset: Path, name: str, **changes: object) -> None:
    manifest = read_json(dataset / "manifest.json")
    for entry in manifest["shards"]:
        entry.update(changes if entry["name"] == name else {})
    write_json(dataset / "manifest.json", manifest)


def problems(dataset: Path, *, quick: bool = False) -> list[str]:
    """All problems but those of the totals, which `reseal` does not keep up."""
    found = list(verify(dataset, quick=quick))
    assert all("\n" not in problem and str(dataset) not in problem for problem in found)
    return [problem for problem in found if "totals are not" not in problem]


@pytest.mark.parametrize("quick", [False, True])
def test_sound_dataset_has_no_problems(dataset: Path, quick: bool) -> None:
    write_selection(dataset, ["a-1"], {})
    assert list(verify(dataset, quick=quick)) == []


def test_changed_bytes_are_found(dataset: Path) -> None:
    path = shard_path(dataset, NAME)
    data = bytearray(path.read_bytes())
    data[data.index(b"\xff\xd8\xff") + 200] ^= 255
    path.write_bytes(data)
    assert f"shards/{NAME}.h5: its sha256 is not the manifest's: its bytes have changed" in problems(
        dataset, quick=True
    )


def test_cut_and_missing_shards_are_found(dataset: Path) -> None:
    path = shard_path(dataset, NAME)
    path.write_bytes(path.read_bytes()[:-100])
    found = problems(dataset)
    assert "the manifest says" in found[0]
    assert "is not a shard, or is cut off" in found[1]
    path.unlink()
    assert problems(dataset) == [f"shards/{NAME}.h5: is missing"]


def test_missing_counts_and_unlisted_shards_are_found(dataset: Path) -> None:
    (dataset / "shards" / f"{NAME}.json").unlink()
    write_shard(shard_path(dataset, "train-00009"), [])
    assert problems(dataset) == [f"shards/{NAME}.json: is missing", "shards/train-00009.h5: is not in the manifest"]


def test_wrong_counts_and_totals_are_found(dataset: Path) -> None:
    relist(dataset, NAME, clips=7)
    assert problems(dataset, quick=True) == [
        f"shards/{NAME}.json: clips is 2, the manifest says 7",
        f"shards/{NAME}.h5: holds 2 clips and 10 frames, the manifest says 7 and 10",
    ]
    manifest = read_json(dataset / "manifest.json")
    manifest["totals"]["val"]["people"] = 8
    write_json(dataset / "manifest.json", manifest)
    assert "manifest.json: its totals are not the sums of its shards" in list(verify(dataset, quick=True))


def test_frames_that_do_not_decode_are_found(dataset: Path) -> None:
    clip = drawn_clip("a-1", "a", 6)
    clip.images[1] = encode_image(drawn_frame(1))[:300] + bytes(100)
    clip.images[2] = encode_image(drawn_frame(2))[:-1]
    clip.images[3] = encode_image(drawn_frame(3, 16))
    clip.mattes[4] = encode_matte(drawn_matte(4))[:30]
    clip.mattes[5] = encode_matte(drawn_matte(5, 48))
    reseal(dataset, [clip])
    where = f"shards/{NAME}.h5: clip a-1, frame "
    found = problems(dataset)
    assert f"{where}1: its image cannot be decoded" in found
    assert f"{where}2: its image cannot be decoded" in found
    assert f"{where}3: its image is 16 x 16 pixels, expected 32 x 32" in found
    assert f"{where}4: its matte cannot be decoded" in found
    assert f"{where}5: its matte is 48 x 48 pixels, expected 32 x 32" in found
    assert not any(f"{where}0" in problem for problem in found)
    assert problems(dataset, quick=True) == []


def test_values_that_are_not_finite_are_found(dataset: Path) -> None:
    path = shard_path(dataset, NAME)
    with h5py.File(path, "a") as file:
        file["columns/gaze"][7, 1, 0] = np.inf
        file["columns/score"][1] = np.nan
        file["columns/score"][2] = np.inf
    found = problems(dataset)
    assert f"shards/{NAME}.h5: clip b-1, frame 1: column gaze is not finite" in found
    assert f"shards/{NAME}.h5: clip a-1, frame 2: column score is not finite" in found
    assert not any("frame 1: column score" in problem for problem in found)


def test_doubled_clips_wrong_splits_and_shared_people_are_found(dataset: Path) -> None:
    reseal(dataset, [drawn_clip("d-1", "x"), drawn_clip("e", "d"), drawn_clip("f", "f", split="test")])
    assert problems(dataset, quick=True) == [
        f"shards/{NAME}.h5: clip f: is of split test, its shard of train",
        f"shards/val-00000.h5: clip d-1: is also in shards/{NAME}.h5",
        "shards/val-00000.h5: clip d-1: d is in split train and in val",
    ]


def test_foreign_shards_are_found(dataset: Path) -> None:
    reseal(dataset, [drawn_clip("n", "n")], plan_hash="another")
    assert problems(dataset) == [
        f"shards/{NAME}.h5: its plan_hash is another, the manifest's is plan: it belongs to another dataset"
    ]


def test_selection_of_unknown_clips_and_removed_people_are_found(dataset: Path) -> None:
    write_selection(dataset, ["a-1", "zz", "yy"], {})
    write_removed(dataset, Removed(people=frozenset({"c"})))
    assert problems(dataset) == [
        "shards/train-00001.h5: clip c/1.x: was removed and is here; run `avatarkit data remove` again",
        "selection.json: selects yy, which the dataset does not have",
        "selection.json: selects zz, which the dataset does not have",
    ]
    (dataset / "selection.json").write_text("{}")
    assert "is not avatarkit-selection 1" in problems_with_path(dataset)


def problems_with_path(dataset: Path) -> str:
    return " ".join(verify(dataset))


def test_datasets_that_cannot_be_read_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such dataset"):
        list(verify(tmp_path / "none"))
    write_dataset(tmp_path / "d", {})
    assert list(verify(tmp_path / "d")) == []
    assert json.loads((tmp_path / "d" / "manifest.json").read_text())["shards"] == []
