"""What a viewer sees at once: samples from nowhere, specks, flicker, beside the driver's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from media_set import MediaSet, label
from numpy.typing import NDArray
from tables import Bar, Row, Value, Verdict, median_verdict, numbers

from avatarkit.errors import AvatarkitError
from avatarkit.geometry.crop import cut, head_crop
from avatarkit.media.decode import FrameReader
from avatarkit.metrics.artefacts import (
    beyond_px,
    compensated_difference,
    off_triangle_px,
    opaque_share,
    specks_per_million,
)
from avatarkit.motion.columns import Motion
from avatarkit.motion.moment import landmarks_of
from avatarkit.motion.transfer import DriveFrame, Transfer
from avatarkit.pipelines.driver import Driver
from avatarkit.pipelines.framing import framing
from avatarkit.pipelines.program import open_cache
from avatarkit.pipelines.reenact_config import ReenactConfig, checked
from avatarkit.pipelines.source import Source
from avatarkit.pipelines.studio import Studio
from avatarkit.runtime import NullProgress
from avatarkit.systems.landmark_warp.engine import WarpEngine

Picture = NDArray[np.uint8]

COLUMNS = (
    "portrait", "driver", "outside_ppm", "continued_ppm", "off_triangle", "specks", "specks_driver", "speck_ratio",
    "difference", "difference_driver", "difference_ratio", "eased", "note",
)  # fmt: skip
FEWEST_SPECKS = 5.0
"""Specks per million below which a driver counts as having this many: a ratio to almost nothing says nothing."""


@dataclass(frozen=True)
class Pair:
    """One driver on one portrait, ready to be drawn."""

    source: Source
    driver: Driver
    engine: WarpEngine
    transfer: Transfer

    def frame(self, motion: DriveFrame) -> Picture:
        """The finished frame, RGB."""
        return self.source.finish(*self.engine.drive([motion])[0])


def artefact_rows(media: MediaSet, work: Path, size: int, moments: int) -> list[Row]:
    """One row for each portrait and driver: `moments` pairs of successive frames, evenly spread over the driver."""
    rows: list[Row] = []
    with Studio(open_cache(work / "cache"), keep=len(media.drivers)) as studio:
        shown = {driver: _driver_frames(studio, driver, size, moments) for driver in media.drivers}
        for portrait in media.portraits:
            for driver in media.drivers:
                row: dict[str, Value] = {"portrait": label(portrait), "driver": label(driver)}
                try:
                    pair = open_pair(studio, portrait, driver, size)
                    rows.append({**row, **_figures(pair, *shown[driver]), "outcome": "scored"})
                except AvatarkitError as error:
                    rows.append({**row, "outcome": "refused", "note": str(error)})
    return rows


def artefact_verdicts(rows: list[Row]) -> list[Verdict]:
    """The worst pair for what must not happen at all; for the others the median, and the worst as a note."""
    scored = [row for row in rows if row["outcome"] == "scored"]
    verdicts = []
    for bar in (Bar("outside_ppm", "<=", 0), Bar("off_triangle", "<=", 0)):
        result = numbers(scored, bar.name)
        verdicts.append(Verdict(bar, max(result) if result else None, f"worst of {len(result)}"))
    for bar in (Bar("speck_ratio", "<=", 2.0), Bar("difference_ratio", "<=", 1.3)):
        result = numbers(scored, bar.name)
        median = median_verdict(scored, bar)
        worst = f"; worst {max(result):.2f}, {sum(v > bar.value for v in result)} over the bar" if result else ""
        verdicts.append(Verdict(bar, median.figure, median.note + worst))
    return verdicts


def open_pair(studio: Studio, portrait: Path, driver: Path, size: int) -> Pair:
    """One driver on one portrait, opened and prepared once by the studio."""
    config = ReenactConfig(portrait, driver, Path("unused.mp4"), size=size)
    background = checked(config)
    opened, moved = studio.portrait(config), studio.driver(config, NullProgress())
    source = studio.source(config, opened, None, background)
    assert isinstance(source, Source)
    engine = studio.engine(WarpEngine(), config, source, background)
    assert isinstance(engine, WarpEngine)
    place = framing(moved.motion, opened, source.crop, config)
    transfer = Transfer(moved.motion, source.layers.landmarks, config.motion, place, opened.covered)
    return Pair(source, moved, engine, transfer)


def _figures(pair: Pair, which: list[int], shown: list[tuple[Picture, Picture]]) -> dict[str, Value]:
    """All figures of one pair."""
    outside, continued, off, specks, difference = [], [], 0, [], []
    for number in which:
        motion = pair.transfer.frame(number)
        about = pair.engine.provenance(motion)
        beyond = beyond_px(about.places, about.known)
        outside.append(opaque_share(beyond, about.alpha, about.reach_px + 0.5))
        continued.append(opaque_share(beyond, about.alpha, 0.5) - outside[-1])
        off += int((off_triangle_px(about.face_places, about.face_corners) > 1.0).sum())
        item, other = pair.frame(motion), pair.frame(pair.transfer.frame(number + 1))
        specks.append(specks_per_million(item, other))
        difference.append(compensated_difference(item, other))
    own_specks = float(np.mean([specks_per_million(*pictures) for pictures in shown]))
    own_difference = float(np.mean([compensated_difference(*pictures) for pictures in shown]))
    return {
        "outside_ppm": 1e6 * max(outside),
        "continued_ppm": 1e6 * max(continued),
        "off_triangle": off,
        "specks": float(np.mean(specks)),
        "specks_driver": own_specks,
        "speck_ratio": float(np.mean(specks)) / max(own_specks, FEWEST_SPECKS),
        "difference": float(np.mean(difference)),
        "difference_driver": own_difference,
        "difference_ratio": float(np.mean(difference)) / max(own_difference, 1e-6),
        "eased": len(pair.engine.notices()) > 0,
        "note": "",
    }


def _driver_frames(
    studio: Studio, path: Path, size: int, moments: int
) -> tuple[list[int], list[tuple[Picture, Picture]]]:
    """Numbers of frames, and the driver's own pictures of them and of those that follow, cut around its head.

    The cut is that of the whole shot's first face, at the size that results have, so that both are compared alike.
    """
    motion = studio.driver(ReenactConfig(path, path, Path("unused.mp4"), size=size), NullProgress()).motion
    which = _moments(motion, moments)
    wanted = {n for number in which for n in (number, number + 1)}
    kept = {n: picture for n, picture in _pictures(path, max(wanted)) if n in wanted}
    pictures = []
    for number in which:
        crop = head_crop(landmarks_of(motion, number), motion.width, motion.height, size)
        pictures.append((cut(kept[number], crop), cut(kept[number + 1], crop)))
    return which, pictures


def _moments(motion: Motion, moments: int) -> list[int]:
    """Numbers of frames, evenly spread, none right before a cut."""
    cuts = {cut - 1 for cut in motion.cuts}
    spread = np.linspace(0, len(motion) - 2, moments + 2)[1:-1].round().astype(int)
    return sorted({int(number) for number in spread} - cuts)


def _pictures(path: Path, last: int) -> Iterator[tuple[int, Picture]]:
    with FrameReader(path) as frames:
        for number, picture in enumerate(frames):
            yield number, picture
            if number == last:
                return
