"""Shards: what is written comes back, the same clips give the same bytes, and bad files are refused in one line."""

from __future__ import annotations

import dataclasses
import errno
import io
import math
import os
import pickle
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from drawn_clips import ATTRIBUTES, SIZE, drawn_clip, drawn_frame, drawn_matte, write_shard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avatarkit.data import writer as module
from avatarkit.data.columns import FRAME_COLUMNS
from avatarkit.data.reader import ShardReader
from avatarkit.data.writer import VERSION, ShardWriter
from avatarkit.errors import InputError

CLIPS = (drawn_clip("a", "x", 3, seed=1, score=math.nan, extra={"title": "Zoë 日本"}), drawn_clip("b", "y", 2, seed=2))


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    return write_shard(tmp_path / "one.h5", CLIPS)


def test_everything_comes_back(shard: Path) -> None:
    reader = ShardReader(shard)
    assert reader.attributes == {**ATTRIBUTES, "format": "avatarkit-shard"}
    assert [info.clip_id for info in reader.clips] == ["a", "b"]
    assert reader.clips[1] == CLIPS[1].info
    assert math.isnan(reader.clips[0].score)
    assert reader.clips[0].extra == {"title": "Zoë 日本"}
    assert len(reader) == reader.frames == 5
    assert [frames for _, frames in reader.clip_frames()] == [range(3), range(3, 5)]
    for place, clip in enumerate(CLIPS):
        first = reader.first_frame(place)
        for k in range(clip.info.frames):
            assert reader.image_bytes(first + k) == clip.images[k]
            assert reader.matte_bytes(first + k) == clip.mattes[k]
        for name, values in clip.columns.items():
            assert np.array_equal(reader.clip_column(name, place), values)
            assert np.array_equal(reader.row(name, first), values[0])
            assert reader.column(name).dtype == np.dtype(FRAME_COLUMNS[name].dtype)


def test_frames_decode_to_rgb_and_grey(shard: Path) -> None:
    reader = ShardReader(shard)
    assert reader.image(0).shape == (SIZE, SIZE, 3)
    assert np.abs(reader.image(3).astype(int) - drawn_frame(20)).mean() < 3
    assert np.array_equal(reader.matte(3), drawn_matte(20))


def test_outside_frames_are_refused(shard: Path) -> None:
    reader = ShardReader(shard)
    for frame in (-1, 5):
        with pytest.raises(IndexError, match=f"frame {frame} of 5"):
            reader.image_bytes(frame)
        with pytest.raises(IndexError):
            reader.row("score", frame)


def test_frames_lie_in_one_contiguous_dataset_with_units_beside_the_columns(shard: Path) -> None:
    with h5py.File(shard, "r") as file:
        assert int(file.attrs["version"]) == VERSION
        data = file["image/bytes"]
        assert data.chunks is None
        assert data.dtype == np.uint8
        raw = shard.read_bytes()
        start = data.id.get_offset() + int(file["image/offset"][4])
        assert raw[start : start + int(file["image/length"][4])] == CLIPS[1].images[1]
        assert file["columns/time_s"].attrs["unit"].decode() == FRAME_COLUMNS["time_s"].unit


def test_same_clips_give_the_same_bytes_in_another_process(tmp_path: Path, shard: Path) -> None:
    other = tmp_path / "other.h5"
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path; from test_shard_format import CLIPS, write_shard\n"
        "write_shard(Path(sys.argv[1]), CLIPS)"
    )
    subprocess.run([sys.executable, "-c", code, other, Path(__file__).parent], check=True, timeout=300)
    assert other.read_bytes() == shard.read_bytes()
    assert write_shard(tmp_path / "third.h5", CLIPS[::-1]).read_bytes() != shard.read_bytes()


def test_shard_without_clips(tmp_path: Path) -> None:
    reader = ShardReader(write_shard(tmp_path / "none.h5", ()))
    assert reader.clips == []
    assert reader.frames == 0
    assert reader.column("landmarks").shape == (0, 478, 3)


def test_writer_holds_no_frames(tmp_path: Path) -> None:
    clip = drawn_clip("a", "x", 50)
    big = dataclasses.replace(clip, images=[image + bytes(200_000) for image in clip.images])
    tracemalloc.start()
    with ShardWriter(tmp_path / "big.h5", {}) as writer:
        for number in range(6):
            writer.append(dataclasses.replace(big, info=dataclasses.replace(clip.info, clip_id=f"c{number}")))
    assert (tmp_path / "big.h5").stat().st_size > 60_000_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 15_000_000
    assert list(tmp_path.iterdir()) == [tmp_path / "big.h5"]


def test_failed_body_leaves_no_file(tmp_path: Path) -> None:
    def fail() -> None:
        with ShardWriter(tmp_path / "one.h5", {}) as writer:
            writer.append(CLIPS[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


class SmallDisk:
    """A file for which there is so much room; what just fits is written, as disks do."""

    def __init__(self, handle: io.FileIO, room: int) -> None:
        self._handle, self._room = handle, room

    def write(self, data: memoryview) -> int:
        if not self._room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = self._handle.write(data[: self._room])
        self._room -= count
        return count

    def __getattr__(self, name: str) -> object:
        return getattr(self._handle, name)


def test_disk_that_fills_up_at_any_byte_is_an_os_error_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HDF5 itself fails a second time while it closes its file, and may then crash."""
    size = write_shard(tmp_path / "whole.h5", [drawn_clip("a", "p")]).stat().st_size
    real, path = module._Target, tmp_path / "full.h5"
    for room in [*range(0, size - 2000, size // 10), *range(size - 2000, size, 200)]:
        monkeypatch.setattr(module, "_Target", lambda handle, room=room: real(SmallDisk(handle, room)))
        with pytest.raises(OSError, match="No space left") as caught, ShardWriter(path, ATTRIBUTES) as writer:
            writer.append(drawn_clip("a", "p"))
        assert caught.value.errno == errno.ENOSPC
        assert not path.exists()


def _changed(**changes: object) -> object:
    return dataclasses.replace(drawn_clip("n", "x", 2), **changes)  # type: ignore[arg-type]


def _with_column(name: str, values: object) -> object:
    return _changed(columns={**drawn_clip("n", "x", 2).columns, name: values})


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (CLIPS[0], "is in one.h5 already"),
        (_changed(images=[]), "says 2 frames, has 0 images"),
        (_changed(mattes=[b"\x89PNG"]), "1 mattes"),
        (_changed(images=[b"GIF89a", b"GIF89a"]), "image 0 is not JPEG"),
        (_changed(mattes=[b"\xff\xd8\xff"] * 2), "matte 0 is not PNG"),
        (_changed(columns={}), "no column crop_px"),
        (_with_column("extra", np.zeros(2)), "unknown column extra"),
        (_with_column("gaze", np.zeros((2, 2))), r"column gaze is \(2, 2\), expected \(2, 2, 2\)"),
        (_with_column("scale_px", np.array([1.0, np.nan])), "column scale_px holds a value that is not finite"),
        (drawn_clip("../n", "x"), "cannot be used"),
        (drawn_clip("a/../../n", "x"), "cannot be used"),
        (drawn_clip("/n", "x"), "cannot be used"),
        (drawn_clip("n" * 201, "x"), "cannot be used"),
    ],
)
def test_bad_clips_are_refused_and_change_nothing(tmp_path: Path, clip: object, message: str) -> None:
    path = tmp_path / "one.h5"
    with ShardWriter(path, ATTRIBUTES) as writer:
        writer.append(CLIPS[0])
        with pytest.raises(InputError, match=message):
            writer.append(clip)  # type: ignore[arg-type]
        writer.append(CLIPS[1])
    assert path.read_bytes() == write_shard(tmp_path / "two.h5", CLIPS).read_bytes()


def test_score_may_be_unknown(tmp_path: Path) -> None:
    clip = _with_column("score", np.array([np.nan, 1.0]))
    assert np.isnan(ShardReader(write_shard(tmp_path / "one.h5", [clip])).row("score", 0))  # type: ignore[list-item]


def test_unknown_version_is_refused_by_name(shard: Path) -> None:
    with h5py.File(shard, "a") as file:
        file.attrs["version"] = np.int32(7)
    with pytest.raises(InputError, match=r"one\.h5: is a shard of version 7, this program reads 1"):
        ShardReader(shard)


def test_other_files_are_refused(tmp_path: Path, shard: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        ShardReader(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("no shard")
    with pytest.raises(InputError, match="is not a shard, or is cut off"):
        ShardReader(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = [1]
    with pytest.raises(InputError, match="is not a shard of avatarkit"):
        ShardReader(tmp_path / "other.h5")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(share=st.floats(0.0, 0.999))
def test_truncated_shards_are_refused(shard: Path, share: float) -> None:
    data = shard.read_bytes()
    cut = shard.with_name("cut.h5")
    cut.write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match=r"cut\.h5: "):
        ShardReader(cut)


@pytest.mark.parametrize(
    ("place", "values", "message"),
    [
        ("image/offset", [0, 1, 2, 3, 10**9], "image: a frame lies outside its bytes"),
        ("matte/length", [1, 1, 1, 1, -1], "matte: a frame lies outside its bytes"),
        ("clips/first_frame", [0, 1], "clip table does not add up"),
        ("clips/info", [b"{}", b"{}"], "no field clip_id"),
        ("clips/info", [b"[", b"{}"], "damaged"),
    ],
)
def test_damaged_tables_are_refused(shard: Path, place: str, values: list[object], message: str) -> None:
    with h5py.File(shard, "a") as file:
        file[place][...] = np.array(values, file[place].dtype)
    with pytest.raises(InputError, match=message):
        ShardReader(shard)


def test_missing_parts_are_refused(shard: Path) -> None:
    with h5py.File(shard, "a") as file:
        del file["columns/gaze"]
    with pytest.raises(InputError, match="is damaged"):
        ShardReader(shard)


def test_reading_survives_fork_threads_pickle_and_a_deleted_name(shard: Path) -> None:
    reader = ShardReader(shard)
    expected = [reader.image_bytes(k) for k in range(5)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(reader.image_bytes, [k % 5 for k in range(200)])) == expected * 40
    assert pickle.loads(pickle.dumps(reader)).image_bytes(4) == expected[4]
    child = os.fork()
    if child == 0:
        os._exit(0 if all(reader.image_bytes(k % 5) == expected[k % 5] for k in range(100)) else 1)
    assert [reader.image_bytes(k % 5) for k in range(100)] == expected * 20
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    shard.unlink()
    assert reader.image_bytes(0) == expected[0]


def test_shard_that_changes_while_in_use_is_noticed(shard: Path) -> None:
    reader = ShardReader(shard)
    reader.image_bytes(0)
    reader.release()
    write_shard(shard.with_name("new.h5"), CLIPS[:1]).replace(shard)
    with pytest.raises(InputError, match="has changed while in use"):
        reader.image_bytes(0)
