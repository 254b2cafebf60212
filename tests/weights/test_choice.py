"""Which implementation runs: the best that can, or the one named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from avatarkit.errors import DependencyError, UsageError
from avatarkit.weights import cache
from avatarkit.weights.choice import Candidate, choose
from avatarkit.weights.errors import MissingWeights
from avatarkit.weights.load import require
from avatarkit.weights.lock import WeightFile

BODY = bytes(range(256)) * 2048


def broken() -> str:
    raise DependencyError("no such program")


def trained() -> str:
    require("net")
    return "trained"


CANDIDATES = (
    Candidate("trained", trained, "net", "sharper with Trained"),
    Candidate("broken", broken),
    Candidate("plain", lambda: "plain"),
)


@pytest.fixture(autouse=True)
def known(weight: Callable[..., WeightFile], registry: Callable[..., None]) -> None:
    registry(weight())


@pytest.fixture
def path(folder: Path, weight: Callable[..., WeightFile]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return cache.path_of(weight())


def test_auto_takes_the_best_with_weights(path: Path) -> None:
    path.write_bytes(BODY)
    choice = choose("--way", "auto", CANDIDATES)
    assert (choice.model, choice.advice) == ("trained", None)


def test_auto_without_weights_goes_on_and_says_what_would_be_better(path: Path) -> None:
    choice = choose("--way", "auto", CANDIDATES)
    assert (choice.model, choice.advice) == ("plain", "sharper with Trained: avatarkit weights fetch net")


def test_auto_does_not_use_damaged_weights(path: Path) -> None:
    path.write_bytes(BODY[:-1])
    assert choose("--way", "auto", CANDIDATES).model == "plain"


def test_a_named_one_never_falls_back(path: Path) -> None:
    with pytest.raises(MissingWeights, match="net"):
        choose("--way", "trained", CANDIDATES)
    with pytest.raises(DependencyError, match="no such program"):
        choose("--way", "broken", CANDIDATES)
    assert choose("--way", "plain", CANDIDATES).advice is None


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="--way best: use one of auto, trained, broken, plain"):
        choose("--way", "best", CANDIDATES)


def test_auto_with_nothing_that_runs_raises_the_last_reason() -> None:
    with pytest.raises(DependencyError, match="no such program"):
        choose("--way", "auto", CANDIDATES[:2])
    with pytest.raises(DependencyError, match="avatarkit weights fetch net"):
        choose("--way", "auto", CANDIDATES[:1])
