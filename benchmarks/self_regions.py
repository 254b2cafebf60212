"""How the mouth and the eyes of self-reenactments look beside the driver's own, several results of it side by side.

    python benchmarks/self_regions.py DRIVER RESULT [RESULT ...] --every N [--lpips DIR]

RESULTs show DRIVER's own frames drawn again (`reenact FIRST_FRAME DRIVER --paste-back --motion absolute`), by as many
states of the program. DIR holds LPIPS' two files, where the registry's are not here. Prints a table: mean LPIPS of a
square about the mouth and of one about each eye, cut where the driver has them and brought to 64 pixels.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack, closing
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from personal import open_lpips

from avatarkit.face import landmarks as lm
from avatarkit.face.open import open_tracker
from avatarkit.head.coordinates import head_frame
from avatarkit.media.decode import FrameReader
from avatarkit.metrics.lpips import LPIPS

Picture = NDArray[np.uint8]

MOUTH, EYE = 0.42, 0.24
"""Half sides of the squares, in head units."""
SIDE = 64


def squares(picture: Picture, landmarks: NDArray[np.float64]) -> dict[str, list[Picture]]:
    """The mouth and both eyes (64, 64, 3) of a picture."""
    scale = head_frame(landmarks).scale
    mouth = landmarks[[*lm.INNER_LIP_UPPER, *lm.INNER_LIP_LOWER], :2].mean(0)
    eyes = [landmarks[[*lm.UPPER_LIDS[eye], *lm.LOWER_LIDS[eye]], :2].mean(0) for eye in range(2)]
    return {"mouth": [_cut(picture, mouth, MOUTH * scale)], "eyes": [_cut(picture, eye, EYE * scale) for eye in eyes]}


def _cut(picture: Picture, middle: NDArray[np.float64], half: float) -> Picture:
    ratio = SIDE / (2.0 * half)
    shift = (SIDE - 1) / 2 - ratio * middle
    way = np.array([[ratio, 0.0, shift[0]], [0.0, ratio, shift[1]]])
    return np.asarray(cv2.warpAffine(picture, way, (SIDE, SIDE), flags=cv2.INTER_AREA), np.uint8)


def measured(driver: Path, results: list[Path], every: int, net: LPIPS) -> list[dict[str, float]]:
    """Mean distances by region, for each result, over every Nth frame after the first."""
    sums: list[dict[str, list[float]]] = [{"mouth": [], "eyes": []} for _ in results]
    with ExitStack() as stack:
        tracker = stack.enter_context(closing(open_tracker()))
        videos = [stack.enter_context(FrameReader(path)) for path in (driver, *results)]
        for number, (own, *others) in enumerate(zip(*videos, strict=False)):
            if number == 0 or number % every:
                continue
            faces = tracker.detect(own)
            if not faces:
                continue
            points = max(faces, key=lambda face: face.extent_px).landmarks.astype(np.float64)
            wanted = squares(own, points)
            for result, other in zip(sums, others, strict=True):
                for region, pictures in squares(other, points).items():
                    pairs = zip(pictures, wanted[region], strict=True)
                    result[region].append(float(np.mean([net.of_pictures(*pair) for pair in pairs])))
    return [{region: float(np.mean(values)) for region, values in result.items()} for result in sums]


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("driver", type=Path)
    options.add_argument("results", type=Path, nargs="+")
    options.add_argument("--every", type=int, default=5)
    options.add_argument("--lpips", type=Path)
    given = options.parse_args()
    rows = measured(given.driver, given.results, given.every, open_lpips(given.lpips))
    print("| result | LPIPS mouth | LPIPS eyes |\n|---|---|---|")
    for path, row in zip(given.results, rows, strict=True):
        print(f"| {path} | {row['mouth']:.4f} | {row['eyes']:.4f} |")


if __name__ == "__main__":
    main()
