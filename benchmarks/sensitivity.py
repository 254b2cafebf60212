"""Whether each figure of `avatarkit evaluate` gets worse, step by step, where a video is spoiled more and more.

    python benchmarks/sensitivity.py --clip CLIP.mp4 --other OTHER.mp4 [--lpips DIR]

CLIP shows one person who speaks; OTHER another one at least as long. DIR holds LPIPS' two files, where the registry's
are not here. Prints a table: spoiling, figure, values at each level, and whether they are in order. Figures whose
weights are not here are left out. The exit code is 1 where a figure did not see what it is for.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from personal import open_lpips

from avatarkit.face.open import open_tracker
from avatarkit.media.decode import FrameReader
from avatarkit.media.encode import FrameWriter
from avatarkit.media.image import write_image
from avatarkit.media.probe import probe
from avatarkit.pipelines.evaluate.cases import Case
from avatarkit.pipelines.evaluate.figures import FIGURES
from avatarkit.pipelines.evaluate.measure import MeasureOptions, Measurer

Picture = NDArray[np.uint8]
Video = list[Picture]
Spoil = Callable[[Video, float], Video]
_STALL = 25
COUNTED = ("blinks_followed",)
"""Shares of few events change by steps."""


@dataclass(frozen=True)
class Spoiling:
    """levels: from little to much. figures: that must see it, and get worse from level to level."""

    name: str
    spoil: Spoil
    levels: tuple[float, ...]
    figures: tuple[str, ...]


def _blurred(video: Video, sigma: float) -> Video:
    return [cv2.GaussianBlur(frame, (0, 0), sigma).astype(np.uint8) for frame in video]


def _shifted(video: Video, pixels: float) -> Video:
    return [_moved(frame, pixels, pixels / 2) for frame in video]


def _noisy(video: Video, levels: float) -> Video:
    draw = np.random.default_rng(0)
    return [(frame + draw.normal(0, levels, frame.shape)).clip(0, 255).astype(np.uint8) for frame in video]


def _frozen(video: Video, share: float) -> Video:
    """Every second the picture stands still for a share of it."""
    kept = max(1, round(_STALL * (1 - share)))
    return [video[min(number, number - number % _STALL + kept - 1)] for number in range(len(video))]


def _held(video: Video, frames: float) -> Video:
    """A fraction of the rate: each frame is shown so often."""
    return [video[number - number % int(frames)] for number in range(len(video))]


def _averaged(video: Video, frames: float) -> Video:
    """Each frame is the mean of those around it: what is short, as a blink, fades."""
    half = int(frames) // 2
    stack = np.stack(video)
    return [
        stack[max(0, number - half) : number + half + 1].mean(axis=0).astype(np.uint8) for number in range(len(video))
    ]


def _shaken(video: Video, pixels: float) -> Video:
    draw = np.random.default_rng(0)
    return [_moved(frame, *draw.uniform(-pixels, pixels, 2)) for frame in video]


def _mirrored(video: Video, pixels: float) -> Video:
    wide = int(pixels)
    return [
        cv2.copyMakeBorder(frame[wide:-wide, wide:-wide], wide, wide, wide, wide, cv2.BORDER_REFLECT).astype(np.uint8)
        for frame in video
    ]


def _speckled(video: Video, per_million: float) -> Video:
    draw = np.random.default_rng(0)
    result = []
    for frame in video:
        spoiled = frame.copy()
        count = round(per_million * frame.shape[0] * frame.shape[1] / 1e6)
        y, x = (draw.integers(0, side, count) for side in frame.shape[:2])
        spoiled[y, x] = 255 - spoiled[y, x] // 128 * 255
        result.append(spoiled)
    return result


def _hidden(video: Video, share: float) -> Video:
    """A part of the frames is black."""
    return [frame * 0 if (number * 7) % 10 < 10 * share else frame for number, frame in enumerate(video)]


def spoilings(other: Video, middle: tuple[int, int], face_px: int) -> list[Spoiling]:
    """All of them; `middle` and `face_px` say where the face is, for faults in it."""

    def blended(video: Video, share: float) -> Video:
        return [
            cv2.addWeighted(theirs, share, own, 1 - share, 0).astype(np.uint8)
            for own, theirs in zip(video, other, strict=False)
        ]

    def torn(video: Video, count: float) -> Video:
        """Dotted lines down the cheeks."""
        result = [frame.copy() for frame in video]
        step = max(2, face_px // 60)
        for frame in result:
            for line in range(int(count)):
                x = middle[0] + (line % 2 * 2 - 1) * (face_px // 6 + line * face_px // 20)
                for y in range(middle[1], middle[1] + face_px // 3, 2 * step):
                    frame[y : y + step, x : x + step] = 0
        return result

    def holed(video: Video, count: float) -> Video:
        result = [frame.copy() for frame in video]
        for frame in result:
            for hole in range(int(count)):
                side = hole % 2 * 2 - 1
                place = middle[0] + side * face_px // 5, middle[1] + face_px // 12 * (hole // 2 + 1)
                cv2.circle(frame, place, max(2, face_px // 45), (0, 0, 0), -1)
        return result

    pixels = ("psnr_db", "ssim", "l1", "face_psnr_db", "face_ssim", "face_l1", "lpips")
    motion = ("r_mouth", "r_gaze_horizontal", "r_gaze_vertical", "aed", "apd_deg", "akd")
    return [
        Spoiling("blur, sigma in px", _blurred, (1, 2, 4), (*pixels, "iqa")),
        Spoiling("shift, px", _shifted, (2, 6, 16), (*pixels, "akd")),
        Spoiling("noise, levels", _noisy, (5, 15, 40), (*pixels, "flicker", "jitter")),
        Spoiling("stands still, share", _frozen, (0.25, 0.5, 0.9), (*pixels, *motion, "r_lips_sound")),
        Spoiling("each frame shown so often", _held, (2, 5, 12), ("akd", "aed", "apd_deg", "r_mouth", "r_lids")),
        # A stall that swallows a blink costs the lids all at once, however long it is.
        Spoiling("mean of so many frames", _averaged, (3, 7, 15), ("r_lids", "blinks_followed", "r_mouth", "aed")),
        Spoiling("another person, share", blended, (0.35, 0.65, 1.0), (*pixels, "identity_distance", "identity_leak")),
        Spoiling("shaking, px", _shaken, (1, 3, 8), ("jitter", "flicker", "akd", "matte_flicker")),
        Spoiling("mirrored borders, px", _mirrored, (12, 24, 38), ("psnr_db", "ssim", "l1")),
        Spoiling("mirrored borders at all, px", _mirrored, (24,), ("mirrored",)),
        Spoiling("specks, per million", _speckled, (50, 300, 2000), ("specks_excess_ppm", "psnr_db", "l1")),
        Spoiling("dotted lines in the face", torn, (1, 3, 6), ("seams", "face_psnr_db")),
        Spoiling("holes in the face", holed, (1, 3, 6), ("holes", "face_psnr_db")),
        Spoiling("black frames, share", _hidden, (0.1, 0.3, 0.6), ("lost",)),
    ]


def main() -> int:
    """Measure, print, and say whether all figures saw what they are for."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--clip", type=Path, required=True)
    options.add_argument("--other", type=Path, required=True)
    options.add_argument("--frames", type=int, default=150)
    options.add_argument("--size", type=int, default=256)
    options.add_argument("--lpips", type=Path)
    options.add_argument("--only", help="spoilings whose names hold this")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return _run(given, Path(folder))


def _run(given: argparse.Namespace, folder: Path) -> int:
    video, theirs = (_read(path, given.frames, given.size) for path in (given.clip, given.other))
    driver, stranger, source = folder / "driver.mp4", folder / "stranger.mp4", folder / "source.png"
    _write(driver, video, given.clip)
    _write(stranger, theirs, given.clip)
    video = _read(driver, given.frames, given.size)
    write_image(source, video[0])
    own = (Measurer(MeasureOptions("self", given.size)), driver)
    if given.lpips:
        own[0]._nets.lpips = open_lpips(given.lpips)
    # That the output comes nearer to the driver's face is a figure of cross-reenactment alone.
    cross = (Measurer(MeasureOptions("cross", given.size)), stranger)
    with closing(open_tracker()) as tracker:
        points = max(tracker.detect(video[0]), key=lambda face: face.extent_px).landmarks
    nose, face_px = (int(points[4, 0]), int(points[4, 1])), int(np.ptp(points[:, 1]))
    seen: dict[str, bool] = {}
    print("| spoiling | figure | as it is | spoiled more and more | worse each time |\n|---|---|---|---|---|")
    clean = _figures((own, cross), driver, source)
    for spoiling in spoilings(theirs, nose, face_px):
        if given.only and given.only not in spoiling.name:
            continue
        rows = [clean]
        measured = (own, cross) if "identity_leak" in spoiling.figures else (own,)
        for level in spoiling.levels:
            _write(folder / "spoiled.mp4", spoiling.spoil(video, level), given.clip)
            rows.append(_figures(measured, folder / "spoiled.mp4", source))
        for name in spoiling.figures:
            values = [row.get(name) for row in rows]
            known = [value for value in values if value is not None]
            if len(known) < len(values):
                continue
            fine = _in_order(known, FIGURES[name].higher, strict=name not in COUNTED)
            seen[name] = seen.get(name, True) and fine
            shown = ", ".join(f"{value:.4g}" for value in known[1:])
            levels = ", ".join(f"{level:g}" for level in spoiling.levels)
            print(f"| {spoiling.name}: {levels} | {name} | {known[0]:.4g} | {shown} | {'yes' if fine else 'NO'} |")
            sys.stdout.flush()
    missed = [name for name, fine in seen.items() if not fine]
    print(f"{len(seen)} figures, {len(missed)} not in order {', '.join(missed)}")
    return 1 if missed else 0


def _figures(measured: Sequence[tuple[Measurer, Path]], output: Path, source: Path) -> dict[str, float | None]:
    figures: dict[str, float | None] = {}
    for measurer, driver in measured:
        figures = {**measurer.measure(Case("case", "spoiled", driver, output, source), None).figures, **figures}
    return figures


def _in_order(values: Sequence[float], higher: bool | None, *, strict: bool) -> bool:
    """Whether each value is worse than the one before; of figures without a better direction more is worse here.

    strict: else a value may be as good as the one before, but not the last as good as the first.
    """
    signed = [-value if higher else value for value in values]
    steps = [after > before if strict else after >= before for before, after in pairwise(signed)]
    return all(steps) and signed[-1] > signed[0]


def _moved(frame: Picture, right: float, down: float) -> Picture:
    place = np.array([[1.0, 0.0, right], [0.0, 1.0, down]])
    moved = cv2.warpAffine(frame, place, frame.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


def _read(path: Path, frames: int, size: int) -> Video:
    """The middle square of the first frames."""
    video: Video = []
    with FrameReader(path, info=probe(path)) as reader:
        for frame in reader:
            height, width = frame.shape[:2]
            side = min(height, width)
            top, left = (height - side) // 2, (width - side) // 2
            square = frame[top : top + side, left : left + side]
            video.append(np.asarray(cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA), np.uint8))
            if len(video) == frames:
                break
    return video


def _write(path: Path, video: Video, sound: Path) -> None:
    info = probe(sound)
    assert info.video is not None
    rate = info.video.rate
    height, width = video[0].shape[:2]
    path.unlink(missing_ok=True)
    with FrameWriter(path, width=width, height=height, rate=rate, crf=8, audio_from=sound) as writer:
        for frame in video:
            writer.write(frame)


if __name__ == "__main__":
    sys.exit(main())
