"""What the networks of a method do for a frame: trained numbers that take part, and operations."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from avatarkit.atomic import write_json
from avatarkit.cache import digest_of
from avatarkit.errors import AvatarkitError
from avatarkit.pipelines.engines import checkpoint_hashes, given_for
from avatarkit.pipelines.program import open_cache, program_digest
from avatarkit.pipelines.ready import make_ready
from avatarkit.pipelines.reenact_config import ReenactConfig, checked_inputs, checked_look
from avatarkit.pipelines.studio import Studio
from avatarkit.reading import read_json
from avatarkit.runtime import NullProgress, StageTimer, sha256_file

__all__ = ["Cost", "cost_of"]

FRAMES = 8
"""Frames that are drawn for it: engines look at several together."""


@dataclass(frozen=True)
class Cost:
    """parameters: trained numbers of all networks that a frame passes, the matte's too. flops: operations for a frame.

    A multiply-add counts as two operations; what is done once for a source is left out. Both are 0 where no layer was
    seen: engines that translate their networks (ONNX) hide them.
    """

    parameters: int
    flops: int


def cost_of(config: ReenactConfig, cache: Path, marks: Path) -> Cost:
    """Draw a few frames and count; what was counted before is read from `marks`. Errors are those of `make_ready`."""
    about = {
        "program": program_digest(),
        "engine": config.engine,
        "checkpoints": checkpoint_hashes(given_for(config), sha256_file),
        "size": config.size,
    }
    mark = marks / f"cost-{digest_of(about)[:32]}.json"
    try:
        known = read_json(mark)
        return Cost(int(known["parameters"]), int(known["flops"]))
    except (OSError, AvatarkitError, KeyError, TypeError, ValueError):
        cost = _counted(config, cache)
    write_json(mark, asdict(cost))
    return cost


def _counted(config: ReenactConfig, cache: Path) -> Cost:
    from avatarkit.nets.count import layers_counted

    background = checked_look(config)
    checked_inputs(config)
    with Studio(open_cache(cache)) as studio:
        pair = make_ready(config, background, studio, NullProgress(), StageTimer())
        order = range(min(FRAMES, len(pair.moves)))
        with layers_counted() as passed:
            for _ in pair.frames(order):
                pass
    return Cost(passed.parameters, round(passed.flops / len(order)))
