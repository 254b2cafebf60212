"""What an evaluation is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from avatarkit.data.clip import Split
from avatarkit.errors import AvatarkitError, UsageError
from avatarkit.pipelines.engines import choose_engine, given_checkpoints
from avatarkit.pipelines.evaluate.cases import SIZES
from avatarkit.pipelines.evaluate.measure import MeasureOptions
from avatarkit.pipelines.evaluate.protocols import PROTOCOLS, Kind
from avatarkit.pipelines.reenact_config import FRAMINGS, HEAD
from avatarkit.weights.choice import AUTO
from avatarkit.work.task import Runner

WORK = ".evaluate"
"""What an evaluation keeps beside its results."""


@dataclass(frozen=True)
class Method:
    """What draws: an engine, with the checkpoints that it is given. name: in tables."""

    name: str
    engine: str
    checkpoints: tuple[Path, ...] = ()

    @property
    def draws_squares(self) -> bool:
        """Whether it draws the squares of heads alone; False where it cannot draw at all."""
        try:
            return choose_engine(self.engine, given_checkpoints(self.checkpoints)).pixels
        except AvatarkitError:
            return False

    @staticmethod
    def read(text: str) -> Method:
        """ "warp", or "NAME=ENGINE:CHECKPOINT,CHECKPOINT" with either part left out; UsageError for nothing."""
        name, equals, rest = text.partition("=")
        engine, _, checkpoints = (rest if equals else text).partition(":")
        if not engine or (equals and not name):
            raise UsageError(f"--engine {text}: use ENGINE, ENGINE:CHECKPOINT or NAME=ENGINE:CHECKPOINT")
        paths = tuple(Path(part) for part in checkpoints.split(",") if part)
        return Method(name if equals else "-".join([engine, *(path.name for path in paths)]), engine, paths)


@dataclass(frozen=True)
class EvaluateConfig:
    """What is evaluated.

    clips: of `self`: folder, pattern, list, or a dataset of ours. split: of a dataset, see
    `stored_clips`. sources, drivers: of `cross`. pairs: of `videos`. methods: what draws.
    protocol: sets size, every, fid and, where none is given, limit. masked: also in face, ears and hair. fid: also FID,
    of cross-reenactment and videos.
    framing: what all methods show, see `reenact_config.FRAMINGS`; by itself the head where one of them draws no more.
    limit: clips or pairs at most, drawn by the seed. workers: processes. runner: where they run.
    """

    kind: Kind
    output: Path
    methods: tuple[Method, ...] = (Method("warp", "warp"),)
    clips: str | None = None
    split: Split | None = None
    sources: str | None = None
    drivers: str | None = None
    pairs: Path | None = None
    protocol: str | None = None
    size: int = 512
    every: int = 1
    masked: bool = True
    fid: bool = False
    framing: str = AUTO
    limit: int | None = None
    seed: int = 0
    workers: int = 1
    runner: Runner = "local"

    def __post_init__(self) -> None:
        """Refuse what cannot be with a UsageError."""
        if self.protocol is not None and self.protocol not in PROTOCOLS:
            raise UsageError(f"--protocol {self.protocol}: use one of {', '.join(PROTOCOLS)}")
        if self.protocol is not None and PROTOCOLS[self.protocol].kind != self.kind:
            raise UsageError(f"--protocol {self.protocol}: belongs to evaluate {PROTOCOLS[self.protocol].kind}")
        if not SIZES[0] <= self.size <= SIZES[1] or self.size % 2:
            raise UsageError(f"--size {self.size}: use an even number from {SIZES[0]} to {SIZES[1]}")
        if self.framing not in FRAMINGS:
            raise UsageError(f"--framing {self.framing}: use one of {', '.join(FRAMINGS)}")
        if self.every < 1 or self.workers < 1 or (self.limit is not None and self.limit < 1):
            raise UsageError("--every, --workers and --limit: use numbers from 1 up")
        if self.fid and self.kind == "self":
            raise UsageError("--fid: belongs to evaluate cross and videos; self-reenactment has its targets")
        names = [method.name for method in self.methods]
        if len(set(names)) != len(names):
            raise UsageError(f"--engine: two are called {names[0]}; name them: NAME=ENGINE:CHECKPOINT")

    @cached_property
    def shown(self) -> str:
        """The framing of all methods: their figures are of the same part of a picture."""
        return HEAD if self.framing == AUTO and any(method.draws_squares for method in self.methods) else self.framing

    @property
    def most(self) -> int | None:
        """Clips or pairs at most: as asked for, else as the protocol has them."""
        known = PROTOCOLS.get(self.protocol or "")
        return self.limit if self.limit is not None or known is None else known.limit

    @property
    def measured(self) -> MeasureOptions:
        """How frames are compared."""
        known = PROTOCOLS.get(self.protocol or "")
        size, every = (known.size, known.every) if known else (self.size, self.every)
        fid = self.fid or (known is not None and known.fid)
        return MeasureOptions(self.kind, size, every, self.masked, fid)
