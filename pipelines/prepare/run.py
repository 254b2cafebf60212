"""`prepare-data` from plan to manifest; the same call again goes on where the last one stopped."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import filelock

from avatarkit.data.hold import LOCK, hold
from avatarkit.data.ledger import Ledger, Outcome
from avatarkit.data.manifest import NAME as MANIFEST
from avatarkit.data.marks import read_selection
from avatarkit.data.plan import Plan, PlannedShard
from avatarkit.data.shard import read_stats
from avatarkit.errors import InputError, Interrupted, OutputError
from avatarkit.pipelines.prepare.config import WORK, PrepareJob
from avatarkit.pipelines.prepare.finish import clear, finish, is_sealed, ledger_path, reopen_failed, sweep, unsealed
from avatarkit.pipelines.prepare.jobs import JobMaker
from avatarkit.pipelines.prepare.planning import existing_plan, is_bare, make_plan, settle_plan
from avatarkit.pipelines.prepare.report import PlanReport, PrepareReport, plan_report, report_of
from avatarkit.pipelines.prepare.shard_work import Setup
from avatarkit.pipelines.prepare.watch import RunWatcher
from avatarkit.runtime import NullProgress, Progress
from avatarkit.work.on_ray import run_on_ray
from avatarkit.work.pool import Pool
from avatarkit.work.slurm import ArrayJob, ArrayReport, array_job, hold_job
from avatarkit.work.task import Crew, Task, find


def prepare(
    job: PrepareJob,
    progress: Progress | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    command: str = "",
) -> PrepareReport | ArrayReport:
    """Carry out a command.

    Args:
        job: what and how.
        progress: told about stages, planned frames done, and notices.
        environment: where SLURM's variables are; by default the process's.
        command: as it was given, to be repeated in advice on how to start an array.

    Returns:
        What is in the dataset now; with `--runner slurm` outside of an array, how to start one.

    Raises:
        InputError: the material cannot be used, or nothing of it was accepted.
        OutputError: another run is at work on the output, it belongs to another plan, or the disk is full.
        DependencyError: a tool or the network is missing, or tools differ from those that the dataset was begun with.
        Interrupted: Ctrl-C or a request to end.
    """
    progress, start_s = progress or NullProgress(), time.monotonic()
    task = array_job(os.environ if environment is None else environment) if job.run.runner == "slurm" else None
    existing_plan(job)
    with _run_lock(job, task):
        opened = _Tools(job)
        plan = settle_plan(job, opened.names, progress)
        if job.run.runner == "slurm" and task is None:
            command = command or "avatarkit prepare-data ... --runner slurm"
            ends = "the job that ends last writes the manifest"
            return ArrayReport(job.out, len(plan.shards), "shards", command, ends)
        if (job.out / MANIFEST).exists() and not job.run.retry_failed:
            finished = _already_finished(job, plan, progress, opened)
        else:
            finished = _work(job, plan, task, progress, opened)
        report = report_of(
            job, plan, finished=finished, seconds=time.monotonic() - start_s, advice=opened.advice
        )
    if finished:
        clear(job)
        _refuse_nothing(report)
    return report


def dry_run(job: PrepareJob, progress: Progress | None = None) -> PlanReport:
    """What a command would do; nothing is written. Raises as `prepare`, as far as the plan goes."""
    plan = existing_plan(job)
    sealed = sum(is_sealed(job.out, plan, shard.name) for shard in plan.shards) if plan else 0
    if plan is None:
        plan = make_plan(job, {}, progress)
    folder = next(path for path in (job.out, *job.out.resolve().parents) if path.is_dir())
    return plan_report(job, plan, sealed=sealed, free_bytes=shutil.disk_usage(folder).free)


class _Tools:
    """Opens the tools where a plan is made, to note their names; workers open their own."""

    def __init__(self, job: PrepareJob) -> None:
        self._job = job
        self.advice: tuple[str, ...] = ()

    def names(self) -> dict[str, str]:
        """Names and hashes."""
        with contextlib.closing(find(self._job.run.processor)(self._job.config)) as opened:
            self.tell(tuple(opened.advice))
            return dict(opened.names)

    def tell(self, advice: tuple[str, ...]) -> None:
        """Keep what would be better for the report."""
        every = list(advice)
        if self._job.source.download:
            from avatarkit.prepare.fetch.ytdlp import advice as of_fetching

            every += [line for line in [of_fetching()] if line]
        self.advice = tuple(dict.fromkeys([*self.advice, *every]))


def _work(job: PrepareJob, plan: Plan, task: ArrayJob | None, progress: Progress, opened: _Tools) -> bool:
    """Make what is missing and finish; returns whether the dataset is finished."""
    part = task.name if task else ""
    with Ledger(ledger_path(job, part)) as ledger:
        run = ledger.begin(plan, engine=job.run.runner, workers=job.run.workers)
        outcome: Outcome = "failed"
        watcher: RunWatcher | None = None
        try:
            sweep(job.out)
            if job.run.retry_failed:
                reopen_failed(job.out, plan, ledger)
            todo = unsealed(job.out, plan, task.part(plan.shards) if task else plan.shards)
            maker = JobMaker.of(job)
            watcher = RunWatcher(plan, todo, maker, ledger, progress, job.run)
            _catch_up(job, plan, todo, watcher)
            busy = _make(job, plan, todo, maker, watcher)
            opened.tell(watcher.advice)
            for name in busy:
                progress.notice(f"{name} is in the hands of another process; run the same command again afterwards")
            finished = _finish(job, plan, task, ledger, run, progress)
            outcome = "finished" if finished or not busy else "incomplete"
            return finished
        except KeyboardInterrupt as error:
            outcome = "interrupted"
            sealed = sum(read_stats(job.out, shard.name) is not None for shard in plan.shards)
            raise Interrupted(
                f"interrupted: {sealed} of {len(plan.shards)} shards are sealed; the same command goes on from there"
            ) from error
        finally:
            # A full disk must not hide what went wrong first.
            with contextlib.suppress(OutputError):
                if not ledger.closed:
                    ledger.end(run, outcome)


def _make(
    job: PrepareJob, plan: Plan, todo: Sequence[PlannedShard], maker: JobMaker, watcher: RunWatcher
) -> list[str]:
    """Make shards by the runner that was asked for; returns those that others have."""
    if not todo:
        return []
    attributes = {
        "kind": job.source.holds,
        "size": str(job.config.size),
        "plan_hash": plan.hash,
        "config_hash": plan.config_hash,
        "image_format": job.config.image_format,
        **plan.tools,
    }
    setup = Setup(maker, job.config, job.run.processor, attributes, job.run.video_timeout_s)
    crew = Crew("avatarkit.pipelines.prepare.shard_work:ShardWorker", setup, plan.tools, task="shard", step="video")
    tasks = [Task(shard.name, shard) for shard in todo]
    if job.run.runner == "ray":
        return [task.name for task in run_on_ray(tasks, crew, watcher)]
    return [task.name for task in Pool(crew, workers=job.run.workers, watcher=watcher).run(tasks)]


def _catch_up(job: PrepareJob, plan: Plan, todo: Sequence[PlannedShard], watcher: RunWatcher) -> None:
    """A run may have been killed between a seal and the book-keeping: originals may still lie about."""
    waiting = {shard.name for shard in todo}
    if job.source.download and not job.run.keep_originals:
        for shard in plan.shards:
            if shard.name not in waiting and is_sealed(job.out, plan, shard.name):
                watcher.drop_originals(shard)


def _finish(
    job: PrepareJob, plan: Plan, task: ArrayJob | None, ledger: Ledger, run: int, progress: Progress
) -> bool:
    """Finish if every shard is sealed; of several tasks that end at once, one does."""
    if unsealed(job.out, plan, plan.shards):
        return False
    progress.stage("finish", None)
    with filelock.FileLock(job.out / WORK / "finish.lock"):
        if task is None:
            finish(job, plan, ledger)
        elif not (job.out / MANIFEST).exists():
            ledger.end(run, "finished")
            ledger.close()
            with Ledger(ledger_path(job)) as whole:
                whole.add(plan)
                finish(job, plan, whole)
    return True


def _already_finished(job: PrepareJob, plan: Plan, progress: Progress, opened: _Tools) -> bool:
    """The manifest is there: check that the shards are, too, and say what this command does not change."""
    missing = [shard.name for shard in plan.shards if not is_sealed(job.out, plan, shard.name)]
    if missing:
        (job.out / MANIFEST).unlink()
        progress.notice(f"{len(missing)} shards of the finished dataset are missing or damaged; they are made again")
        return _work(job, plan, None, progress, opened)
    selection = read_selection(job.out)
    if selection is not None and {k: v for k, v in selection.rule.items() if k != "scorer"} != job.rule.to_json():
        progress.notice("finished already; its selection stays as it is, see avatarkit data reselect")
    return True


@contextmanager
def _run_lock(job: PrepareJob, task: ArrayJob | None) -> Iterator[None]:
    """Refuse a second run on the same output; tasks of an array have a lock each."""
    folder, new = job.out / WORK, not job.out.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{job.out}: cannot be made: {error.strerror or error}; choose another --output") from error
    try:
        with hold(job.out) if task is None else hold_job(job.out / WORK, task):
            yield
    finally:
        _remove_if_bare(job.out, new=new)


def _remove_if_bare(out: Path, *, new: bool) -> None:
    """Leave nothing behind where not even a plan came about; `new` tells whether the folder is ours."""
    if is_bare(out):
        shutil.rmtree(out / WORK, ignore_errors=True)
        if new:
            (out / LOCK).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                out.rmdir()


def _refuse_nothing(report: PrepareReport) -> None:
    if not report.clips:
        reasons = sorted(report.rejected.items(), key=lambda one: (-one[1], one[0]))[:3]
        shown = ", ".join(f"{count} {reason}" for (_, reason), count in reasons)
        raise InputError(f"{report.out}: finished, but nothing was accepted: {shown}; see avatarkit data report")
