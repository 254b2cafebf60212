"""Prove that the networks learn: overfit, cycle, enhancer, student. docs/training.md explains the stages.

    python benchmarks/learning.py overfit  --data VIDEOS --work DIR --minutes 20 --threads 2
    python benchmarks/learning.py cycle    --data VIDEOS --work DIR --steps 2000
    python benchmarks/learning.py enhancer --data PHOTOS --work DIR --base DIR/overfit-full --minutes 10
    python benchmarks/learning.py student  --data VIDEOS --work DIR --base DIR/overfit-full --minutes 10

Each prints Markdown tables and writes WORK/<name>.json. The same command again goes on with runs that stand in WORK.
The exit code is 1 with --check when a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from learning_runs import (
    ClipPairs,
    Found,
    Limits,
    averaged,
    batch_of,
    clip_data,
    configured,
    measured,
    photo_data,
    pick_clips,
    run_proof,
    train_stage,
    without_head_turn,
)
from tables import Bar, Row, Verdict
from torch import Tensor

from avatarkit.checkpoint import open_checkpoint
from avatarkit.data.pairs import PairDataset, PhotoDataset
from avatarkit.data.samples import SampleSpec
from avatarkit.face.landmarks import OUTER_LIP_LOWER, OUTER_LIP_UPPER
from avatarkit.systems import registry
from avatarkit.systems.megaportraits.stages.drive import encode, motion_code
from avatarkit.training.augment.pairs import augment_driver
from avatarkit.training.loop import Trainer
from avatarkit.training.seeds import sample_seeds

NO_ADVERSARY = ("loss.adversarial=0", "loss.feature_matching=0")
PIXEL_ONLY = (*NO_ADVERSARY, "augment=false")
EVERY = 5
"""Every fifth frame of a clip is measured as a driver; its first frame is the source."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one proof."""
    options = _parser().parse_args(argv)
    return run_proof(PROOFS[options.proof], options)


def overfit(options: argparse.Namespace) -> Found:
    """One clip (or a few) by heart, with the rotation field and without."""
    dataset = _pairs(options)
    clips = pick_clips(dataset, options.clips or "1")
    limits = _limits(options)
    rows: list[Row] = []
    for name, change in (("full", None), ("no rotation field", without_head_turn)):
        if change is not None and options.no_cut:
            continue
        samples = ClipPairs(dataset, clips, options.seed, change)
        sets = [*PIXEL_ONLY, "loss.cycle=0", *options.sets]
        config = configured("base", options.preset, sets, limits)
        out = options.work / f"overfit-{name.replace(' ', '-')}"
        trainer, ended = train_stage(config, clip_data(dataset, samples, _size(options)), out, limits)
        # The second run gets the first one's steps, whatever time they take.
        limits = replace(limits, steps=ended.step, minutes=None)
        figures = measured(trainer, _driven(samples))
        rows.append({"run": name, "steps": ended.step, "minutes": ended.seconds / 60, **figures})
        if change is None:
            still = [
                {**pair, "driver": {**pair["driver"], "head": pair["source"]["head"]}} for pair in _driven(samples)
            ]
            kept = measured(trainer, still)
            rows.append({"run": "full, driver's head held still", "steps": ended.step, **kept})
        _save(options, rows)
    full = rows[0]
    gain = float(full["face_psnr_db"]) - float(full["copy_face_psnr_db"])  # type: ignore[arg-type]
    verdicts = [
        Verdict(Bar("face PSNR, dB", ">=", 26), float(full["face_psnr_db"])),  # type: ignore[arg-type]
        Verdict(Bar("over copying the source, dB", ">=", 4), gain),
    ]
    for row in rows[1:]:
        lost = float(full["face_psnr_db"]) - float(row["face_psnr_db"])  # type: ignore[arg-type]
        verdicts.append(Verdict(Bar(f"lost: {row['run']}, dB", ">=", 1), lost))
    return rows, verdicts


def cycle(options: argparse.Namespace) -> Found:
    """How much of the driver's colours and identity leaks into the output, with the cycle loss and without.

    Both runs begin with the weights of one that learnt the clips without augmentation: a net this young would
    hardly heed its driver's expression otherwise, and what does not heed the driver does not leak either. Drivers
    then change colours and shape on their way to the expression encoder, as published; `--set augment=false` shows
    what the loss does alone.
    """
    dataset = _pairs(options)
    clips = pick_clips(dataset, options.clips or "4")
    limits = _limits(options)
    samples = ClipPairs(dataset, clips, options.seed)
    data = clip_data(dataset, samples, _size(options))
    # The start knows no cycle loss: runs with other settings of it may go on from the same one.
    of_start = [*(text for text in options.sets if not text.startswith("cycle_")), *PIXEL_ONLY, "loss.cycle=0"]
    first = replace(configured("base", options.preset, of_start, limits), steps=options.start_steps)
    trainer, _ = train_stage(first, data, options.work / "cycle-start", replace(limits, minutes=None))
    start = open_checkpoint(options.work / "cycle-start")
    rows: list[Row] = [{"run": "start", "steps": first.steps, **_cycle_figures(trainer, samples, options.seed)}]
    for name, weight in (("with", options.cycle_weight), ("without", 0.0)):
        sets = [*NO_ADVERSARY, f"loss.cycle={weight}", *options.sets]
        config = configured("base", options.preset, sets, limits)
        trainer, ended = train_stage(config, data, options.work / f"cycle-{name}", limits, start=start)
        limits = replace(limits, steps=ended.step, minutes=None)
        figures = _cycle_figures(trainer, samples, options.seed)
        rows.append({"run": f"{name} cycle loss", "weight": weight, "steps": ended.step, **figures})
        _save(options, rows)
    verdicts = []
    for figure in ("looks_change", "leak_ratio"):
        with_loss, without = (float(row[figure]) for row in rows[1:])  # type: ignore[arg-type]
        verdicts.append(Verdict(Bar(f"{figure}, with / without", "<=", 1), with_loss / without))
    return rows, verdicts


def _cycle_figures(trainer: Trainer, samples: ClipPairs, seed: int) -> dict[str, float]:
    return {**measured(trainer, _driven(samples)), **_leakage(trainer, samples, seed)}


@torch.no_grad()
def _leakage(trainer: Trainer, samples: ClipPairs, seed: int) -> dict[str, float]:
    """What the driver's looks change in the output, beside what its expression does.

    looks_change, motion_change: of the output, when only the driver's looks change, and when its expression becomes
    that of another moment; leak_ratio: the one over the other. A net that does not heed its driver hardly leaks
    either, so mouth_error and mouth_error_of_other_moment tell how far the mouth is from the driver's, drawn by the
    right expression and by the other. All but the ratio are mean absolute differences, inside the driver's matte or
    in a box around its mouth.
    """
    base = averaged(trainer)["base"]
    looks = motion = error = error_of_other = 0.0
    count = max(64, 4 * len(samples))
    for position in range(count):
        batch = batch_of(trainer, [samples[position]])
        driver, other_moment = batch["driver"], batch["source"]
        code = encode(base, batch["source"])
        # Colour planes change places, and a spline gives the face another shape.
        seeds = sample_seeds(seed, [position], "leak")
        other_looks = augment_driver(driver["image"][:, [2, 0, 1]], driver["landmarks"], seeds)
        drawn, same_motion, other_motion = (
            base.drive(code, driver["head"], motion_code(base, image, head)).image
            for image, head in (
                (driver["image"], driver["head"]),
                (other_looks, driver["head"]),
                (other_moment["image"], other_moment["head"]),
            )
        )
        looks += float(((same_motion - drawn) * driver["matte"]).abs().mean()) / count
        motion += float(((other_motion - drawn) * driver["matte"]).abs().mean()) / count
        mouth = _mouth_box(driver["landmarks"][0])
        error += float((drawn - driver["image"])[mouth].abs().mean()) / count
        error_of_other += float((other_motion - driver["image"])[mouth].abs().mean()) / count
    return {
        "looks_change": looks,
        "motion_change": motion,
        "leak_ratio": looks / max(motion, 1e-9),
        "mouth_error": error,
        "mouth_error_of_other_moment": error_of_other,
    }


def _mouth_box(landmarks: Tensor) -> tuple[slice, ...]:
    """Of a batch of pictures, the pixels around the lips, with a margin of a tenth of the box on each side."""
    lips = landmarks[[*OUTER_LIP_UPPER, *OUTER_LIP_LOWER], :2]
    low, high = lips.amin(dim=0), lips.amax(dim=0)
    margin = (high - low) / 10
    (left, top), (right, bottom) = (low - margin).clamp(min=0).int().tolist(), (high + margin).ceil().int().tolist()
    return slice(None), slice(None), slice(top, bottom + 1), slice(left, right + 1)


def enhancer(options: argparse.Namespace) -> Found:
    """A few photos by heart, against plain enlargement."""
    size = 2 * _size(options)
    photos = PhotoDataset(options.data, "train", options.seed, size)
    data = photo_data(photos, int(options.clips or 4), size)
    limits = _limits(options)
    sets = ["loss.adversarial=0", "loss.feature_matching=0", "loss.cross_adversarial=0", *options.sets]
    config = configured("enhancer", options.preset, sets, limits)
    parents = {"base": open_checkpoint(options.base)}
    trainer, ended = train_stage(config, data, options.work / "enhancer", limits, parents)
    samples = [data.train[n] for n in range(len(data.train))]
    figures = measured(trainer, samples)
    rows: list[Row] = [{"run": "enhancer", "steps": ended.step, "minutes": ended.seconds / 60, **figures}]
    return rows, [Verdict(Bar("over plain enlargement, dB", ">=", 0), figures["psnr_db"] - figures["enlarged_psnr_db"])]


def student(options: argparse.Namespace) -> Found:
    """A few avatars, against the teacher, on the clips that the student saw."""
    dataset = _pairs(options)
    clips = pick_clips(dataset, options.clips or "4")
    samples = ClipPairs(dataset, clips, options.seed)
    limits = _limits(options)
    config = configured("student", options.preset, [*PIXEL_ONLY, *options.sets], limits)
    config = replace(config, avatars=tuple(clips))  # type: ignore[call-arg]
    parents = {"base": open_checkpoint(options.base)}
    data = clip_data(dataset, samples, _size(options))
    trainer, ended = train_stage(config, data, options.work / "student", limits, parents)
    figures = measured(trainer, [samples[position] for position in range(8 * len(samples))])
    rows: list[Row] = [{"run": "student", "steps": ended.step, "minutes": ended.seconds / 60, **figures}]
    return rows, [Verdict(Bar("PSNR against the teacher, dB", ">=", 24), figures["teacher_psnr_db"])]


def _pairs(options: argparse.Namespace) -> PairDataset:
    return PairDataset(options.data, "train", options.seed, _size(options), sample=SampleSpec(other=False))


def _size(options: argparse.Namespace) -> int:
    return registry.recipe("base").size_px(options.preset)


def _limits(options: argparse.Namespace) -> Limits:
    return Limits(options.steps, options.minutes, options.threads, options.device)


def _driven(samples: ClipPairs) -> list[dict[str, Any]]:
    """The first frame of each clip as source, every fifth one as driver, and the next clip's as another driver."""
    result = []
    for clip, info in enumerate(samples.clips):
        other = (clip + 1) % len(samples.clips)
        for index in range(EVERY, info.frames, EVERY):
            frames = {"source": samples.frame(clip, 0), "driver": samples.frame(clip, index)}
            frames["other_driver"] = samples.frame(other, index % samples.clips[other].frames)
            result.append({**frames, "clip": torch.tensor(clip)})
    return result


def _save(options: argparse.Namespace, rows: Sequence[Row]) -> None:
    """Leave what is known so far, should the rest never end."""
    text = json.dumps({"rows": [dict(row) for row in rows]}, indent=1)
    (options.work / f"{options.proof}.json").write_text(text + "\n", encoding="utf-8")


PROOFS: dict[str, Callable[[argparse.Namespace], Found]] = {
    "overfit": overfit,
    "cycle": cycle,
    "enhancer": enhancer,
    "student": student,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proof", choices=list(PROOFS))
    parser.add_argument("--data", type=Path, required=True, help="dataset folder: videos, or photos for the enhancer")
    parser.add_argument("--work", type=Path, required=True, help="folder of runs and results")
    parser.add_argument("--base", type=Path, help="run of train base, or WORK/overfit-full")
    parser.add_argument("--clips", help="how many clips (photos), or clip ids with commas between")
    parser.add_argument("--preset", default="tiny-64")
    parser.add_argument("--steps", type=int, help="of each run")
    parser.add_argument("--minutes", type=float, help="of the first run; others get its steps")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cycle-weight", type=float, default=1.0, help="the small presets' own by default")
    parser.add_argument("--start-steps", type=int, default=5000, help="of the run that both of cycle begin with")
    parser.add_argument("--no-cut", action="store_true", help="leave out the run without rotation field")
    parser.add_argument("--set", dest="sets", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
