"""Readers of our formats under arbitrary damage: nothing but our own errors, within time and memory.

AVATARKIT_FUZZ=2000 sets how many examples each reader gets.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avatarkit.checkpoint import open_checkpoint
from avatarkit.data.clip import Rejected
from avatarkit.data.ffhq_json import read_faces, read_records
from avatarkit.data.ledger import Ledger, read_table
from avatarkit.data.manifest import read_manifest
from avatarkit.data.marks import Removed, read_removed, read_selection, write_removed, write_selection
from avatarkit.data.plan import Dropped, Original, Plan, PlannedItem, PlannedShard, PlannedTrack
from avatarkit.data.plan_file import read_plan, write_plan
from avatarkit.data.reader import ShardReader
from avatarkit.data.shard import read_stats, shard_path
from avatarkit.data.voxceleb import parse_utterance, read_meta
from avatarkit.errors import AvatarkitError
from avatarkit.motion.file import read_motion
from tests.data.drawn_clips import drawn_clip, write_dataset
from tests.memory import cost
from tests.motion.small_motion import small_motion

EXAMPLES = int(os.environ.get("AVATARKIT_FUZZ", "100"))
LONGEST_S, MOST_BYTES = 10.0, 1 << 30
fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-(10**400), 10**400), st.floats(), st.text(max_size=40),
    st.sampled_from(["", "../x", "/etc/passwd", "a\0b", "x" * 5000, "${oc.env:HOME}", "1e9999999", "\ud800", "=1+1"]),
    st.just([]), st.just({}), st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.none(), max_size=2),
)  # fmt: skip
NUMBERS = st.floats(0, 1, exclude_max=True)
CUTS = st.lists(st.tuples(NUMBERS, st.integers(0, 3), st.binary(max_size=9)), min_size=1, max_size=4)


def survives(read: Callable[[], object]) -> None:
    def tried() -> None:
        with suppress(AvatarkitError):
            read()

    found = cost(tried, warm=False)
    assert (found.seconds < LONGEST_S, found.memory_bytes < MOST_BYTES) == (True, True), found


def damaged(data: bytes, cuts: list[tuple[float, int, bytes]]) -> bytes:
    """Bytes overwritten, put in, taken out or cut off at some places."""
    for where, how, piece in cuts:
        at = int(where * len(data))
        if how == 0:
            data = data[:at] + piece + data[at + len(piece) :]
        elif how == 1:
            data = data[:at] + piece + data[at:]
        elif how == 2:
            data = data[:at] + data[at + len(piece) :]
        else:
            data = data[:at]
    return data


def places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to all values within a json value."""
    inner: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(path for key, entry in inner for path in places(entry, (*here, key)))]


def changed(value: Any, where: float, odd: Any) -> Any:
    """A json value with one of its parts replaced."""
    found = places(value)
    path = found[int(where * len(found))]
    copy = json.loads(json.dumps(value))
    here = copy
    for key in path[:-1]:
        here = here[key]
    if not path:
        return odd
    here[path[-1]] = odd
    return copy


def write_json_text(path: Path, value: Any) -> None:
    path.write_bytes(json.dumps(value).encode("utf-8", "surrogatepass"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file of each kind, sound."""
    folder = tmp_path_factory.mktemp("whole")
    refused = Rejected("c", "v", "p", "train", "track", "no-face", "none")
    write_dataset(folder, {"train": [[drawn_clip("a", "p", 2), drawn_clip("b", "q", 2)]]}, rejected=[refused])
    write_selection(folder, ["a"], {"keep_top": 0.5})
    write_removed(folder, Removed(frozenset({"x"}), frozenset({"y"}), frozenset({"z"})))
    track = PlannedTrack("p", "00001", 25, "dev/txt")
    item = PlannedItem("k", (track,), Original(0, "in/k.mp4", 7, "ab"), "cd", (1, 2), "wild", (("age", "30.0"),))
    dropped = Dropped("k2", "val", (("q", "00002"),), "too-small", "it is")
    shard = PlannedShard("train-00000", "train", (item,))
    write_plan(folder, Plan("videos", {"size": 64}, {"tool": "1"}, (shard,), (dropped,)))
    with Ledger(folder / "ledger.sqlite") as ledger:
        ledger.begin(read_plan(folder), engine="local", workers=1)
    meta = {
        "format": "avatarkit-checkpoint", "version": 1, "stage": "base", "preset": "x", "step": 5, "images": 9,
        "config": {"batch": 4}, "nets": {"base": {"config": {"size": 64}, "parameters": 3}}, "parents": {"base": "ab"},
        "dataset": {"sha256": "ab", "kind": "videos", "size": 64}, "code": {"python": "3"},
        "files": {"base.safetensors": "cd"},
    }  # fmt: skip
    (folder / "step-000000005").mkdir()
    write_json_text(folder / "step-000000005" / "meta.json", meta)
    small_motion(folder / "a.motion")
    record = {"file_path": "a/00000.png", "file_size": 9, "face_landmarks": [[1.0, 2.0]] * 68}
    about = {"author": "a", "license": "l", "license_url": "u", "photo_url": "p", "photo_title": "t"}
    photo = {"category": "training", "metadata": about, "image": record, "in_the_wild": record}
    write_json_text(folder / "ffhq.json", {"0": photo, "1": photo})
    write_json_text(folder / "00000.json", [{"faceAttributes": {"age": 30}}])
    (folder / "vox2_meta.csv").write_text("VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \nid00012 ,n000012 ,m ,dev\n")
    table = "FRAME \tX \tY \tW \tH \n000001 \t0.1 \t0.2 \t0.3 \t0.4 \n000002 \t0.1 \t0.2 \t0.3 \t0.4 \n"
    head = "Identity  : \tid00012\nReference : \tabcdefghijk\nOffset    : \t1\nFV Conf   : \t1.0\nASD Conf  : \t1\n\n"
    (folder / "00001.txt").write_text(head + table)
    return folder


READERS: dict[str, Callable[[Path], object]] = {
    "manifest.json": lambda path: read_manifest(path.parent),
    "plan.json": read_plan,
    "selection.json": lambda path: read_selection(path.parent),
    "removed.json": lambda path: read_removed(path.parent),
    "shards/train-00000.json": lambda path: read_stats(path.parent.parent, "train-00000"),
    "shards/train-00000.h5": lambda path: read_shard(path.parent.parent),
    "ledger.sqlite": lambda path: [read_table(path, name) for name in ("samples", "videos", "shards", "runs")],
    "step-000000005/meta.json": lambda path: open_checkpoint(path.parent),
    "a.motion": read_motion,
    "ffhq.json": lambda path: list(read_records(path, [])),
    "00000.json": lambda path: read_faces(path.parent, "00000"),
    "vox2_meta.csv": read_meta,
    "00001.txt": lambda path: parse_utterance(path.read_bytes().decode("utf-8", "replace"), "x"),
}


def read_shard(dataset: Path) -> None:
    reader = ShardReader(shard_path(dataset, "train-00000"))
    for frame in range(min(len(reader), 2)):
        reader.image(frame)
        reader.matte(frame)
        reader.row("landmarks", frame)


def placed(whole: Path, name: str, folder: Path) -> Path:
    """Where a reader looks for the file, in a folder of its own."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def survives_cuts(path: Path, data: bytes, read: Callable[[Path], object]) -> None:
    """A reader of a file's bytes with arbitrary ones cut out and put in."""

    @fuzzed
    @given(cuts=CUTS)
    def check(cuts: list[tuple[float, int, bytes]]) -> None:
        path.write_bytes(damaged(data, cuts))
        survives(lambda: read(path))

    check()


def survives_odd(path: Path, value: Any, read: Callable[[Path], object]) -> None:
    """A reader of json with one value replaced by an odd one."""

    @fuzzed
    @given(where=NUMBERS, odd=ODD)
    def check(where: float, odd: Any) -> None:
        write_json_text(path, changed(value, where, odd))
        survives(lambda: read(path))

    check()


@pytest.mark.parametrize("name", READERS)
def test_the_sound_file_is_read(whole: Path, name: str) -> None:
    READERS[name](whole / name)


@pytest.mark.parametrize("name", READERS)
def test_damaged_bytes(whole: Path, tmp_path: Path, name: str) -> None:
    survives_cuts(placed(whole, name, tmp_path), (whole / name).read_bytes(), READERS[name])


@pytest.mark.parametrize("name", [name for name in READERS if name.endswith(".json")])
def test_odd_values(whole: Path, tmp_path: Path, name: str) -> None:
    survives_odd(placed(whole, name, tmp_path), json.loads((whole / name).read_bytes()), READERS[name])


def test_odd_headers_of_motion(whole: Path, tmp_path: Path) -> None:
    data = (whole / "a.motion").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]

    @fuzzed
    @given(where=NUMBERS, odd=ODD)
    def check(where: float, odd: Any) -> None:
        text = json.dumps(changed(header, where, odd)).encode("utf-8", "surrogatepass")
        (tmp_path / "a.motion").write_bytes(len(text).to_bytes(8, "little") + text + body)
        survives(lambda: read_motion(tmp_path / "a.motion"))

    check()


@fuzzed
@given(cells=st.lists(st.lists(st.text(max_size=12), max_size=6), max_size=6))
def test_odd_tables_of_voxceleb(cells: list[list[str]]) -> None:
    head = "Identity:id00012\nReference:abcdefghijk\nOffset:1\nFV Conf:1\nASD Conf:1\n\nFRAME\tX\tY\tW\tH\n"
    survives(lambda: parse_utterance(head + "\n".join("\t".join(row) for row in cells), "x"))
