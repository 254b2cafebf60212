"""Prove that MetaPortrait's parts do what they are for: heart, lines, identity, swapped, meta, temporal.

    python benchmarks/metaportrait.py heart --data VIDEOS --work DIR --steps 800

| proof | what is compared |
|---|---|
| heart | one clip by heart: copy, warped source, full; then the driver's landmarks held still |
| lines | the flow alone on unseen people, with the lines of 68 points in place of all |
| identity | without the identity vector, on unseen frames of the people of training, and on unseen people |
| swapped | four clips drawn with each other's identity vectors, where masks are free and where they are held at 1 |
| meta | unseen people adapted from meta-learning, from what it began with, and from that trained as long plainly |
| temporal | after heart: noise of each frame, enhanced with windows in time, and as long without |

`swapped` learns from all clips, or with --few from the four. Each prints Markdown tables and writes WORK/<name>.json;
the same command again goes on with runs that stand in WORK.
The data are two sizes of tiny-64's frames (128 px), with a validation split of other people. The exit code is 1 with
--check when a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from clip_samples import Repeated, clip_numbers, driven, person, singles, windows
from learning_runs import ClipPairs, Found, averaged, clip_data, configured, measured, pick_clips, run_proof
from likeness import identity, swapped
from portrait_runs import NO_ADVERSARY, UNSEEN, limits_of, recogniser, size_of, train_chain, train_stage, videos
from tables import Bar, Row, Verdict

from avatarkit.checkpoint import Checkpoint, open_checkpoint
from avatarkit.data.pairs import PairDataset
from avatarkit.metrics.warping_error import warping_error
from avatarkit.systems.metaportrait.load import load_portrait
from avatarkit.systems.metaportrait.portrait import Portrait
from avatarkit.systems.metaportrait.stages.config import MetaTrain
from avatarkit.systems.metaportrait.stages.frames import Frames, compared, drive, each, prepared
from avatarkit.systems.metaportrait.stages.meta import adaptable, inner_loss, inner_steps
from avatarkit.systems.metaportrait.stages.portrait import rated_groups
from avatarkit.training.feed import collate
from avatarkit.training.figures import psnr_db
from avatarkit.training.loop import Trainer

EVERY = 5
"""Every fifth frame of a clip is measured as a driver; its first frame is the source."""
META = ("inner_batch=4", "inner_lr=1e-3", "optim.lr=1e-3", "optim.lr_end=1e-4")
"""Higher rates than the preset's: there are few outer steps, one for eight of the other trainings."""
OUTER_SHARE = 8
ADAPTED_AT = (0, 8, 24)
"""Inner steps after which people are looked at."""
HELD = 8
FRAMES = 5
"""Of a window in time."""
RATES = ("optim.lr=4e-3", "optim.lr_end=4e-4")
"""Of short trainings of the enhancer. Windows are thrown far off their start by these and keep the preset's."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one proof."""
    options = _parser().parse_args(argv)
    torch.set_num_threads(options.threads)
    return run_proof(PROOFS[options.proof], options)


def heart(options: argparse.Namespace) -> Found:
    """One clip by heart: the source copied, warped, and drawn; then with the driver's landmarks held still."""
    dataset = videos(options, "train")
    samples = ClipPairs(dataset, pick_clips(dataset, options.clips or "1"), options.seed)
    portrait, _ = train_chain(options, dataset, samples, "heart", ["augment=false"])
    moving = driven(samples, EVERY)
    still = [
        {**pair, "driver": {**pair["driver"], **{name: pair["source"][name] for name in ("lines", "landmarks")}}}
        for pair in moving
    ]
    # The face is still looked for where the driver has it.
    full, held = measured(portrait, moving), _held(portrait, still, moving)
    rows: list[Row] = [{"run": "full", **full}, {"run": "landmarks held still", "face_psnr_db": held}]
    return rows, [
        Verdict(Bar("face PSNR, dB", ">=", 26), full["face_psnr_db"]),
        Verdict(Bar("full over copying the source, dB", ">=", 4), full["face_psnr_db"] - full["copy_face_psnr_db"]),
        Verdict(Bar("warp over copy, dB", ">=", 2), full["warped_face_psnr_db"] - full["copy_face_psnr_db"]),
        Verdict(Bar("full over warp, dB", ">=", 1), full["face_psnr_db"] - full["warped_face_psnr_db"]),
        Verdict(Bar("lost: landmarks held still, dB", ">=", 3), full["face_psnr_db"] - held),
    ]


def lines(options: argparse.Namespace) -> Found:
    """The flow alone on clips of unseen people, with all landmarks and with 68."""
    rows: list[Row] = []
    for name in ("contours", "dense", "sparse"):
        dataset, unseen = videos(options, "train", name), videos(options, "val", name)
        limits = limits_of(options)
        config = configured("metaportrait/flow", options.preset, [f"lines={name}", *options.sets], limits)
        data = clip_data(dataset, dataset, size_of(options))
        trainer, ended = train_stage(config, data, options.work / f"lines-{name}", limits)
        seen = [unseen[position] for position in range(options.pairs)]
        rows.append({"run": name, "steps": ended.step, **measured(trainer, seen)})
    face_l1 = {str(row["run"]): float(row["face_l1"]) for row in rows}  # type: ignore[arg-type]
    return rows, [
        Verdict(Bar(f"face L1 of 68 points over {name}'s", ">=", 1), face_l1["sparse"] / face_l1[name])
        for name in ("contours", "dense")
    ]


def meta(options: argparse.Namespace) -> Found:
    """Unseen people after inner steps, from weights of meta-learning and from two of plain training."""
    dataset, unseen = videos(options, "train"), videos(options, "val")
    _, plain = train_chain(options, dataset, dataset, "meta-plain", [])
    parent, steps = {"portrait": plain}, max(1, (options.steps or 800) // OUTER_SHARE)
    limits = replace(limits_of(options), steps=steps)
    sets = [f"inner_steps={options.inner_steps}", *META, *options.sets]
    config = configured("metaportrait/meta", options.preset, sets, limits)
    assert isinstance(config, MetaTrain)
    learned = videos(options, "train", sources=2 + config.inner_steps * config.inner_batch)
    data = clip_data(learned, learned, size_of(options))
    trainer, _ = train_stage(config, data, options.work / "meta", limits, parent)
    starts = {"plain": load_portrait(plain), "meta": averaged(trainer)["portrait"]}
    if options.longer:
        pictures = config.steps * config.batch * config.inner_steps * config.inner_batch
        starts["longer"] = load_portrait(_trained_on(options, dataset, plain, pictures))
    rows: list[Row] = []
    for clip in pick_clips(unseen, options.clips or str(len(unseen.clips))):
        shown = person(unseen, clip, ADAPTED_AT[-1] * config.inner_batch, HELD, options.seed)
        row: dict[str, Any] = {"clip": clip}
        for name, start in starts.items():
            seen = _adapted(start, shown, config)  # type: ignore[arg-type]
            row |= {f"{name}, {steps} steps": error for steps, error in seen.items()}
        rows.append(row)
    verdicts = []
    for steps in ADAPTED_AT[1:]:
        for name in starts.keys() - {"meta"}:
            won = sum(row[f"meta, {steps} steps"] < row[f"{name}, {steps} steps"] for row in rows)  # type: ignore[operator]
            told = f"people of {len(rows)} whose face L1 after {steps} steps is lower from meta than from {name}"
            verdicts.append(Verdict(Bar(told, ">=", 0.75 * len(rows)), won))
    means = {name: float(np.mean([row[name] for row in rows])) for name in list(rows[0])[1:]}  # type: ignore[misc]
    return [*rows, {"clip": "mean", **means}], verdicts


def _trained_on(options: argparse.Namespace, dataset: PairDataset, plain: Checkpoint, pictures: int) -> Checkpoint:
    """The plain portrait after so many pictures more, learning at the rates that it began with."""
    out, limits = options.work / "meta-longer", limits_of(options)
    config = configured("metaportrait/portrait", options.preset, [*NO_ADVERSARY, *options.sets], limits)
    config = replace(config, steps=max(1, pictures // config.batch))
    data = clip_data(dataset, dataset, size_of(options))
    train_stage(config, data, out, limits, recogniser(options), start=plain)
    return open_checkpoint(out)


def _adapted(start: Portrait, shown: Frames, config: MetaTrain) -> dict[int, float]:
    """Face L1 of the frames that no inner step sees, by how many steps were taken."""
    made, found = adaptable(start), {}
    source, driver, held = each(shown, [0]), each(shown, slice(1, -HELD)), each(shown, slice(-HELD, None))

    def losses() -> Iterator[Callable[[], torch.Tensor]]:
        for step in range(ADAPTED_AT[-1]):
            if step in ADAPTED_AT:
                found[step] = _face_l1(made, source, held)
            some = each(driver, slice(step * config.inner_batch, (step + 1) * config.inner_batch))
            yield lambda some=some: inner_loss(made, source, some, None, config)  # type: ignore[misc]

    groups = rated_groups(made, config.flow_rate)
    inner_steps(made, groups, losses(), lr=config.inner_lr, kind=config.inner, clip=config.inner_clip)
    return {**found, ADAPTED_AT[-1]: _face_l1(made, source, held)}


def temporal(options: argparse.Namespace) -> Found:
    """Noise of each frame on what the enhancer gets: frame by frame, and with windows in time for the second half.

    All learn from the first part of the clip and are measured on the rest, under noise of its own. A step sees as many
    frames with windows as without.
    """
    dataset = videos(options, "train", size=2 * size_of(options), shrink=2, window=FRAMES)
    portrait = {"portrait": open_checkpoint(options.work / "heart-portrait")}
    clip = dataset.clips[clip_numbers(dataset)[pick_clips(dataset, options.clips or "1")[0]]].clip_id
    noise, clips = f"noise={options.noise}", windows(dataset, clip, FRAMES)
    rows: list[Row] = []
    learned, held = clips[: -max(1, len(clips) // 5)], clips[-max(1, len(clips) // 5) :]
    limits, parents = limits_of(options), dict(portrait)
    for name, times, more in (
        ("enhancer", 1, tuple[str, ...]()),
        ("windows", 1, ()),
        ("windows and all else", 1, ("windows_alone=false",)),
        ("enhancer", 2, ()),
    ):
        stage, frames = ("enhancer", 1) if name == "enhancer" else ("temporal", FRAMES)
        more = ("augment=false", *(RATES if frames == 1 else ()), *more)
        sets = [noise, f"frames={frames}", f"batch={FRAMES // frames}", *more, *options.sets]
        config = configured(f"metaportrait/{stage}", options.preset, sets, limits)
        config = replace(config, steps=times * config.steps)
        data = clip_data(dataset, Repeated(learned if frames > 1 else singles(learned)), 2 * size_of(options))
        out = options.work / f"temporal-{name.replace(' ', '-')}{times}"
        given = parents if stage == "temporal" else portrait
        trainer, ended = train_stage(config, data, out, limits, given, change=_draws_once)
        parents.setdefault("enhancer", open_checkpoint(out))
        rows.append({"trained": name, "steps": ended.step, **_flicker(trainer, held)})
    # With windows: after a per-frame training and one of the windows. Without: after one as long as both.
    verdicts = []
    for place, than in ((0, "the net that they were put on"), (3, "one trained as long")):
        for row in rows[1:3]:
            for told, key, bar in (("E_warp", "e_warp", "<="), ("PSNR, dB", "psnr_db", ">=")):
                seen, other = float(row[key]), float(rows[place][key])
                figure, limit = (seen / other, 1) if key == "e_warp" else (seen - other, 0)
                verdicts.append(Verdict(Bar(f"{row['trained']}: {told} against {than}", bar, limit), figure))
    return rows, verdicts


def _draws_once(stage: Any) -> None:
    """The portrait is frozen and the clip short: each frame is drawn once and remembered by its landmarks."""
    draw, known = stage.drawn, dict[bytes, torch.Tensor]()

    def remembered(source: Frames, driver: Frames) -> torch.Tensor:
        count, frames = len(driver["image"]), []
        for number in range(count):
            place = driver["landmarks"][number].numpy().tobytes()
            if place not in known:
                own = number * len(source["image"]) // count
                known[place] = draw(each(source, [own]), each(driver, [number]))[0]
            frames.append(known[place])
        return torch.cat(frames).unflatten(0, (len(source["image"]), -1))

    stage.drawn = remembered


@torch.no_grad()
def _flicker(trainer: Trainer, clips: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """E_warp and PSNR of clips drawn by the averaged net under noise that training has not shown, PSNR of plain
    enlargement, and E_warp of the real frames."""
    stage: Any = trainer.stage
    values: dict[str, list[float]] = {"e_warp": [], "real_e_warp": [], "psnr_db": [], "plain_psnr_db": []}
    for number, sample in enumerate(clips):
        batch = collate([{**sample, "position": UNSEEN + number}])
        source, driver = prepared(batch["source"]), prepared({k: v.flatten(0, 1) for k, v in batch["driver"].items()})
        low = stage.low(source, driver, batch)
        drawn, target, matte = averaged(trainer)["enhancer"](low)[0], driver["image"], driver["matte"]
        values["e_warp"].append(warping_error(_levels(drawn * matte), _levels(target * matte)))
        values["real_e_warp"].append(warping_error(_levels(target * matte), _levels(target * matte)))
        plain = F.interpolate(low[0], scale_factor=2.0, mode="bilinear", align_corners=False)
        for name, shown in (("psnr_db", drawn), ("plain_psnr_db", plain)):
            values[name].append(float(psnr_db(shown, target, matte).mean()))
    return {name: float(np.mean(value)) for name, value in values.items()}


def _levels(frames_T3HW: torch.Tensor) -> list[np.ndarray]:
    return list((frames_T3HW.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy())


@torch.no_grad()
def _face_l1(portrait: Any, source: Any, driver: Any) -> float:
    return float(compared(drive(portrait, source, driver)[0].image, driver)["face_l1"].mean())


@torch.no_grad()
def _held(trainer: Trainer, still: Sequence[Mapping[str, Any]], moving: Sequence[Mapping[str, Any]]) -> float:
    """Face PSNR of frames drawn with other landmarks than the driver's, inside the driver's face."""
    values = []
    for one, true in zip(still, moving, strict=True):
        source, driver = (prepared(collate([{**one, "position": 0}])[side]) for side in ("source", "driver"))
        target = prepared(collate([{**true, "position": 0}])["driver"])
        drawn = drive(averaged(trainer)["portrait"], source, driver)[0].image  # type: ignore[arg-type]
        values.append(float(compared(drawn, target)["face_psnr_db"]))
    return float(np.mean(values))


PROOFS: dict[str, Callable[[argparse.Namespace], Found]] = {
    proof.__name__: proof for proof in (heart, lines, identity, swapped, meta, temporal)
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proof", choices=list(PROOFS))
    parser.add_argument("--data", type=Path, required=True, help="dataset folder of videos")
    parser.add_argument("--work", type=Path, required=True, help="folder of runs and results")
    parser.add_argument("--clips", help="how many clips, or clip ids with commas between")
    parser.add_argument("--preset", default="tiny-64")
    parser.add_argument("--steps", type=int, help="of each run")
    parser.add_argument("--identity", type=Path, help="a run of train metaportrait/identity; default: face-embedding")
    parser.add_argument("--inner-steps", type=int, default=24, help="K of meta-learning")
    parser.add_argument("--longer", action="store_true", help="meta: beside it as many pictures of plain training")
    parser.add_argument("--few", action="store_true", help="swapped: learn from its clips alone")
    parser.add_argument("--pairs", type=int, default=64, help="that lines and identity measure")
    parser.add_argument("--noise", type=float, default=0.2, help="of each frame, for temporal")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", dest="sets", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
