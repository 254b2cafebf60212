"""FFHQ's metadata: ffhq-dataset-v2.json (255 MB), read record by record, and a folder of attributes per photo.

The attributes are files json/NNNNN.json, each a list with one entry per face found, whose faceAttributes.age is in
years; they are published apart from FFHQ.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.data.clip import Split
from avatarkit.errors import InputError
from avatarkit.reading import LARGEST_WHOLE, LONGEST_NUMBER, open_file, parse_json, read_bytes

PIECE_BYTES = 1 << 20
LARGEST_RECORD = 1 << 20
"""Characters; FFHQ's own have about 4,000."""

_NUMBER = re.compile(r"\d{1,6}")
_SPACE = re.compile(r"[ \t\r\n]*")
CATEGORIES: dict[str, Split] = {"training": "train", "validation": "val"}


@dataclass(frozen=True)
class PhotoFile:
    """One form of a photo: relative path as published, size in bytes, 68 landmarks (68, 2) in its pixels."""

    path: str
    bytes: int
    landmarks68: NDArray[np.float64]


@dataclass(frozen=True)
class FfhqRecord:
    """One photo.

    number: as five digits. split: by the category. wild, aligned: the photo as found, and the 1024 px crop.
    author, licence, licence_url, photo_url, title: to be kept with every copy.
    """

    number: str
    split: Split
    wild: PhotoFile
    aligned: PhotoFile
    author: str
    licence: str
    licence_url: str
    photo_url: str
    title: str

    @property
    def attribution(self) -> dict[str, str]:
        """What to remember beside author and licence; what is not known is left out."""
        known = {"photo_url": self.photo_url, "licence_url": self.licence_url, "title": self.title}
        return {key: value for key, value in known.items() if value}


@dataclass(frozen=True)
class Place:
    """Where a record stands in the file, in bytes, and the start of its SHA-256."""

    start: int
    length: int
    digest: str


@dataclass(frozen=True)
class Faces:
    """The people that somebody's list of attributes finds in a photo; ages in years, None where not given."""

    ages: tuple[float | None, ...]

    @property
    def count(self) -> int:
        """How many."""
        return len(self.ages)

    @property
    def youngest(self) -> float | None:
        """The lowest age; None if one is missing or nobody was found."""
        known = [age for age in self.ages if age is not None]
        return min(known) if known and len(known) == len(self.ages) else None


def read_records(path: Path, problems: list[tuple[str, str]] | None = None) -> Iterator[tuple[FfhqRecord, Place]]:
    """All photos in the file's order; memory holds one megabyte of it.

    Args:
        path: ffhq-dataset-v2.json.
        problems: gets (key, what) of records that are of another shape, which are left out; None: they are errors.

    Raises:
        InputError: unreadable, no JSON, not a table of records; with the key or the byte where.
    """
    count = 0
    for key, values, text, start in _records(path):
        try:
            record = parse_record(key, values, str(path))
        except InputError as error:
            if problems is None:
                raise
            problems.append((key[:40], str(error).removeprefix(f"{path}: ")))
            continue
        raw = text.encode()
        count += 1
        yield record, Place(start, len(raw), _digest(raw))
    if not count:
        raise InputError(f"{path}: holds no photo; expected ffhq-dataset-v2.json")


def read_record(path: Path, number: str, place: Place) -> FfhqRecord:
    """One photo's record at a known place.

    Raises:
        InputError: unreadable, or the file has changed since the place was noted.
    """
    try:
        with open_file(path, links=True) as handle:
            handle.seek(place.start)
            raw = handle.read(place.length)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    if _digest(raw) != place.digest:
        raise InputError(f"{path}: has changed since the plan was made, at photo {number}")
    try:
        return parse_record(number, parse_json(raw), str(path))
    except ValueError as error:
        raise InputError(f"{path}: photo {number}: {error}") from error


def parse_record(key: str, values: Any, where: str) -> FfhqRecord:
    """Check and convert one record.

    Raises:
        InputError: it has another shape; the message begins with `where` and names the key and the field.
    """
    here = f"{where}: photo {key[:40]}"
    if not _NUMBER.fullmatch(key):
        raise InputError(f"{here}: the key is not a number")
    record = _table(values, here)
    category = record.get("category")
    if not isinstance(category, str) or category not in CATEGORIES:
        raise InputError(f"{here}: category is {repr(category)[:40]}, expected training or validation")
    about = _table(record.get("metadata"), f"{here}, metadata")
    return FfhqRecord(
        number=f"{int(key):05d}",
        split=CATEGORIES[category],
        wild=_file(record.get("in_the_wild"), f"{here}, in_the_wild"),
        aligned=_file(record.get("image"), f"{here}, image"),
        author=_text(about, "author"),
        licence=_text(about, "license"),
        licence_url=_text(about, "license_url"),
        photo_url=_text(about, "photo_url"),
        title=_text(about, "photo_title"),
    )


def read_faces(folder: Path, number: str) -> Faces | None:
    """The people in a photo by the folder of attributes; None where it has no file for the photo.

    Args:
        folder: holds NNNNN.json, or a folder `json` that does.
        number: five digits.

    Raises:
        InputError: the file is unreadable or of another shape; with the file and the entry.
    """
    for path in (folder / f"{number}.json", folder / "json" / f"{number}.json"):
        try:
            values = parse_json(read_bytes(path, LARGEST_RECORD))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
        except ValueError as error:
            raise InputError(f"{path}: is not JSON: {error}") from error
        if not isinstance(values, list):
            raise InputError(f"{path}: expected a list with one entry per face, found {type(values).__name__}")
        return Faces(tuple(_age(entry, f"{path}: face {at}") for at, entry in enumerate(values)))
    return None


def _age(entry: Any, where: str) -> float | None:
    attributes = _table(_table(entry, where).get("faceAttributes"), f"{where}, faceAttributes")
    age = attributes.get("age")
    if age is None:
        return None
    if isinstance(age, bool) or not isinstance(age, int | float) or not 0 <= age <= 150:
        raise InputError(f"{where}: the age is {age!r}")
    return float(age)


def _file(values: Any, where: str) -> PhotoFile:
    table = _table(values, where)
    path, size, landmarks = table.get("file_path"), table.get("file_size"), table.get("face_landmarks")
    if not isinstance(path, str) or not path or path.startswith("/") or ".." in path.split("/") or "\\" in path:
        raise InputError(f"{where}: file_path is {str(path)[:60]!r}, expected a path inside the folder of photos")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < LARGEST_WHOLE:
        raise InputError(f"{where}: file_size is {repr(size)[:60]}")
    try:
        points = np.array(landmarks, np.float64)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(f"{where}: face_landmarks are not numbers") from error
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise InputError(f"{where}: face_landmarks have shape {points.shape}, expected 68 points")
    return PhotoFile(path, size, points)


def _table(values: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: expected a table, found {type(values).__name__}")
    return values


def _text(table: Mapping[str, Any], name: str) -> str:
    value = table.get(name)
    return value if isinstance(value, str) else ""


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:16]


class _Window:
    """A moving piece of a text file; `start` is the byte at which it begins."""

    def __init__(self, path: Path) -> None:
        self.path, self.text, self.start, self.ended = path, "", 0, False
        self._handle = open_file(path, links=True)
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def close(self) -> None:
        self._handle.close()

    def more(self) -> bool:
        """Read on; False at the end of the file."""
        if self.ended:
            return False
        block = self._handle.read(PIECE_BYTES)
        self.ended = not block
        self.text += self._decoder.decode(block, final=self.ended)
        return True

    def drop(self, count: int) -> None:
        """Forget the first `count` characters."""
        self.start += len(self.text[:count].encode())
        self.text = self.text[count:]

    def expect(self, wanted: str) -> str:
        """Skip white space, and take one character that is among `wanted`."""
        while True:
            at = _end_of_space(self.text, 0)
            if at < len(self.text):
                break
            if not self.more():
                raise InputError(f"{self.path}: ends at byte {self.start}, in the middle; fetch it again")
        result = self.text[at]
        if result not in wanted:
            place = self.start + len(self.text[:at].encode())
            raise InputError(f"{self.path}: expected {' or '.join(wanted)} at byte {place}, found {result!r}")
        self.drop(at + 1)
        return result

    def value(self, what: str) -> tuple[Any, str, int]:
        """Take one JSON value: itself, its text, and the byte at which it starts."""
        while True:
            at = _end_of_space(self.text, 0)
            try:
                value, end = _DECODER.raw_decode(self.text, at)
            except RecursionError as error:
                raise InputError(f"{self.path}: {what} at byte {self.start} nests without end") from error
            except json.JSONDecodeError as error:
                if len(self.text) - at > LARGEST_RECORD or not self.more():
                    raise InputError(f"{self.path}: {what} at byte {self.start} is not JSON: {error.msg}") from error
                continue
            # A number could go on in the next piece; tables and texts cannot.
            if end == len(self.text) and not isinstance(value, dict | str) and self.more():
                continue
            text, start = self.text[at:end], self.start + len(self.text[:at].encode())
            self.drop(end)
            return value, text, start


def _whole(text: str) -> float:
    """A whole number; one too long to be meant is infinite, which its record alone is refused for."""
    return int(text) if len(text) <= LONGEST_NUMBER else float("inf")


_DECODER = json.JSONDecoder(parse_int=_whole)


def _end_of_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _records(path: Path) -> Iterator[tuple[str, Any, str, int]]:
    """Key, value, text and first byte of each entry of the file's outermost table."""
    try:
        window = _Window(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        window.expect("{")
        separator = ","
        while separator == ",":
            key, _, _ = window.value("a key")
            if not isinstance(key, str):
                raise InputError(f"{path}: a key before byte {window.start} is not a text")
            window.expect(":")
            value, text, start = window.value(f"photo {key[:40]}")
            yield key, value, text, start
            separator = window.expect(",}")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not text (UTF-8): {error.reason}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    finally:
        window.close()
