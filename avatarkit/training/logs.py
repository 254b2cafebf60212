"""What a training leaves to look at: JSON lines, TensorBoard curves, pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatarkit.atomic import open_journal, replaced, write_whole
from avatarkit.errors import InputError, OutputError
from avatarkit.media.image import write_image
from avatarkit.reading import read_json_lines

LOG_NAME = "log.jsonl"


class RunLog:
    """Figures and pictures of a run. Lines of steps that a resumed run does again are dropped first.

    Args:
        folder: of the run. first_step: the first step that this process does, from 0.

    Raises:
        OutputError: the log cannot be written, or is a link. InputError: the log of before cannot be read.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._pictures = folder / "pictures"
        path = folder / LOG_NAME
        try:
            self._pictures.mkdir(parents=True, exist_ok=True)
            _cut(path, first_step)
            self._lines = open_journal(path)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
        self._board = SummaryWriter(folder / "tensorboard", purge_step=first_step)

    def figures(self, kind: str, step: int, images: int, values: Mapping[str, float]) -> None:
        """Write a line and a point on each curve; `step` counts from 0, `images` are those seen so far."""
        reported = {name: _json_number(value) for name, value in values.items()}
        self._lines.write(json.dumps({"kind": kind, "step": step, "images": images, **reported}) + "\n")
        self._lines.flush()
        for name, value in values.items():
            self._board.add_scalar(f"{kind}/{name}", value, step)

    def warning(self, step: int, images: int, text: str) -> None:
        """Write a line of kind "warning"."""
        self._lines.write(json.dumps({"kind": "warning", "step": step, "images": images, "text": text}) + "\n")
        self._lines.flush()

    def picture(self, step: int, images: int, sheet: NDArray[np.uint8]) -> Path:
        """Write a picture (H, W, 3); the file is named after the images seen."""
        path = self._pictures / f"images-{images:09d}.png"
        with replaced(path) as temporary:
            write_image(temporary, sheet)
        self._board.add_image("pictures", sheet, step, dataformats="HWC")
        return path

    def close(self) -> None:
        """Flush and close."""
        self._lines.close()
        self._board.close()


def read_log(folder: Path) -> list[dict[str, object]]:
    """All lines of a run's log, the oldest first; a last line that was cut off is left out."""
    try:
        return list(read_json_lines(folder / LOG_NAME))
    except FileNotFoundError:
        return []


def _cut(path: Path, first_step: int) -> None:
    lines = read_log(path.parent)
    if any(not isinstance(line.get("step"), int) for line in lines):
        raise InputError(f"{path}: is damaged: a line has no step; remove the file, and the training goes on")
    lines = [line for line in lines if int(str(line["step"])) < first_step]
    if path.exists():
        write_whole(path, "".join(json.dumps(line) + "\n" for line in lines).encode())


def _json_number(value: float) -> float | None:
    return value if math.isfinite(value) else None
