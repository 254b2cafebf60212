"""Learning until the held-out part gets no better or time is over; killed at any time, it goes on where it was."""

from __future__ import annotations

import copy
import io
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from avatarkit.atomic import write_whole
from avatarkit.checkpoint import TRAINER, Meta, list_checkpoints, open_checkpoint, prune, write_checkpoint
from avatarkit.errors import InputError
from avatarkit.pipelines.personalize.footage import evenly
from avatarkit.pipelines.personalize.pairs import Pairs, chunks
from avatarkit.reading import check_number, check_table, check_whole
from avatarkit.runtime import Progress
from avatarkit.systems.refined_warp.batch import Refined, jitter, refine
from avatarkit.systems.refined_warp.losses import Perceptual, part_errors
from avatarkit.systems.refined_warp.maps import extents
from avatarkit.systems.refined_warp.network import CORRECTED, OPENINGS, Refinement, RefinementConfig
from avatarkit.systems.refined_warp.patches import NAMES
from avatarkit.systems.refined_warp.samples import opening, part_sizes
from avatarkit.systems.refined_warp.training import Learner
from avatarkit.weights.load import load_into

STAGE = "personalize"
BEST = "best"
"""Name of the best network in what is kept."""
SHEET = "held-out.png"
BATCH = 4
LOOKED_AT = 24
"""Held-out moments that are looked at each time, evenly over all."""
KEPT_EVERY_S = 60.0
LOOKS = 12
"""Times that the held-out part is looked at in all."""
PATIENCE = 5
"""Looks without getting better after which learning stops, in its second half: in the first the discriminator has only
begun to bring back the detail that the other losses cost."""
_KINDS = ("l1", "perceptual")
LEAST_GAIN = 0.03
"""A net stays only where it takes this share of the warp's error from its part: what is less on the held-out part may
as well be a loss on other footage (one of six people had 1 to 3 % there, and up to 3 % more error later)."""
UNUSUAL = 0.01
"""Lids of this share of the eyes were closer, lips of this share of the mouths farther apart: what is seen less often
has not been learned."""
LEVELS = 10
"""Openings of lids and of mouths are told apart in so many steps, to tell which are seldom."""
MOST_OFTEN = 5.0
"""No moment is drawn more than so many times as often as a usual one: one grimace, or one frame where the tracker errs,
must not fill the batches."""
LEAST_SPREAD = 0.06
"""Poses whose spread is less than this (radians) count as if they had it."""


@dataclass(frozen=True)
class Learned:
    """The best network. errors: of the held-out part, ours and the warp's. seconds: learned. steps."""

    net: Refinement
    errors: Mapping[str, float]
    seconds: float
    steps: int


def learn(
    pairs: Pairs, config: RefinementConfig, folder: Path, minutes: float, perceptual: Perceptual, seed: int,
    progress: Progress, clock: Callable[[], float] = time.monotonic,
) -> Learned:  # fmt: skip
    """Learn from pairs; the same call again goes on with what `folder` holds. `clock` tells seconds."""
    run = _Run(pairs, config, folder, perceptual, seed, clock)
    total = 60.0 * minutes
    progress.stage("learn", round(total), "seconds")
    progress.advance(min(round(run.seconds), round(total)))
    shown, kept, looked = run.seconds, run.seconds, run.seconds
    try:
        while run.seconds < total and (run.worse < PATIENCE or run.seconds < total / 2):
            run.step(run.seconds / total)
            if run.seconds - looked >= total / LOOKS:
                looked = run.seconds
                progress.notice(run.look())
            if run.seconds - kept >= KEPT_EVERY_S:
                kept = run.seconds
                run.keep()
            progress.advance(int(run.seconds) - int(shown))
            shown = run.seconds
    except KeyboardInterrupt:
        run.keep()
        raise
    run.look()
    return run.result()


class _Run:
    """The state of learning: the learner, the best net of each part so far, and the time that was spent."""

    def __init__(
        self,
        pairs: Pairs,
        config: RefinementConfig,
        folder: Path,
        perceptual: Perceptual,
        seed: int,
        clock: Callable[[], float],
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = Refinement(config)
        self._pairs, self._perceptual, self._folder, self._clock = pairs, perceptual, folder, clock
        self._learned_from = np.flatnonzero(~pairs.held_out)
        self._held = evenly(np.flatnonzero(pairs.held_out), LOOKED_AT)
        poses = torch.from_numpy(pairs.poses[self._learned_from])
        net.pose_mean.copy_(poses.mean(0))
        net.pose_spread.copy_(poses.std(0).clamp(min=LEAST_SPREAD))
        lids, mouths = _openings(pairs, self._learned_from, part_sizes(config))
        self._weights = how_often(lids.mean(dim=0), mouths[:, 1])
        _remember_openings(net, lids.ravel(), mouths)
        self._learner = Learner(net, perceptual, seed=seed)
        self._best: dict[str, torch.Tensor] = {}
        self._scores: dict[str, float] = {}
        self.seconds, self.worse = 0.0, 0
        self._restore()

    def step(self, share: float) -> None:
        """Learn from one batch."""
        began = self._clock()
        rows = self._learned_from[self._learner.draw(self._weights, BATCH // 2).numpy()]
        # A moment that none follows is compared with itself, under another error of the tracker.
        both = np.stack([rows, rows + self._pairs.followed[rows]], axis=1)
        self._learner.step(self._pairs.batch(both.ravel()), share)
        self.seconds += self._clock() - began

    def look(self) -> str:
        """Measure the held-out part, remember the nets that are the best so far, and say so in a line."""
        began = self._clock()
        net = self._learner.averaged
        errors, refined = held_out_errors(net, self._pairs, self._held, self._perceptual)
        # One part's net may get worse while another's still gets better.
        better = {part: score for part, score in part_scores(errors).items() if score < self._scores.get(part, np.inf)}
        self.worse = 0 if better else self.worse + 1
        self._scores |= better
        for name, tensor in net.state_dict().items():
            if name.split(".")[0] in better or name not in self._best:
                self._best[name] = tensor.clone()
        write_whole(self._folder / SHEET, _sheet(refined))
        self.seconds += self._clock() - began
        return f"held-out error against the warp's: {described(errors)}"

    def keep(self) -> None:
        """Write everything that is needed to go on."""
        nets, tensors, plain = self._learner.state()
        if self._best:
            nets[BEST] = self._best
        plain |= {"seconds": self.seconds, "worse": self.worse, "scores": self._scores}
        steps = self._learner.steps
        meta = Meta(STAGE, "", steps, steps * BATCH, {}, {name: {} for name in nets}, {}, {}, {})
        write_checkpoint(self._folder, meta, nets, (tensors, plain))
        prune(self._folder, 1)

    def _restore(self) -> None:
        if not list_checkpoints(self._folder):
            return
        kept = open_checkpoint(self._folder)
        plain, nets = kept.trainer(), {name: kept.tensors(name) for name in kept.meta.nets}
        where = kept.folder
        try:
            self._learner.restore(nets, kept.tensors(TRAINER), plain, where)
            self.seconds, self.worse = check_number(plain["seconds"], "seconds"), check_whole(plain["worse"], "worse")
            self._scores = check_table(plain["scores"], "scores", check_number)
            if self._scores:
                self._best = nets[BEST]
                load_into(Refinement(self._learner.net.config), self._best, where, BEST)
        except (KeyError, ValueError) as error:
            raise InputError(f"{where}: is damaged: {error}; delete {self._folder}") from error

    def result(self) -> Learned:
        """The best network, see `best_parts`."""
        net = Refinement(self._learner.net.config)
        net.load_state_dict(self._best)
        net.eval().requires_grad_(False)
        net, errors = best_parts(net, lambda some: held_out_errors(some, self._pairs, self._held, self._perceptual)[0])
        return Learned(net, errors, self.seconds, self._learner.steps)


def _openings(
    pairs: Pairs, rows: NDArray[np.int64], sizes: Mapping[str, tuple[int, int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """How open lids are, (2, N), the share of each eye's patch; and width and height of mouths (N, 2)."""

    def masks(name: str) -> Iterator[torch.Tensor]:
        for some in chunks(rows, 64):
            yield torch.from_numpy(opening(pairs.parts[name][some], sizes[name]))[:, None]

    lids = [torch.cat([mask.mean(dim=(1, 2, 3)) for mask in masks(name)]) for name in CORRECTED["eye"]]
    return torch.stack(lids), torch.cat([extents(mask) for mask in masks(*CORRECTED["mouth"])])


def how_often(*openings: torch.Tensor) -> torch.Tensor:
    """Weights (N,) by which moments are drawn, of any of whose openings (N,) there are few like it more often.

    Of a minute of footage two seconds are blinks, and lids half shut are fewer still: a net that saw them as seldom
    would draw them as the mean of open ones. A moment counts by the root of how few are like it.
    """
    weights = torch.stack([_alike(values).to(values.dtype).rsqrt() for values in openings]).amax(dim=0)
    return weights.clamp(max=MOST_OFTEN * float(weights.median()))


def _alike(values: torch.Tensor) -> torch.Tensor:
    """How many of values (N,) lie in the same one of `LEVELS` parts of their range as each of them."""
    low, high = values.min(), values.max()
    levels = ((values - low) / (high - low).clamp(min=1e-6) * LEVELS).long().clamp(max=LEVELS - 1)
    return torch.bincount(levels, minlength=LEVELS)[levels]


def _remember_openings(net: Refinement, lids: torch.Tensor, mouths: torch.Tensor) -> None:
    """Tell the nets how close lids (N,), and how wide and high mouths (N, 2) were, see `EyeNet` and `MouthNet`."""
    net.eye.least_open.copy_(torch.quantile(lids, UNUSUAL))
    usual = mouths[(mouths <= torch.quantile(mouths, 1.0 - UNUSUAL, dim=0)).all(dim=1)]
    net.mouth.openings.copy_(far_apart(usual if len(usual) else mouths, OPENINGS))
    net.mouth.familiar.fill_(1.0)


def far_apart(points: torch.Tensor, count: int) -> torch.Tensor:
    """Some of points (N, D) that lie far from one another, (count, D): each next one is the farthest from those before.

    The first of them is the first. Fewer points are repeated.
    """
    found = [points[0]]
    distance = torch.full((len(points),), torch.inf)
    while len(found) < count:
        distance = torch.minimum(distance, (points - found[-1]).norm(dim=1))
        found.append(points[int(distance.argmax())])
    return torch.stack(found)


def best_parts(
    net: Refinement, errors_of: Callable[[Refinement], Mapping[str, float]]
) -> tuple[Refinement, Mapping[str, float]]:
    """The network, silent but for nets of use with which it is best, and worse than the warp in nothing; its errors.

    The face net reaches mouth and eyes as well, so nets are judged together: one that mends the face and
    spoils the mouth is left out unless the mouth net makes good for it.
    """
    found: list[tuple[Refinement, Mapping[str, float]]] = []
    for kept in product((True, False), repeat=len(CORRECTED)):
        some = copy.deepcopy(net)
        for part, use in zip(CORRECTED, kept, strict=True):
            if not use:
                some.silence(part)
        errors = errors_of(some)
        parts = [names for names, use in zip(CORRECTED.values(), kept, strict=True) if use]
        gained = [1.0 - _mean_ratio(errors, names) for names in parts]
        # Without any of them it is the warp.
        if not parts or (max(_ratios(errors)) <= 1.0 and min(gained) >= LEAST_GAIN):
            found.append((some, errors))
    return min(found, key=lambda one: score_of(one[1]))


def held_out_errors(
    net: Refinement, pairs: Pairs, rows: NDArray[np.int64], perceptual: Perceptual
) -> tuple[dict[str, float], Refined]:
    """Mean errors by name, see `losses.part_errors`; and the refined parts of the last rows."""
    found: list[dict[str, torch.Tensor]] = []
    with torch.no_grad():
        for some in chunks(rows, 6):
            refined = refine(net, pairs.batch(some), jitter(len(some), None))
            found.append(part_errors(refined, perceptual))
    return {name: float(torch.cat([one[name] for one in found]).mean()) for name in found[0]}, refined


def _ratio(errors: Mapping[str, float], names: tuple[str, ...], kind: str) -> float:
    ours = sum(errors[f"{name}/{kind}"] for name in names)
    return ours / max(sum(errors[f"warp/{name}/{kind}"] for name in names), 1e-9)


def _mean_ratio(errors: Mapping[str, float], names: tuple[str, ...]) -> float:
    return float(np.mean([_ratio(errors, names, kind) for kind in _KINDS]))


def _ratios(errors: Mapping[str, float]) -> list[float]:
    return [_ratio(errors, names, kind) for names in CORRECTED.values() for kind in _KINDS]


def part_scores(errors: Mapping[str, float]) -> dict[str, float]:
    """A number for each part, lower is better: the mean ratio to the warp's errors, and what detail is missing."""
    scores = {}
    for part, names in CORRECTED.items():
        missing = max(0.0, 0.9 - float(np.mean([errors[f"{name}/detail"] for name in names])))
        scores[part] = _mean_ratio(errors, names) + 0.5 * missing
    return scores


def score_of(errors: Mapping[str, float]) -> float:
    """One number, lower is better: the mean of all parts."""
    return float(np.mean(list(part_scores(errors).values())))


def described(errors: Mapping[str, float]) -> str:
    """The errors in a line."""
    # Silent nets leave rounding behind; one that stays has gained `LEAST_GAIN`.
    if all(abs(ratio - 1.0) < 0.1 * LEAST_GAIN for ratio in _ratios(errors)):
        return "the same; nothing that was learned held there, so the warp is drawn as it is"
    return ", ".join(
        f"{title} {_ratio(errors, names, 'l1') - 1:+.0%} (to the eye {_ratio(errors, names, 'perceptual') - 1:+.0%})"
        for title, names in CORRECTED.items()
    )


def _sheet(refined: Refined) -> bytes:
    """A PNG: of each part truth, warp and result, a column a moment."""
    from PIL import Image

    rows = []
    for name in NAMES:
        for pictures in (refined.truth[name], refined.warp[name], refined.result[name]):
            row = torch.cat(list(pictures.clamp(0, 1)), dim=2).permute(1, 2, 0)
            rows.append((row.numpy() * 255.0 + 0.5).astype(np.uint8))
    width = max(row.shape[1] for row in rows)
    whole = np.concatenate([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows])
    data = io.BytesIO()
    Image.fromarray(whole).save(data, "PNG")
    return data.getvalue()
