"""Clips of a dataset of ours as videos, which an evaluation reads like any others."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from avatarkit.data.clip import FRAME_RATE, SPLITS, Split
from avatarkit.data.dataset import Dataset, Entry
from avatarkit.data.manifest import NAME
from avatarkit.errors import InputError
from avatarkit.media.encode import FrameWriter
from avatarkit.media.output import pending_output
from avatarkit.pipelines.evaluate.cases import drawn
from avatarkit.runtime import Progress

__all__ = ["is_dataset", "stored_clips"]

CRF = 6
"""The stored frames are compressed already: more would be measured as if it were the method's."""
FEWEST_FRAMES = 10


def is_dataset(folder: Path) -> bool:
    """Whether a folder holds a dataset of ours."""
    return (folder / NAME).is_file()


def stored_clips(
    folder: Path, split: Split | None, to: Path, progress: Progress, *, limit: int | None, seed: int
) -> list[Path]:
    """Write selected clips as videos of their stored frames into `to`; those that stand there are kept.

    Args:
        split: whose clips; None: those of people who are not trained on, of test where there are any, else of val.
        limit, seed: see `cases.drawn`.

    Raises:
        InputError: no dataset, no clip of that split, or a shard that cannot be read. OutputError: `to` cannot be
        written.
    """
    dataset = Dataset.open(folder)
    wanted = split or _unseen(dataset)
    entries = [] if wanted is None else dataset.entries(wanted)
    entries = [entry for entry in entries if entry.info.frames >= FEWEST_FRAMES]
    if not entries:
        raise InputError(
            f"--clips {folder}: no clip of {split or 'test or val'} has {FEWEST_FRAMES} frames; choose another --split"
            f" ({', '.join(SPLITS)})"
        )
    chosen = drawn(entries, limit, seed)
    progress.stage("clips", len(chosen), "clips")
    paths = []
    for entry in chosen:
        path = to / dataset.hash[:12] / f"{entry.info.clip_id.replace('/', '+')}.mp4"
        if not path.exists():
            _write(dataset, entry, path)
        paths.append(path)
        progress.advance()
    return paths


def _unseen(dataset: Dataset) -> Split | None:
    order: tuple[Split, ...] = ("test", "val")
    return next((split for split in order if dataset.clips(split)), None)


def _write(dataset: Dataset, entry: Entry, path: Path) -> None:
    reader = dataset.reader(entry.shard)
    side = dataset.manifest.size
    with (
        pending_output(path, overwrite=True) as temporary,
        FrameWriter(temporary, width=side, height=side, rate=Fraction(FRAME_RATE), crf=CRF) as writer,
    ):
        for number in range(entry.first_frame, entry.first_frame + entry.info.frames):
            writer.write(reader.image(number))
