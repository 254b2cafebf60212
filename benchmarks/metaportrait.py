"""Prove that MetaPortrait's parts do what they are for: heart, lines, identity, meta, temporal.

    python benchmarks/metaportrait.py heart --data VIDEOS --work DIR --steps 800

| proof | what is compared |
|---|---|
| heart | one clip by heart: copy, warped source, full; then the driver's landmarks held still |
| lines | the flow alone on unseen people, with the lines of 68 points in place of all |
| identity | without the identity vector, on unseen people |
| meta | unseen people adapted from the weights of meta-learning, and from those that it began with |
| temporal | after heart: noise of each frame, enhanced with windows in time and without |

Each prints Markdown tables and writes WORK/<name>.json; the same command again goes on with runs that stand in WORK.
The data are two sizes of tiny-64's frames (128 px), with a validation split of other people. The exit code is 1 with
--check when a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from learning_runs import ClipPairs, Found, Limits, averaged, clip_data, configured, measured, pick_clips, run_proof
from learning_runs import train_stage as train_on
from tables import Bar, Row, Verdict

from avatarkit.checkpoint import Checkpoint, open_checkpoint
from avatarkit.data.pairs import PairDataset
from avatarkit.data.samples import SampleSpec
from avatarkit.metrics.warping_error import warping_error
from avatarkit.systems import registry
from avatarkit.systems.metaportrait.load import load_portrait
from avatarkit.systems.metaportrait.stages.frames import compared, drive, each, prepared
from avatarkit.systems.metaportrait.stages.meta import MetaStage, adaptable
from avatarkit.training.feed import collate
from avatarkit.training.figures import psnr_db
from avatarkit.training.loop import Trainer
from avatarkit.training.seeds import derive

NO_ADVERSARY = ("loss.adversarial=0", "loss.feature_matching=0")
EVERY = 5
"""Every fifth frame of a clip is measured as a driver; its first frame is the source."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one proof."""
    options = _parser().parse_args(argv)
    torch.set_num_threads(options.threads)
    return run_proof(PROOFS[options.proof], options)


def heart(options: argparse.Namespace) -> Found:
    """One clip by heart: the source copied, warped, and drawn; then with the driver's landmarks held still."""
    dataset = _videos(options, "train")
    samples = ClipPairs(dataset, pick_clips(dataset, options.clips or "1"), options.seed)
    portrait, _ = _chain(options, dataset, samples, "heart", ["augment=false"])
    moving = _driven(samples)
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
        dataset, unseen = _videos(options, "train", name), _videos(options, "val", name)
        limits = _limits(options)
        config = configured("metaportrait/flow", options.preset, [f"lines={name}", *options.sets], limits)
        data = clip_data(dataset, dataset, _size(options))
        trainer, ended = train_stage(config, data, options.work / f"lines-{name}", limits)
        seen = [unseen[position] for position in range(64)]
        rows.append({"run": name, "steps": ended.step, **measured(trainer, seen)})
    face_l1 = {str(row["run"]): float(row["face_l1"]) for row in rows}  # type: ignore[arg-type]
    return rows, [
        Verdict(Bar(f"face L1 of 68 points over {name}'s", ">=", 1), face_l1["sparse"] / face_l1[name])
        for name in ("contours", "dense")
    ]


def identity(options: argparse.Namespace) -> Found:
    """What the identity vector gives: cosines of drawn frames and sources, unseen people."""
    dataset, unseen = _videos(options, "train"), _videos(options, "val")
    rows: list[Row] = []
    for name, sets in (("with", []), ("without", ["identity=false"])):
        _, checkpoint = _chain(options, dataset, dataset, f"identity-{name}", [*sets], flow="identity-flow")
        portrait = load_portrait(checkpoint)
        losses, errors = [], []
        with torch.no_grad():
            for sample in [unseen[position] for position in range(64)]:
                source, driver = (prepared(collate([{**sample, "position": 0}])[side]) for side in ("source", "driver"))
                driven, _ = drive(portrait, source, driver, identity=name == "with")
                wanted = portrait.identity(source["image"], source["landmarks"])
                losses.append(1 - float((portrait.identity(driven.image, driver["landmarks"]) * wanted).sum()))
                errors.append(float(compared(driven.image, driver)["face_l1"]))
        rows.append({"run": f"{name} z_id", "id_loss": float(np.mean(losses)), "face_l1": float(np.mean(errors))})
    ratio = float(rows[1]["id_loss"]) / float(rows[0]["id_loss"])  # type: ignore[arg-type]
    return rows, [Verdict(Bar("ID loss without z_id over that with it", ">=", 1), ratio)]


def meta(options: argparse.Namespace) -> Found:
    """Unseen people after K inner steps, from weights of meta-learning and from those that it began with."""
    dataset, unseen = _videos(options, "train"), _videos(options, "val")
    _, plain = _chain(options, dataset, dataset, "meta-plain", [])
    limits = replace(_limits(options), steps=max(1, (options.steps or 800) // 8))
    sets = [f"inner_steps={options.inner_steps}", "inner_batch=4", "inner_lr=1e-3", *options.sets]
    config = configured("metaportrait/meta", options.preset, sets, limits)
    frames = 2 + options.inner_steps * 4
    learned = _videos(options, "train", sources=frames)
    data = clip_data(learned, learned, _size(options))
    trainer, _ = train_stage(config, data, options.work / "meta", limits, {"portrait": plain})
    stage = trainer.stage
    assert isinstance(stage, MetaStage)
    starts = {"plain": load_portrait(plain), "meta": averaged(trainer)["portrait"]}
    people = list({clip.identity: clip.clip_id for clip in unseen.clips}.values())
    rows: list[Row] = []
    for clip in people:
        row: dict[str, Any] = {"clip": clip}
        shown = _person(unseen, clip, frames, options.seed)
        tail = 8  # frames that no inner step sees
        for name, start in starts.items():
            adapted = adaptable(start)  # type: ignore[arg-type]
            source, held = each(shown, [0] * tail), each(shown, slice(-tail, None))
            row[f"{name}_before"] = _face_l1(adapted, source, held)
            stage.adapt(adapted, each(shown, slice(0, -tail)))
            row[f"{name}_after"] = _face_l1(adapted, source, held)
        rows.append(row)
    won = sum(row["meta_after"] < row["plain_after"] for row in rows)  # type: ignore[operator]
    bar = Bar(f"people of {len(rows)} with lower face L1 from meta-learning", ">=", 0.75 * len(rows))
    return rows, [Verdict(bar, won)]


def temporal(options: argparse.Namespace) -> Found:
    """Noise of each frame on what the enhancer gets: frame by frame, and with windows in time."""
    dataset = _videos(options, "train", size=2 * _size(options), shrink=2, window=5)
    portrait = {"portrait": open_checkpoint(options.work / "heart-portrait")}
    clip = dataset.clips[_numbers(dataset)[pick_clips(dataset, options.clips or "1")[0]]].clip_id
    noise, rows, clips = f"noise={options.noise}", [], _windows(dataset, clip, 5)
    limits, parents = _limits(options), dict(portrait)
    for stage, frames in (("enhancer", 1), ("temporal", 5)):
        config = configured(
            f"metaportrait/{stage}", options.preset, [noise, f"frames={frames}", "augment=false", *options.sets], limits
        )
        samples = _Repeated(clips if frames > 1 else _singles(clips))
        trainer, ended = train_stage(
            config, clip_data(dataset, samples, 2 * _size(options)), options.work / f"temporal-{stage}", limits, parents
        )
        parents["enhancer"] = open_checkpoint(options.work / f"temporal-{stage}")
        rows.append({"run": stage, "steps": ended.step, **_flicker(trainer, clips, frames)})
    e_warp, psnr = ([float(row[key]) for row in rows] for key in ("e_warp", "psnr_db"))
    return rows, [
        Verdict(Bar("E_warp with windows over that without", "<=", 1), e_warp[1] / e_warp[0]),
        Verdict(Bar("PSNR with windows less that without, dB", ">=", 0), psnr[1] - psnr[0]),
    ]


@torch.no_grad()
def _flicker(trainer: Trainer, clips: Sequence[Mapping[str, Any]], frames: int) -> dict[str, float]:
    """E_warp and PSNR of clips drawn by the averaged net, and of the real frames."""
    stage: Any = trainer.stage
    values: dict[str, list[float]] = {"e_warp": [], "real_e_warp": [], "psnr_db": []}
    for number, sample in enumerate(clips):
        batch = collate([{**sample, "position": number}])
        source, driver = prepared(batch["source"]), prepared({k: v.flatten(0, 1) for k, v in batch["driver"].items()})
        whole = stage._config
        stage._config = replace(whole, frames=len(driver["image"]))
        low = stage.low(source, driver, batch)
        stage._config = whole
        drawn, target, matte = averaged(trainer)["enhancer"](low)[0], driver["image"], driver["matte"]
        values["e_warp"].append(warping_error(_levels(drawn * matte), _levels(target * matte)))
        values["real_e_warp"].append(warping_error(_levels(target * matte), _levels(target * matte)))
        values["psnr_db"].append(float(psnr_db(drawn, target, matte).mean()))
    return {name: float(np.mean(value)) for name, value in values.items()}


def _levels(frames_T3HW: torch.Tensor) -> list[np.ndarray]:
    return list((frames_T3HW.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy())


class _Repeated:
    """A few samples without end."""

    def __init__(self, samples: Sequence[Mapping[str, Any]]) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, position: int) -> Mapping[str, Any]:
        return self._samples[position % len(self._samples)]


def _windows(dataset: PairDataset, clip: str, length: int) -> list[Mapping[str, Any]]:
    """All windows of a clip, one behind the other, with its first frame as the source."""
    count = dataset.clips[_numbers(dataset)[clip]].frames
    frames = [dataset.frame(clip, index) for index in range(min(count, 100))]
    return [
        {"source": frames[0], "driver": _stacked(frames[first : first + length]), "clip": torch.tensor(0)}
        for first in range(0, len(frames) - length + 1, length)
    ]


def _singles(clips: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [
        {**one, "driver": {name: value[number] for name, value in one["driver"].items()}}
        for one in clips
        for number in range(len(one["driver"]["image"]))
    ]


def _stacked(frames: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {name: torch.stack([frame[name] for frame in frames]) for name in frames[0]}


def _person(dataset: PairDataset, clip: str, frames: int, seed: int) -> dict[str, torch.Tensor]:
    """A clip's first frame, frames of its first part for the inner steps, and eight of its last fifth."""
    count = dataset.clips[_numbers(dataset)[clip]].frames
    early = [derive(seed, clip, number) % (4 * count // 5) for number in range(frames - 2)]
    late = np.linspace(4 * count // 5, count - 1, 8).astype(int).tolist()
    return prepared(_stacked([dataset.frame(clip, index) for index in (0, *early, *late)]))


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


def _chain(
    options: argparse.Namespace, dataset: PairDataset, samples: Any, name: str, sets: Sequence[str], flow: str = ""
) -> tuple[Trainer, Checkpoint]:
    """Flow, then portrait, each for the steps asked for."""
    limits, data = _limits(options), clip_data(dataset, samples, _size(options))
    of_flow = [text for text in (*sets, *options.sets) if text.startswith(("augment", "optim", "batch"))]
    config = configured("metaportrait/flow", options.preset, of_flow, limits)
    out = options.work / (flow or f"{name}-flow")
    train_stage(config, data, out, limits)
    config = configured("metaportrait/portrait", options.preset, [*NO_ADVERSARY, *sets, *options.sets], limits)
    trainer, _ = train_stage(config, data, options.work / f"{name}-portrait", limits, {"flow": open_checkpoint(out)})
    return trainer, open_checkpoint(options.work / f"{name}-portrait")


def train_stage(*given: Any, **more: Any) -> tuple[Trainer, Any]:
    """As `learning_runs.train_stage`; a run that was asked to stop ends the proof, and the same command goes on."""
    trainer, ended = train_on(*given, **more)
    if ended.reason != "finished":
        sys.exit(f"{trainer.config.stage}: {ended.reason} at step {ended.step}; the same command goes on")
    return trainer, ended


def _driven(samples: ClipPairs) -> list[Mapping[str, Any]]:
    """The first frame of each clip with every fifth as a driver."""
    return [
        {"source": samples.frame(clip, 0), "driver": samples.frame(clip, index), "clip": torch.tensor(clip)}
        for clip, info in enumerate(samples.clips)
        for index in range(EVERY, info.frames, EVERY)
    ]


def _numbers(dataset: PairDataset) -> dict[str, int]:
    return {clip.clip_id: number for number, clip in enumerate(dataset.clips)}


def _videos(
    options: argparse.Namespace,
    split: Any,
    lines: str = "contours",
    *,
    size: int = 0,
    shrink: int = 1,
    sources: int = 1,
    window: int = 1,
) -> PairDataset:
    sample = SampleSpec(other=False, lines=lines, lines_shrink=shrink, sources=sources, window=window)
    return PairDataset(options.data, split, options.seed, size or _size(options), sample=sample)


def _size(options: argparse.Namespace) -> int:
    return registry.recipe("metaportrait/flow").size_px(options.preset)


def _limits(options: argparse.Namespace) -> Limits:
    return Limits(options.steps, None, options.threads, "cpu")


PROOFS: dict[str, Callable[[argparse.Namespace], Found]] = {
    proof.__name__: proof for proof in (heart, lines, identity, meta, temporal)
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proof", choices=list(PROOFS))
    parser.add_argument("--data", type=Path, required=True, help="dataset folder of videos")
    parser.add_argument("--work", type=Path, required=True, help="folder of runs and results")
    parser.add_argument("--clips", help="how many clips, or clip ids with commas between")
    parser.add_argument("--preset", default="tiny-64")
    parser.add_argument("--steps", type=int, help="of each run")
    parser.add_argument("--inner-steps", type=int, default=8, help="K of meta-learning")
    parser.add_argument("--noise", type=float, default=0.08, help="of each frame, for temporal")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", dest="sets", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
