"""Figures of one output against its driver and source: frame by frame, then over the clip.

Frames are paired by time, so that another rate or length than the driver's is allowed, and said. A figure whose network
is not here is not there, never zero; `NOT_MEASURED` says which command brings it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import InputError
from avatarkit.face.open import open_tracker
from avatarkit.face.tracker import FaceTracker
from avatarkit.geometry.crop import Crop, cut
from avatarkit.media.decode import FrameReader
from avatarkit.media.image import read_image
from avatarkit.media.probe import probe
from avatarkit.metrics import motion, pixels
from avatarkit.metrics.eyes import blink_figures, gaze_figures
from avatarkit.pipelines.evaluate.cases import Case, Kind
from avatarkit.weights.load import present

if TYPE_CHECKING:
    from avatarkit.metrics.face_embedding import FaceEmbedding
    from avatarkit.metrics.lpips import LPIPS

Picture = NDArray[np.uint8]
IDENTITY_FRAMES = 12
"""Frames of a clip whose faces are compared with the source's, evenly over it."""
FEWEST_FRAMES = 3
LEAST_BLINK_RATE = 12.0
"""Measured frames a second below which blinks are not counted."""
NOT_MEASURED: Mapping[str, str] = {
    "lpips": "avatarkit weights fetch alexnet lpips-alexnet",
    "identity_distance": "avatarkit weights fetch face-embedding",
    "identity_leak": "avatarkit weights fetch face-embedding",
    "fid": "avatarkit weights fetch inception-fid (and pip install 'avatarkit[evaluate]')",
}


@dataclass(frozen=True)
class MeasureOptions:
    """size: side of the pictures that are compared, pixels. every: frames between measured ones. kind: of evaluation.

    masked: also inside the hull of the target's face.
    """

    kind: Kind
    size: int
    every: int = 1
    masked: bool = True


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


class Measurer:
    """Opened once per process; measures one case after the other."""

    def __init__(self, options: MeasureOptions) -> None:
        self.options = options
        self._tracker: FaceTracker = open_tracker()
        self._lpips = _open_lpips() if options.kind == "self" else None
        self._embedding = _open_embedding()

    @property
    def choices(self) -> dict[str, str]:
        """What the figures depend on beside the code: tracker and networks with the hashes of their weights."""
        chosen = {"tracker": self._tracker.name}
        for name, net in (("lpips", self._lpips), ("embedding", self._embedding)):
            chosen[name] = f"{net.name} {net.weights_sha256}" if net is not None else "not here"
        return chosen

    def close(self) -> None:
        """Release the tracker."""
        self._tracker.close()

    def measure(self, case: Case, crop: Crop | None) -> Measured:
        """Figures of a case.

        Args:
            crop: the part of the driver's picture that the output shows, for self-reenactment; None: all of it.

        Raises:
            InputError: a video cannot be read, or shows the face too rarely.
        """
        seen = Measured()
        results, targets = [], []
        samples: list[tuple[Picture, NDArray[np.float64]]] = []
        drivers: list[tuple[Picture, NDArray[np.float64]]] = []
        rate = Fraction(25)
        for output, driver, own in self._pairs(case, crop, seen):
            rate = own
            seen.counted += 1
            face, wanted = (self._landmarks(picture) for picture in (output, driver))
            if wanted is None:
                seen.counted -= 1
                continue
            if face is None:
                seen.lost += 1
                continue
            row = self._frame(output, driver, wanted) if self.options.kind == "self" else {}
            seen.frames.append(row)
            results.append(face)
            targets.append(wanted)
            samples.append((output, face))
            drivers.append((driver, wanted))
            if len(samples) > 4 * IDENTITY_FRAMES:  # thinned as they come: memory does not grow with the clip
                samples, drivers = samples[::2], drivers[::2]
        if len(results) < FEWEST_FRAMES:
            raise InputError(
                f"{case.output}: the face is seen in {len(results)} of {seen.counted} measured frames; at least"
                f" {FEWEST_FRAMES} are needed"
            )
        seen.figures = {
            **_means(seen.frames),
            "lost": seen.lost / seen.counted,
            **_motion(np.stack(results), np.stack(targets), float(rate) / self.options.every, self.options.kind),
            **self._identity(case, samples, drivers),
        }
        return seen

    def _pairs(self, case: Case, crop: Crop | None, seen: Measured) -> Iterator[tuple[Picture, Picture, Fraction]]:
        """Frames of output and driver at the same moments, at the size of comparison, and the driver's rate."""
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
                    if number % self.options.every == 0:
                        target = frame if crop is None else cut(frame, crop)
                        yield _sized(result, size), _sized(target, size), rate
                else:
                    count[1] += sum(1 for _ in output)
                if count[0] != count[1]:
                    seen.notes.append(f"length: {count[1]} frames against {count[0]} of the driver, as far as both go")

    def _landmarks(self, picture: Picture) -> NDArray[np.float64] | None:
        faces = self._tracker.detect(picture)
        if not faces:
            return None
        face = max(faces, key=lambda one: one.extent_px)
        return face.landmarks.astype(np.float64)

    def _frame(self, output: Picture, target: Picture, landmarks: NDArray[np.float64]) -> dict[str, float | None]:
        row: dict[str, float | None] = {
            "psnr_db": pixels.psnr_db(output, target),
            "ssim": pixels.ssim(output, target),
            "l1": pixels.l1(output, target),
        }
        if self._lpips is not None:
            row["lpips"] = self._perceived(output, target)
        if self.options.masked:
            mask = face_hull(landmarks, target.shape[0], target.shape[1])
            if mask.any():
                row |= {
                    "face_psnr_db": pixels.psnr_db(output, target, mask),
                    "face_ssim": pixels.ssim(output, target, mask),
                    "face_l1": pixels.l1(output, target, mask),
                }
        return row

    def _perceived(self, output: Picture, target: Picture) -> float:
        import torch

        assert self._lpips is not None
        pair = [torch.from_numpy(item.copy()).permute(2, 0, 1)[None].float() / 255 for item in (output, target)]
        with torch.no_grad():
            return float(self._lpips(*pair))

    def _identity(
        self, case: Case, samples: list[tuple[Picture, Any]], drivers: list[tuple[Picture, Any]]
    ) -> dict[str, float | None]:
        """Distance of the result's face to the source's, and by how much it is nearer to the driver's."""
        if self._embedding is None or case.source is None:
            return {}
        source = read_image(case.source)
        points = self._landmarks(source)
        if points is None:
            return {"identity_distance": None, "identity_leak": None}
        step = max(1, len(samples) // IDENTITY_FRAMES)
        own = self._embedding.embed([source], [points])[0]
        codes = self._embedding.embed(*_split(samples[::step]))
        theirs = self._embedding.embed(*_split(drivers[::step])).mean(axis=0)
        to_source = np.linalg.norm(codes - own, axis=1).mean()
        to_driver = np.linalg.norm(codes - theirs, axis=1).mean()
        figures: dict[str, float | None] = {"identity_distance": float(to_source)}
        if self.options.kind != "self":
            figures["identity_leak"] = float(to_source - to_driver)
        return figures


def _split(samples: list[tuple[Picture, Any]]) -> tuple[list[Picture], list[Any]]:
    return [picture for picture, _ in samples], [points for _, points in samples]


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


def face_hull(landmarks: NDArray[np.floating[Any]], height: int, width: int) -> NDArray[np.float32]:
    """The convex hull of landmarks (N, 2 or 3) as a mask (H, W) of 0 and 1."""
    import cv2

    mask = np.zeros((height, width), np.uint8)
    hull = cv2.convexHull(np.round(landmarks[:, :2]).astype(np.int32))
    cv2.fillConvexPoly(mask, hull, [1])
    return mask.astype(np.float32)


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


def _open_lpips() -> LPIPS | None:
    if not (present("alexnet") and present("lpips-alexnet")):
        return None
    from avatarkit.metrics.lpips import LPIPS

    return LPIPS.from_registry()


def _open_embedding() -> FaceEmbedding | None:
    if not present("face-embedding"):
        return None
    from avatarkit.metrics.face_embedding import FaceEmbedding

    return FaceEmbedding.from_registry()


def crop_of(report: Mapping[str, Any]) -> Crop | None:
    """The part of the source's picture that an output shows, from the report of `reenact`."""
    values = report["source"].get("crop")
    return None if values is None else Crop(*values)


def source_frame(clip: Path, path: Path) -> None:
    """Write a clip's first frame as a picture."""
    from avatarkit.media.image import write_image

    with FrameReader(clip, info=probe(clip)) as frames:
        write_image(path, next(iter(frames)))
