"""What is known about the weight files, which are here, and how they come here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from avatarkit.errors import UsageError
from avatarkit.runtime import NullProgress, Progress
from avatarkit.weights import cache, fetch, load, lock
from avatarkit.weights.errors import WeightError
from avatarkit.weights.lock import WeightFile

Row = tuple[str, ...]


@dataclass(frozen=True)
class FetchConfig:
    """What to fetch and how.

    Args:
        names: weights by name.
        job: all weights of a job instead.
        offline: never use the network.
        permissive_only: refuse what may not be used commercially when named; leave it out of a job's weights.
        repin: take files without a published hash as they are published now.
    """

    names: tuple[str, ...] = ()
    job: str | None = None
    offline: bool = False
    permissive_only: bool = False
    repin: bool = False


@dataclass(frozen=True)
class WeightStatus:
    """A weight file's state, and what is wrong with a damaged one."""

    weight: WeightFile
    state: cache.State
    problem: str | None = None

    @property
    def remedy(self) -> str | None:
        """The command that brings the file here; None for one that is here."""
        if self.state not in ("missing", "damaged"):
            return None
        fetch_it = f"`avatarkit weights fetch {self.weight.name}`"
        return fetch_it if self.weight.urls else cache.import_text(self.weight)

    def to_json(self) -> dict[str, Any]:
        """All that is known, as plain values."""
        known = asdict(self.weight)
        return {
            **known,
            "path": str(cache.path_of(self.weight)),
            "state": self.state,
            "problem": self.problem,
        }


@dataclass(frozen=True)
class WeightsReport:
    """The weight files looked at, in the lock file's order."""

    files: tuple[WeightStatus, ...]

    @property
    def damaged(self) -> tuple[str, ...]:
        """Names of the damaged files."""
        return tuple(file.weight.name for file in self.files if file.state == "damaged")

    def rows(self) -> list[Row]:
        """Aligned columns with a heading: name, state, size, licence, jobs, purpose."""
        heading = ("name", "state", "size", "licence", "used by", "purpose")
        return [heading, *(_row(file) for file in self.files)]

    def check_rows(self) -> list[Row]:
        """Columns name, state, and the hash that was found right or what is wrong."""
        return [(file.weight.name, file.state, file.problem or _vouched(file)) for file in self.files]

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {"folder": str(cache.cache_dir()), "files": [file.to_json() for file in self.files]}


@dataclass(frozen=True)
class FetchReport:
    """Where the fetched files are, and what was left out by its licence."""

    paths: dict[str, Path]
    left_out: tuple[str, ...] = ()

    def rows(self) -> list[Row]:
        """Name, state and path of each file."""
        return [(name, cache.state(lock.get(name)), str(path)) for name, path in self.paths.items()]


def list_weights() -> WeightsReport:
    """All known weight files with their states; only a file that changed since it was hashed is read."""
    known = lock.weights().values()
    return WeightsReport(tuple(WeightStatus(weight, *cache.examine(weight)) for weight in known))


def verify_weights(names: Sequence[str] = ()) -> WeightsReport:
    """Read and hash the named weight files, or all that are here.

    Raises:
        UsageError: unknown name.
        MissingWeights: a named file is not here.
    """
    for name in names:
        if cache.state(lock.get(name)) == "missing":
            load.require(name)
    wanted = [lock.get(name) for name in names] or list(lock.weights().values())
    examined = (WeightStatus(weight, *cache.examine(weight, rehash=True)) for weight in wanted)
    return WeightsReport(tuple(status for status in examined if status.state != "missing"))


def fetch_weights(config: FetchConfig, progress: Progress | None = None) -> FetchReport:
    """Bring weight files here; one that fails does not keep the others from coming.

    Raises:
        UsageError: neither names nor a job, or both; an unknown one; a named one refused by its licence.
        WeightError: one or more could not be had; the message names them.
        OutputError: the cache cannot be written, or the disk is full.
    """
    progress = progress or NullProgress()
    wanted, left_out = _wanted(config)
    for weight in left_out:
        progress.notice(f"{weight.name} left out: its licence is {weight.licence}, see {weight.licence_url}")
    paths: dict[str, Path] = {}
    failures: dict[str, WeightError] = {}
    for weight in wanted:
        try:
            paths[weight.name] = fetch.fetch(
                weight, offline=config.offline, repin=config.repin, progress=progress
            )
        except WeightError as error:
            failures[weight.name] = error
    if len(failures) == 1:
        raise next(iter(failures.values()))
    if failures:
        for failure in failures.values():
            progress.notice(str(failure))
        raise WeightError(
            f"{len(failures)} of {len(wanted)} files could not be had: {', '.join(failures)};"
            " see the notes, or fetch one alone"
        )
    return FetchReport(paths, tuple(weight.name for weight in left_out))


def import_weights(file: Path, name: str, *, repin: bool = False) -> Path:
    """Copy a file that the user has into the cache; see `avatarkit.weights.fetch.import_file`."""
    return fetch.import_file(file, lock.get(name), repin=repin)


def weights_path(name: str) -> Path:
    """Where a weight file is; raises MissingWeights or DamagedWeights where it cannot be used."""
    return load.require(name)


def licences() -> list[dict[str, Any]]:
    """Name, licence, its source, whether commercial use is free, and the citation of every weight file."""
    fields = ("name", "licence", "permissive", "licence_url", "citation")
    return [{field: getattr(weight, field) for field in fields} for weight in lock.weights().values()]


def _wanted(config: FetchConfig) -> tuple[list[WeightFile], list[WeightFile]]:
    """The files to fetch and those left out by their licence."""
    if bool(config.names) == (config.job is not None):
        raise UsageError("give the names of weights or --for JOB, one of the two; see avatarkit weights list")
    if config.job is None:
        named = [lock.get(name) for name in dict.fromkeys(config.names)]
        if config.permissive_only:
            fetch.refuse_restricted(named)
        return named, []
    wanted = list(lock.for_job(config.job))
    left_out = [weight for weight in wanted if config.permissive_only and not weight.permissive]
    return [weight for weight in wanted if weight not in left_out], left_out


def _row(file: WeightStatus) -> Row:
    weight = file.weight
    jobs = ", ".join(weight.used_by) or "-"
    return (weight.name, file.state, weight.size, weight.licence, jobs, weight.purpose)


def _vouched(file: WeightStatus) -> str:
    if file.state == "unpinned":
        return "no published hash; it is pinned at its first use"
    pin = cache.pins().get(file.weight.name)
    if file.state == "pinned" and pin is not None:
        return f"sha256 {pin.sha256}, pinned {pin.since}, {pin.origin}"
    return file.weight.published_hash or ""
