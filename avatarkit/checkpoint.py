"""Checkpoints: folders of safetensors files beside a meta.json; nothing in them is code.

    RUN/checkpoints/step-000012000/
        meta.json               what it is, and the SHA-256 of each other file; written last
        <net>.safetensors       weights, one file per net; <net>.ema.safetensors their average
        trainer.safetensors     what only resuming needs: optimiser states
        trainer.json            and their plain values

A folder of that name is complete: it is written under another name and renamed.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from avatarkit.atomic import replaced, write_whole
from avatarkit.errors import InputError, OutputError
from avatarkit.reading import parse_json, read_bytes, read_json, read_tensors, shown

FORMAT = "avatarkit-checkpoint"
VERSION = 1
FOLDER = "checkpoints"
META = "meta.json"
BEST = "best.json"
TRAINER = "trainer"
_NAME = re.compile(r"step-\d{9,}")
_KINDS: Mapping[str, type] = {
    "stage": str, "preset": str, "step": int, "images": int, "config": dict, "nets": dict, "nets.*": dict,
    "parents": dict, "parents.*": str, "dataset": dict, "dataset.sha256": str, "dataset.manifest": str,
    "dataset.clips": int, "dataset.selection": dict, "code": dict, "code.*": str, "milestone": bool, "files": dict,
    "files.*": str,
}  # fmt: skip
"""Of the values of meta.json, by key; * stands for all keys."""
_PARTIAL = re.compile(r"\.step-\d{9,}-(partial|old)-[0-9a-f]+")

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Meta:
    """What meta.json says.

    step: steps done. images: samples seen. config: the resolved configuration.
    nets: each net's own configuration and number of parameters. parents: SHA-256 of meta.json of the
    checkpoints built upon, by option. dataset: "sha256" of its manifest and selected clips, "kind", "size" in pixels,
    and what tells how it has changed: "manifest", its hash, number of "clips", rule of the "selection".
    code: versions. milestone: kept for good. files: SHA-256 by file name.
    """

    stage: str
    preset: str
    step: int
    images: int
    config: dict[str, Any]
    nets: dict[str, Any]
    parents: dict[str, str]
    dataset: dict[str, Any]
    code: dict[str, str]
    milestone: bool = False
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint. `sha256` is that of its meta.json, and so stands for all its files."""

    folder: Path
    meta: Meta
    sha256: str

    def has(self, name: str) -> bool:
        """Whether it holds tensors of this name, such as "base.ema"."""
        return f"{name}.safetensors" in self.meta.files

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        """The tensors of a net ("base"), of its average ("base.ema") or of the trainer, on the CPU.

        Raises:
            InputError: the checkpoint has none of this name, or the file is missing or damaged.
        """
        file = f"{name}.safetensors"
        data = self._checked(file)
        try:
            return load(data)
        except (SafetensorError, ValueError, KeyError) as error:
            raise InputError(f"{self.folder / file}: cannot be read: {str(error)[:200]}") from error

    def trainer(self) -> dict[str, Any]:
        """The plain values of the trainer's state; InputError as `tensors`."""
        file = f"{TRAINER}.json"
        return _parsed(self._checked(file), self.folder / file)

    def _checked(self, name: str) -> bytes:
        """The bytes of a file, those very ones that its hash vouches for."""
        path = self.folder / name
        wanted = self.meta.files.get(name)
        if wanted is None:
            raise InputError(f"{self.folder}: the checkpoint of stage {self.meta.stage} has no {name}")
        try:
            data = read_tensors(path)[1] if path.suffix == ".safetensors" else read_bytes(path)
        except (OSError, InputError) as error:
            raise InputError(
                f"{path}: is missing, cut off, a link or unreadable, the checkpoint is damaged; use another checkpoint,"
                " or delete this folder and the training goes on from the one before"
            ) from error
        if hashlib.sha256(data).hexdigest() != wanted:
            raise InputError(
                f"{path}: is damaged, its bytes are not those that {META} names; use another checkpoint,"
                " or delete this folder and the training goes on from the one before"
            )
        return data


def list_checkpoints(run: Path) -> list[Path]:
    """Folders of the complete checkpoints of a run, the oldest first."""
    folder = run / FOLDER
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir())


def open_checkpoint(path: Path) -> Checkpoint:
    """Read what a checkpoint is; its tensors are read, and checked, when they are asked for.

    Args:
        path: a checkpoint's folder, or a run's, which means its newest checkpoint.

    Raises:
        InputError: there is none, or it is damaged, foreign or of another version; the message says which.
    """
    folder = path
    if not (path / META).is_file():
        result = list_checkpoints(path)
        if not result:
            raise InputError(f"{path}: {_why_none(path)}")
        folder = result[-1]
    meta_path = folder / META
    if not meta_path.is_file():
        raise InputError(f"{folder}: has no {META}, so it is no complete checkpoint; use another one")
    try:
        data = read_bytes(meta_path)
    except FileNotFoundError as error:
        raise InputError(f"{meta_path}: cannot be read: {error.strerror}") from error
    values = _parsed(data, meta_path)
    known = values.pop("format", None)
    if known != FORMAT:
        form = f"its format is {shown(known)}, not {FORMAT!r}"
        raise InputError(f"{meta_path}: is not a checkpoint of avatarkit ({form})")
    version = values.pop("version", None)
    if version != VERSION:
        raise InputError(
            f"{meta_path}: is a checkpoint of version {shown(version)}, this program reads version {VERSION};"
            " use the avatarkit that wrote it, or train again"
        )
    try:
        meta = Meta(**values)
    except TypeError as error:
        raise InputError(f"{meta_path}: is damaged: {error}") from error
    _check_values(meta, meta_path)
    return Checkpoint(folder, meta, hashlib.sha256(data).hexdigest())


def write_checkpoint(run: Path, meta: Meta, nets: Mapping[str, Tensors], trainer: tuple[Tensors, Any]) -> Checkpoint:
    """Write a checkpoint; it takes its name when all of it is on the disk.

    Args:
        nets: tensors by file name without its ending. trainer: tensors and plain values of the trainer.

    Raises:
        OutputError: it cannot be written; nothing of it is left.
    """
    target = run / FOLDER / _name(meta.step)
    files: dict[str, str] = {}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replaced(target, directory=True) as temporary:
            for name, tensors in {**nets, TRAINER: trainer[0]}.items():
                files[f"{name}.safetensors"] = _write(temporary / f"{name}.safetensors", _safetensors(tensors))
            files[f"{TRAINER}.json"] = _write(temporary / f"{TRAINER}.json", _json(trainer[1]))
            reported = {"format": FORMAT, "version": VERSION, **asdict(meta), "files": files}
            _write(temporary / META, _json(reported))
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from error
    return open_checkpoint(target)


@dataclass(frozen=True)
class Best:
    """The checkpoint of a run whose validation was best: its step, and the figure that says so."""

    step: int
    figure: str
    value: float


def mark_best(run: Path, best: Best) -> None:
    """Remember it in the run's `best.json`; `prune` keeps that checkpoint. Raises OutputError."""
    try:
        write_whole(run / BEST, _json({**asdict(best), "checkpoint": f"{FOLDER}/{_name(best.step)}"}))
    except OSError as error:
        raise OutputError(f"{run / BEST}: cannot be written: {error.strerror or error}") from error


def best_of(run: Path) -> Best | None:
    """What `mark_best` has remembered; None where nothing can be read."""
    try:
        values = read_json(run / BEST)
        return Best(int(values["step"]), str(values["figure"]), float(values["value"]))
    except (OSError, InputError, ValueError, KeyError, TypeError):
        return None


def prune(run: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints, the best and the milestones, and what broken-off runs left."""
    best = best_of(run)
    for path in list_checkpoints(run)[:-keep]:
        if best is not None and path.name == _name(best.step):
            continue
        try:
            milestone = open_checkpoint(path).meta.milestone
        except InputError:
            continue  # not ours to remove when we cannot tell what it is
        if not milestone:
            shutil.rmtree(path, ignore_errors=True)
    sweep(run)


def sweep(run: Path) -> None:
    """Remove the folders of checkpoints whose writing was broken off."""
    folder = run / FOLDER
    if folder.is_dir():
        for path in folder.iterdir():
            if _PARTIAL.fullmatch(path.name):
                shutil.rmtree(path, ignore_errors=True)


def _safetensors(tensors: Tensors) -> bytes:
    return save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()})


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def _write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def _parsed(data: bytes, path: Path) -> dict[str, Any]:
    try:
        result = parse_json(data)
    except ValueError as error:
        raise InputError(f"{path}: is damaged, it is not JSON; use another checkpoint") from error
    if not isinstance(result, dict):
        raise InputError(f"{path}: is damaged, it holds no keys; use another checkpoint")
    return result


def _check_values(meta: Meta, path: Path) -> None:
    """Raise InputError where a value is of another type than `write_checkpoint` writes, or cannot be true."""
    for item in fields(Meta):
        value, kind = getattr(meta, item.name), _KINDS[item.name]
        _check_kind(value, kind, item.name, path)
        for key, entry in value.items() if isinstance(value, dict) else ():
            wanted = _KINDS.get(f"{item.name}.*") or _KINDS.get(f"{item.name}.{key}", object)
            _check_kind(entry, wanted, f"{item.name}.{key}", path)
    for name, net in meta.nets.items():
        for key, wanted in (("config", dict), ("parameters", int)):
            _check_kind(net.get(key, wanted()), wanted, f"nets.{name}.{key}", path)
    if min(meta.step, meta.images) < 0 or (_NAME.fullmatch(path.parent.name) and path.parent.name != _name(meta.step)):
        raise InputError(f"{path}: is damaged: step {meta.step}, images {meta.images}; use another checkpoint")


def _check_kind(value: object, kind: type, name: str, path: Path) -> None:
    # True is an int to Python, but no number of steps.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InputError(f"{path}: is damaged: {name} is no {kind.__name__}; use another checkpoint")


def _name(step: int) -> str:
    return f"step-{step:09d}"


def _why_none(path: Path) -> str:
    if not path.exists():
        return "does not exist; give a checkpoint's folder or a run's"
    if not path.is_dir():
        return "is a file, but checkpoints are folders; give a checkpoint's folder or a run's"
    return f"is neither a checkpoint (no {META}) nor a run with a complete one under {FOLDER}/"
