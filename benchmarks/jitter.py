"""What jitter is made of: the scorer's figure, the same without what its unit adds, and that of each part of the face.

    python benchmarks/jitter.py --media MEDIA --work WORK [--only d02,d06] [--portraits p05,p24] [--start 20]

The scorer divides landmarks by the distance of the outer corners of the eyes, frame by frame, and counts them from the
picture's corner: where a tracker reads that distance as 2 % longer for a moment, as of shut eyes, a face two distances
away from the corner seems to jump by 4 % of one. Here the unit is also the mean of all frames. Figures are the
output's over the driver's, by the same tracker, `--every` frames apart.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
from artefacts import open_pair
from media_set import label, media_set
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.face.open import open_tracker
from avatarkit.face.tracker import FaceTracker
from avatarkit.media.decode import FrameReader
from avatarkit.pipelines.program import open_cache
from avatarkit.pipelines.studio import Studio

Array = NDArray[np.float64]

CORNERS = lm.UPPER_LIDS[0][0], lm.UPPER_LIDS[1][0]
"""The outer corners of the eyes."""
PARTS: dict[str, list[int]] = {
    "lips": sorted({point for row in (*lm.UPPER_LIP_ROWS, *lm.LOWER_LIP_ROWS) for point in row}),
    "eyes": sorted({point for lids in (*lm.UPPER_LIDS, *lm.LOWER_LIDS) for point in lids}),
    "brows": sorted({point for brow in lm.BROWS for point in brow}),
    "outline": list(lm.FACE_OVAL),
    "nose": [1, 2, 4, 5, 6, 19, 64, 94, 97, 98, 168, 195, 197, 294, 326, 327],
}


def units(track: Array) -> Array:
    """The distance (F,) of the outer corners of the eyes in landmarks (F, 468, 2)."""
    return np.asarray(np.linalg.norm(track[:, CORNERS[0]] - track[:, CORNERS[1]], axis=1), np.float64)


def jitter(track: Array, every: int, part: list[int] | None = None, *, steady: bool = False) -> float:
    """RMS second difference of landmarks (F, 468, 2), but of NaN, frames `every` apart, in the unit of each frame.

    Args:
        part: of these landmarks alone. steady: in the mean unit of all frames.
    """
    unit = np.full(len(track), np.nanmean(units(track))) if steady else units(track)
    places = track / np.maximum(unit, 1e-6)[:, None, None]
    second = places[2 * every :] - 2.0 * places[every:-every] + places[: -2 * every]
    return float(np.sqrt(np.nanmean(np.square(second if part is None else second[:, part]))))


def figures(driver: Array, output: Array, every: int) -> dict[str, float]:
    """The output's jitter over the driver's: as scored, in a steady unit, and so of each part."""
    result = {"scored": jitter(output, every) / max(jitter(driver, every), 1e-9)}
    for name, part in {"steady": None, **PARTS}.items():
        own = jitter(driver, every, part, steady=True)
        result[name] = jitter(output, every, part, steady=True) / max(own, 1e-9)
    return result


def _read(pictures: Iterator[NDArray[np.uint8]], tracker: FaceTracker) -> list[Array | None]:
    faces = (tracker.detect(picture) for picture in pictures)
    return [face[0].landmarks[: lm.MESH, :2].astype(np.float64) if face else None for face in faces]


_GAP = (np.full((lm.MESH, 2), np.nan),) * 2
"""A face was not found: frames beside it stay as far apart as they are."""


def main() -> None:
    """Print a row for each pair, and medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only")
    parser.add_argument("--portraits")
    for name, default in (("--start", 20), ("--frames", 100), ("--every", 5), ("--size", 512)):
        parser.add_argument(name, type=int, default=default)
    given = parser.parse_args()
    media, rows = media_set(given.media, given.only, given.portraits), []
    with Studio(open_cache(given.work / "cache"), keep=2) as studio, closing(open_tracker()) as tracker:
        for driver in media.drivers:
            with FrameReader(driver) as frames:
                own = _read(islice(frames, given.start, given.start + given.frames), tracker)
            for portrait in media.portraits:
                pair = open_pair(studio, portrait, driver, given.size)
                numbers = range(given.start, given.start + len(own))
                seen = _read((pair.frame(pair.transfer.frame(number)) for number in numbers), tracker)
                both = [(a, b) if a is not None and b is not None else _GAP for a, b in zip(own, seen, strict=True)]
                row = figures(np.array([a for a, _ in both]), np.array([b for _, b in both]), given.every)
                rows.append(row)
                print(label(driver), label(portrait), _line(row), flush=True)
    print("median ", _line({name: float(np.median([row[name] for row in rows])) for name in rows[0]}))


def _line(row: dict[str, float]) -> str:
    return " ".join(f"{name} {value:.2f}" for name, value in row.items())


if __name__ == "__main__":
    main()
