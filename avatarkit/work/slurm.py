"""SLURM arrays: which tasks a job of the array takes, and how it is started. There is no scheduler of our own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import filelock

from avatarkit.errors import OutputError, UsageError

MOST_JOBS = 100
"""Jobs proposed; SLURM sites allow about a thousand."""

T = TypeVar("T")


@dataclass(frozen=True)
class ArrayJob:
    """A job's place in its array, from 0, and the number of jobs."""

    index: int
    count: int

    @property
    def name(self) -> str:
        """For locks and ledgers; two arrays of different lengths do not collide."""
        return f"{self.index:05d}-of-{self.count:05d}"

    def part(self, tasks: Sequence[T]) -> list[T]:
        """The job's tasks: every count-th, from its index on. Together the jobs have each task once."""
        return list(tasks[self.index :: self.count])


def array_job(environment: Mapping[str, str]) -> ArrayJob | None:
    """The job that this process is, by SLURM's variables; None outside of an array.

    Raises:
        UsageError: the variables make no sense.
    """
    if "SLURM_ARRAY_TASK_ID" not in environment:
        return None
    try:
        number, count = int(environment["SLURM_ARRAY_TASK_ID"]), int(environment["SLURM_ARRAY_TASK_COUNT"])
        first, step = int(environment.get("SLURM_ARRAY_TASK_MIN", 0)), int(environment.get("SLURM_ARRAY_TASK_STEP", 1))
        index, rest = divmod(number - first, step)
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise UsageError("--runner slurm: SLURM_ARRAY_TASK_ID and _COUNT are no numbers; start it by sbatch") from error
    if rest or not 0 <= index < count:
        raise UsageError(
            f"--runner slurm: task {number} of {count} from {first} in steps of {step} has no place; use an array"
            " such as 0-15 without gaps"
        )
    return ArrayJob(index, count)


@contextmanager
def hold_job(folder: Path, job: ArrayJob) -> Iterator[None]:
    """Keep a second process from being the same job of the same array, by a lock in `folder`.

    Raises:
        OutputError: one is at work.
    """
    try:
        with filelock.FileLock(folder / f"task-{job.name}.lock", timeout=0):
            yield
    except filelock.Timeout as error:
        raise OutputError(f"{folder.parent}: task {job.name} is at work here already; wait until it ends") from error


@dataclass(frozen=True)
class ArrayReport:
    """A plan is made, and nothing is done yet: the array is to be started by the user.

    out: where. tasks: how many; unit: what they are, in the plural. command: to run in each job. after: what ends it.
    """

    out: Path
    tasks: int
    unit: str
    command: str
    after: str

    @property
    def jobs(self) -> int:
        """Jobs proposed."""
        return min(self.tasks, MOST_JOBS)

    def summary_lines(self) -> list[str]:
        """How to start the array, and what ends it."""
        wrapped = self.command.replace("'", "'\\''")
        return [
            f"{self.out}: {self.tasks} {self.unit} planned; start them with",
            f"sbatch --array=0-{self.jobs - 1} --cpus-per-task=4 --wrap '{wrapped}'",
            f"{self.after}; a job that was lost is started again in the same way",
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"out": str(self.out), self.unit: self.tasks, "tasks": self.jobs, "command": self.command}
