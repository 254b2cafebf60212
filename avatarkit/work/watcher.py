"""A watcher that says nothing and counts crashes: what watchers of runs build on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avatarkit.work.task import MOST_CRASHES, Result


class QuietWatcher:
    """Keeps no more of a run than which steps have crashed, and how: after `MOST_CRASHES` a step is poisoned."""

    def __init__(self) -> None:
        self._crashes: dict[str, dict[str, list[str]]] = {}

    def opened(self, advice: tuple[str, ...]) -> None:
        """Nothing to say."""

    def started(self, task: str, worker: str) -> None:
        """Nothing to say."""

    def begun(self, task: str, step: str, worker: str) -> None:
        """Nothing to say."""

    def crashed(self, task: str, step: str, reason: str, worker: str, detail: str) -> None:
        """Count it."""
        self._crashes.setdefault(task, {}).setdefault(step, []).append(reason)

    def poisoned(self, task: str) -> Mapping[str, str]:
        """Steps that have crashed too often, with the last reason."""
        steps = self._crashes.get(task, {})
        return {step: reasons[-1] for step, reasons in steps.items() if len(reasons) >= MOST_CRASHES}

    def alive(self, task: str, progress: Any, worker: str) -> None:
        """Nothing to say."""

    def done(self, task: str, step: str, value: Any, worker: str) -> None:
        """Nothing to keep."""

    def ended(self, result: Result, worker: str) -> None:
        """Nothing to keep."""

    def may_reserve(self, size: int, reserved: int, *, oldest: bool) -> bool:
        """There is no quota."""
        return True

    def tick(self) -> None:
        """Nothing is due."""
