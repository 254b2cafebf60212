"""SLURM arrays: which shards a task takes, and how such an array is started. There is no scheduler of our own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from avatarkit.errors import UsageError

MOST_TASKS = 100
"""Tasks proposed; SLURM sites allow about a thousand."""

T = TypeVar("T")


@dataclass(frozen=True)
class ArrayTask:
    """A task's place in its array, from 0, and the number of tasks."""

    index: int
    count: int

    @property
    def name(self) -> str:
        """For locks and ledgers; two arrays of different lengths do not collide."""
        return f"{self.index:05d}-of-{self.count:05d}"

    def part(self, shards: Sequence[T]) -> list[T]:
        """The task's shards: every count-th, from its index on. Together the tasks have each shard once."""
        return list(shards[self.index :: self.count])


def array_task(environment: Mapping[str, str]) -> ArrayTask | None:
    """The task that this process is, by SLURM's variables; None outside of an array.

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
        raise UsageError("--engine slurm: SLURM_ARRAY_TASK_ID and _COUNT are no numbers; start it by sbatch") from error
    if rest or not 0 <= index < count:
        raise UsageError(
            f"--engine slurm: task {number} of {count} from {first} in steps of {step} has no place; use an array"
            " such as 0-15 without gaps"
        )
    return ArrayTask(index, count)


@dataclass(frozen=True)
class ArrayReport:
    """A plan is made, and no shard yet: the array is to be started by the user."""

    out: Path
    shards: int
    command: str

    @property
    def tasks(self) -> int:
        """Tasks proposed."""
        return min(self.shards, MOST_TASKS)

    def summary_lines(self) -> list[str]:
        """How to start the array, and what ends it."""
        wrapped = self.command.replace("'", "'\\''")
        return [
            f"{self.out}: {self.shards} shards planned; start them with",
            f"sbatch --array=0-{self.tasks - 1} --cpus-per-task=4 --wrap '{wrapped}'",
            "the task that ends last writes the manifest; a task that was lost is started again in the same way",
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"out": str(self.out), "shards": self.shards, "tasks": self.tasks, "command": self.command}
