"""Whether blinks and gaze arrive, eye by eye: a tracker's reading of the result against its reading of the driver."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np
from artefacts import Pair, open_pair
from media_set import MediaSet, label
from numpy.typing import NDArray
from tables import Bar, Row, Value, Verdict, median_verdict, numbers

from avatarkit.errors import AvatarkitError
from avatarkit.face.open import open_tracker
from avatarkit.face.tracker import FaceTracker
from avatarkit.head.coordinates import eye_opening, gaze
from avatarkit.metrics.eyes import SHUT, blink_figures, gaze_figures, measurable_eyes, shown_irises
from avatarkit.motion.moment import landmarks_of
from avatarkit.pipelines.program import open_cache
from avatarkit.pipelines.studio import Studio

COLUMNS = ("portrait", "driver", "frames", "lost", "blinks", "followed", "r_gaze_x", "r_gaze_y", "apart_deg", "note")
SECONDS = 10.0
"""Of each driver; blinks come every few seconds."""
FEWEST = 5
"""Frames with a face, fewer of which say nothing."""


def eye_rows(media: MediaSet, work: Path, size: int) -> list[Row]:
    """One row for each portrait and driver."""
    rows: list[Row] = []
    with Studio(open_cache(work / "cache"), keep=len(media.drivers)) as studio:
        tracker = open_tracker()
        try:
            for portrait in media.portraits:
                for driver in media.drivers:
                    row: dict[str, Value] = {"portrait": label(portrait), "driver": label(driver)}
                    try:
                        pair = open_pair(studio, portrait, driver, size)
                        rows.append({**row, **_figures(pair, tracker), "outcome": "scored"})
                    except AvatarkitError as error:
                        rows.append({**row, "outcome": "refused", "note": str(error)})
        finally:
            tracker.close()
    return rows


def eye_verdicts(rows: list[Row]) -> list[Verdict]:
    """Of all blinks together the share that is followed; of gaze the median, and how far eyes come apart at worst."""
    scored = [row for row in rows if row["outcome"] == "scored"]
    blinks = [(float(row["blinks"]), float(row["followed"])) for row in scored if row.get("followed") is not None]  # type: ignore[arg-type]
    total = sum(count for count, _ in blinks)
    share = sum(count * followed for count, followed in blinks) / total if total else None
    verdicts = [Verdict(Bar("followed", ">=", 0.95), share, f"of {total:.0f} blinks")]
    verdicts += [median_verdict(scored, bar) for bar in (Bar("r_gaze_x", ">=", 0.8), Bar("r_gaze_y", ">=", 0.6))]
    apart = numbers(scored, "apart_deg")
    note = f"median {statistics.median(apart):.1f} of {len(apart)}" if apart else ""
    return [*verdicts, Verdict(Bar("apart_deg", "<=", 3.0), max(apart) if apart else None, f"worst; {note}")]


def _figures(pair: Pair, tracker: FaceTracker) -> dict[str, Value]:
    motion = pair.driver.motion
    count = min(len(motion), round(SECONDS * motion.rate))
    seen, own, openings, turns = [], [], [], []
    for number in range(count):
        picture = pair.frame(pair.transfer.frame(number))
        result = tracker.detect(picture)
        if result:
            seen.append(result[0].landmarks.astype(np.float64))
            own.append(landmarks_of(motion, number))
            openings.append(_opening(picture, seen[-1], tracker))
            turns.append(float(motion.rotation[number][0, 2]))
    lost: dict[str, Value] = {"frames": count, "lost": count - len(seen), "blinks": 0, "followed": None}
    if len(seen) < FEWEST:
        return {**lost, "note": "hardly a face"}
    rate, opened = float(motion.rate), (np.array([eye_opening(points[:, :2]) for points in own]), np.array(openings))
    shown = shown_irises(*opened, rate)
    if shown.sum() < FEWEST:
        return {**lost, "note": "eyes stay shut"}
    looks = gaze_figures(*(np.array([gaze(points) for points in track])[shown] for track in (own, seen)))
    blinks = blink_figures(*opened, rate, shut=SHUT, measurable=measurable_eyes(np.array(turns)))
    return {
        **lost,
        "blinks": blinks.blinks,
        "followed": blinks.followed,
        "r_gaze_x": looks.horizontal,
        "r_gaze_y": looks.vertical,
        "apart_deg": looks.apart_deg,
        "note": "",
    }


def _opening(picture: NDArray[np.uint8], points: NDArray[np.float64], tracker: FaceTracker) -> NDArray[np.float64]:
    """The opening (2,) of both eyes, the mean of what is read of a picture and of its mirror image.

    One reading alone varies by a tenth of what is usual, and prefers one of the sides.
    """
    own = eye_opening(points[:, :2])
    mirrored = tracker.detect(np.ascontiguousarray(picture[:, ::-1]))
    return 0.5 * (own + eye_opening(mirrored[0].landmarks[:, :2].astype(np.float64))[::-1]) if mirrored else own
