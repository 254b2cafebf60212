"""Files into the cache, from publishers or the user's disk; each gets its name only once its hash matched."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from avatarkit.atomic import begun
from avatarkit.errors import UsageError
from avatarkit.media.files import check_readable
from avatarkit.runtime import NullProgress, Progress
from avatarkit.weights import cache, lock
from avatarkit.weights.connection import host
from avatarkit.weights.download import Download, Patience, storage_error
from avatarkit.weights.errors import DownloadError, HashMismatch, MissingWeights, OfflineError, WrongFile
from avatarkit.weights.identify import Digests, digests_of, identified_by_hash, mismatch
from avatarkit.weights.load import check_contents, ensure
from avatarkit.weights.lock import WeightFile

__all__ = ["Patience", "fetch", "import_file", "refuse_restricted"]

_PATIENCE = Patience()


def fetch(
    weight: WeightFile,
    *,
    offline: bool = False,
    permissive_only: bool = False,
    repin: bool = False,
    progress: Progress | None = None,
    patience: Patience = _PATIENCE,
) -> Path:
    """The weight file in the cache, downloaded if it is not there or damaged.

    Several processes may ask at once: one downloads, the others wait for it.

    Args:
        weight: what to fetch.
        offline: never use the network; AVATARKIT_OFFLINE says the same.
        permissive_only: refuse weights that may not be used commercially.
        repin: take the file as it is published now where an earlier one was pinned.
        progress: told the bytes received.
        patience: how long to go on with a bad connection.

    Raises:
        UsageError: refused by its licence.
        OfflineError, MissingWeights: not here, and the network may not be used, or there is no address.
        HashMismatch: what came has another hash; nothing of it was kept.
        DownloadError: no address gave the file.
        OutputError: the cache cannot be written, or the disk is full.
    """
    if permissive_only:
        refuse_restricted([weight])
    repin = repin and not identified_by_hash(weight)
    if not repin and _usable(weight):
        return cache.path_of(weight)
    if not weight.urls:
        raise MissingWeights(cache.missing_text(weight))
    if offline or cache.offline():
        raise OfflineError(_offline_text(weight))
    progress = progress or NullProgress()
    with cache.locked(weight.file, lambda: progress.notice(f"{weight.name}: waiting for another process")):
        # Another process may have fetched it meanwhile.
        if not repin and _usable(weight):
            return cache.path_of(weight)
        return _fetch_from_any(weight, None if repin else cache.pinned(weight), progress, patience)


def import_file(
    source: Path,
    weight: WeightFile,
    *,
    repin: bool = False,
    check: Callable[[Path], object] | None = None,
) -> Path:
    """Take a file that the user has into the cache; returns where it is then.

    Args:
        source: the file; it is copied.
        weight: what the file is said to be.
        repin: take it also where another file was pinned.
        check: called with the copy before it gets its name; raises an AvatarkitError for a wrong file.

    Raises:
        InputError: the file cannot be read.
        WrongFile: it is not `weight`: another hash or size, or without a known hash other contents.
        OutputError: the cache cannot be written, or the disk is full.
    """
    check_readable(source)
    path = cache.path_of(weight)
    with cache.locked(weight.file), begun(path) as copy:
        pinned = None if repin else cache.pinned(weight)
        try:
            with source.open("rb") as reader, copy.open("wb") as writer:
                result = digests_of(reader, writer.write)
                writer.flush()
                os.fsync(writer.fileno())
        except OSError as error:
            raise storage_error(path.parent, error) from error
        wrong = mismatch(weight, result, pinned)
        if wrong:
            raise WrongFile(
                f"{source}: is not {weight.name}{_rather(weight, result)}: {wrong}; nothing was kept"
            )
        if not identified_by_hash(weight) and pinned is None:
            check_contents(weight, copy, called=source)
        if check is not None:
            check(copy)
        _settle(weight, copy, result, f"imported from {source}")
    return path


def refuse_restricted(wanted: list[WeightFile]) -> None:
    """Raise UsageError, naming them, if some of these weights may not be used commercially."""
    refused = [weight for weight in wanted if not weight.permissive]
    if refused:
        reported = ", ".join(f"{weight.name} ({weight.licence}, {weight.licence_url})" for weight in refused)
        raise UsageError(f"--permissive-only refuses {reported}; leave the option out if you may use them")


def _usable(weight: WeightFile) -> bool:
    """Whether the file is here and right; one without any known hash is looked into and pinned."""
    state = cache.state(weight)
    if state == "unpinned":
        try:
            ensure(weight)
        except WrongFile:
            return False
    return state not in ("missing", "damaged")


def _fetch_from_any(weight: WeightFile, pinned: str | None, progress: Progress, patience: Patience) -> Path:
    problems: list[DownloadError] = []
    for url in weight.urls:
        try:
            return _fetch_from(url, weight, pinned, progress, patience)
        except DownloadError as error:
            problems.append(type(error)(f"{host(url)} {error}"))
    reported = "; ".join(map(str, problems))
    kind = HashMismatch if any(isinstance(problem, HashMismatch) for problem in problems) else DownloadError
    raise kind(
        f"{weight.name} could not be fetched: {reported}; or get {weight.file} ({weight.size})"
        f" from {weight.source} by other means and run {cache.import_text(weight)}"
    )


def _fetch_from(
    url: str, weight: WeightFile, pinned: str | None, progress: Progress, patience: Patience
) -> Path:
    path = cache.path_of(weight)
    part = path.with_name(f".{path.name}.part")
    known = identified_by_hash(weight) or pinned is not None
    while True:
        download = Download(
            url,
            part,
            name=weight.name,
            size_bytes=weight.size_bytes,
            hash_known=known,
            patience=patience,
            progress=progress,
        )
        download.run()
        try:
            result = cache.digests(part)
            wrong = mismatch(weight, result, pinned)
            if wrong is None:
                if not known:
                    _check_download(weight, part, url)
                _settle(weight, part, result, url)
                return path
        finally:
            download.discard()
        if not download.resumed:
            repin = "" if pinned is None or identified_by_hash(weight) else " (--repin takes the new one)"
            raise HashMismatch(f"sent another file: {wrong}{repin}; nothing was kept")
        progress.notice(f"{weight.name}: the part from an earlier run did not fit; starting again")


def _check_download(weight: WeightFile, part: Path, url: str) -> None:
    try:
        check_contents(weight, part, called=url)
    except WrongFile as error:
        raise DownloadError(f"sent another file: {error}") from error


def _settle(weight: WeightFile, temporary: Path, found: Digests, origin: str) -> None:
    """Give a checked file its name and remember its hash."""
    path = cache.path_of(weight)
    try:
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise storage_error(path.parent, error) from error
    # A published hash stands for itself; the record then only saves reading the file again.
    (cache.try_pin if identified_by_hash(weight) else cache.pin)(weight, path, found, origin)


def _rather(weight: WeightFile, found: Digests) -> str:
    """ ", but ..." for a file that is another one of those known."""
    others = (other for other in lock.weights().values() if other.name != weight.name)
    hashed = [other for other in others if identified_by_hash(other)]
    names = [other.name for other in hashed if mismatch(other, found, None) is None]
    return f" but {names[0]}" if names else ""


def _offline_text(weight: WeightFile) -> str:
    return (
        f"{weight.name} is not here and the network is off (--offline or {cache.OFFLINE_VARIABLE}): get"
        f" {weight.file} ({weight.size}) from {weight.source} and run {cache.import_text(weight)}"
    )
