"""Exports: every frame with its annotations, the same bytes each time, and nothing half-written."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from drawn_clips import drawn_clip, drawn_columns

from avatarkit.data import export as module
from avatarkit.data.dataset import Dataset
from avatarkit.data.export import CSV_FIELDS, export, sample_key
from avatarkit.data.marks import write_selection
from avatarkit.errors import InputError, OutputError


def test_tars_hold_a_sample_per_frame(dataset: Path, tmp_path: Path) -> None:
    opened = Dataset.open(dataset)
    done = export(opened, "webdataset", tmp_path / "tars")
    assert (done.clips, done.frames) == (5, 22)
    assert sorted(path.name for path in (tmp_path / "tars").iterdir()) == [f"{name}.tar" for name in opened.shards()]
    with tarfile.open(tmp_path / "tars" / "train-00001.tar") as tar:
        names = tar.getnames()
        assert names[:4] == [f"a-2-000000.{end}" for end in ("jpg", "json", "landmarks.npy", "matte.png")]
        assert len(names) == 4 * 8
        # WebDataset takes what stands before the first dot as the sample's name.
        assert {name.split(".")[0] for name in names if name.startswith("c")} == {
            f"c=2F1=2Ex-{k:06d}" for k in range(5)
        }
        assert {member.mtime for member in tar} == {0}
        clip, columns = drawn_clip("c/1.x", "c", 5, seed=4), drawn_columns(5, 4)
        key = sample_key("c/1.x", 3)
        read = {end: tar.extractfile(f"{key}.{end}").read() for end in ("jpg", "json", "landmarks.npy", "matte.png")}  # type: ignore[union-attr]
    assert read["jpg"] == clip.images[3]
    assert read["matte.png"] == clip.mattes[3]
    assert np.array_equal(np.load(io.BytesIO(read["landmarks.npy"])), columns["landmarks"][3])
    about = json.loads(read["json"])
    assert (about["clip_id"], about["frame"], about["identity"]) == ("c/1.x", 3, "c")
    assert np.array_equal(np.float32(about["gaze"]), columns["gaze"][3])


def test_folders_hold_a_clip_each(dataset: Path, tmp_path: Path) -> None:
    export(Dataset.open(dataset), "folder", tmp_path / "out", split="train")
    folder = tmp_path / "out" / "train" / "c" / "1.x"
    clip = drawn_clip("c/1.x", "c", 5, seed=4)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [f"{k:06d}.{end}" for k in range(5) for end in ("jpg", "matte.png")] + ["annotations.npz", "clip.json"]
    )
    assert (folder / "000002.jpg").read_bytes() == clip.images[2]
    with np.load(folder / "annotations.npz") as arrays:
        assert all(np.array_equal(arrays[name], values) for name, values in clip.columns.items())
    assert json.loads((folder / "clip.json").read_text()) == clip.info.to_json()
    assert not (tmp_path / "out" / "val").exists()


def test_table_has_a_row_per_frame_and_no_pixels(dataset: Path, tmp_path: Path) -> None:
    write_selection(dataset, ["b-1", "d-1"], {})
    export(Dataset.open(dataset), "csv", tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == CSV_FIELDS
    assert [(row["clip_id"], row["frame"]) for row in rows] == [(c, str(k)) for c in ("b-1", "d-1") for k in range(4)]
    columns = drawn_columns(4, 2)
    assert float(rows[3]["time_s"]) == 0.12
    assert float(rows[3]["side_px"]) == pytest.approx(columns["crop_px"][3, 2], abs=0.01)
    export(Dataset.open(dataset), "csv", tmp_path / "t.csv", selected=False, overwrite=True)
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 1 + 22


@pytest.mark.parametrize("form", ["webdataset", "folder", "csv"])
def test_same_dataset_gives_the_same_bytes(dataset: Path, tmp_path: Path, form: module.ExportFormat) -> None:
    trees = []
    for name in ("a", "b"):
        export(Dataset.open(dataset), form, tmp_path / name)
        files = sorted(p for p in [tmp_path / name, *(tmp_path / name).rglob("*")] if p.is_file())
        trees.append([(str(path.relative_to(tmp_path / name)), path.read_bytes()) for path in files])
    assert trees[0] == trees[1]


@pytest.mark.parametrize("form", ["webdataset", "folder", "csv"])
def test_nothing_is_left_of_an_export_that_fails(
    dataset: Path, tmp_path: Path, form: module.ExportFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupting:
        def stage(self, name: str, total: int | None, unit: str = "frames") -> None: ...

        def notice(self, text: str) -> None: ...

        def advance(self, count: int = 1) -> None:
            raise KeyboardInterrupt

    (tmp_path / "place").mkdir()
    with pytest.raises(KeyboardInterrupt):
        export(Dataset.open(dataset), form, tmp_path / "place" / "out", progress=Interrupting())
    assert list((tmp_path / "place").iterdir()) == []


def test_what_stands_there_is_not_replaced(dataset: Path, tmp_path: Path) -> None:
    opened = Dataset.open(dataset)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "empty").mkdir()
    for form in ("webdataset", "folder"):
        with pytest.raises(OutputError, match="exists already"):
            export(opened, form, tmp_path / "full")  # type: ignore[arg-type]
    with pytest.raises(OutputError, match="exists already"):
        export(opened, "csv", tmp_path / "full" / "x")
    for out in (tmp_path / "empty", tmp_path / "none" / "out"):
        export(opened, "folder", out)
        assert (out / "train").is_dir()
    assert (tmp_path / "empty" / "train").is_dir()


def test_empty_exports_are_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no clip of split test is selected"):
        export(Dataset.open(dataset), "csv", tmp_path / "t.csv", split="test")
    assert not (tmp_path / "t.csv").exists()


def test_names_of_samples_are_distinct() -> None:
    ids = ["a.b", "a/b", "a_b", "a=2Eb", "a=b"]
    assert len({sample_key(name, 0) for name in ids}) == len(ids)
    assert not any("." in sample_key(name, 0) or "/" in sample_key(name, 0) for name in ids)
