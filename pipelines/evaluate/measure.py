"""Figures of one output against its driver and source: frame by frame, then over the clip.

Frames are paired by time, so that another rate or length than the driver's is allowed, and said. A figure whose network
is not here is not there, never zero; `networks.NOT_MEASURED` says which command brings it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import AvatarkitError, InputError
from avatarkit.geometry.crop import Crop, cut
from avatarkit.head.coordinates import mouth_opening
from avatarkit.media.decode import FrameReader
from avatarkit.media.image import read_image
from avatarkit.media.probe import probe
from avatarkit.media.sound import SAMPLE_RATE_HZ, read_sound
from avatarkit.metrics import motion, pixels
from avatarkit.metrics.eyes import blink_figures, gaze_figures
from avatarkit.metrics.speech import lips_with_sound, loudness
from avatarkit.pipelines.evaluate.cases import Case
from avatarkit.pipelines.evaluate.moments import Moments
from avatarkit.pipelines.evaluate.networks import HeadMasks, Networks, Picture, Points, embedded
from avatarkit.pipelines.evaluate.protocols import Kind
from avatarkit.pipelines.portrait import avatar_portrait
from avatarkit.systems.refined_warp import is_avatar

Face: TypeAlias = tuple[Picture, Points]
"""A picture with the landmarks of its largest face."""

IDENTITY_FRAMES = 12
"""Frames of a clip whose faces are compared with the source's, evenly over it."""
FEWEST_FRAMES = 3
LEAST_BLINK_RATE = 12.0
"""Measured frames a second below which blinks are not counted."""
MOMENTS_PER_S = 2
"""So often a frame is compared with the next one, for what flickers."""


@dataclass(frozen=True)
class MeasureOptions:
    """size: side of the pictures that are compared, pixels. every: frames between measured ones. kind: of evaluation.

    masked: also inside face, ears and hair of the target. fid: also keep what FID is computed from.
    """

    kind: Kind
    size: int
    every: int = 1
    masked: bool = True
    fid: bool = False


@dataclass
class Measured:
    """What was seen of a case. figures: over the clip; None for what could not be told. frames: one row each.

    notes: what was done to compare, such as another rate. lost: frames in which the output shows no face.
    """

    figures: dict[str, float | None] = field(default_factory=dict)
    frames: list[dict[str, float | None]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counted: int = 0
    lost: int = 0


@dataclass(frozen=True)
class _Seen:
    """A frame of the output and of its driver at the same moment, at the size of comparison."""

    number: int
    output: Picture
    driver: Picture
    rate: Fraction


class Measurer:
    """Opened once per process; measures one case after the other.

    Attributes:
        features: of the last case, for FID: (N, 2048) of the output's measured frames, and of the driver's; None where
            they are not wanted or Inception is not here.
    """

    def __init__(self, options: MeasureOptions) -> None:
        self.options = options
        self.features: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        self._nets = Networks(lpips=options.kind == "self", masked=options.masked, fid=options.fid)

    @property
    def choices(self) -> dict[str, str]:
        """What the figures depend on beside the code."""
        return self._nets.choices

    def close(self) -> None:
        """Release the tracker."""
        self._nets.close()

    def measure(self, case: Case, crop: Crop | None) -> Measured:
        """Figures of a case.

        Args:
            crop: the part of the driver's picture that the output shows, for self-reenactment; None: all of it.

        Raises:
            InputError: a video cannot be read, or shows the face too rarely.
        """
        seen, moments = Measured(), Moments(self._nets)
        results: list[Points] = []
        targets: list[Points] = []
        times: list[float] = []
        samples: list[Face] = []
        drivers: list[Face] = []
        inception: tuple[list[Any], list[Any]] = ([], [])
        rate, before, masks = Fraction(25), None, None
        for now in self._pairs(case, crop, seen):
            rate, masks = now.rate, masks or HeadMasks(self._nets, now.rate)
            if before is not None and now.number == before.number + 1:
                moments.add((before.output, now.output), (before.driver, now.driver))
            before = now if now.number % self._stride(rate) == 0 else None
            if now.number % self.options.every:
                continue
            if self._nets.inception is not None:
                for kept, picture in zip(inception, (now.output, now.driver), strict=True):
                    kept.append(self._nets.inception([picture]))
            face, wanted = (self._nets.landmarks(picture) for picture in (now.output, now.driver))
            if wanted is None:
                continue
            seen.counted += 1
            if face is None:
                seen.lost += 1
                continue
            row = self._frame(now, wanted, masks) if self.options.kind == "self" else {}
            seen.frames.append(row | {"mouth_apart": abs(mouth_opening(face) - mouth_opening(wanted))})
            if now.number % self._stride(rate) == 0:
                moments.look(now.output, face)
            results.append(face)
            targets.append(wanted)
            times.append(float(now.number / rate))
            samples.append((now.output, face))
            drivers.append((now.driver, wanted))
            if len(samples) > 4 * IDENTITY_FRAMES:  # thinned as they come: memory does not grow with the clip
                samples, drivers = samples[::2], drivers[::2]
        if len(results) < FEWEST_FRAMES:
            raise InputError(
                f"{case.output}: the face is seen in {len(results)} of {seen.counted} measured frames; at least"
                f" {FEWEST_FRAMES} are needed"
            )
        self.features = None
        if inception[0]:
            self.features = np.concatenate(inception[0]), np.concatenate(inception[1])
        source = self._source(case)
        tracks, measured_rate = (np.stack(results), np.stack(targets)), float(rate) / self.options.every
        seen.figures = {
            **_means(seen.frames),
            "lost": seen.lost / seen.counted,
            **_motion(*tracks, measured_rate, self.options.kind),
            "r_lips_sound": _lips_with_sound(case.output, tracks[0], np.array(times), measured_rate),
            **moments.figures(),
            **moments.faults(source),
            **self._identity(source, samples, drivers),
        }
        return seen

    def _stride(self, rate: Fraction) -> int:
        """Frames from one moment of two successive frames to the next; moments begin at measured frames."""
        every = self.options.every
        return every * max(1, round(float(rate) / MOMENTS_PER_S / every))

    def _pairs(self, case: Case, crop: Crop | None, seen: Measured) -> Iterator[_Seen]:
        """Frames of output and driver at the same moments: measured ones, and those that follow on a moment's first."""
        size = self.options.size
        output_info, driver_info = probe(case.output), probe(case.driver)
        with FrameReader(case.driver, info=driver_info) as driver:
            rate = driver.rate
            with FrameReader(case.output, rate=rate, info=output_info) as output:
                own = output_info.video.rate if output_info.video is not None else None
                if own is not None and own != rate:
                    seen.notes.append(f"rate {float(own):.3f} instead of {float(rate):.3f}: paired by time")
                count = [0, 0]
                for number, frame in enumerate(driver):
                    count[0] = number + 1
                    result = next(output, None)
                    if result is None:
                        break
                    count[1] = number + 1
                    if number % self.options.every == 0 or number % self._stride(rate) == 1:
                        target = frame if crop is None else cut(frame, crop)
                        yield _Seen(number, _sized(result, size), _sized(target, size), rate)
                else:
                    count[1] += sum(1 for _ in output)
                if count[0] != count[1]:
                    seen.notes.append(f"length: {count[1]} frames against {count[0]} of the driver, as far as both go")

    def _frame(self, now: _Seen, points: Points, masks: HeadMasks) -> dict[str, float | None]:
        output, target = now.output, now.driver
        likeness = pixels.ssim_map(output, target)
        row: dict[str, float | None] = {
            "psnr_db": pixels.psnr_db(output, target),
            "ssim": pixels.masked_mean(likeness),
            "l1": pixels.l1(output, target),
        }
        if self._nets.lpips is not None:
            row["lpips"] = self._nets.lpips.of_pictures(output, target)
        if self.options.masked:
            mask = masks.mask(now.number, target, points)
            if mask.any():
                row |= {
                    "face_psnr_db": pixels.psnr_db(output, target, mask),
                    "face_ssim": pixels.masked_mean(likeness, mask),
                    "face_l1": pixels.l1(output, target, mask),
                }
        return row

    def _source(self, case: Case) -> Face | None:
        """The source's picture with its face's landmarks; None where there is none, or it shows no face."""
        if case.source is None:
            return None
        picture = avatar_portrait(case.source).picture if is_avatar(case.source) else read_image(case.source)
        points = self._nets.landmarks(picture)
        return None if points is None else (picture, points)

    def _identity(self, source: Face | None, samples: list[Face], drivers: list[Face]) -> dict[str, float | None]:
        """Distance of the result's face to the source's, and by how much it is nearer to the driver's."""
        if self._nets.embedding is None or source is None:
            return {}
        step = max(1, len(samples) // IDENTITY_FRAMES)
        own = embedded(self._nets.embedding, [source])[0]
        codes = embedded(self._nets.embedding, samples[::step])
        theirs = embedded(self._nets.embedding, drivers[::step]).mean(axis=0)
        to_source = np.linalg.norm(codes - own, axis=1).mean()
        to_driver = np.linalg.norm(codes - theirs, axis=1).mean()
        figures: dict[str, float | None] = {"identity_distance": float(to_source)}
        if self.options.kind != "self":
            figures["identity_leak"] = float(to_source - to_driver)
        return figures


def _lips_with_sound(output: Path, track: motion.Track, times_s: NDArray[np.float64], rate: float) -> float | None:
    """How the output's mouth goes with its sound; None where there is none, or it cannot be decoded."""
    try:
        samples = read_sound(output)
    except AvatarkitError:
        return None
    if samples is None:
        return None
    return lips_with_sound(motion.openings(track)["mouth"], loudness(samples, SAMPLE_RATE_HZ, times_s), rate)


def _motion(result: motion.Track, driver: motion.Track, rate: float, kind: Kind) -> dict[str, float | None]:
    item, other = motion.openings(result), motion.openings(driver)
    # A blink lasts a fifth of a second: rarer frames would miss its deepest point.
    blinks = blink_figures(other["lids"], item["lids"], rate).followed if rate >= LEAST_BLINK_RATE else None
    looks = gaze_figures(other["gaze"], item["gaze"])
    figures: dict[str, float | None] = {
        "aed": motion.aed(result, driver),
        "apd_deg": motion.apd_deg(result, driver),
        "r_mouth": motion.correlation(item["mouth"], other["mouth"]),
        "r_lids": motion.correlation(item["lids"].mean(axis=1), other["lids"].mean(axis=1)),
        "r_gaze_horizontal": looks.horizontal,
        "r_gaze_vertical": looks.vertical,
        "blinks_followed": blinks,
        "jitter": motion.jitter(result, driver),
    }
    if kind == "self":
        figures["akd"] = motion.akd(result, driver)
    return figures


def _means(frames: list[dict[str, float | None]]) -> dict[str, float | None]:
    names = dict.fromkeys(name for row in frames for name in row)
    means: dict[str, float | None] = {}
    for name in names:
        values = [value for row in frames if (value := row.get(name)) is not None]
        means[name] = float(np.mean(values)) if values else None
    return means


def _sized(picture: Picture, size: int) -> Picture:
    """A square of that side: averaged where it shrinks, bicubic where it grows; others keep their shape's middle."""
    import cv2

    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(square)
    method = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (size, size), interpolation=method), np.uint8)


def crop_of(report: Mapping[str, Any]) -> Crop | None:
    """The part of the source's picture that an output shows, from the report of `reenact`."""
    values = report["source"].get("crop")
    return None if values is None else Crop(*values)


def source_frame(clip: Path, path: Path) -> None:
    """Write a clip's first frame as a picture."""
    from avatarkit.media.image import write_image

    with FrameReader(clip, info=probe(clip)) as frames:
        write_image(path, next(iter(frames)))
