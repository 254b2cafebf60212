"""What is evaluated: cases of an output against its driver and source, by folders or by a table of videos."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from avatarkit.errors import InputError, UsageError
from avatarkit.pipelines.batch.jobs import MOST_BYTES, cells_of, csv_rows, files_of, printable, table_text
from avatarkit.reading import read_bytes

Item = TypeVar("Item")
SIZES = (64, 4096)


@dataclass(frozen=True)
class Case:
    """An output to be measured.

    name: its own within a run and method. method: engine, checkpoint or program. source: None where it is not known.
    row: where it stands in a table of videos, from 1 on with the heading as row 1.
    """

    name: str
    method: str
    driver: Path
    output: Path
    source: Path | None = None
    row: int | None = None


@dataclass(frozen=True)
class Refused:
    """A case that is not measured, and why."""

    name: str
    method: str
    kind: str
    reason: str
    row: int | None = None


def clips_of(text: str) -> list[Path]:
    """Videos of a folder, pattern or list; InputError where there are none."""
    from avatarkit.media.containers import VIDEO_SUFFIXES

    clips = [path for path in files_of(text, "--clips") if path.suffix.lower() in VIDEO_SUFFIXES]
    if not clips:
        raise InputError(f"--clips {text}: holds no videos")
    return clips


def drawn(items: Sequence[Item], limit: int | None, seed: int) -> list[Item]:
    """At most `limit` of them, drawn by the seed, in their order."""
    import random

    if limit is None or limit >= len(items):
        return list(items)
    chosen = set(random.Random(seed).sample(range(len(items)), limit))
    return [item for number, item in enumerate(items) if number in chosen]


def read_pairs(path: Path) -> tuple[list[Case], list[Refused]]:
    """Cases of a table with the columns output, driver, and perhaps source, method and name; and the rows refused.

    Paths are relative to the table.

    Raises:
        InputError: it cannot be read, or lacks a column.
    """
    try:
        text = table_text(read_bytes(path, MOST_BYTES, links=True))
    except FileNotFoundError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    cases: list[Case] = []
    refused: list[Refused] = []
    seen: dict[tuple[str, str], int] = {}
    for number, row in csv_rows(path, text, ("output", "driver")):
        try:
            cases.append(_row_case(path.parent, number, row, seen))
        except (InputError, UsageError) as error:
            values = row if isinstance(row, dict) else {}
            method, name = (
                printable(str(text))[:200]
                for text in (values.get("method") or "videos", values.get("name") or values.get("output") or "")
            )
            reason = f"row {number}: {error}"
            refused.append(Refused(name, method, type(error).__name__, reason, number))
    return cases, refused


def _row_case(folder: Path, number: int, row: Any, seen: dict[tuple[str, str], int]) -> Case:
    cells = cells_of(row)
    output, driver, source = (cells.get(key, "") for key in ("output", "driver", "source"))
    if not output or not driver:
        raise InputError("needs an output and a driver")
    places = [folder / text for text in (output, driver, *([source] if source else []))]
    for place in places:
        if not os.path.isfile(place):  # False for names that are too long
            raise InputError(f"{place}: there is no such file")
    method, name = cells.get("method") or "videos", cells.get("name") or Path(output).stem
    if (method, name) in seen:
        raise InputError(f"{method} has a case {name} in row {seen[method, name]} already; name them")
    seen[method, name] = number
    return Case(name, method, places[1], places[0], places[2] if source else None, number)
