"""VoxCeleb2's metadata: `txt/<idNNNNN>/<video id>/<NNNNN>.txt`, one utterance each, and vox2_meta.csv.

An utterance file has five header lines (`Identity : \\tid00012` and so on), a blank line, and a table of tab-separated
columns FRAME X Y W H whose names are padded with spaces. FRAME counts at 25 frames a second of the original video; the
box is in shares of the frame's width and height, from the top left (A. Nagrani et al., "VoxCeleb2", 2018).
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import InputError
from avatarkit.reading import read_bytes

IDENTITY = re.compile(r"id\d{5}")
VIDEO = re.compile(r"[A-Za-z0-9_-]{11}")
HEADER = ("Identity", "Reference", "Offset", "FV Conf", "ASD Conf")
COLUMNS = ("FRAME", "X", "Y", "W", "H")
LARGEST_FRAME = 10_000_000  # 110 hours at 25 a second; beyond that a number is a slip
LARGEST_FILE_BYTES = 64 << 20
LONGEST_LINE = 10_000


@dataclass(frozen=True)
class Problem:
    """Something malformed that was left out, and where; line 0 means the file as a whole."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        """As compilers write it: file, line, what."""
        return f"{self.file}:{self.line}: {self.what}" if self.line else f"{self.file}: {self.what}"


@dataclass(frozen=True, eq=False)
class Utterance:
    """One face track.

    identity, video: as in the header. frames: (N,) int64, ascending, at 25 a second. boxes: (N, 4) float64, left,
    top, width, height as shares of the frame. Boxes may reach over the frame's edge, as in the published files.
    """

    identity: str
    video: str
    frames: NDArray[np.int64]
    boxes: NDArray[np.float64]


@dataclass(frozen=True)
class UtteranceFile:
    """Where an utterance's file lies: ids as the folders say, path relative to the tree."""

    identity: str
    video: str
    utterance: str
    path: str


def parse_utterance(text: str, where: str) -> tuple[Utterance, list[Problem]]:
    """Read the text of an utterance file.

    Args:
        text: the whole file; lines may end in CR LF.
        where: the file's name, for messages.

    Returns:
        The utterance, and the rows that were left out: not five numbers, not finite, an empty box, a box wholly
        outside the frame, a frame number that is negative or not above the one before.

    Raises:
        InputError: the header or the table is missing, an id has a wrong form, or no row can be used; with the line.
    """
    lines = text.splitlines()
    header = _header(lines, where)
    identity, video = header["Identity"], header["Reference"]
    for name, value, form in (("Identity", identity, IDENTITY), ("Reference", video, VIDEO)):
        if not form.fullmatch(value):
            raise InputError(f"{where}:{HEADER.index(name) + 1}: {name} {value[:40]!r} is no such id")
    start = next((at for at, line in enumerate(lines) if at >= len(HEADER) and line.strip()), None)
    if start is None:
        raise InputError(f"{where}:{len(lines) + 1}: the table FRAME X Y W H is missing")
    if tuple(cell.strip() for cell in lines[start].split("\t") if cell.strip()) != COLUMNS:
        raise InputError(f"{where}:{start + 1}: expected the columns FRAME X Y W H, found {lines[start][:40]!r}")
    rows, problems = _rows(lines[start + 1 :], start + 2, where)
    if not len(rows):
        first = f" ({problems[0].what})" if problems else ""
        raise InputError(f"{where}:{start + 2}: the table has no usable row{first}")
    frames = rows[:, 0].astype(np.int64)
    return Utterance(identity, video, frames, np.ascontiguousarray(rows[:, 1:])), problems


def read_text(path: Path, where: str) -> str:
    """The text of a metadata file.

    Raises:
        InputError: it cannot be read, is far too large, or is no text.
    """
    try:
        return read_bytes(path, LARGEST_FILE_BYTES, links=True).decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{where}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: is not text (byte {error.start} is not UTF-8)") from error


def walk(root: Path, problems: list[Problem]) -> Iterator[UtteranceFile]:
    """All utterance files of a tree, sorted by identity, video, utterance.

    Names of any other form are left out and reported. Symbolic links are followed.

    Args:
        root: the folder that holds the idNNNNN folders; it may itself be a link. A folder that holds `txt` alone, or
            `dev/txt` and `test/txt`, is taken too.
        problems: gets what was left out.

    Raises:
        InputError: it is no folder, or holds no such tree.
    """
    if not root.is_dir():
        raise InputError(f"{root}: is not a folder; --metadata takes the folder of idNNNNN folders")
    people: dict[str, str] = {}
    for prefix in ("", "txt", "dev/txt", "test/txt"):
        for name in _names(root / prefix):
            if not IDENTITY.fullmatch(name):
                continue
            here = f"{prefix}/{name}" if prefix else name
            if name in people:
                problems.append(Problem(here, 0, f"{name} is in {people[name]} already; left out"))
            else:
                people[name] = here
    if not people:
        raise InputError(f"{root}: holds no folders such as id00012; --metadata takes VoxCeleb2's txt folder")
    for identity, here in sorted(people.items()):
        for video in _entries(root, here, VIDEO, problems, folder=True):
            for file in _entries(root, f"{here}/{video}", re.compile(r"\d{5}\.txt"), problems, folder=False):
                yield UtteranceFile(identity, video, file[:-4], f"{here}/{video}/{file}")


def read_meta(path: Path) -> tuple[dict[str, str], list[Problem]]:
    """Read vox2_meta.csv: whether each person belongs to dev or test.

    Column names and cells are padded with spaces or tabs; other columns are not looked at.

    Returns:
        "dev" or "test" by identity, and the lines that were left out.

    Raises:
        InputError: the columns "VoxCeleb2 ID" and "Set" are missing, or no line can be used.
    """
    lines = read_text(path, str(path)).splitlines()
    if longest := next((at for at, line in enumerate(lines, 1) if len(line) > LONGEST_LINE), 0):
        raise InputError(f"{path}:{longest}: the line is longer than {LONGEST_LINE} characters")
    # Without quotes, each line is a row: a cell cannot swallow the rest of the file.
    rows = csv.reader(lines, quoting=csv.QUOTE_NONE)
    heading = [cell.strip().lower() for cell in next(rows, [])]
    try:
        who, which = heading.index("voxceleb2 id"), heading.index("set")
    except ValueError as error:
        raise InputError(f"{path}:1: expected the columns VoxCeleb2 ID and Set, found {', '.join(heading)}") from error
    sets: dict[str, str] = {}
    problems: list[Problem] = []
    for row in rows:
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        what = _add_person(sets, cells, who, which)
        if what:
            problems.append(Problem(path.name, rows.line_num, what))
    if not sets:
        raise InputError(f"{path}: names nobody")
    return sets, problems


def _add_person(sets: dict[str, str], cells: list[str], who: int, which: int) -> str:
    """Take in one line of the table; returns what is wrong with it."""
    if len(cells) <= max(who, which):
        return f"{len(cells)} cells, expected {max(who, which) + 1} or more"
    identity, part = cells[who], cells[which].lower()
    if not IDENTITY.fullmatch(identity):
        return f"{identity[:40]!r} is no VoxCeleb2 id"
    if part not in ("dev", "test"):
        return f"set {cells[which][:40]!r} is neither dev nor test"
    if sets.setdefault(identity, part) != part:
        return f"{identity} was {sets[identity]} before"
    return ""


def _header(lines: list[str], where: str) -> dict[str, str]:
    result = {}
    for number, name in enumerate(HEADER, 1):
        line = lines[number - 1] if number <= len(lines) else ""
        key, colon, value = line.partition(":")
        if not colon or " ".join(key.split()).lower() != name.lower():
            raise InputError(f"{where}:{number}: expected the header line {name!r}, found {line[:40]!r}")
        result[name] = value.strip()
    return result


def _rows(lines: list[str], first_line: int, where: str) -> tuple[NDArray[np.float64], list[Problem]]:
    """Usable rows (N, 5) and the problems of the others."""
    rows = _fast(lines)
    if rows is not None:
        return rows, []
    good: list[list[float]] = []
    problems: list[Problem] = []
    last = -1.0
    for number, line in enumerate(lines, first_line):
        if not line.strip():
            continue
        values, what = _row(line, last)
        if what:
            problems.append(Problem(where, number, what))
        else:
            good.append(values)
            last = values[0]
    return np.array(good, np.float64).reshape(-1, 5), problems


def _fast(lines: list[str]) -> NDArray[np.float64] | None:
    """All rows at once if nothing is wrong with any of them; a million files are read in this way."""
    cells = [line.split() for line in lines]
    while cells and not cells[-1]:
        cells.pop()
    if not cells or any(len(row) != 5 for row in cells):
        return None
    try:
        rows = np.array([float(cell) for row in cells for cell in row]).reshape(-1, 5)
    except ValueError:
        return None
    frames, boxes = rows[:, 0], rows[:, 1:]
    fine = (
        np.isfinite(rows).all()
        and (frames == np.floor(frames)).all()
        and frames[0] >= 0
        and frames[-1] <= LARGEST_FRAME
        and (np.diff(frames) > 0).all()
        and (boxes[:, 2:] > 0).all()
        and (boxes[:, :2] < 1).all()
        and (boxes[:, :2] + boxes[:, 2:] > 0).all()
    )
    return rows if fine else None


def _row(line: str, last_frame: float) -> tuple[list[float], str]:
    """The five numbers of a row, and what is wrong with them."""
    cells = line.split()
    if len(cells) != 5:
        return [], f"{len(cells)} cells, expected FRAME X Y W H"
    try:
        values = [float(cell) for cell in cells]
    except ValueError:
        return [], f"{line.strip()[:60]!r} is not five numbers"
    frame, left, top, width, height = values
    if not np.isfinite(values).all():
        return [], "a number is not finite"
    if frame != int(frame) or not 0 <= frame <= LARGEST_FRAME:
        return [], f"frame number {cells[0]} cannot be"
    if frame <= last_frame:
        return [], f"frame {cells[0]} does not come after frame {last_frame:.0f}"
    if width <= 0 or height <= 0:
        return [], f"the box is {width} wide and {height} high"
    if left >= 1 or top >= 1 or left + width <= 0 or top + height <= 0:
        return [], "the box is wholly outside the frame (boxes are shares of the frame, not pixels)"
    return values, ""


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _entries(
    root: Path, here: str, form: re.Pattern[str], problems: list[Problem], *, folder: bool
) -> Iterator[str]:
    """Names of the wanted form in one folder of the tree."""
    try:
        entries = sorted(os.scandir(root / here), key=lambda entry: entry.name)
    except OSError as error:
        problems.append(Problem(here, 0, f"cannot be listed: {error.strerror or error}"))
        return
    for entry in entries:
        name = f"{here}/{entry.name}"
        if not form.fullmatch(entry.name):
            if not entry.name.startswith("."):
                problems.append(Problem(name, 0, "the name has an unexpected form; left out"))
        elif not os.path.exists(root / name):
            problems.append(Problem(name, 0, "is a link that leads nowhere; left out"))
        elif os.path.isdir(root / name) != folder:
            problems.append(Problem(name, 0, f"is {'not ' if folder else ''}a folder; left out"))
        else:
            yield entry.name
