"""One process of an evaluation: networks open once, one case after the other, a mark for each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.atomic import write_json, write_whole
from avatarkit.errors import AvatarkitError
from avatarkit.geometry.crop import Crop
from avatarkit.pipelines.evaluate.cases import Case
from avatarkit.pipelines.evaluate.measure import MeasureOptions, Measurer
from avatarkit.reading import read_arrays, read_json
from avatarkit.runtime import Progress
from avatarkit.work.task import Deferred, Link, Result, Turn
from avatarkit.work.watcher import QuietWatcher

STEP = "case"
LIMIT_S = 600.0
FEATURES = ".safetensors"
MOST_FEATURES = 2 << 30
"""Bytes of a case's: two hours at 25 frames a second have 1.5 GB each."""


@dataclass(frozen=True)
class Setup:
    """What a worker opens. marks: folder of what was measured."""

    options: MeasureOptions
    marks: Path


@dataclass(frozen=True)
class Unmeasured:
    """A case with all that its figures depend on beside the code: crop of the driver, and the key of its mark."""

    case: Case
    crop: tuple[float, float, float, float, float] | None
    key: str


class EvaluateWorker:
    """Measures cases."""

    names: Mapping[str, str] = {}
    advice: tuple[str, ...] = ()

    def __init__(self, setup: Setup) -> None:
        self._setup, self._measurer = setup, Measurer(setup.options)

    def close(self) -> None:
        """Close the networks."""
        self._measurer.close()

    def work(self, turn: Turn, link: Link) -> dict[str, Any]:
        """Measure one case and leave its mark; a case that cannot be measured gives its error."""
        todo: Unmeasured = turn.task.payload
        link.begin(STEP, LIMIT_S)
        if STEP in turn.poisoned:
            return {"kind": turn.poisoned[STEP], "reason": "the process that measured it died twice"}
        try:
            crop = None if todo.crop is None else Crop(*todo.crop)
            value = asdict(self._measurer.measure(todo.case, crop))
        except AvatarkitError as error:
            return {"kind": type(error).__name__, "reason": " ".join(str(error).split())}
        except Exception as error:
            if not turn.last_chance:
                raise Deferred(((STEP, type(error).__name__, str(error)),)) from error
            return {"kind": type(error).__name__, "reason": " ".join(str(error).split())}
        value["choices"] = self._measurer.choices
        if self._measurer.features is not None:
            write_features(self._setup.marks / f"{todo.key}{FEATURES}", *self._measurer.features)
        write_json(self._setup.marks / f"{todo.key}.json", value)
        return value


def write_features(path: Path, output: NDArray[np.float32], driver: NDArray[np.float32]) -> None:
    """Keep what FID is computed from: features (N, 2048) of a case's output, and of its driver."""
    from safetensors.numpy import save

    write_whole(path, save({"output": np.ascontiguousarray(output), "driver": np.ascontiguousarray(driver)}))


def read_features(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """What `write_features` kept; None where nothing is, or it is damaged."""
    try:
        content = read_arrays(path, MOST_FEATURES)
        both = content["output"], content["driver"]
    except (OSError, KeyError, AvatarkitError):
        return None
    sound = all(
        rows.ndim == 2 and rows.shape[1] == both[0].shape[-1] and rows.dtype == np.float32 and np.isfinite(rows).all()
        for rows in both
    )
    return both if sound else None


def read_mark(marks: Path, key: str) -> dict[str, Any] | None:
    """What was measured under a key before; None where nothing was, or the mark is damaged."""
    try:
        value = read_json(marks / f"{key}.json")
    except (OSError, AvatarkitError, json.JSONDecodeError):
        return None
    return value if {"figures", "frames", "notes", "choices"} <= value.keys() else None


class Collector(QuietWatcher):
    """Watches over the measuring: what came of each case."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self.values: dict[str, dict[str, Any]] = {}
        self._progress = progress

    def crashed(self, task: str, step: str, reason: str, worker: str, detail: str) -> None:
        """Count it and say it: a case gets two tries."""
        super().crashed(task, step, reason, worker, detail)
        self._progress.notice(f"{task}: the worker {detail}")

    def ended(self, result: Result, worker: str) -> None:
        """Keep what came of it."""
        if result.how == "done":
            self.values[result.task.name] = result.value
            self._progress.advance()
