"""The gallery of a folder of results: one page, OUT/index.html, with relative links to posters and videos beside it.

Cells are sources by drivers. A pair that was made in several ways (engines, versions, folders) is one cell with several
results, which the large view compares.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from avatarkit.atomic import write_whole
from avatarkit.cache import digest_of
from avatarkit.errors import AvatarkitError, InputError
from avatarkit.media.containers import VIDEO_SUFFIXES
from avatarkit.media.decode import FrameReader
from avatarkit.media.image import IMAGE_SUFFIXES, read_image
from avatarkit.media.tags import read_tags
from avatarkit.pipelines.batch.jobs import WORK
from avatarkit.pipelines.batch.plan import POSTERS
from avatarkit.pipelines.batch.status import journal
from avatarkit.pipelines.batch.worker import write_poster
from avatarkit.pipelines.pages import check_own, render

PAGE = "index.html"
MARK = '<meta name="generator" content="avatarkit">'
MOST_CELLS = 4_000_000
"""Of a page; journals of strangers could name any number of sources and drivers."""
_NAME = re.compile(r"(?P<source>.+?)--(?P<driver>.+)")


@dataclass(frozen=True)
class Item:
    """One result, or the reason why there is none. engine: with its version; several of a pair are compared."""

    source: str
    driver: str
    engine: str = ""
    video: str = ""
    poster: str = ""
    reason: str = ""


@dataclass
class Side:
    """A row's source or a column's driver: link and poster, where the file is still there."""

    name: str
    link: str = ""
    poster: str = ""


@dataclass
class _Found:
    sources: dict[str, Side] = field(default_factory=dict)
    drivers: dict[str, Side] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    known: set[Path] = field(default_factory=set)


def check_gallery(out: Path) -> None:
    """Raise OutputError where OUT/index.html is a page of somebody else."""
    check_own(out / PAGE, MARK, "no gallery; move it away, or choose another folder")


def write_gallery(out: Path) -> Path:
    """Write OUT/index.html for a batch, or for any folder of results named SOURCE--DRIVER; returns its path.

    Raises:
        InputError: there are no results. OutputError: the page cannot be written, or is somebody else's.
    """
    check_gallery(out)
    result = _Found()
    folders = [folder for folder in (out, *sorted(path for path in out.iterdir() if path.is_dir())) if _holds(folder)]
    for folder in folders:
        _collect(result, out, folder, several=len(folders) > 1)
    if not result.items:
        raise InputError(f"{out}: no results; give the folder of a batch, or one with videos named SOURCE--DRIVER.mp4")
    page = out / PAGE
    rows, columns = (sorted(sides.values(), key=_order) for sides in (result.sources, result.drivers))
    write_whole(page, page_of(rows, columns, result.items).encode("utf-8", "backslashreplace"))
    return page


def _order(side: Side) -> list[tuple[int, str]]:
    """By name, numbers in it by their value: pairs end in any order."""
    return [(int(part), "") if part.isdecimal() else (-1, part.lower()) for part in re.split(r"(\d+)", side.name)]


def page_of(sources: list[Side], drivers: list[Side], items: list[Item]) -> str:
    """The page as text."""
    if len(sources) * len(drivers) > MOST_CELLS:
        raise InputError(f"{len(sources)} sources by {len(drivers)} drivers: too many for a page; split the folder")
    cells: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        cells.setdefault((item.source, item.driver), []).append(item)
    engines = sorted({item.engine for item in items if item.engine})
    data = {
        "engines": engines,
        "sources": [{"name": entry.name, "link": entry.link, "poster": entry.poster} for entry in sources],
        "drivers": [{"name": entry.name, "link": entry.link, "poster": entry.poster} for entry in drivers],
        "cells": [
            [[_short(item, engines) for item in cells.get((source.name, driver.name), [])] for driver in drivers]
            for source in sources
        ],
    }
    counts = {"made": sum(not item.reason for item in items), "refused": sum(bool(item.reason) for item in items)}
    return render("avatarkit.pipelines.batch", "gallery.html", data=data, engines=engines, counts=counts)


def _short(item: Item, engines: list[str]) -> dict[str, Any]:
    """An item for the page's script; names are short, since there may be thousands."""
    if item.reason:
        return {"r": item.reason}
    return {"v": item.video, "p": item.poster, "e": engines.index(item.engine) if item.engine else -1}


def _holds(folder: Path) -> bool:
    return folder.name != WORK and (any(folder.glob("batch*.jsonl")) or any(_results(folder)))


def _results(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        is_media = path.suffix.lower() in (*VIDEO_SUFFIXES, *IMAGE_SUFFIXES)
        if path.is_file() and is_media and not path.name.startswith(".") and _NAME.fullmatch(path.stem):
            yield path


def _collect(found: _Found, out: Path, folder: Path, *, several: bool) -> None:
    """Results of one folder; with several folders their names tell apart what the engine's name does not."""
    latest: dict[str, dict[str, Any]] = {}
    for row in journal(folder):
        usable = all(_is_path(row.get(key)) for key in ("pair", "source", "driver"))
        if row.get("state") in ("done", "refused") and usable:
            latest[str(row["pair"])] = row
    found.known |= {(folder / name).resolve() for name in latest}
    for name, row in latest.items():
        source = _side(found.sources, out, Path(str(row["source"])))
        driver = _side(found.drivers, out, Path(str(row["driver"])))
        if row["state"] == "refused":
            found.items.append(Item(source, driver, reason=f"{row.get('kind')}: {row.get('reason')}"))
        elif os.path.isfile(folder / name):
            engine = f"{folder.name}: {row.get('engine')}" if several else str(row.get("engine"))
            found.items.append(_item(out, folder, folder / name, source, driver, engine))
    for path in _results(folder):
        match = _NAME.fullmatch(path.stem)
        if match is None or path.resolve() in found.known:
            continue
        source, driver = (found_in.setdefault(match[kind], Side(match[kind])).name for kind, found_in in
                          (("source", found.sources), ("driver", found.drivers)))  # fmt: skip
        generator = read_tags(path).get("generator", "")
        engine = generator.partition("engine ")[2].partition(";")[0] or "unknown"
        found.items.append(_item(out, folder, path, source, driver, f"{folder.name}: {engine}" if several else engine))


def _is_path(value: object) -> bool:
    """Whether a journal's value can be a file's name."""
    if not isinstance(value, str) or not 0 < len(value) <= 4096 or "\0" in value:
        return False
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        return False
    return True


def _item(out: Path, folder: Path, path: Path, source: str, driver: str, engine: str) -> Item:
    name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
    poster = folder / WORK / POSTERS / f"{digest_of({'output': name})[:32]}.jpg"
    return Item(source, driver, engine, _link(out, path), _poster(out, poster, path))


def _side(sides: dict[str, Side], out: Path, path: Path) -> str:
    """The row or column of an input; two files of one name are told apart by their folders."""
    name = path.stem
    while name in sides and sides[name].link not in ("", _link(out, path)):
        name = f"{path.parent.name}/{path.stem}" if "/" not in name else f"{name}'"
    if name not in sides:
        poster = out / WORK / POSTERS / f"{digest_of({'input': str(path.resolve())})[:32]}.jpg"
        there = os.path.isfile(path)
        sides[name] = Side(name, _link(out, path) if there else "", _poster(out, poster, path) if there else "")
    return name


def _poster(out: Path, poster: Path, path: Path) -> str:
    """A link to a file's poster, made if it is missing; "" where it cannot be read."""
    if not poster.exists():
        try:
            write_poster(poster, _glimpse(path))
        except (AvatarkitError, OSError, StopIteration):
            return ""
    return _link(out, poster)


def _glimpse(path: Path) -> Any:
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return read_image(path)
    with FrameReader(path, max_side=256) as reader:
        return next(iter(reader))


def _link(out: Path, path: Path) -> str:
    return quote(os.fsencode(Path(os.path.relpath(path, out)).as_posix()))


