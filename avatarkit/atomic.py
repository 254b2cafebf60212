"""The one way in which files and folders appear: complete, flushed, by a rename, from a name that nobody can guess."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

_LONGEST_NAME = 255  # bytes, of every usual file system
_unfinished: set[Path] = set()
_promised: dict[Path, int] = {}
_PARTIAL = re.compile(r"\.(.+)-partial-[0-9a-f]{8}(\.[^.]*)?", re.DOTALL)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all; one that is replaced keeps its mode, a link of that name is itself replaced.

    Raises:
        OSError: the place cannot be written, or the disk is full; `path` is then as it was.
    """
    with replaced(path) as temporary, temporary.open("wb") as file:
        file.write(data)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """`write_whole` for json; the same value gives the same bytes.

    Raises:
        OSError: the place cannot be written, or the disk is full; `path` is then as it was.
        ValueError: a number in it is not finite.
    """
    text = json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    write_whole(path, text.encode("utf-8", "backslashreplace"))


def write_quickly(path: Path, data: bytes) -> None:
    """Write a small file of our own, whole or not at all as long as the machine runs; its loss must cost little.

    Nothing is flushed and nothing swept: on a busy disk that would take longer than all the rest.

    Raises:
        OSError: the place cannot be written, or the disk is full.
    """
    temporary = temporary_name(path)
    try:
        with temporary.open("xb") as file:
            file.write(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def open_journal(path: Path) -> TextIO:
    """A text file to append lines to, made where there is none; a line that a kill has cut off is ended first.

    Raises:
        OSError: it cannot be written, or is a link or no regular file.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o666)
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    if about.st_size and os.pread(descriptor, 1, about.st_size - 1) != b"\n":
        os.write(descriptor, b"\n")
    return os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")


@contextlib.contextmanager
def replaced(path: Path, *, directory: bool = False) -> Iterator[Path]:
    """Yield an empty temporary file, or folder, beside `path`; it takes that name when the block ends well.

    On any exception it is removed. Raises OSError where the place cannot be written.
    """
    with begun(path, directory=directory) as temporary:
        yield temporary
        settle(temporary, path)


@contextlib.contextmanager
def begun(path: Path, *, directory: bool = False) -> Iterator[Path]:
    """Yield a new temporary file or folder beside `path`, of the same suffix; what is still there at the end goes.

    It is made exclusively, under an unpredictable name, and locked while it lives: what killed programs left of the
    same output is swept. Raises OSError where the place cannot be written.
    """
    sweep(path.parent, left_over_of(temporary_name(path).name))
    temporary, lock = _made(path, directory)
    try:
        yield temporary
    finally:
        os.close(lock)
        remove(temporary)
        _unfinished.discard(temporary)


def settle(temporary: Path, target: Path) -> None:
    """Flush a finished file or folder to the disk and give it its name; a file that is replaced passes on its mode.

    Raises:
        OSError: it cannot be flushed or renamed; what stood at `target` is still there.
    """
    if temporary.is_dir():
        for path in sorted(temporary.rglob("*")):
            (sync_folder if path.is_dir() else sync_file)(path)
        sync_folder(temporary)
        replace_folder(temporary, target)
    else:
        with contextlib.suppress(FileNotFoundError):
            about = target.lstat()
            if stat.S_ISREG(about.st_mode):
                temporary.chmod(stat.S_IMODE(about.st_mode))
        sync_file(temporary)
        temporary.replace(target)
    sync_folder(target.parent)


def discard_all() -> None:
    """Remove what this process has begun and not finished, just before it ends without leaving its blocks."""
    for temporary in list(_unfinished):
        with contextlib.suppress(OSError):
            remove(temporary)


def own_folder(root: Path, *names: str) -> Path:
    """A folder of ours within one that a user names, made where it is not there; it lies there, and not behind a link.

    Args:
        root: the user's; it may be a link. names: from there on.

    Raises:
        OSError: one of `names` is a link or a file, or cannot be made.
    """
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        root /= name
        root.mkdir(exist_ok=True)
        if root.is_symlink():
            raise OSError(errno.ELOOP, "is a link, which is not followed", str(root))
    return root


def promise(temporary: Path, target: Path) -> None:
    """Note that what a user has named is about to take its name, for `kept_promises`."""
    _promised[target] = temporary.stat().st_ino


def kept_promises() -> list[Path]:
    """What has taken the name that a user gave, since `forget_promises`: it stands, whatever happens after."""
    result = []
    for target, number in _promised.items():
        with contextlib.suppress(OSError):
            result += [target] if target.lstat().st_ino == number else []
    return result


def forget_promises() -> None:
    """Begin a new command."""
    _promised.clear()


def temporary_name(path: Path) -> Path:
    """A new name beside `path`, `.STEM-partial-` with eight hexadecimal digits and the same suffix, that fits."""
    ending = f"-partial-{secrets.token_hex(4)}{path.suffix}"
    stem = os.fsencode(path.stem)[: max(_LONGEST_NAME - 1 - len(os.fsencode(ending)), 0)]
    # A character that is cut in two is left out as a whole; an ASCII locale has none for it, but its bytes.
    return path.with_name(f".{os.fsdecode(stem.decode('utf-8', 'ignore').encode())}{ending}")


def left_over_of(name: str) -> str | None:
    """The output that a file of a killed program was to become, None for any other name."""
    match = _PARTIAL.fullmatch(name)
    return match[1] + (match[2] or "") if match else None


def replace_folder(new: Path, target: Path) -> None:
    """Give a finished folder its name; one of that name is removed only after the new one stands in its place.

    Both lie on one file system. Raises OSError where the old one could not be moved; it is then still there.
    """
    if not target.exists():
        new.rename(target)
        return
    old = target.with_name(f".{target.name}-old-{secrets.token_hex(4)}")
    target.rename(old)
    try:
        new.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old)


def sync_file(path: Path) -> None:
    """Flush a file's bytes to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, where the file system can do that."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _made(path: Path, directory: bool) -> tuple[Path, int]:
    """A new temporary file or folder, and the open descriptor that holds its lock."""
    while True:
        temporary = temporary_name(path)
        _unfinished.add(temporary)  # before it is there: a request to end may come right after
        if directory:
            temporary.mkdir()
        else:
            os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        try:
            lock = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # swept by another process before it was locked
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)  # another process is about to sweep it
            continue
        except OSError:
            return temporary, lock  # a network file system without locks: nobody sweeps there
        if os.fstat(lock).st_nlink:
            return temporary, lock
        os.close(lock)


def sweep(folder: Path, output: str | None = None) -> None:
    """Remove what killed programs left in a folder, of one output or of any: what nobody holds the lock of."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            of = left_over_of(name)
            if of is None or (output is not None and of != output):
                continue
            with contextlib.suppress(OSError):
                # Neither through a link nor into a pipe.
                handle = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    remove(folder / name)
                finally:
                    os.close(handle)


def remove(path: Path) -> None:
    """Delete a file, a link itself, or a folder with all that is in it, as far as that can be done."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
