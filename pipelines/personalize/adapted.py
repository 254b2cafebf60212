"""The published way: a trained portrait, adapted to the person by a few steps on the footage's own frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avatarkit.checkpoint import open_checkpoint
from avatarkit.data.pictures import levels
from avatarkit.devices import choose_device
from avatarkit.errors import DependencyError, InputError
from avatarkit.face.types import face_from_landmarks
from avatarkit.head.landmark_picture import LandmarkLines, draw_landmarks, landmark_lines
from avatarkit.head.square import Square
from avatarkit.nets.features.imagenet import VGG19
from avatarkit.pipelines.framing import head_square
from avatarkit.pipelines.layer_tools import LayerTools
from avatarkit.pipelines.personalize.config import PersonalizeConfig
from avatarkit.pipelines.personalize.footage import Footage, Take, evenly, first_held_out, followed
from avatarkit.pipelines.personalize.keep import PersonalizeReport, kept_source, making
from avatarkit.pipelines.portrait import Portrait
from avatarkit.runtime import Progress, sha256_file
from avatarkit.systems.avatar_file import Avatar, StoredNet, write_avatar
from avatarkit.systems.metaportrait.load import load_portrait, unspectral
from avatarkit.systems.metaportrait.stages.adapt import Adapted, adapt, inner_settings, own_portrait, pixels_alone
from avatarkit.weights.load import present

LEARNED, LOOKED_AT = 300, 24
"""Frames that are learned from, and held-out ones that are looked at, evenly over the footage; 150 MB at 256 px."""


def adapted_from(
    start: Path, config: PersonalizeConfig, progress: Progress, clock: Callable[[], float]
) -> PersonalizeReport:
    """Make an avatar from a portrait's checkpoint or run; nothing is written before it is done.

    Raises:
        InputError: a checkpoint of another stage, landmark pictures or version; footage that cannot be used.
        OutputError: a place that cannot be written. DependencyError: too little memory on the device.
    """
    checkpoint = open_checkpoint(start)
    inner, portrait = inner_settings(checkpoint), unspectral(load_portrait(checkpoint))
    vgg, judge = None, "pixels"
    if inner.loss.vgg19 or inner.loss.warp_vgg19:
        if present("vgg19"):
            vgg, judge = VGG19.from_registry(), "vgg19"
        else:
            inner = pixels_alone(inner)
            progress.notice("could be better: avatarkit weights fetch vgg19 (this portrait was trained with it)")
    hashes = {path.name: sha256_file(path) for path in config.footage}
    size, lines = portrait.config.size, landmark_lines(portrait.config.flow.lines.name)
    tools = LayerTools(config.matting)  # what cannot run here is said before any work is done
    footage = followed(config, progress, size)
    kept = kept_source(footage, tools)
    progress.stage("squares", None)
    source = frames_of([_source_square(kept, footage, size)], lines, tools, progress)
    learned, held_out = (
        frames_of(_squares(footage.takes, held_out=held), lines, tools, progress) for held in (False, True)
    )
    if not learned or not held_out:
        raise InputError(f"{config.footage[0]}: shows the face in too few frames to learn from; give longer footage")
    began, device = clock(), choose_device()

    def go_on() -> bool:
        progress.advance()
        return clock() - began < 60.0 * config.minutes

    progress.stage("adapt", None, "steps")
    try:
        shown, seen, looked_at = (
            {name: value.to(device) for name, value in part.items()} for part in (source, learned, held_out)
        )
        judge_net = None if vgg is None else vgg.to(device)
        result = adapt(
            portrait.to(device), shown, seen, looked_at, inner, judge_net, seed=config.seed, go_on=go_on
        )
    except torch.OutOfMemoryError as error:
        raise DependencyError(
            f"{start}: the memory of device {device} is too small to adapt this portrait; close other programs, or hide"
            " the device with CUDA_VISIBLE_DEVICES="
        ) from error
    seconds = clock() - began
    made = making(footage, hashes, f"from {checkpoint.meta.stage} {checkpoint.sha256[:12]}")
    made["learned"] = {
        "frames": len(learned["image"]),
        "held_out_frames": len(held_out["image"]),
        "seconds": round(seconds, 1),
        "steps": result.steps,
        "perceptual": judge,
        "errors": {"before": round(result.before, 5), "after": round(result.after, 5)},
    }
    own = StoredNet.of("metaportrait", own_portrait(result.portrait.cpu(), source))
    write_avatar(config.output, Avatar(**kept, net=own, about=made, teeth=None))
    return PersonalizeReport(config.output, made, _described(result))


def frames_of(
    squares: Iterable[Square], lines: LandmarkLines, tools: LayerTools, progress: Progress
) -> dict[str, Tensor]:
    """Squares as batches have them, on the CPU; no columns where there are none.

    Returns:
        "image" (N, 3, S, S), "matte" (N, 1, S, S) and "lines" (N, 1, 3, S, S) uint8; "landmarks" (N, 478, 3) float32.
    """
    rows: list[dict[str, Tensor]] = []
    for square in squares:
        matte = levels(tools.frame_matting.matte(square.picture, square.landmarks))
        drawn = draw_landmarks(square.landmarks, square.size, lines)
        rows.append(
            {
                "image": _planes(square.picture),
                "matte": torch.from_numpy(matte)[None],
                "lines": _planes(drawn)[None],
                "landmarks": torch.from_numpy(square.landmarks.copy()),
            }
        )
        progress.advance()
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]} if rows else {}


def _planes(picture: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))


def _source_square(kept: Mapping[str, NDArray[Any]], footage: Footage, size: int) -> Square:
    """The square that engines will cut from what the avatar keeps."""
    where = f"frame {footage.frame} of {footage.takes[footage.number].driver.path}"
    face = face_from_landmarks(kept["landmarks"], 1.0)
    return head_square(Portrait(kept["picture"], kept["alpha"], face, 1, footage.portrait.tracker), size, where)


def _squares(takes: Sequence[Take], *, held_out: bool) -> Iterator[Square]:
    """Squares of the frames that are looked at, or of those that are learned from."""
    most = max(1, (LOOKED_AT if held_out else LEARNED) // len(takes))
    for take in takes:
        squares = take.driver.squares
        assert squares is not None
        rows = np.array([row for row in take.usable.tolist() if row in squares], np.int64)
        first = first_held_out(rows)
        part = rows[rows >= first] if held_out else rows[rows < first]
        yield from (squares[row] for row in evenly(part, most).tolist())


def _described(result: Adapted) -> str:
    return f"in the face: {result.before:.4f} before, {result.after:.4f} after {result.steps} steps"
