"""The motion file: exact round trip; whatever is wrong with it is one InputError."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatarkit.errors import InputError
from avatarkit.motion.columns import COLUMNS, Motion
from avatarkit.motion.file import FORMAT, VERSION, is_motion_file, read_motion, write_motion

from .conftest import Pose, motion_of, with_mouth

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def motion(posed: Callable[..., list[np.ndarray]], frontal: np.ndarray) -> Motion:
    faces = posed(
        [Pose(yaw_deg=3.0 * n) for n in range(5)], [with_mouth(frontal, 0.05 * n) for n in range(5)]
    )
    return motion_of([*faces, None, *faces], cuts=[8], rate=Fraction(30000, 1001))


@pytest.fixture(scope="module")
def written(motion: Motion, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("motion") / "a.motion"
    write_motion(path, motion)
    return path.read_bytes()


def edited(data: bytes, edit: Edit) -> bytes:
    """The file with its json header changed."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    edit(header)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def assert_same(a: Motion, b: Motion) -> None:
    for name in COLUMNS:
        x, y = getattr(a, name), getattr(b, name)
        assert x.dtype == y.dtype, name
        np.testing.assert_array_equal(x, y, err_msg=name)
    for name in ("rate", "width", "height", "tracker", "driver"):
        assert getattr(a, name) == getattr(b, name), name


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(1, 3)])
@pytest.mark.parametrize("driver", ["driver.mp4", 'Zoë\'s 東京 "clip".mp4'])
def test_round_trip_is_exact(motion: Motion, rate: Fraction, driver: str, tmp_path: Path) -> None:
    original = replace(motion, rate=rate, driver=driver)
    path = tmp_path / "a.motion"
    write_motion(path, original)
    read = read_motion(path)
    assert_same(read, original)
    assert isinstance(read.rate, Fraction)
    write_motion(tmp_path / "b.motion", read)
    assert (tmp_path / "b.motion").read_bytes() == path.read_bytes()


def test_holds_no_pixels_and_no_pickle(written: bytes, motion: Motion) -> None:
    length = int.from_bytes(written[:8], "little")
    header = json.loads(written[8 : 8 + length])
    about = header.pop("__metadata__")
    assert set(header) == set(COLUMNS)
    assert (about["format"], about["version"], about["rate"]) == (FORMAT, str(VERSION), "30000/1001")
    rows = sum(getattr(motion, name).nbytes for name in COLUMNS)
    assert len(written) == 8 + length + rows


def test_safetensors_reads_it_too(written: bytes, motion: Motion) -> None:
    from safetensors.numpy import load

    columns = load(written)
    np.testing.assert_array_equal(columns["rotation"], motion.rotation)


@pytest.mark.parametrize("version", ["2", "0", "1.0", "banana", "99"])
def test_unknown_version_is_refused_by_name(written: bytes, version: str, tmp_path: Path) -> None:
    path = tmp_path / "later.motion"
    path.write_bytes(edited(written, lambda header: header["__metadata__"].update(version=version)))
    with pytest.raises(InputError, match=rf"later\.motion: .*version {version}\b") as error:
        read_motion(path)
    assert "\n" not in str(error.value)


def test_what_counts_as_a_motion_file(written: bytes, tmp_path: Path) -> None:
    (tmp_path / "renamed.bin").write_bytes(written)
    (tmp_path / "empty.MOTION").touch()
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)) * 4)
    (tmp_path / "empty.bin").touch()
    (tmp_path / "other.safetensors").write_bytes(edited(written, lambda header: header.pop("__metadata__")))
    kinds = {path.name: is_motion_file(path) for path in tmp_path.iterdir()}
    assert kinds == {
        "renamed.bin": True, "empty.MOTION": True, "noise.bin": False, "empty.bin": False,
        "other.safetensors": False,
    }  # fmt: skip
    assert not is_motion_file(tmp_path / "missing.mp4")


@pytest.mark.parametrize(
    "content",
    [b"", b"\0", b"\0" * 8, b"\0" * 64, b"\xff" * 64, b"hello world, this is no motion",
     b"\2\0\0\0\0\0\0\0[]", b"\2\0\0\0\0\0\0\0{}", b"\4\0\0\0\0\0\0\0null",
     b'\x16\0\0\0\0\0\0\0{"__metadata__": [[]]}'],
)  # fmt: skip
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.motion"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.motion"):
        read_motion(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_motion(tmp_path / "a.motion")
    (tmp_path / "b.motion").mkdir()
    with pytest.raises(InputError, match=r"b\.motion"):
        read_motion(tmp_path / "b.motion")


def change(column: str, **values: object) -> Edit:
    return lambda header: header[column].update(values)


def about(**values: object) -> Edit:
    return lambda header: header["__metadata__"].update(values)


@pytest.mark.parametrize(
    "edit",
    [
        *[lambda header, name=name: header.pop(name) for name in COLUMNS],
        *[lambda header, name=name: header["__metadata__"].pop(name) for name in ("format", "rate", "width")],
        change("rotation", shape=[9, 11]),
        change("rotation", shape=[3, 3, 11]),
        change("rotation", shape=[]),
        change("scale", shape=[10]),
        change("scale", shape=[-11]),
        change("scale", shape="11"),
        change("scale", dtype="F64"),
        change("scale", dtype="I32"),
        change("state", dtype="BOOL"),
        change("gaze", data_offsets=[0, 4]),
        change("gaze", data_offsets=[-16, 160]),
        change("gaze", data_offsets=["a", "b"]),
        change("gaze", data_offsets=None),
        change("gaze", data_offsets=[10**12, 10**12 + 176]),
        lambda header: header.update(scale=7),
        lambda header: header.update(scale=[1, 2]),
        lambda header: header.update(__metadata__="avatarkit-motion"),
        about(rate="0/1"),
        about(rate="25/0"),
        about(rate="-25/1"),
        about(rate="fast"),
        about(rate=None),
        about(width="0"),
        about(height="-5"),
        about(width="wide"),
        about(width=float("inf")),
    ],
)
def test_damaged_headers_are_refused(written: bytes, edit: Edit, tmp_path: Path) -> None:
    path = tmp_path / "a.motion"
    path.write_bytes(edited(written, edit))
    with pytest.raises(InputError, match=r"a\.motion") as error:
        read_motion(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("column", "row", "value"),
    [
        ("rotation", 3, np.nan), ("translation", 0, np.inf), ("scale", 2, np.nan), ("scale", 2, 0.0),
        ("expression", 10, np.nan), ("gaze", 1, np.nan), ("eye_opening", 1, np.inf),
        ("mouth_opening", 1, np.nan),
        ("presence", 4, np.nan), ("identity", 0, np.nan), ("state", 5, 200), ("shot", 0, 1), ("shot", 4, 5),
        ("shot", 10, 0), ("shot", 10, -(2**31)),
    ],
)  # fmt: skip
def test_impossible_values_are_refused(
    motion: Motion, column: str, row: int, value: float, tmp_path: Path
) -> None:
    values = np.array(getattr(motion, column))
    values[row] = value
    path = tmp_path / "a.motion"
    write_motion(path, replace(motion, **{column: values}))
    with pytest.raises(InputError, match=r"a\.motion: is damaged"):
        read_motion(path)


def test_no_frames_are_refused(motion: Motion, tmp_path: Path) -> None:
    path = tmp_path / "a.motion"
    write_motion(path, replace(motion, **{name: getattr(motion, name)[:0] for name in COLUMNS}))
    with pytest.raises(InputError, match=r"a\.motion"):
        read_motion(path)


@settings(max_examples=150)
@given(st.data())
def test_cut_off_anywhere(
    written: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    header_end = 8 + int.from_bytes(written[:8], "little")
    keep = data.draw(st.one_of(st.integers(0, header_end), st.integers(0, len(written) - 1)))
    path = tmp_path_factory.getbasetemp() / "cut.motion"
    path.write_bytes(written[:keep])
    with pytest.raises(InputError):
        read_motion(path)


@settings(max_examples=400)
@given(st.data())
def test_flipped_header_bytes_never_crash(
    written: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    header_end = 8 + int.from_bytes(written[:8], "little")
    changed = bytearray(written)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, header_end - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "flipped.motion"
    path.write_bytes(changed)
    # Some bytes do not matter (the driver's name, a space): then it is still the same motion.
    with suppress(InputError):
        assert len(read_motion(path)) == 11
