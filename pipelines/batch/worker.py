"""One process of a batch: a studio that stays open, and one task after the other."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatarkit.atomic import own_folder, write_quickly
from avatarkit.cache import digest_of
from avatarkit.errors import AvatarkitError, InputError
from avatarkit.pipelines.batch.jobs import WORK, Job, Refusal
from avatarkit.pipelines.batch.plan import (
    FAILED,
    LOCKS,
    POSTERS,
    BatchOptions,
    Pair,
    begin_mark,
    read_mark,
    why_again,
    write_mark,
)
from avatarkit.pipelines.program import open_cache
from avatarkit.pipelines.ready import get_ready
from avatarkit.pipelines.reenact import reenact
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.pipelines.studio import Studio
from avatarkit.reading import read_json
from avatarkit.runtime import NullProgress
from avatarkit.work.claims import claim
from avatarkit.work.task import Deferred, Link, Turn

KEEP = 4
"""Sources, drivers and prepared engines in a process's memory."""
POSTER_SIDE = 192
STEP = "pair"


@dataclass(frozen=True)
class Ready:
    """A task's payload: one input of pairs to come is made ready. part: "source" or "driver"."""

    part: str
    config: ReenactConfig


@dataclass(frozen=True)
class Made:
    """What came of a pair: figures of it, or why it is refused.

    seconds: of the reenactment alone. kept: another process had made it meanwhile.
    """

    frames: int = 0
    seconds: float = 0.0
    engine: str = ""
    made: Mapping[str, int] | None = None
    refusal: Refusal | None = None
    kept: bool = False


class BatchWorker:
    """Makes inputs ready and pairs."""

    names: Mapping[str, str] = {}
    advice: tuple[str, ...] = ()

    def __init__(self, setup: BatchOptions) -> None:
        self._options = setup
        self._studio = Studio(open_cache(setup.cache_folder, setup.cache_limit), keep=KEEP)

    def close(self) -> None:
        """Close the studio."""
        self._studio.close()

    def work(self, turn: Turn, link: Link) -> Made:
        """Do a task."""
        self._studio.made.clear()
        link.begin(STEP, self._options.timeout_s)
        if isinstance(turn.task.payload, Ready):
            made = self._ready(turn.task.payload, turn, link)
        else:
            made = self._pair(turn.task.payload, turn, link)
        return replace(made, made=dict(self._studio.made))

    def _ready(self, ready: Ready, turn: Turn, link: Link) -> Made:
        try:
            if STEP in turn.poisoned:
                raise Lost(turn.poisoned[STEP])
            get_ready(ready.part, ready.config, self._studio, LinkProgress(link))
        except AvatarkitError as error:
            # Its pairs, in whichever process, need not try again.
            self._note_failure(ready, error)
        return Made()

    def _pair(self, pair: Pair, turn: Turn, link: Link) -> Made:
        config = pair.job.config
        if STEP in turn.poisoned:
            return Made(refusal=Refusal.of(Lost(turn.poisoned[STEP]), pair.name, pair.job, turn.poisoned[STEP]))
        # A local run has the whole folder to itself.
        alone = self._options.runner == "local"
        with nullcontext() if alone else claim(self._options.work / LOCKS, pair.key):
            mark = read_mark(self._options, pair)
            if mark is not None and why_again(pair, mark) is None:
                return Made(kept=True, frames=int(mark.get("frames", 0)), engine=str(mark.get("engine", "")))
            try:
                known = self._known_failure(pair)
                if known is not None:
                    return Made(refusal=known)
                if mark is None and not config.output.exists():
                    begin_mark(self._options, pair)
                ours = replace(config, overwrite=config.overwrite or mark is not None or not config.output.exists())
                return self._make(pair, ours, link)
            except AvatarkitError as error:
                return Made(refusal=Refusal.of(error, pair.name, pair.job))
            except MemoryError:
                raise  # the process ends, and the pair is tried once more by another
            except Exception as error:
                if not turn.last_chance:
                    raise Deferred(((STEP, type(error).__name__, " ".join(str(error).split())),)) from error
                return Made(refusal=Refusal.of(error, pair.name, pair.job))

    def _make(self, pair: Pair, config: ReenactConfig, link: Link) -> Made:
        start_s = time.perf_counter()
        middle: list[NDArray[np.uint8]] = []
        report = reenact(config, LinkProgress(link), self._studio, shown=middle.append).content
        took_s = time.perf_counter() - start_s
        frames, engine = int(report["output"]["frames"]), str(report["engine"])
        if middle:
            write_poster(self._options.work / POSTERS / f"{pair.key}.jpg", middle[0])
        about = {"frames": frames, "engine": engine, "rate": report["output"]["rate"]}
        write_mark(self._options, pair, about)
        return Made(frames, took_s, engine)

    def _note_failure(self, ready: Ready, error: AvatarkitError) -> None:
        folder = own_folder(self._options.out, WORK, FAILED)
        what = {"kind": getattr(error, "kind", type(error).__name__), "reason": str(error)}
        write_quickly(folder / f"{input_key(ready.part, ready.config)}.json", json.dumps(what).encode())

    def _known_failure(self, pair: Pair) -> Refusal | None:
        config = pair.job.config
        for part in ("source", "driver"):
            try:
                what = read_json(self._options.work / FAILED / f"{input_key(part, config)}.json")
            except (OSError, InputError):
                continue
            reason, kind = str(what.get("reason")), str(what.get("kind"))
            return Refusal.of(AvatarkitError(reason), pair.name, pair.job, kind)
        return None


class Lost(AvatarkitError):
    """A process that died, or gave no sign of life, twice."""

    def __init__(self, kind: str) -> None:
        what = {"crashed": "the process that worked on it died twice", "timeout": "it gave no sign of life, twice"}
        super().__init__(what.get(kind, kind))
        self.kind = kind


class LinkProgress(NullProgress):
    """Sends on how many frames of the stage are done."""

    def __init__(self, link: Link) -> None:
        self._link, self._name, self._count, self._total = link, "", 0, 0

    def stage(self, name: str, total: int | None, unit: str = "frames") -> None:
        """A stage begins."""
        self._name, self._count, self._total = name, 0, total or 0
        self._link.alive((name, 0, self._total))

    def advance(self, count: int = 1) -> None:
        """Frames are done."""
        self._count += count
        self._link.alive((self._name, self._count, self._total))


def input_key(part: str, config: ReenactConfig) -> str:
    """Names an input with the options under which it is made ready."""
    values: tuple[object, ...]
    if part == "driver":
        values = (config.driver, config.driver_face, config.part, config.on_missing, config.tracker)
    else:
        framed = (config.size, config.framing, config.crop_scale, config.crop_offset, config.head_room)
        drawn = (*framed, config.background, config.paste_back)
        values = (config.source, config.face, config.tracker, config.matting, config.inpaint, *drawn)
    return digest_of({"part": part, "values": [str(value) for value in values]})[:32]


def write_poster(path: Path, frame: NDArray[np.uint8]) -> None:
    """A small picture of a frame, RGB or RGBA, for the gallery; its path is OUT/.batch/posters/NAME."""
    import io

    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(frame[..., :3]))
    picture.thumbnail((POSTER_SIDE, POSTER_SIDE))
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=80)
    own_folder(path.parents[2], *path.parts[-3:-1])
    write_quickly(path, data.getvalue())


__all__ = ["BatchWorker", "Job", "Made", "Ready"]
