"""What is to be done: which outputs are as they should be, which are made again and why, which cannot be."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from avatarkit.atomic import own_folder, write_quickly
from avatarkit.background.choice import INPAINTERS, MATTINGS
from avatarkit.background.spec import parse_background
from avatarkit.cache import LIMIT_BYTES, digest_of
from avatarkit.errors import AvatarkitError, InputError, OutputError, UsageError
from avatarkit.pipelines.batch.jobs import WORK, Job, Refusal
from avatarkit.pipelines.engines import checkpoint_hashes, given_checkpoints
from avatarkit.pipelines.layer_tools import method
from avatarkit.pipelines.program import program_digest
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.pipelines.studio import Studio
from avatarkit.reading import check_table, check_whole, read_json
from avatarkit.work.task import Runner

MARKS, LOCKS, FAILED, CACHE, POSTERS = "done", "locks", "failed", "cache", "posters"
_NOT_CONTENT = frozenset({"source", "driver", "output", "overwrite", "report", "cache", "audio", "checkpoint"})
"""Options that decide nothing about the output's bytes, or count by the content of a file."""


@dataclass(frozen=True)
class BatchOptions:
    """How a batch is made; nothing here changes a byte of an output.

    out: the folder with the batch's books, and of the outputs. workers: processes. runner: where they run. cache:
    what is made of sources and drivers, by default inside of `out`. cache_limit: its bytes. timeout_s: seconds
    without a sign of life after which a pair is given up. gpus: numbers of GPUs, a process each, dealt out in turn.
    """

    out: Path
    workers: int = 1
    runner: Runner = "local"
    cache: Path | None = None
    cache_limit: int = LIMIT_BYTES
    timeout_s: float = 600.0
    gpus: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse numbers that make no run with a UsageError."""
        if self.workers < 1:
            raise UsageError(f"--workers {self.workers}: use a number from 1 up")
        if not self.timeout_s > 0:
            raise UsageError(f"--timeout {self.timeout_s:g}: use seconds above 0")

    @property
    def work(self) -> Path:
        """The folder of the batch's books."""
        return self.out / WORK

    @property
    def cache_folder(self) -> Path:
        """Where sources and drivers are kept."""
        return self.cache or self.work / CACHE


@dataclass(frozen=True)
class Pair:
    """A pair to be made. name: its output's, inside of `out` where it lies there. state: what decides its bytes."""

    name: str
    job: Job
    state: Mapping[str, Any]

    @property
    def key(self) -> str:
        """For the names of its mark and lock."""
        return digest_of({"output": self.name})[:32]


@dataclass
class Plan:
    """todo: pairs to make, in order. kept: those that are as they should be. again: why the others are made again."""

    todo: list[Pair] = field(default_factory=list)
    kept: list[Pair] = field(default_factory=list)
    again: dict[str, str] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)


def make_plan(jobs: Sequence[Job], refused: Sequence[Refusal], options: BatchOptions) -> Plan:
    """Look at every job's inputs and output; nothing is written."""
    plan = Plan(refused=list(refused))
    names: dict[Path, Job] = {}
    given_once = cache(given_checkpoints)
    with Studio() as files:
        for job in jobs:
            try:
                place = job.config.output.resolve()
                if place in names:
                    first = names[place].row
                    where = f"of row {first}" if first else "of another pair"
                    raise OutputError(f"{job.config.output}: is the output {where}, too; give it another name")
                names[place] = job
                given = given_once(job.config.checkpoint)
                # A training that goes on may give its run newer checkpoints while the batch is made.
                folders = tuple(item if isinstance(item, Path) else item.folder for item in given.values())
                settled = Job(replace(job.config, checkpoint=folders), job.row)
                state = state_of(job.config, files, checkpoint_hashes(given, files.digest))
                pair = Pair(_name(job.config.output, options.out), settled, state)
                mark = read_mark(options, pair)
                if mark is None and job.config.output.exists() and not job.config.overwrite:
                    what = "exists already and is not of this batch; move it away or pass --overwrite"
                    raise OutputError(f"{job.config.output}: {what}")
            except AvatarkitError as error:
                plan.refused.append(Refusal.of(error, _name(job.config.output, options.out), job))
                continue
            why = why_again(pair, mark)
            if why is None:
                plan.kept.append(pair)
                continue
            plan.todo.append(pair)
            if mark is not None and "file" in mark:  # else it was begun, and refused or killed
                plan.again[pair.name] = why
    return plan


def state_of(config: ReenactConfig, files: Studio, checkpoints: Mapping[str, str]) -> dict[str, Any]:
    """All that decides an output's bytes: contents of the inputs and checkpoints, options, program.

    Raises:
        InputError: an input cannot be read. UsageError: a background that cannot be.
    """
    behind = parse_background(config.background)
    values = {key: value for key, value in asdict(config).items() if key not in _NOT_CONTENT}
    if behind.image is not None:
        values["background"] = files.digest(behind.image)
    return {
        "source": files.digest(config.source) if config.source else "",
        "driver": files.digest(config.driver) if config.driver else "",
        "sound": files.digest(config.audio) if config.audio else "",
        "checkpoints": dict(checkpoints),
        "methods": [method(config.matting, MATTINGS), method(config.inpaint, INPAINTERS)],
        "options": json.loads(json.dumps(values, default=str)),
        "program": program_digest(),
    }


def why_again(pair: Pair, mark: Mapping[str, Any] | None) -> str | None:
    """Why an output is made (again); None where it is as it should be."""
    if mark is None:
        return "is not there yet"
    if "file" not in mark:
        return "it was not finished"
    try:
        about = pair.job.config.output.stat()
    except OSError:
        return "its file is gone"
    if [about.st_size, about.st_mtime_ns] != mark.get("file"):
        return "its file was changed"
    before = mark.get("state", {})
    changed = [key for key in pair.state if pair.state[key] != before.get(key)]
    if not changed:
        return None
    if changed == ["options"]:
        now, then = pair.state["options"], before.get("options", {})
        changed = [f"--{key.replace('_', '-')}" for key in now if now[key] != then.get(key)] or changed
    return f"{', '.join(changed)} {'has' if len(changed) == 1 else 'have'} changed"


def read_mark(options: BatchOptions, pair: Pair) -> dict[str, Any] | None:
    """What was noted when the pair was made; None where it was not, or the note is damaged."""
    try:
        mark = read_json(options.work / MARKS / f"{pair.key}.json")
        state = check_table(mark.get("state", {}), "state")
        check_table(state.get("options", {}), "options")
        check_whole(mark.get("frames", 0), "frames")
    except (OSError, ValueError, InputError):
        return None
    return mark


def begin_mark(options: BatchOptions, pair: Pair) -> None:
    """Note that the pair is about to be made: an output without a mark is somebody else's."""
    _note(options, pair, {})


def write_mark(options: BatchOptions, pair: Pair, about: Mapping[str, Any]) -> None:
    """Note that the pair is made; its output has its name already."""
    file = pair.job.config.output.stat()
    _note(options, pair, {"file": [file.st_size, file.st_mtime_ns], "state": dict(pair.state), **about})


def _note(options: BatchOptions, pair: Pair, about: Mapping[str, Any]) -> None:
    mark = {"pair": pair.name, **about}
    folder = own_folder(options.out, WORK, MARKS)
    write_quickly(folder / f"{pair.key}.json", json.dumps(mark).encode())


def _name(output: Path, out: Path) -> str:
    try:
        return output.relative_to(out).as_posix()
    except ValueError:
        return str(output)
