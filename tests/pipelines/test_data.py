"""`avatarkit data` from the command line: what it prints, what it writes, and its exit codes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from avatarkit.cli.app import run

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from drawn_clips import four_people

from avatarkit.data.dataset import Dataset
from avatarkit.data.shard import shard_path
from avatarkit.pipelines.data import info, size_text

Output = pytest.CaptureFixture[str]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    four_people(tmp_path / "dataset")
    return tmp_path / "dataset"


def test_info_tells_what_is_there(dataset: Path, capsys: Output) -> None:
    assert run(["data", "info", str(dataset)]) == 0
    table = capsys.readouterr().out
    assert table.splitlines()[1].split() == ["train", "2", "4", "4", "3", "18", "0.00", *size_text(
        info(dataset).splits[0].bytes).split(), "1"]  # fmt: skip
    assert "videos of 32 px, format version 1" in table
    assert "selection: all clips" in table
    assert "made with tracker drawn" in table
    assert run(["data", "info", str(dataset), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["sha256"] == Dataset.open(dataset).hash
    assert [split["people"] for split in values["splits"]] == [3, 1]


def test_verify_says_what_is_wrong_with_exit_code_3(dataset: Path, capsys: Output) -> None:
    assert run(["data", "verify", str(dataset)]) == 0
    assert "5 clips, 22 frames: hashes, tables and every frame checked, all is well" in capsys.readouterr().out
    assert run(["data", "verify", str(dataset), "--quick", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == []
    shard_path(dataset, "val-00000").unlink()
    assert run(["data", "verify", str(dataset), "-q"]) == 3
    output = capsys.readouterr()
    assert output.out == "shards/val-00000.h5: is missing\n"
    assert "1 problem; prepare the data again" in output.err


def test_reselect_changes_what_is_exported(dataset: Path, tmp_path: Path, capsys: Output) -> None:
    assert run(["data", "reselect", str(dataset), "--min-score", "53", "-q"]) == 0
    assert run(["data", "export", str(dataset), "-o", str(tmp_path / "t.csv"), "--format", "csv", "-q"]) == 0
    ids = {line.split(",")[0] for line in (tmp_path / "t.csv").read_text().splitlines()[1:]}
    assert ids == {"a-2", "c/1.x", "d-1"}
    arguments = ["data", "export", str(dataset), "-o", str(tmp_path / "w"), "--format", "webdataset"]
    assert run([*arguments, "--all", "--split", "train"]) == 0
    assert "w: 4 clips, 18 frames" in capsys.readouterr().out
    assert run([*arguments, "--overwrite"]) == 2
    assert "--overwrite: is for --format csv" in capsys.readouterr().err
    assert run(arguments) == 4


def test_remove_takes_people_out(dataset: Path, capsys: Output) -> None:
    (dataset / "attribution.csv").write_text("of another time")
    assert run(["data", "remove", str(dataset), "--person", "a", "--clip", "d-1"]) == 0
    assert "3 clips with 13 frames removed from 3 shards" in capsys.readouterr().out
    assert run(["data", "verify", str(dataset), "-q"]) == 0
    rows = (dataset / "attribution.csv").read_text().splitlines()
    assert [row.split(",")[:2] for row in rows[1:]] == [["b-1", "nobody"], ["c/1.x", "nobody"]]
    assert info(dataset).removed == {"people": 1, "videos": 0, "clips": 1}
    assert run(["data", "remove", str(dataset), "--person", "bb"]) == 2
    assert "no person bb in the dataset; the nearest is b" in capsys.readouterr().err
    assert run(["data", "remove", str(dataset)]) == 2
    assert "give --person, --video or --clip" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["info", "verify", "reselect", "export", "remove"])
def test_no_dataset_is_one_line(command: str, tmp_path: Path, capsys: Output) -> None:
    rest = {"export": ["-o", str(tmp_path / "o"), "--format", "csv"], "remove": ["--person", "a"]}.get(command, [])
    assert run(["data", command, str(tmp_path / "none"), *rest]) == 3
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path}/none: no such dataset")
    assert error.count("\n") == 1


def test_sizes_are_readable() -> None:
    assert [size_text(n) for n in (0, 999, 1000, 256_000_000, 5 * 10**15)] == [
        "0 B", "999 B", "1.0 kB", "256.0 MB", "5000.0 TB",
    ]  # fmt: skip
