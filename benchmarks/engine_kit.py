"""What the measurements of engines share: made-up heads, moved drivers, times, and differences along the motion."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.face.open import open_tracker
from avatarkit.face.types import FaceChoice
from avatarkit.head.coordinates import mouth_opening
from avatarkit.head.square import Square
from avatarkit.media.decode import FrameReader
from avatarkit.media.encode import FrameWriter
from avatarkit.motion.squares import Squares
from avatarkit.motion.transfer import DriveFrame
from avatarkit.nets.inference import open_inference
from avatarkit.pipelines.driver import load_driver
from avatarkit.runtime import NullProgress
from avatarkit.systems.megaportraits import build
from avatarkit.systems.megaportraits.config import PRESETS
from avatarkit.systems.megaportraits.engine import BaseEngine

Picture = NDArray[np.uint8]


def compensated(frames: Sequence[Picture]) -> tuple[float, float]:
    """Mean absolute difference of each frame's fine detail, and of its matte, from the last frame's along the flow.

    Args:
        frames: RGBA (H, W, 4). Grey levels; the flow is sought on blurred frames, so that flicker does not lead it.
    """
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    side = frames[0].shape[0]
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    last: tuple[Any, Any, Any] | None = None
    details, mattes = [], []
    for frame in frames:
        colour = frame[..., :3].astype(np.float32)
        coarse = cv2.GaussianBlur(colour, (0, 0), max(1.0, side / 96))
        grey = cv2.cvtColor(coarse.astype(np.uint8), cv2.COLOR_RGB2GRAY)
        now = grey, colour - coarse, frame[..., 3].astype(np.float32)
        if last is not None:
            field = flow.calc(grey, last[0], np.zeros((side, side, 2), np.float32))
            places = x + field[..., 0], y + field[..., 1]
            inside = now[2] > 127
            moved = [cv2.remap(layer, *places, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE) for layer in last[1:]]
            details.append(float(np.abs(now[1] - moved[0])[inside].mean()))
            mattes.append(float(np.abs(now[2] - moved[1]).mean()))
        last = now
    return float(np.mean(details)), float(np.mean(mattes))


def mouths_of(frames: Sequence[Picture]) -> NDArray[np.float64]:
    """Mouth openings that the tracker sees in frames, NaN where there is no face."""
    tracker = open_tracker("auto")
    result = []
    for frame in frames:
        large = cv2.resize(frame, (512, 512), interpolation=cv2.INTER_CUBIC)
        faces = tracker.detect(np.ascontiguousarray(large))
        result.append(mouth_opening(faces[0].landmarks[:, :2]) if faces else float("nan"))
    tracker.close()
    return np.array(result)


def driver_in(video: Path, out: Path, scale: float, place: tuple[int, int], seconds: float) -> Path:
    """The video's frames, reduced, at a place in a larger grey frame; again from the start until the time is full."""
    frames = list(FrameReader(video))
    height, width = frames[0].shape[:2]
    count = round(25 * seconds)
    columns, rows = round(scale * width), round(scale * height)
    with FrameWriter(out, width=width, height=height, rate=FrameReader(video).rate, crf=6) as writer:
        for index in range(count):
            # Back and forth, so that there is no cut.
            turn = index % (2 * len(frames) - 2)
            frame = frames[turn if turn < len(frames) else 2 * len(frames) - 2 - turn]
            if scale == 1.0:
                writer.write(frame)
                continue
            wide = np.full_like(frame, 96)
            small = cv2.resize(frame, (columns, rows), interpolation=cv2.INTER_AREA)
            left, top = min(place[0], width - columns), min(place[1], height - rows)
            wide[top : top + rows, left : left + columns] = small
            writer.write(wide)
        writer.close()
    return out


def squares_of(video: Path, size: int) -> Squares:
    """The heads of a video as datasets store them."""
    tracker = open_tracker("auto")
    squares = load_driver(video, tracker, FaceChoice(), "hold", NullProgress(), squares_px=size).squares
    tracker.close()
    assert squares is not None
    return squares


def base_engine(preset: str, *, enhance: bool, device: str) -> BaseEngine:
    """A base model, perhaps with an enhancer, of random weights."""
    sizes = PRESETS[preset]
    enhancer = build.build_enhancer(sizes.enhancer, 0) if enhance else None
    return BaseEngine(build.build_base(sizes.base, 0), enhancer, open_inference(device, "auto", False), "random")


def made_up_square(size: int) -> Square:
    """A head's square of noise."""
    draw = np.random.default_rng(0)
    points = (size / 4 + draw.random((478, 3)) * size / 2).astype(np.float32)
    picture = draw.integers(0, 256, (size, size, 3), dtype=np.uint8)
    return Square(picture, points, np.eye(3, dtype=np.float32), np.full(3, size / 2, np.float32), size / 4,
                  matte=np.full((size, size), 255, np.uint8))  # fmt: skip


def frame_of(square: Square) -> DriveFrame:
    """A frame that takes pose and expression of a square."""
    return DriveFrame(square.pose, square.landmarks.astype(np.float64), np.ones(2), 0, ((square, 1.0),))


def least_seconds(function: Callable[[], object], repeat: int, before: Callable[[], object] | None = None) -> float:
    """The least time of a call, after a first one."""
    if before is not None:
        before()
    function()
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return min(times)


def psnr(one: Picture, other: Picture) -> float:
    """Decibels between two pictures of 8 bits."""
    error = float(np.mean((one.astype(np.float64) - other) ** 2))
    return 99.0 if error == 0 else 10 * float(np.log10(255**2 / error))


def middle(side: int) -> tuple[slice, slice]:
    """Where the face is in a square around a head."""
    return slice(round(0.25 * side), round(0.75 * side)), slice(round(0.3 * side), round(0.7 * side))
