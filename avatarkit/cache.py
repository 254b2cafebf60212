"""Results that are expensive and depend on nothing but their key, kept in a folder that several processes share.

    DIR/KIND/KEY/       one entry: its files; written under another name and renamed, so that it is there whole or not
                        at all. Its time of change is when it was last used. What killed processes left is swept.
    DIR/KIND/KEY/key    its own name: an entry that was moved or copied is not taken for what belongs there
    DIR/.locks/         of entries in the making: two processes make an entry once
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from avatarkit.atomic import begun, left_over_of, own_folder, remove, sweep, temporary_name
from avatarkit.errors import AvatarkitError, InputError, OutputError
from avatarkit.reading import read_bytes

T = TypeVar("T")
LIMIT_BYTES = 10_000_000_000
"""Of a folder, unless another is set."""
LOCKS, NAME = ".locks", "key"
_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class KindUsage:
    """Entries of one kind and their bytes."""

    kind: str
    entries: int
    size: int


class Cache:
    """A folder of entries.

    Args:
        folder: made when the first entry is.
        program: what computes the entries; another one finds none of them.
        limit_bytes: when entries exceed it together, those that were not used for the longest time go.

    `made` counts the entries that this object has made, by kind.
    """

    def __init__(self, folder: Path, program: str, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder, self.program, self.limit_bytes = folder, program, limit_bytes
        self.made: dict[str, int] = {}

    def fetch(
        self, kind: str, key: Mapping[str, Any], make: Callable[[Path], None], read: Callable[[Path], T]
    ) -> T:
        """What an entry holds; it is made first where it is missing, or cannot be read.

        Args:
            kind: a name for entries of this sort.
            key: all that decides the content, as plain values.
            make: writes the entry's files into the folder that it is given.
            read: gives what they hold; a file that it keeps open or mapped may vanish meanwhile, its content stays.

        Raises:
            OutputError: the folder cannot be written. Whatever `make` raises; nothing is kept then.
        """
        entry = self.folder / kind / digest_of({"program": self.program, **key})
        result = self._read(entry, read)
        if result is not None:
            return result[0]
        import filelock

        try:
            own_folder(self.folder, LOCKS)
            # A few hundred names serve all entries, so that locks do not pile up.
            with filelock.FileLock(self.folder / LOCKS / f"{kind}-{entry.name[:2]}"):
                result = self._read(entry, read)
                if result is not None:
                    return result[0]
                self._make(entry, make)
                value = read(entry)
        except OSError as error:
            raise OutputError(f"{self.folder}: the cache cannot be written: {error.strerror or error}") from error
        self.made[kind] = self.made.get(kind, 0) + 1
        self._shrink(entry)
        return value

    def usage(self) -> list[KindUsage]:
        """Entries and bytes of each kind, by name."""
        kinds: dict[str, list[int]] = {}
        for entry, size, _ in self._entries():
            kinds.setdefault(entry.parent.name, []).append(size)
        return [KindUsage(kind, len(sizes), sum(sizes)) for kind, sizes in sorted(kinds.items())]

    def clear(self) -> int:
        """Remove all entries and the folder, if nothing else is in it; returns the bytes that are free now.

        Raises:
            InputError: the folder holds something else than a cache.
        """
        if not self.folder.is_dir():
            return 0
        strange = [path.name for path in self.folder.iterdir() if path.name != LOCKS and not _is_kind(path)]
        if strange:
            raise InputError(f"{self.folder}: holds {strange[0]}, which is no part of a cache; remove it by hand")
        freed = sum(size for _, size, _ in self._entries())
        shutil.rmtree(self.folder, ignore_errors=True)
        return freed

    def sweep(self) -> None:
        """Remove what killed processes left."""
        for kind in self.folder.glob("*"):
            sweep(kind)

    def _read(self, entry: Path, read: Callable[[Path], T]) -> tuple[T] | None:
        """The entry's content, or None where it is missing or damaged."""
        if not os.path.lexists(entry):
            return None
        try:
            _check(entry)
            value = read(entry)
        except (OSError, ValueError, LookupError, ArithmeticError, TypeError, EOFError, AvatarkitError):
            # Damaged, another's, or gone meanwhile: it is made again.
            _remove(entry)
            return None
        with suppress(OSError):
            os.utime(entry)
        return (value,)

    def _make(self, entry: Path, make: Callable[[Path], None]) -> None:
        own_folder(self.folder, entry.parent.name)
        with begun(entry, directory=True) as partial:
            make(partial)
            (partial / NAME).write_text(entry.name)
            partial.rename(entry)

    def _shrink(self, newest: Path) -> None:
        """Drop the entries that were not used for the longest time."""
        entries = sorted(self._entries(), key=lambda one: one[2])
        total = sum(size for _, size, _ in entries)
        for entry, size, _ in entries:
            if total <= self.limit_bytes:
                break
            if entry != newest:
                _remove(entry)
                total -= size
        self.sweep()

    def _entries(self) -> list[tuple[Path, int, float]]:
        """Entries with their bytes and when they were used last."""
        result = []
        for entry in self.folder.glob("*/*"):
            if not entry.name.startswith(".") and entry.parent.name != LOCKS:
                with suppress(OSError):
                    size = sum(file.stat().st_size for file in entry.iterdir())
                    result.append((entry, size, entry.stat().st_mtime))
        return result


def _check(entry: Path) -> None:
    """Raise InputError or OSError unless an entry is a folder of files, none of them a link, at its own place."""
    if entry.is_symlink() or any(not file.is_file(follow_symlinks=False) for file in os.scandir(entry)):
        raise InputError(f"{entry}: holds something else than files, or is a link")
    if read_bytes(entry / NAME, len(entry.name)) != entry.name.encode():
        raise InputError(f"{entry}: is another entry's")


def _is_kind(path: Path) -> bool:
    return path.is_dir() and all(
        _KEY.fullmatch(left_over_of(entry.name) or entry.name) is not None for entry in path.iterdir()
    )


def _remove(entry: Path) -> None:
    """Take an entry away at once, then delete it."""
    gone = temporary_name(entry)
    with suppress(OSError):
        entry.rename(gone)
        remove(gone)


def digest_of(key: Mapping[str, Any]) -> str:
    """SHA-256 of plain values, as 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()
