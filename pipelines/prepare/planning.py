"""Makes a plan from metadata and folders, or takes the one that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import filelock

from avatarkit.atomic import left_over_of
from avatarkit.data.hold import LOCK
from avatarkit.data.plan import FILE, Plan, check_same, pack
from avatarkit.data.plan_file import read_plan, write_plan
from avatarkit.data.split import check_disjoint
from avatarkit.data.voxceleb import Problem
from avatarkit.errors import InputError, OutputError
from avatarkit.pipelines.prepare.config import WORK, PrepareJob
from avatarkit.pipelines.prepare.sources.draft import Draft
from avatarkit.runtime import NullProgress, Progress

LEAST_SHARDS = 8
"""Of a split that has so many items: a small set is made by several workers too, on any machine in the same way."""

SHOWN_PROBLEMS = 10


def make_plan(job: PrepareJob, tools: Mapping[str, str], progress: Progress | None = None) -> Plan:
    """Make a plan without writing it.

    Raises:
        InputError: the material cannot be read at all, or holds nothing, or puts a person into two splits.
    """
    progress = progress or NullProgress()
    draft = job.source.draft(job, progress)
    if not draft.items:
        raise InputError(_nothing(job.source.holds, draft))
    check_disjoint((track.identity, split) for split, item, _ in draft.items for track in item.tracks)
    shards = pack(draft.items, target_bytes=job.shard_mb * 10**6, least=LEAST_SHARDS)
    problems = tuple(sorted(draft.problems, key=lambda one: (one.file, one.line)))
    return Plan(job.source.kind, job.plan_config(), dict(tools), shards, tuple(draft.dropped), problems)


def existing_plan(job: PrepareJob) -> Plan | None:
    """The plan in the output, if there is one.

    Raises:
        OutputError: the output was planned with other options, or holds something else.
        InputError: the plan is damaged or of another version.
    """
    if job.out.exists() and not job.out.is_dir():
        raise OutputError(f"{job.out}: is a file; --output takes a folder")
    if not (job.out / FILE).exists():
        if job.out.is_dir() and not is_bare(job.out):
            raise OutputError(f"{job.out}: holds other things than a dataset; choose an empty or a new folder")
        return None
    plan = read_plan(job.out)
    check_same(plan, job.source.kind, job.plan_config(), job.out)
    return plan


def is_bare(out: Path) -> bool:
    """Whether an output's folder holds nothing yet but what a run needs for itself."""
    return all(path.name in (WORK, LOCK) or left_over_of(path.name) == FILE for path in out.iterdir())


def settle_plan(job: PrepareJob, tools: Callable[[], Mapping[str, str]], progress: Progress) -> Plan:
    """The output's plan, made and written where there is none; of several tasks that begin at once, one makes it.

    Args:
        job: the command.
        tools: opens the tools and tells their names, called where a plan is made.
        progress: is told what was malformed.

    Raises:
        InputError, OutputError: as `make_plan`, `existing_plan` and `write_plan`.
    """
    plan = existing_plan(job)
    if plan is not None:
        return plan
    work = job.out / WORK
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{job.out}: cannot be made: {error.strerror or error}; choose another --output") from error
    with filelock.FileLock(work / "plan.lock"):
        plan = existing_plan(job)
        if plan is not None:
            return plan
        plan = write_plan(job.out, make_plan(job, tools(), progress))
    tell_problems(plan.problems, progress)
    return plan


def tell_problems(problems: Iterable[Problem], progress: Progress) -> None:
    """Tell the first lines and files that something is wrong with, and how many more there are."""
    every = list(problems)
    for problem in every[:SHOWN_PROBLEMS]:
        progress.notice(str(problem))
    if len(every) > SHOWN_PROBLEMS:
        progress.notice(f"{len(every) - SHOWN_PROBLEMS} more such lines and files are listed in {FILE}")


def _nothing(samples: str, draft: Draft) -> str:
    why = f"; {len(draft.dropped)} were left out, the first: {draft.dropped[0].detail}" if draft.dropped else ""
    unusable = ""
    if draft.problems:
        unusable = f"; {len(draft.problems)} lines or files cannot be used, the first: {draft.problems[0]}"
    return f"there is no {samples.removesuffix('s')} to prepare{why}{unusable}"
