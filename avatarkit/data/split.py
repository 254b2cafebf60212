"""Who goes where: people are divided into train, val and test, so that nobody is in two of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from avatarkit.data.clip import Split
from avatarkit.errors import InputError, UsageError

_HASH_SPAN = 2**64


@dataclass(frozen=True)
class SplitConfig:
    """Shares of people, and the seed of the draw.

    val_share, test_share: in [0, 1], together at most 1. They are shares of the hash's range: among few people the
    true shares differ.
    """

    seed: int = 0
    val_share: float = 0.05
    test_share: float = 0.05

    def __post_init__(self) -> None:
        """Refuse shares that are none with a UsageError."""
        for name, share in (("--val-share", self.val_share), ("--test-share", self.test_share)):
            if not 0 <= share <= 1:
                raise UsageError(f"{name} {share}: use a number from 0 to 1")
        if self.val_share + self.test_share > 1:
            raise UsageError(f"--val-share {self.val_share} --test-share {self.test_share}: together more than 1")


def draw(identity: str, seed: int) -> float:
    """A number in [0, 1) that depends on the person and the seed alone, on every machine and in every version."""
    digest = hashlib.sha256(f"{seed}:{identity}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / _HASH_SPAN


def split_of(identity: str, config: SplitConfig, official: Mapping[str, str] | None = None) -> Split:
    """The split of a person.

    Adding or removing other people never moves this one.

    Args:
        identity: the person.
        config: shares and seed.
        official: a data set's own division, "dev" or "test" by person. Its test people are the test set and nobody
            else is; its dev people are divided into train and val. People whom it does not name count as dev.
    """
    place = draw(identity, config.seed)
    if official is None:
        if place < config.test_share:
            return "test"
        return "val" if place < config.test_share + config.val_share else "train"
    if official.get(identity) == "test":
        return "test"
    return "val" if place < config.val_share else "train"


def check_disjoint(pairs: Iterable[tuple[str, Split]]) -> None:
    """Raise InputError if a person stands in two splits; `pairs` are people and their splits."""
    seen: dict[str, Split] = {}
    for identity, split in pairs:
        if seen.setdefault(identity, split) != split:
            raise InputError(f"{identity} is in {seen[identity]} and in {split}; a person must be in one split alone")
