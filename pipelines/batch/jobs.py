"""What is asked for: pairs of sources and drivers, by folders, patterns and lists, or row by row from a file."""

from __future__ import annotations

import csv
import glob
import io
import os
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from avatarkit.errors import AvatarkitError, InputError, UsageError
from avatarkit.media.containers import VIDEO_SUFFIXES, choose_codec
from avatarkit.media.image import IMAGE_SUFFIXES
from avatarkit.motion.file import SUFFIX as MOTION_SUFFIX
from avatarkit.pipelines.driver import driver_kind
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.reading import check_inside, parse_json, read_bytes, shown
from avatarkit.systems.refined_warp import SUFFIX as AVATAR_SUFFIX

NAME = "{source}--{driver}"
"""Name of an output, from what its source and driver are called: usually their stems."""
WORK = ".batch"
"""The folder inside of OUT with marks, locks, status and what was made of sources and drivers."""
LIST_SUFFIXES = (".txt", ".lst")
OTHER_SUFFIXES = (".gif", ".avif", ".bmp", ".avi", ".m4v", ".mpg", ".mpeg", ".ts")
MEDIA_SUFFIXES = frozenset((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES, *OTHER_SUFFIXES, MOTION_SUFFIX, AVATAR_SUFFIX))
"""What is taken from a folder; a list or a pattern may name anything."""

LONGEST_CELL = 4096
MOST_BYTES = 256 << 20
"""Of a list or a jobs file."""
_HALVES = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Surrogates that stand for no byte, see PEP 383."""

Configure = Callable[[Path, Path, Path, Mapping[str, str]], ReenactConfig]
"""Source, driver, output and further options by name to a configuration; UsageError for what cannot be read."""


@dataclass(frozen=True)
class Job:
    """A pair that is to be made. row: where it stands in a jobs file, from 1 on with the heading as row 1."""

    config: ReenactConfig
    row: int | None = None


@dataclass(frozen=True)
class Refusal:
    """A pair that is not made: what it was, class and text of the error."""

    pair: str
    kind: str
    reason: str
    row: int | None = None
    source: str = ""
    driver: str = ""

    @staticmethod
    def of(error: Exception, pair: str, job: Job, kind: str = "") -> Refusal:
        """Why a job, named as its pair, is refused."""
        config = job.config
        text = " ".join(str(error).split()) or type(error).__name__
        kind = kind or type(error).__name__
        return Refusal(pair, kind, text, job.row, str(config.source), str(config.driver))


def files_of(text: str, option: str) -> list[Path]:
    """The files that a folder, a pattern, a list or a single name stands for, in order.

    A list (.txt) has a name a line, relative to itself; of a folder pictures, videos and motion files are taken.

    Raises:
        InputError: there is nothing of that kind.
    """
    path = Path(text)
    if path.is_dir():
        result = [file for file in sorted(path.iterdir()) if _is_media(file)]
    elif path.is_file() and path.suffix.lower() in LIST_SUFFIXES:
        lines = table_text(read_bytes(path, MOST_BYTES, links=True)).splitlines()
        names = [line.strip().replace("\0", "\ufffd") for line in lines]
        result = [path.parent / name for name in names if name and not name.startswith("#")]
    elif path.is_file():
        result = [path]
    else:
        result = [Path(name) for name in sorted(glob.glob(text, recursive=True)) if Path(name).is_file()]
    if not result:
        raise InputError(f"{option} {text}: no files; give a folder, a quoted pattern such as 'in/*.jpg', or a list")
    return result


def _is_media(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in MEDIA_SUFFIXES and not path.name.startswith(".")


def grid(
    sources: Sequence[Path], drivers: Sequence[Path], out: Path, configure: Configure, *,
    pairs: str = "all", name: str = NAME,
) -> list[Job]:  # fmt: skip
    """Jobs of all sources by all drivers, sources first, or with `pairs` "zip" of one driver each.

    Raises:
        UsageError: options that cannot be, or with "zip" as many of the one as of the other are wanted.
    """
    if pairs == "zip" and len(sources) != len(drivers):
        raise UsageError(f"--pairs zip: {len(sources)} sources and {len(drivers)} drivers; give as many of each")
    both = zip(sources, drivers, strict=True) if pairs == "zip" else ((s, d) for s in sources for d in drivers)
    moves = cache(_moves)  # a driver is looked at once
    called = {**_names(sources), **_names(drivers)}
    configs = (
        configure(source, driver, out / output_name(name, called[source], called[driver]), {})
        for source, driver in both
    )
    return [Job(_with_suffix(config, moves=moves(config.driver))) for config in configs]


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """Each file's stem; where others have the same one, its name with the ending, or behind its folder's name."""
    result = {path: path.stem for path in paths}
    for stem, count in Counter(result.values()).items():
        if count > 1:
            alike = [path for path in result if path.stem == stem]
            by_ending = len({path.name for path in alike}) == count
            result |= {path: path.name if by_ending else f"{path.parent.name}-{stem}" for path in alike}
    return result


def output_name(pattern: str, source: str, driver: str) -> str:
    """The name of an output without its ending, from what its source and driver are called.

    Raises:
        UsageError: the pattern has other fields than source and driver.
    """
    try:
        return pattern.format(source=source, driver=driver)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise UsageError(f"--name {pattern}: use {{source}} and {{driver}}, such as {NAME}") from error


def _moves(driver: Path | None) -> bool:
    """Whether a driver makes a video; what cannot be read is refused later, with its reason."""
    try:
        return driver is None or driver_kind(driver)[0] != "image"
    except AvatarkitError:
        return True


def _with_suffix(config: ReenactConfig, *, moves: bool) -> ReenactConfig:
    """A picture for a picture, else the first container that holds the codec, and transparency where it is wanted."""
    suffix = ".png"
    if moves and not config.preview:
        suffix = next((item for item in (".mp4", ".mov", ".webm") if _holds(config, item)), "")
    return replace(config, output=config.output.with_name(config.output.name + suffix))


def _holds(config: ReenactConfig, suffix: str) -> bool:
    try:
        choose_codec(Path(f"out{suffix}"), config.codec, config.background == "transparent")
    except UsageError:
        return False
    return True


def drawn(jobs: Sequence[Job], *, limit: int | None = None, shuffle: int | None = None) -> list[Job]:
    """Jobs in a random order by a seed, and no more than `limit` of them."""
    chosen = list(jobs)
    if shuffle is not None:
        random.Random(shuffle).shuffle(chosen)
    return chosen[:limit]


def read_jobs(path: Path, out: Path, configure: Configure) -> tuple[list[Job], list[Refusal]]:
    """Jobs of a .csv file with a heading, or a .jsonl file with an object a line, and the rows that are refused.

    Columns: source, driver, output (optional), and options of `reenact` by name. Inputs are relative to the file,
    outputs to `out`.

    Raises:
        InputError: the file cannot be read, has no columns source and driver, or no rows.
    """
    try:
        data = read_bytes(path, MOST_BYTES, links=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    text = table_text(data)
    is_json = path.suffix.lower() in (".jsonl", ".ndjson")
    rows = _json_rows(text) if is_json else csv_rows(path, text, ("source", "driver"))
    jobs, refused = [], []
    for number, row in rows:
        try:
            jobs.append(Job(_configured(row, path.parent, out, configure), number))
        except AvatarkitError as error:
            values = row if isinstance(row, dict) else {}
            names = {key: printable(str(values.get(key) or "")) for key in ("source", "driver", "output")}
            pair = names["output"] or f"row {number}"
            what = Refusal(pair, type(error).__name__, str(error), number, names["source"], names["driver"])
            refused.append(what)
    if not jobs and not refused:
        raise InputError(f"{path}: holds no rows; give one for each pair")
    return jobs, refused


def table_text(data: bytes) -> str:
    """The text of a table or list; what is no UTF-8 stays visible as surrogates, so that it costs its rows alone."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    return data.decode("utf-8-sig", errors="surrogateescape")


def csv_rows(path: Path, text: str, needed: Sequence[str]) -> Iterator[tuple[int, Any]]:
    """Rows of a table with their numbers, as cells by column, "" for cells too many; a text for what is no csv.

    Raises:
        InputError: the first row does not name the columns that are needed.
    """
    # Spreadsheets of many countries separate by semicolons.
    separator = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", strict=False, delimiter=separator)
    try:
        columns = [(name or "").strip() for name in reader.fieldnames or []]
    except csv.Error as error:
        raise InputError(f"{path}: its first row is no csv: {error}") from error
    if missing := [name for name in needed if name not in columns]:
        names = f"the first row must name the columns, {' and '.join(needed)} among them"
        raise InputError(f"{path}: has no column {missing[0]}; {names}")
    reader.fieldnames = columns
    number = 1
    while True:
        number += 1
        try:
            yield number, next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield number, "no csv"


def _json_rows(text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield number, parse_json(line.encode("utf-8", "surrogateescape"))
            except ValueError:
                yield number, "no json"


def cells_of(row: Any) -> dict[str, str]:
    """The cells of a row of `csv_rows` by column, without spaces around; InputError for what no row can be."""
    if not isinstance(row, dict):
        raise InputError("is no object or row with names of columns; mend or remove the line")
    if row.pop("", None):
        raise InputError("has more cells than there are columns; put cells with commas into quotes")
    cells = {key: "" if value is None else str(value).strip() for key, value in row.items()}
    for key, value in cells.items():
        if "\0" in value or len(value) > LONGEST_CELL:
            raise InputError(f"column {key[:40]}: holds a NUL, or more than {LONGEST_CELL} characters")
        if printable(value) != value:
            raise InputError(f"column {key}: {printable(value)} is not UTF-8; save the file as UTF-8")
    return cells


def _configured(row: Any, folder: Path, out: Path, configure: Configure) -> ReenactConfig:
    cells = cells_of(row)
    source, driver, output = (cells.pop(key, "") for key in ("source", "driver", "output"))
    if not source or not driver:
        raise InputError("names no source or no driver")
    source_path, driver_path = folder / source, folder / driver
    name = output or output_name(NAME, source_path.stem, driver_path.stem)
    _check_place(name, "output")
    for key in ("audio", "background", "checkpoint"):
        if cells.get(key) and os.path.exists(folder / cells[key]):  # False for names that are too long
            cells[key] = str(folder / cells[key])
    if cells.get("layers"):
        cells["layers"] = str(out / _check_place(cells["layers"], "layers"))
    config = configure(source_path, driver_path, out / name, {key: value for key, value in cells.items() if value})
    return config if output else _with_suffix(config, moves=_moves(driver_path))


def _check_place(name: str, what: str) -> str:
    """Return a place inside of OUT, but not among the batch's own books; InputError for any other."""
    if check_inside(name, what).split("/")[0].lower() == WORK:
        raise InputError(f"{what} {shown(name)}: lies where the batch keeps its books; choose another folder")
    return name


def printable(text: str) -> str:
    """The text with what is no UTF-8 as escapes: bytes of the file, and halves of characters that json names."""
    text = _HALVES.sub(lambda half: f"\\u{ord(half[0]):04x}", text)
    return text.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="backslashreplace")
