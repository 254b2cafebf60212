"""What a batch would take: pairs, frames, time and disk, from a short measurement."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from avatarkit.errors import AvatarkitError
from avatarkit.media.containers import output_kind
from avatarkit.media.probe import probe
from avatarkit.motion.file import is_motion_file, read_motion
from avatarkit.pipelines.batch.jobs import Job, Refusal
from avatarkit.pipelines.batch.plan import BatchOptions, Pair, make_plan
from avatarkit.pipelines.batch.worker import input_key
from avatarkit.pipelines.driver import DriverPart
from avatarkit.pipelines.reenact import reenact
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.runtime import NullProgress, Progress, counted

TRIAL_S = 2.0
"""Of a driver that are tried."""


def trial(jobs: Sequence[Job], refused: Sequence[Refusal], options: BatchOptions, progress: Progress) -> list[str]:
    """Lines that say what the command would do; nothing is written."""
    plan = make_plan(jobs, refused, options)
    frames = {pair.key: frames_of(pair.job.config) for pair in plan.todo}
    total = sum(frames.values())
    lines = [
        f"{counted(len(plan.todo), 'pairs')} to make, {len(plan.kept)} kept, {len(plan.refused)} refused;"
        f" {counted(total, 'frames')}"
    ]
    lines += [f"refused: {item.pair}: {item.kind}: {item.reason}" for item in plan.refused[:10]]
    lines += [f"{pair.name}: {pair.job.config.source} by {pair.job.config.driver}" for pair in plan.todo[:10]]
    if len(plan.todo) > 10:
        lines.append(f"and {len(plan.todo) - 10} more")
    progress.stage("trial", None)
    return lines + _estimate(plan.todo, frames, options)


def _estimate(pairs: Sequence[Pair], frames: dict[str, int], options: BatchOptions) -> list[str]:
    for pair in pairs:
        config = pair.job.config
        with tempfile.TemporaryDirectory(prefix="avatarkit-") as folder:
            output = Path(folder) / config.output.name
            start_s = config.part.start_s
            end_s = min(config.part.end_s or float("inf"), start_s + TRIAL_S)
            part = config.part if output_kind(output) == "image" else DriverPart(start_s, end_s)
            began_s = time.perf_counter()
            try:
                content = reenact(replace(config, output=output, part=part), NullProgress()).content
            except AvatarkitError:
                continue
            took_s = time.perf_counter() - began_s
            size = sum(file.stat().st_size for file in [output, *output.glob("*")] if file.is_file())
        spent, drawn = content["seconds"], max(int(content["output"]["frames"]), 1)
        inputs = {part: {input_key(part, item.job.config): item for item in pairs} for part in ("source", "driver")}
        tracked = sum(frames[item.key] for item in inputs["driver"].values())
        seconds = (
            (spent["source"] + spent["prepare"]) * len(inputs["source"])
            + spent["track"] / drawn * tracked
            + spent["render"] / drawn * sum(frames.values())
        )
        return [
            f"measured on {counted(drawn, 'frames')} of {pair.name} in {took_s:.1f} s:"
            f" about {seconds:.0f} s of work in all;"
            f" --workers {options.workers} share it as far as the machine has processors",
            f"about {size / drawn * sum(frames.values()) / 1e6:.1f} MB of outputs",
        ]
    return ["no pair could be tried" if pairs else "nothing to do"]


def frames_of(config: ReenactConfig) -> int:
    """Frames of a pair's output, by its driver; 0 where that cannot be read."""
    if config.driver is None:
        return 0
    try:
        if is_motion_file(config.driver):
            motion = read_motion(config.driver)
            rate, total = motion.rate, len(motion)
        else:
            video = probe(config.driver).video
            if video is None or output_kind(config.output) == "image":
                return 1
            rate, total = video.rate, video.frames
        first, stop = config.part.frames(rate, total, config.driver)
    except AvatarkitError:
        return 0
    return stop - first
