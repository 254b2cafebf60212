"""Which of several implementations of a protocol runs: the best whose weights are here, or the one named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from avatarkit.errors import DependencyError, UsageError
from avatarkit.weights.load import present

T = TypeVar("T")
AUTO = "auto"


@dataclass(frozen=True)
class Candidate(Generic[T]):
    """One implementation.

    name: as options and reports say it. make: builds it; DependencyError where something is missing.
    weights: its name in the registry, None when it needs none. gain: what it does better than the next ones.
    """

    name: str
    make: Callable[[], T]
    weights: str | None = None
    gain: str = ""


@dataclass(frozen=True)
class Choice(Generic[T]):
    """What was chosen, and in one line what would be better and by which command; None when nothing would."""

    model: T
    advice: str | None


def names(candidates: Sequence[Candidate[T]]) -> tuple[str, ...]:
    """What an option may be set to."""
    return (AUTO, *(candidate.name for candidate in candidates))


def choose(option: str, wanted: str, candidates: Sequence[Candidate[T]]) -> Choice[T]:
    """Build the implementation named, or with "auto" the first that can run here; nothing is downloaded.

    Args:
        option: for messages, such as "--matting".
        wanted: "auto" or a candidate's name.
        candidates: the best first.

    Raises:
        UsageError: no such name.
        DependencyError: the one named cannot run here, or none can; the message says how to get it.
    """
    if wanted != AUTO:
        for candidate in candidates:
            if candidate.name == wanted:
                return Choice(candidate.make(), None)
        raise UsageError(f"{option} {wanted}: use one of {', '.join(names(candidates))}")
    advice: str | None = None
    failure: DependencyError | None = None
    for candidate in candidates:
        if candidate.weights is not None and not present(candidate.weights):
            advice = advice or f"{candidate.gain}: avatarkit weights fetch {candidate.weights}"
            continue
        try:
            return Choice(candidate.make(), advice)
        except DependencyError as error:
            failure = error
    raise failure or DependencyError(f"{option}: nothing here can do it; {advice}")
