"""Datasets from strangers: nothing outside is written or opened, nothing is believed, each refusal is one line."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest

from avatarkit.data.dataset import Dataset
from avatarkit.data.export import export
from avatarkit.data.manifest import NAME as MANIFEST
from avatarkit.data.manifest import read_manifest
from avatarkit.data.marks import read_selection
from avatarkit.data.pictures import decode_image, decode_matte, encode_image, encode_matte
from avatarkit.data.plan_file import read_plan
from avatarkit.data.reader import ShardReader
from avatarkit.data.shard import read_stats, shard_path
from avatarkit.errors import InputError
from avatarkit.runtime import sha256_file
from tests.data.drawn_clips import drawn_clip, drawn_frame, drawn_matte, write_dataset
from tests.memory import cost

SHARD = "train-00000"
IDS = ("/tmp/x", "../../x", "a/../../x", ".hidden", "a//b", "", "a\0b", "x" * 5000, "a\nb", "ü" * 150, "a\\b", 7, None)
PATHS = ("/etc/passwd", "../x", "a/../../x", "a\0b", "./a", "a//b", "x" * 5000, 7)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    write_dataset(tmp_path / "set", {"train": [[drawn_clip("a", "p", 2), drawn_clip("b", "p", 2)]]})
    return tmp_path / "set"


def refused(act: Callable[[], object]) -> str:
    """The message of an InputError that comes at once, and is one line."""
    began = time.thread_time()  # the clock of a busy machine tells nothing
    with pytest.raises(InputError) as caught:
        act()
    assert time.thread_time() - began < 10
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 600
    return message


def with_clip(dataset: Path, **changes: Any) -> None:
    """Change what a shard says of its first clip, with counts and hashes that agree."""
    path = shard_path(dataset, SHARD)
    with h5py.File(path, "a") as file:
        rows = [json.loads(text) for text in file["clips/info"][:].tolist()]
        rows[0].update(changes)
        texts = [json.dumps(row).encode() for row in rows]
        del file["clips/info"]
        file["clips"].create_dataset("info", data=np.array(texts), track_times=False)
    agree(dataset)


def agree(dataset: Path) -> None:
    path = shard_path(dataset, SHARD)
    for name in (dataset / MANIFEST, path.with_suffix(".json")):
        values = json.loads(name.read_text())
        entry = values["shards"][0] if "shards" in values else values
        entry.update(sha256=sha256_file(path), bytes=path.stat().st_size)
        name.write_text(json.dumps(values))


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("form", ["folder", "webdataset", "csv"])
@pytest.mark.parametrize("name", IDS)
def test_ids_that_lead_elsewhere_write_nothing(hostile: Path, tmp_path: Path, form: Any, name: Any) -> None:
    with_clip(hostile, clip_id=name)
    before = tree(tmp_path)
    refused(lambda: export(Dataset.open(hostile), form, tmp_path / "out"))
    assert tree(tmp_path) == before


@pytest.mark.parametrize("field", ["clip_id", "identity", "video", "utterance"])
def test_each_id_of_a_clip_is_checked(hostile: Path, field: str) -> None:
    with_clip(hostile, **{field: "../x"})
    assert "cannot be used" in refused(lambda: ShardReader(shard_path(hostile, SHARD)))


@pytest.mark.parametrize(
    "changes",
    [
        {"frames": 10**15}, {"frames": -1}, {"native_rate": "1e9999999"}, {"native_rate": "1/0"}, {"score": "x"},
        {"author": "a\0b"}, {"author": "x" * 100_000}, {"extra": {"a": 1}}, {"extra": []}, {"split": "../x"},
    ],
)  # fmt: skip
def test_values_of_a_clip_are_checked(hostile: Path, changes: dict[str, Any]) -> None:
    with_clip(hostile, **changes)
    refused(lambda: ShardReader(shard_path(hostile, SHARD)))


@pytest.mark.parametrize("name", ["../x", "train-0", "train-000000", "train-/../../X", "train-00000\n", 3, None])
def test_shard_names_of_a_manifest_are_checked(hostile: Path, name: Any) -> None:
    values = json.loads((hostile / MANIFEST).read_text())
    values["shards"][0]["name"] = name
    (hostile / MANIFEST).write_text(json.dumps(values))
    refused(lambda: Dataset.open(hostile))


@pytest.mark.parametrize(
    "change",
    [
        {"size": 10**6}, {"size": True}, {"size": 0}, {"kind": ["videos"]}, {"shards": 5}, {"shards": [[]]},
        {"totals": {"../x": {}}}, {"totals": {"train": {"clips": -1}}}, {"config": []}, {"tools": {"a": 3}}, {"x": 1},
    ],
)  # fmt: skip
def test_values_of_a_manifest_are_checked(hostile: Path, change: dict[str, Any]) -> None:
    values = json.loads((hostile / MANIFEST).read_text())
    (hostile / MANIFEST).write_text(json.dumps({**values, **change}))
    refused(lambda: read_manifest(hostile))


JSON = {
    "deep": "[" * 100_000,
    "deep tables": '{"a":' * 100_000,
    "deep and closed": '{"a":' + "[" * 500 + "]" * 500 + "}",
    "400 digits": '{"size": 1' + "0" * 400 + "}",
    "too large": '{"size": 1e999}',
    "NaN": '{"size": NaN}',
    "list": "[]",
    "no text": "\x80",
    "empty": "",
}


@pytest.mark.parametrize("text", JSON.values(), ids=JSON.keys())
@pytest.mark.parametrize("name", ["manifest.json", "selection.json", "plan.json", f"shards/{SHARD}.json"])
def test_json_that_is_not_meant_for_reading(hostile: Path, name: str, text: str) -> None:
    (hostile / name).write_bytes(text.encode("latin-1"))
    read(hostile, name)


def read(dataset: Path, name: str) -> None:
    readers: dict[str, Callable[[Path], object]] = {
        "manifest.json": read_manifest,
        "selection.json": read_selection,
        "plan.json": read_plan,
        f"shards/{SHARD}.json": lambda folder: read_stats(folder, SHARD),
        f"shards/{SHARD}.h5": lambda folder: ShardReader(shard_path(folder, SHARD)),
    }
    refused(lambda: readers[name](dataset))


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "device"])
@pytest.mark.parametrize(
    "name", ["manifest.json", "selection.json", "plan.json", f"shards/{SHARD}.json", f"shards/{SHARD}.h5"]
)
def test_links_and_special_files_are_not_read(hostile: Path, name: str, kind: str) -> None:
    path = hostile / name
    if path.exists():
        path.rename(hostile / "kept")
    if kind == "link":
        path.symlink_to(hostile / "kept" if (hostile / "kept").exists() else "/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    read(hostile, name)


def replace_table(file: h5py.File, name: str, how: str, folder: Path) -> None:
    """Put something else in a table's place."""
    old = file[name]
    shape, dtype, values = old.shape, old.dtype, old[()]
    del file[name]
    if how == "external link":
        with h5py.File(folder / "other.h5", "w") as other:
            other["t"] = values
        file[name] = h5py.ExternalLink(str(folder / "other.h5"), "/t")
    elif how == "link to a pipe":
        os.mkfifo(folder / "pipe")
        file[name] = h5py.ExternalLink(str(folder / "pipe"), "/t")
    elif how == "soft link":
        file[name] = h5py.SoftLink(f"/{name}")
    elif how == "external bytes":
        (folder / "bytes").write_bytes(values.tobytes())
        file.create_dataset(name, shape, dtype, external=[(str(folder / "bytes"), 0, h5py.h5f.UNLIMITED)])
    elif how == "virtual":
        with h5py.File(folder / "other.h5", "w") as other:
            other["t"] = values
        layout = h5py.VirtualLayout(shape, dtype)
        layout[...] = h5py.VirtualSource(str(folder / "other.h5"), "t", shape)
        file.create_virtual_dataset(name, layout)
    elif how == "compressed":
        file.create_dataset(name, data=values, chunks=shape, compression="gzip")
    elif how == "2^31 rows":
        file.create_dataset(name, (2**31, *shape[1:]), dtype)
    elif how == "2^40 rows":
        file.create_dataset(name, (2**40, *shape[1:]), dtype)
    elif how == "never written":
        file.create_dataset(name, shape, dtype)
    elif how == "other type":
        file.create_dataset(name, data=np.zeros(shape, "f8" if dtype != "f8" else "f4"))
    elif how == "texts of any length":
        file.create_dataset(name, data=["{}"] * shape[0], dtype=h5py.string_dtype())
    elif how == "group":
        file.create_group(name)


HOWS = (
    "external link", "link to a pipe", "soft link", "external bytes", "virtual", "compressed", "2^31 rows",
    "2^40 rows", "never written", "other type", "texts of any length", "group", "nothing",
)  # fmt: skip
TABLES = ("clips/info", "clips/first_frame", "clips/frames", "image/offset", "image/length", "image/bytes",
          "matte/bytes", "columns/landmarks", "columns/score")  # fmt: skip


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", TABLES)
def test_tables_that_lie_elsewhere_or_nowhere(hostile: Path, tmp_path: Path, name: str, how: str) -> None:
    path = shard_path(hostile, SHARD)
    with h5py.File(path, "a") as file:
        replace_table(file, name, how, tmp_path)
    refused(lambda: ShardReader(path))


def test_groups_and_attributes_that_are_not_plain(hostile: Path, tmp_path: Path) -> None:
    path = shard_path(hostile, SHARD)
    whole = path.read_bytes()
    with h5py.File(path, "a") as file:
        file.move("clips", "elsewhere")
        file["clips"] = h5py.SoftLink("/elsewhere")
    assert "not a table of its own" in refused(lambda: ShardReader(path))
    path.write_bytes(whole)
    for value in (np.zeros(1000), h5py.Empty("f8"), ["a", "b"], "of any length"):
        with h5py.File(path, "a") as file:
            file.attrs["size"] = value
        assert "attribute 'size' is no text" in refused(lambda: ShardReader(path))


@pytest.mark.parametrize("table", ["image/offset", "clips/first_frame", "clips/info"])
def test_tables_with_holes_take_no_memory(hostile: Path, table: str) -> None:
    """A small file can declare any number of rows where its file system keeps no zeros."""
    path, rows = shard_path(hostile, SHARD), 1 << 25
    with h5py.File(path, "a") as file:
        kind, group, name = file[table].dtype, *table.split("/")
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        made.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        info = json.loads(file["clips/info"][0])
        del file[table]
        space = h5py.h5s.create_simple((rows,))
        h5py.h5d.create(file[group].id, name.encode(), h5py.h5t.py_create(kind), space, made)
        if group == "image":
            for key, value in (("info", json.dumps({**info, "frames": rows}).encode()), ("first_frame", 0),
                               ("frames", rows)):  # fmt: skip
                del file[f"clips/{key}"]
                file[f"clips/{key}"] = np.array([value])
            for key, column in list(file["columns"].items()):
                kind, shape = column.dtype, (rows, *column.shape[1:])
                del file[f"columns/{key}"]
                space = h5py.h5s.create_simple(shape)
                h5py.h5d.create(file["columns"].id, key.encode(), h5py.h5t.py_create(kind), space, made)
    assert path.stat().st_blocks * 512 < 1 << 20 < path.stat().st_size

    def read() -> None:
        message = refused(lambda: ShardReader(path))
        assert any(word in message for word in ("more than a shard may have", "clips"))

    found = cost(read)
    assert (found.memory_bytes < 100 << 20, found.seconds < 5) == (True, True), found


def other_formats(pixels: np.ndarray) -> dict[str, bytes]:
    found = {}
    for suffix in (".jp2", ".tiff", ".bmp", ".ppm", ".hdr", ".pbm", ".ras"):
        try:
            done, data = cv2.imencode(suffix, pixels)
        except cv2.error:
            continue
        if done:
            found[suffix] = data.tobytes()
    return found


def test_no_other_decoder_sees_a_stored_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    formats = other_formats(drawn_frame(0))
    assert {".tiff", ".bmp"} <= formats.keys()

    def decoded(*args: object) -> None:
        raise AssertionError("a decoder was asked")

    monkeypatch.setattr(cv2, "imdecode", decoded)
    for data in (*formats.values(), encode_matte(drawn_matte(0)), b"RIFF\0\0\0\0WAVE" + bytes(40)):
        assert "is not JPEG or WebP" in refused(lambda data=data: decode_image(data, "x"))
    for data in (*formats.values(), encode_image(drawn_frame(0))):
        assert "is not PNG" in refused(lambda data=data: decode_matte(data, "x"))


@pytest.mark.parametrize("form", ["folder", "webdataset"])
@pytest.mark.parametrize("stream", ["image", "matte"])
def test_pictures_of_other_formats_are_not_passed_on(
    hostile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Any, stream: str
) -> None:
    tiff = other_formats(drawn_frame(0))[".tiff"]
    monkeypatch.setattr(ShardReader, f"{stream}_bytes", lambda self, frame: tiff)
    assert "is not" in refused(lambda: export(Dataset.open(hostile), form, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["jpeg", "webp", "png"])
def test_size_is_checked_before_decoding(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    huge = np.zeros((9000, 16, 3), np.uint8)
    data = encode_matte(huge[..., 0]) if form == "png" else encode_image(huge, form)
    own = encode_matte(drawn_matte(0)) if form == "png" else encode_image(drawn_frame(0), form)
    decode = decode_matte if form == "png" else decode_image
    assert decode(own, "x", side=32).shape[:2] == (32, 32)
    monkeypatch.setattr(cv2, "imdecode", None)
    assert "is 16 x 9000 pixels" in refused(lambda: decode(data, "x"))
    assert "is 32 x 32 pixels, expected 64 x 64" in refused(lambda: decode(own, "x", side=64))


def test_formulas_are_shown_as_text(hostile: Path, tmp_path: Path) -> None:
    with_clip(hostile, author="=cmd|' /C calc'!A0", licence="@SUM(1)", source="+1", utterance="-x")
    export(Dataset.open(hostile), "csv", tmp_path / "out.csv")
    line = (tmp_path / "out.csv").read_text().splitlines()[1]
    assert {"'=cmd|' /C calc'!A0", "'@SUM(1)", "'+1", "'-x"} <= set(line.split(","))
