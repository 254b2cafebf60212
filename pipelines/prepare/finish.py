"""What comes after the last shard: the ledger made whole, selection, table of authors, and last the manifest."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from avatarkit.atomic import left_over_of, write_whole
from avatarkit.data.clip import ClipInfo
from avatarkit.data.ledger import FILE as LEDGER
from avatarkit.data.ledger import Ledger
from avatarkit.data.manifest import NAME as MANIFEST
from avatarkit.data.manifest import write_manifest
from avatarkit.data.plan import Plan, PlannedShard
from avatarkit.data.reader import ShardReader, shard_attributes
from avatarkit.data.select import reselect
from avatarkit.data.shard import FOLDER, ShardStats, read_stats, shard_path, stats_path
from avatarkit.errors import InputError, OutputError
from avatarkit.escaping import for_csv
from avatarkit.pipelines.prepare.config import ORIGINALS, WORK, PrepareJob
from avatarkit.prepare.fetch.failures import RETRYABLE
from avatarkit.runtime import versions

ATTRIBUTION = "attribution.csv"
_OURS = re.compile(r"(plan|manifest|selection|attribution|(train|val|test)-\d{5})\.(json|csv)")


def is_sealed(dataset: Path, plan: Plan, name: str) -> bool:
    """Whether a shard is sealed, its file has the size that its counts say, and it was made by this plan."""
    stats = read_stats(dataset, name)
    path = shard_path(dataset, name)
    if stats is None or not path.is_file() or path.stat().st_size != stats.bytes:
        return False
    try:
        return shard_attributes(path).get("plan_hash") == plan.hash
    except InputError:
        return False


def unsealed(dataset: Path, plan: Plan, shards: Iterable[PlannedShard]) -> list[PlannedShard]:
    """Shards still to be made. One whose file is missing, damaged or foreign is unsealed and made again."""
    todo = []
    for shard in shards:
        if not is_sealed(dataset, plan, shard.name):
            stats_path(dataset, shard.name).unlink(missing_ok=True)
            todo.append(shard)
    return todo


def reopen_failed(dataset: Path, plan: Plan, ledger: Ledger) -> list[str]:
    """Unseal shards in which something was refused that a later try may have; returns their names."""
    reopened = []
    for shard in plan.shards:
        stats = read_stats(dataset, shard.name)
        if stats is not None and any(item.stage == "fetch" and item.reason in RETRYABLE for item in stats.rejected):
            (dataset / MANIFEST).unlink(missing_ok=True)
            stats_path(dataset, shard.name).unlink(missing_ok=True)
            ledger.reopen(shard.name)
            reopened.append(shard.name)
    return reopened


def sweep(dataset: Path) -> None:
    """Remove what a killed run left unfinished, unless another process is at work on it."""
    for path in (dataset / WORK).glob("*.h5"):
        with _free_lock(dataset, path.stem) as free:
            if free:
                path.unlink(missing_ok=True)
    for folder in (dataset, dataset / FOLDER):
        for path in folder.glob(".*") if folder.is_dir() else ():
            match = _OURS.fullmatch(left_over_of(path.name) or "")
            if match:
                with _free_lock(dataset, match[1]) as free:
                    if free:
                        path.unlink(missing_ok=True)


def finish(job: PrepareJob, plan: Plan, ledger: Ledger) -> None:
    """Write all that stands beside the shards; they are all sealed.

    Raises:
        InputError: shards were scored by two scorers and the rule ranks by scores.
        OutputError: it cannot be written.
    """
    dataset = job.out
    for path in sorted((dataset / WORK).glob("ledger-*.sqlite")):
        ledger.merge(path)
        _remove_ledger(path)
    states = ledger.shard_states()
    stats: list[ShardStats] = []
    clips: list[ClipInfo] = []
    for shard in plan.shards:
        item = read_stats(dataset, shard.name)
        if item is None:
            raise OutputError(f"{stats_path(dataset, shard.name)}: has vanished; run the same command again")
        own = ShardReader(shard_path(dataset, shard.name)).clips
        if states.get(shard.name) != "sealed":
            ledger.seal(shard.name, own, item.rejected, size=item.bytes)
        stats.append(item)
        clips += own
    try:
        reselect(dataset, job.rule, shards=[shard.name for shard in plan.shards])
        if job.source.credited:
            write_whole(dataset / ATTRIBUTION, attribution(clips).encode("utf-8"))
        write_manifest(
            dataset,
            stats,
            kind=job.source.holds,
            size=job.config.size,
            plan_hash=plan.hash,
            config_hash=plan.config_hash,
            config=dict(plan.config),
            tools={**versions(), **plan.tools},
        )
    except OSError as error:
        raise OutputError(f"{dataset}: cannot be finished: {error.strerror or error}; free space, repeat") from error


def clear(job: PrepareJob) -> None:
    """Remove what only the making needed: locks, unfinished files, downloaded originals unless they are to be kept."""
    shutil.rmtree(job.out / WORK, ignore_errors=True)
    if job.source.download and not job.run.keep_originals:
        shutil.rmtree(job.out / ORIGINALS, ignore_errors=True)


def attribution(clips: Iterable[ClipInfo]) -> str:
    """A table of who made each original, under which licence, and where it is."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("clip", "author", "title", "licence", "licence_url", "source"))
    for clip in sorted(clips, key=lambda clip: clip.clip_id):
        title, url = clip.extra.get("title", ""), clip.extra.get("licence_url", "")
        cells = (clip.clip_id, clip.author, title, clip.licence, url, clip.source)
        rows.writerow(map(for_csv, cells))
    return text.getvalue()


def ledger_path(job: PrepareJob, part: str = "") -> Path:
    """Where a run's ledger lies; `part` names a task's own."""
    return job.out / WORK / f"ledger-{part}.sqlite" if part else job.out / LEDGER


def _remove_ledger(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@contextmanager
def _free_lock(dataset: Path, name: str) -> Iterator[bool]:
    """Take a shard's lock if nobody has it; gives whether it was taken."""
    folder = dataset / WORK / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / f"{name}.lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
