"""Where weight files are kept, in which state they are, and the hashes pinned at first use."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from avatarkit.atomic import write_whole
from avatarkit.errors import OutputError
from avatarkit.weights.errors import WeightError
from avatarkit.weights.identify import Digests, digests_of, identified_by_hash, mismatch
from avatarkit.weights.lock import WeightFile

FOLDER_VARIABLE = "AVATARKIT_WEIGHTS"
OFFLINE_VARIABLE = "AVATARKIT_OFFLINE"
PINS = "pins.json"
PINS_VERSION = 1

State = Literal["present", "pinned", "unpinned", "missing", "damaged"]
"""present: it has the published hash; pinned: no hash was published, and it is what it was at first use;
unpinned: no hash was published, and it was not used yet; missing: there is no file; damaged: it has another
hash than the published or pinned one."""


@dataclass(frozen=True)
class Pin:
    """What is remembered of a file: its hash, and by what a change is noticed without reading it again.

    Args:
        sha256: of the whole file.
        size_bytes: its size when it was hashed.
        mtime_ns: its time of change then, in nanoseconds.
        origin: the address or file that it came from.
        since: when it was first seen, as "2026-01-31".
    """

    sha256: str
    size_bytes: int
    mtime_ns: int
    origin: str
    since: str


def cache_dir() -> Path:
    """The folder of weight files, which may not exist: AVATARKIT_WEIGHTS, else in the platform's cache."""
    chosen = os.environ.get(FOLDER_VARIABLE, "").strip()
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("avatarkit", appauthor=False)) / "weights"


def path_of(weight: WeightFile) -> Path:
    """Where the file is, or would be."""
    return cache_dir() / weight.file


def offline() -> bool:
    """Whether AVATARKIT_OFFLINE forbids the network."""
    return os.environ.get(OFFLINE_VARIABLE, "").strip().lower() not in ("", "0", "false", "no", "off")


def state(weight: WeightFile, *, rehash: bool = False) -> State:
    """In which state a weight file is.

    A file whose size and time of change are those of the last hashing is not read again, unless `rehash`.

    Raises:
        WeightError: the file or the record of pins cannot be read.
    """
    return examine(weight, rehash=rehash)[0]


def examine(weight: WeightFile, *, rehash: bool = False) -> tuple[State, str | None]:
    """As `state`, with what is wrong with a damaged file."""
    path = path_of(weight)
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "missing", None
    except OSError as error:
        raise WeightError(f"{path}: cannot be looked at: {error.strerror}") from error
    pin = pins().get(weight.name)
    good: State = "present" if identified_by_hash(weight) else "pinned" if pin else "unpinned"
    unchanged = pin is not None and (pin.size_bytes, pin.mtime_ns) == (status.st_size, status.st_mtime_ns)
    if pin and unchanged and not rehash:
        # The lock file may have changed since the file was hashed.
        recorded = Digests(pin.sha256, weight.md5 or "", pin.size_bytes)
        wrong = mismatch(weight, recorded, pin.sha256)
        return ("damaged", wrong) if wrong else (good, None)
    if good == "unpinned" and not rehash:
        return good, None
    result = digests(path)
    wrong = mismatch(weight, result, pin.sha256 if pin else None)
    if wrong:
        return "damaged", wrong
    if good != "unpinned" and not unchanged:
        try_pin(weight, path, result)
    return good, None


def digests(path: Path) -> Digests:
    """Hash a file of the cache.

    Raises:
        WeightError: it cannot be read.
    """
    try:
        with path.open("rb") as handle:
            return digests_of(handle)
    except OSError as error:
        raise WeightError(f"{path}: cannot be read: {error.strerror}") from error


def pins() -> dict[str, Pin]:
    """What is remembered of each file, by the weights' name.

    Raises:
        WeightError: the record cannot be read; the message says what to do.
    """
    path = cache_dir() / PINS
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise WeightError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        content = json.loads(raw)
        if content["version"] != PINS_VERSION:
            raise WeightError(f"{path}: is of version {content['version']}; use the avatarkit that wrote it")
        return {name: Pin(**fields) for name, fields in content["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightError(
            f"{path}: is damaged; delete it to pin the files in this folder anew at their next use"
        ) from error


def pinned(weight: WeightFile) -> str | None:
    """The hash remembered for a file, None when it was never hashed."""
    pin = pins().get(weight.name)
    return pin.sha256 if pin else None


def pin(weight: WeightFile, path: Path, found: Digests | None = None, origin: str = "") -> None:
    """Remember the hash of the file at `path`, and where it came from if that is known.

    Raises:
        OutputError: the record cannot be written.
    """
    found = found or digests(path)
    with locked(PINS):
        known = pins()
        earlier = known.get(weight.name)
        same = earlier is not None and earlier.sha256 == found.sha256
        known[weight.name] = Pin(
            sha256=found.sha256,
            size_bytes=found.size_bytes,
            mtime_ns=path.stat().st_mtime_ns,
            origin=origin or (earlier.origin if earlier else "put into the folder by hand"),
            since=earlier.since if earlier and same else time.strftime("%Y-%m-%d"),
        )
        files = {name: asdict(entry) for name, entry in sorted(known.items())}
        text = json.dumps({"version": PINS_VERSION, "files": files}, indent=1)
        _write_whole(cache_dir() / PINS, text + "\n")


def try_pin(weight: WeightFile, path: Path, found: Digests | None = None, origin: str = "") -> None:
    """As `pin`, but a folder that cannot be written, such as a shared read-only one, is no error."""
    with contextlib.suppress(OutputError):
        pin(weight, path, found, origin)


@contextlib.contextmanager
def locked(name: str, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold this name for one process at a time; released by the operating system when a process dies.

    Args:
        name: what is locked, a file's name.
        waiting: called when another process holds it.

    Raises:
        OutputError: the folder cannot be made or written.
    """
    from filelock import FileLock, Timeout

    folder = cache_dir()
    lock = FileLock(folder / f".{name}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if waiting:
                waiting()
            lock.acquire()
    except (OSError, NotImplementedError) as error:
        raise unwritable(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def unwritable(folder: Path, error: BaseException) -> OutputError:
    """The error for a folder of weights that cannot be written."""
    reason = getattr(error, "strerror", None) or str(error) or "locks are not supported there"
    return OutputError(
        f"{folder}: weights cannot be kept there: {reason};"
        f" set {FOLDER_VARIABLE} to a folder that can be written"
    )


def import_text(weight: WeightFile) -> str:
    """The command that takes in a file that was got in another way."""
    return f"`avatarkit weights import FILE --as {weight.name}`"


def missing_text(weight: WeightFile) -> str:
    """One line for a missing file: which, how big, from where, and by which commands it comes."""
    what = f"{weight.name} is not here: {weight.file} ({weight.size})"
    if not weight.urls:
        return f"{what}; {weight.how_to_get}, then run {import_text(weight)}"
    fetch = f"`avatarkit weights fetch {weight.name}`"
    return f"{what} from {weight.source}; run {fetch}, or get it elsewhere and run {import_text(weight)}"


def damaged_text(weight: WeightFile, wrong: str | None = None) -> str:
    """One line for a damaged file: where it is, what is wrong, and the command that puts it right."""
    wrong = wrong or examine(weight)[1] or "it is not the file that it should be"
    fetch = f"`avatarkit weights fetch {weight.name}` replaces it"
    remedy = fetch if weight.urls else f"replace it by {import_text(weight)}"
    return f"{path_of(weight)}: is damaged: {wrong}; {remedy}"


def _write_whole(path: Path, text: str) -> None:
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise unwritable(path.parent, error) from error
