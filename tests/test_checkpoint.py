"""Checkpoints: complete or not there; damaged and foreign ones are refused with their reason."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from avatarkit.checkpoint import Meta, list_checkpoints, open_checkpoint, prune, write_checkpoint
from avatarkit.errors import InputError, OutputError
from tests.memory import cost

META = Meta("base", "tiny-64", 5, 20, {"batch": 4}, {"base": {"parameters": 6}}, {}, {"sha256": "0"}, {"torch": "2"})
NETS = {"base": {"weight": torch.arange(6.0).reshape(2, 3)}}


def write(run: Path, **changes: object) -> Path:
    return write_checkpoint(run, replace(META, **changes), NETS, ({"a/0/b": torch.ones(2)}, {"a": [1, "x"]})).folder


@pytest.mark.parametrize("names", [1, 60_000])
def test_weights_are_as_large_as_their_header_says(tmp_path: Path, names: int) -> None:
    """Seven gigabytes of nothing behind them, or more tensors than anybody means, cost neither time nor memory."""
    path = write(tmp_path) / "base.safetensors"
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"tensor {number}": entry for number in range(names)}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    if names == 1:
        os.truncate(path, 7 << 30)

    def read() -> None:
        with pytest.raises(InputError, match="the checkpoint is damaged"):
            open_checkpoint(tmp_path).tensors("base")

    found = cost(read)
    assert (found.memory_bytes < 50_000_000, found.seconds < 3) == (True, True), found


def test_what_is_written_is_read(tmp_path: Path) -> None:
    folder = write(tmp_path)
    found = open_checkpoint(tmp_path)
    assert found.folder == folder == tmp_path / "checkpoints" / "step-000000005"
    assert replace(found.meta, files={}) == META
    assert torch.equal(found.tensors("base")["weight"], NETS["base"]["weight"])
    assert torch.equal(found.tensors("trainer")["a/0/b"], torch.ones(2))
    assert found.trainer() == {"a": [1, "x"]}
    assert found.has("base")
    assert not found.has("base.ema")
    assert open_checkpoint(folder) == found


def test_nothing_in_it_is_code(tmp_path: Path) -> None:
    folder = write(tmp_path)
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors"}


def test_same_state_gives_the_same_bytes(tmp_path: Path) -> None:
    assert open_checkpoint(write(tmp_path / "a")).sha256 == open_checkpoint(write(tmp_path / "b")).sha256


def test_newest_is_taken_and_old_ones_go(tmp_path: Path) -> None:
    for step in range(1, 6):
        write(tmp_path, step=step, milestone=step == 2)
    (tmp_path / "checkpoints" / ".step-000000009-partial-0a1b").mkdir()
    prune(tmp_path, keep=2)
    assert [path.name[-1] for path in list_checkpoints(tmp_path)] == ["2", "4", "5"]
    assert not list((tmp_path / "checkpoints").glob(".*"))
    assert open_checkpoint(tmp_path).meta.step == 5


def damage_tensor(folder: Path) -> None:
    path = folder / "base.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def edit_meta(**changes: object):
    def change(folder: Path) -> None:
        values = json.loads((folder / "meta.json").read_text())
        for key, value in changes.items():
            if value is None:
                values.pop(key)
            else:
                values[key] = value
        (folder / "meta.json").write_text(json.dumps(values))

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_tensor, "base.safetensors: is damaged, its bytes are not those"),
        (lambda folder: (folder / "base.safetensors").unlink(), "base.safetensors: is missing"),
        (lambda folder: (folder / "base.safetensors").write_bytes(b""), "is damaged"),
        (lambda folder: (folder / "meta.json").write_text("{"), "is damaged, it is not JSON"),
        (lambda folder: (folder / "meta.json").write_text("[]"), "holds no keys"),
        (lambda folder: (folder / "meta.json").unlink(), "no complete checkpoint"),
        (edit_meta(format="other"), "is not a checkpoint of avatarkit"),
        (edit_meta(format=None), "is not a checkpoint of avatarkit"),
        (edit_meta(version=2), "is a checkpoint of version 2, this program reads version 1"),
        (edit_meta(step=None), "is damaged.*step"),
        (edit_meta(step="five"), "step is no int"),
        (edit_meta(step=True), "step is no int"),
        (edit_meta(step=-5), "is damaged: step -5"),
        (edit_meta(step=6), "is damaged: step 6"),
        (edit_meta(nets=[]), "nets is no dict"),
        (edit_meta(nets={"base": 5}), "nets.base is no dict"),
        (edit_meta(nets={"base": {"config": []}}), "nets.base.config is no dict"),
        (edit_meta(parents={"base": 1}), "parents.base is no str"),
        (edit_meta(files={"base.safetensors": None}), "files.base.safetensors is no str"),
        (edit_meta(dataset={"sha256": 1}), "dataset.sha256 is no str"),
        (edit_meta(dataset={"selection": []}), "dataset.selection is no dict"),
        (lambda folder: (folder / "meta.json").write_text("[" * 100_000), "is damaged, it is not JSON"),
        (edit_meta(color="red"), "is damaged.*color"),
    ],
)
def test_damaged_and_foreign_are_refused(tmp_path: Path, damage, message: str) -> None:
    damage(write(tmp_path))
    with pytest.raises(InputError, match=message) as caught:
        open_checkpoint(tmp_path).tensors("base")
    assert "\n" not in str(caught.value)


def test_places_without_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        open_checkpoint(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file, but checkpoints are folders"):
        open_checkpoint(tmp_path / "file")
    with pytest.raises(InputError, match="neither a checkpoint"):
        open_checkpoint(tmp_path)


def test_missing_net_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(InputError, match=r"stage base has no enhancer.safetensors"):
        open_checkpoint(tmp_path).tensors("enhancer")


def test_unwritable_place_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        write(tmp_path)


def test_a_broken_write_leaves_the_older_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    monkeypatch.setattr("avatarkit.atomic.replace_folder", _full_disk)
    with pytest.raises(OutputError, match="No space left"):
        write(tmp_path, step=6)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000000005"]
    shutil.rmtree(tmp_path)


def _full_disk(new: Path, target: Path) -> None:
    raise OSError(28, "No space left on device")
