"""One original under several names: copies are left out, and what looks the same stays in one split."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from prepare_kit import VIDEO_IDS, job_of, write_utterance, write_videos

from avatarkit.data.plan import ALIKE, Plan
from avatarkit.data.split import SplitConfig
from avatarkit.media.encode import FrameWriter
from avatarkit.pipelines.prepare.config import PrepareJob
from avatarkit.pipelines.prepare.planning import make_plan
from avatarkit.pipelines.prepare.sources.duplicates import alike, look_at_photo, look_at_video, video_id
from avatarkit.pipelines.prepare.sources.ffhq import FFHQ
from avatarkit.pipelines.prepare.sources.voxceleb import VoxCeleb2

# Halves, so that two names are as likely as not in two splits.
HALVES = SplitConfig(val_share=0.5, test_share=0.0)


def splits_of(plan: Plan) -> dict[str, str]:
    return {item.key: shard.split for shard in plan.shards for item in shard.items}


def notes_of(plan: Plan) -> dict[str, str]:
    return {item.key: dict(item.notes)[ALIKE] for item in plan.items() if item.notes}


def film(path: Path, photo: np.ndarray, quality: str = "lossy", frames: int = 15) -> Path:
    with FrameWriter(path, width=160, height=160, rate=Fraction(25)) as writer:
        for number in range(frames):
            step = 2 if quality == "lossy" else 3
            noisy = (photo[number : number + 160, :160] // step) * step
            writer.write(np.ascontiguousarray(noisy, np.uint8))
    return path


@pytest.fixture
def photo(astronaut: np.ndarray) -> np.ndarray:
    return astronaut[::2, ::2].copy()


def test_copies_are_kept_once_and_reported(tmp_path: Path) -> None:
    folder = write_videos(tmp_path / "in", ["ok 1"] * 3)
    for number in range(7):
        (folder / f"w{number}.mp4").write_bytes((folder / "v001.mp4").read_bytes())
    plan = make_plan(job_of(folder, tmp_path / "out"), {})
    assert sorted(item.key for item in plan.items()) == ["v000", "v001", "v002"]
    assert [(one.key, one.reason) for one in plan.dropped] == [(f"w{number}", "duplicate") for number in range(7)]
    assert plan.dropped[0].detail == "holds the same bytes as v001"
    assert len(list(plan.rejected())) == 7


def test_files_that_differ_in_their_middle_are_no_copies(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in "ab":
        content = b"ok 1" + b" " * 200_000 + name.encode() + b" " * 200_000
        (tmp_path / "in" / f"{name}.mp4").write_bytes(content)
    assert len(list(make_plan(job_of(tmp_path / "in", tmp_path / "out"), {}).items())) == 2


def test_one_video_encoded_twice_is_in_one_split(tmp_path: Path, photo: np.ndarray, grace_hopper: np.ndarray) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(6):
        film(folder / f"same{number}.{'mkv' if number % 2 else 'mp4'}", photo, "lossy" if number < 3 else "other")
    film(folder / "other.mp4", grace_hopper[100:400:1, 150:400])
    plan = make_plan(job_of(folder, tmp_path / "out", split=HALVES), {})
    splits, left = splits_of(plan), {one.key for one in plan.dropped}
    same = [key for key in splits if key.startswith("same")]
    assert len(same) + len(left) == 6
    assert len(same) >= 2
    assert len({splits[key] for key in same}) == 1
    assert notes_of(plan) == dict.fromkeys(sorted(same)[1:], same[0])
    assert "other" in splits


def test_people_of_folders_stay_in_one_split(tmp_path: Path) -> None:
    """A video's id ties the folders of two people together, and with them all that those hold."""
    for name in ("ann", "bob", "cy"):
        write_videos(tmp_path / "in" / name, ["ok 1"] * 4)
    for name, end in (("ann", ""), ("bob", "_720p"), ("cy", " (1)")):
        (tmp_path / "in" / name / f"dQw4w9WgXcQ{end}.mp4").write_text(f"ok {len(end) + 1}")
    plan = make_plan(job_of(tmp_path / "in", tmp_path / "out", split=HALVES, identity_from="folder"), {})
    assert len(set(splits_of(plan).values())) == 1
    assert len(notes_of(plan)) == 2


def test_photos_too(tmp_path: Path, astronaut: np.ndarray, grace_hopper: np.ndarray) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    first = Image.fromarray(astronaut)
    first.save(folder / "a.png")
    (folder / "copy.png").write_bytes((folder / "a.png").read_bytes())
    for quality in (40, 60, 80, 90):
        first.save(folder / f"q{quality}.jpg", quality=quality)
    first.resize((300, 300)).save(folder / "small.webp")
    Image.fromarray(grace_hopper).save(folder / "other.jpg")
    plan = make_plan(PrepareJob(FFHQ(folder), tmp_path / "out", split=HALVES), {})
    splits = splits_of(plan)
    assert [one.key for one in plan.dropped] == ["copy"]
    assert len({split for key, split in splits.items() if key != "other"}) == 1
    assert notes_of(plan) == dict.fromkeys(("q40", "q60", "q80", "q90", "small"), "a")


@pytest.fixture
def reposted(tmp_path: Path, photo: np.ndarray, grace_hopper: np.ndarray) -> VoxCeleb2:
    """Four VoxCeleb2 videos, a person each: a video, its copy, another encoding of it, and another video."""
    originals = tmp_path / "originals"
    originals.mkdir()
    paths = [originals / f"{video}.mp4" for video in VIDEO_IDS]
    film(paths[0], photo)
    paths[1].write_bytes(paths[0].read_bytes())
    film(paths[2], photo, "other")
    film(paths[3], grace_hopper[100:400, 150:400])
    for number, video in enumerate(VIDEO_IDS):
        write_utterance(tmp_path / "txt", f"id0000{number + 1}", video, "00001")
    # The third person's other video goes where the person goes.
    write_utterance(tmp_path / "txt", "id00003", VIDEO_IDS[3], "00002")
    return VoxCeleb2(tmp_path / "txt", originals=originals)


def test_a_reposted_video_of_voxceleb_is_one(reposted: VoxCeleb2, tmp_path: Path) -> None:
    for seed in range(5):
        split = SplitConfig(seed, val_share=0.5, test_share=0.0)
        plan = make_plan(PrepareJob(reposted, tmp_path / "out", split=split), {})
        assert [(one.key, one.reason) for one in plan.dropped] == [(VIDEO_IDS[1], "duplicate")]
        where = {(t.identity, shard.split) for shard in plan.shards for item in shard.items for t in item.tracks}
        assert len(where) == 3
        assert len({split for identity, split in where if identity in ("id00001", "id00003")}) == 1
        assert notes_of(plan) == {VIDEO_IDS[2]: VIDEO_IDS[0]}


@pytest.mark.parametrize("tested", ["id00001", "id00003"])
def test_what_looks_like_a_test_video_is_not_trained_on(reposted: VoxCeleb2, tmp_path: Path, tested: str) -> None:
    table = tmp_path / "meta.csv"
    people = [f"id0000{number}" for number in range(1, 5)]
    table.write_text("VoxCeleb2 ID ,Set \n" + "".join(f"{p} ,{'test' if p == tested else 'dev'} \n" for p in people))
    plan = make_plan(PrepareJob(replace(reposted, meta_csv=table), tmp_path / "out", split=HALVES), {})
    left = {one.key: one.reason for one in plan.dropped}
    first, again = (VIDEO_IDS[0], VIDEO_IDS[2]) if tested == "id00001" else (VIDEO_IDS[2], VIDEO_IDS[0])
    assert left == {VIDEO_IDS[1]: "duplicate", again: "alike"}
    assert {key for key, split in splits_of(plan).items() if split == "test"} >= {first}


def test_alike_is_said_of_one_picture_only(astronaut: np.ndarray, grace_hopper_path: Path, tmp_path: Path) -> None:
    shifted = tmp_path / "shifted.png"
    Image.fromarray(np.roll(astronaut, 90, 1)).save(shifted)
    whole = tmp_path / "whole.png"
    Image.fromarray(astronaut).save(whole)
    pictures = {path.name: look_at_photo(path) for path in (whole, shifted, grace_hopper_path)}
    assert list(alike(pictures)) == []  # type: ignore[arg-type]
    flat = np.full((16, 16), 100, np.float32)
    assert list(alike({"a": flat, "b": flat})) == []


def test_what_cannot_be_read_is_like_nothing(tmp_path: Path, photo: np.ndarray) -> None:
    torn = tmp_path / "torn.jpg"
    torn.write_bytes(b"no picture")
    assert look_at_photo(torn) is None
    assert look_at_video(torn) is None
    assert look_at_video(film(tmp_path / "short.mp4", photo, frames=5)) is None
    assert look_at_video(film(tmp_path / "long.mp4", photo)) is not None


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("dQw4w9WgXcQ", "dQw4w9WgXcQ"),
        ("Some talk [dQw4w9WgXcQ]", "dQw4w9WgXcQ"),
        ("dQw4w9WgXcQ_1080p60", "dQw4w9WgXcQ"),
        ("dQw4w9WgXcQ-720p (1)", "dQw4w9WgXcQ"),
        ("dQw4w9WgXcQ copy", "dQw4w9WgXcQ"),
        ("clip0001", None),
        ("an-evening-", None),
        ("interviews-", None),
        ("Some talk [part one]", None),
    ],
)
def test_ids_of_videos_in_names(name: str, found: str | None) -> None:
    assert video_id(name) == found
