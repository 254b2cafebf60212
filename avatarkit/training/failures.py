"""What can go wrong in the middle of a training, and what is left behind to find out why."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from avatarkit.errors import AvatarkitError
from avatarkit.runtime import counted
from avatarkit.training.config import TrainConfig

EXIT_CODE = 6
_LOST_WORKER = re.compile(r"DataLoader worker \(pid|Too many open files")
"""How torch tells of a worker that was killed or cannot be heard; an error inside a living one is told otherwise."""


class TrainingError(AvatarkitError):
    """A training that cannot go on as configured: it diverged, or its batch does not fit into memory."""

    exit_code = EXIT_CODE


class LostWorkerError(TrainingError):
    """A process that reads ahead was killed."""


def keep_batch(folder: Path, batch: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """As `save_batch`; returns where the batch is, or why it could not be saved, to be told with what went wrong."""
    try:
        save_batch(folder, batch, about)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return f"the batch could not be saved in {folder}: {reason}"
    return f"the batch is in {folder}"


def save_batch(folder: Path, batch: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Write a batch's tensors to `batch.safetensors` and what is known to `about.json`, replacing older ones."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in _tensors(batch)}
    save_file(tensors, folder / "batch.safetensors")
    text = json.dumps({**about, "positions": batch.get("positions")}, indent=1)
    (folder / "about.json").write_text(text + "\n", encoding="utf-8")


def _tensors(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    for key, item in value.items():
        if isinstance(item, torch.Tensor):
            yield prefix + key, item
        elif isinstance(item, Mapping):
            yield from _tensors(item, f"{prefix}{key}.")


@contextmanager
def out_of_memory_explained(config: TrainConfig, processes: int) -> Iterator[None]:
    """Turn running out of memory into one line that says what to lower.

    Raises:
        TrainingError: the body ran out of the accelerator's or the computer's memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        at_once = config.batch // (config.accumulation * processes)
        hints = ["a smaller preset"]
        if config.precision != "bf16":
            hints.insert(0, "--set precision=bf16")
        if not config.checkpointing:
            hints.insert(0, "--set checkpointing=true")
        if at_once > 1:
            hints.insert(0, f"--set accumulation={_next_divisor(config.batch // processes, config.accumulation)}")
        raise TrainingError(
            f"out of memory with {counted(at_once, 'samples')} at once:"
            f" try {', '.join(hints)}; --dry-run estimates the need"
        ) from error


@contextmanager
def lost_workers_explained() -> Iterator[None]:
    """Turn the end of a process that reads ahead into one line.

    Raises:
        LostWorkerError: a worker of the body's loader was killed.
    """
    try:
        yield
    except (RuntimeError, ConnectionError, EOFError) as error:
        # The last two: what it had sent goes with it.
        if isinstance(error, RuntimeError) and not _LOST_WORKER.search(str(error)):
            raise
        what = " ".join(str(error).split(". ")[0].rstrip(".").split()) or "no more data"
        raise LostWorkerError(
            f"a process that reads ahead was lost ({what}): most often memory, /dev/shm or files to open are short;"
            " lower --workers (0 reads without more processes) or --set batch; the same command goes on from the"
            " newest checkpoint"
        ) from error


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    text = str(error).lower()
    return "can't allocate memory" in text or "not enough memory" in text or "out of memory" in text


def _next_divisor(number: int, above: int) -> int:
    """The smallest divisor of `number` greater than `above`; `number` itself at most."""
    return next((divisor for divisor in range(above + 1, number) if number % divisor == 0), number)
