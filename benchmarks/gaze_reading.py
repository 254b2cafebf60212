"""How well gaze can be read at all: of drivers' own pictures, by the scorer's tracker and by the irises' place in them.

    python benchmarks/gaze_reading.py --media MEDIA --work WORK [--only d02,d12] [--every 5] [--portraits p05]

A row for each driver, over frames with open eyes: `spread` of the scorer's reading of gaze (standard deviation, in eye
widths); `mirrored` its correlation with the same reading of the mirrored picture, about the most that any result can
reach; `picture,scorer` and `picture,motion` the correlation of both readings with where the irises' dark discs lie.
With portraits a row for each result (512 px): `mirrored` as above, of the result; `scorer` the correlation of the
scorer's readings of both pictures; `pictures` that of the discs' places in both.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from artefacts import Pair, open_pair
from media_set import label, media_set
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.geometry.sampling import sample
from avatarkit.head.coordinates import eye_opening, gaze
from avatarkit.media.decode import FrameReader
from avatarkit.motion.moment import landmarks_of
from avatarkit.pipelines.program import open_cache
from avatarkit.pipelines.studio import Studio
from avatarkit.systems.landmark_warp.eye_frame import EyeFrame
from avatarkit.systems.landmark_warp.openings import fill

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]

RESULT_PX = 512
PER_WIDTH = 96
"""Pixels of an eye's width in which its iris is looked for."""
AROUND, ACROSS, ALONG = 1.65, 0.15, 0.42
"""How far the white beside an iris counts, in its radii; how far from the eye's middle irises are looked for."""
OPEN, ASTRAY = 0.65, 0.08
"""Frames count whose eyes are open by so much of what is usual; for the picture, those in which no disc is so far, in
eye widths, from where the motion has it: dark corners and lashes are taken for irises at times."""


def iris_place(picture: Picture, points: Array, eye: int, radius: float) -> float:
    """Where along an eye its iris is, in eye widths from the middle: the disc that is darkest beside what is around it.

    Args:
        points: (478, 3) landmarks, for the lids. radius: of the iris in eye widths.

    Returns:
        NaN where too little of the eye is seen.
    """
    import cv2

    frame = EyeFrame.of(points, eye)
    steps = np.stack(np.meshgrid(np.arange(-PER_WIDTH, PER_WIDTH), np.arange(-64, 64)), axis=2) / PER_WIDTH
    places = frame.middle + frame.width * (steps[..., :1] * frame.along + steps[..., 1:] * frame.across)
    light = sample(picture, places).astype(np.float32).mean(2)
    lids = np.concatenate([points[list(lm.UPPER_LIDS[eye]), :2], points[list(lm.LOWER_LIDS[eye]), :2][::-1]])
    seen = fill(frame.local(lids) * PER_WIDTH + [PER_WIDTH, 64], light.shape)
    seen = np.asarray(cv2.erode(seen, np.ones((3, 3), np.uint8)), np.float32)
    if seen.sum() < 200:
        return float("nan")
    # Lights in the eye are no white.
    light = np.minimum(light, np.percentile(light[seen > 0], 80))
    reach = int(np.ceil(AROUND * radius * PER_WIDTH))
    far = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) / (radius * PER_WIDTH)
    means, shares = [], []
    for ring in (far <= 0.95, (far > 1.05) & (far <= AROUND)):
        kernel = ring.astype(np.float32)
        there, total = (
            cv2.filter2D(part, -1, kernel, borderType=cv2.BORDER_CONSTANT) for part in (seen, light * seen)
        )
        means.append(total / np.maximum(there, 1.0))
        shares.append(np.maximum(there, 0.0) / kernel.sum())
    clear = (means[1] - means[0]) * np.sqrt(np.minimum(shares[0], 0.8))
    near = (np.abs(steps[..., 1]) <= ACROSS) & (np.abs(steps[..., 0]) <= ALONG) & (shares[0] > 0.3) & (shares[1] > 0.1)
    if not near.any():
        return float("nan")
    return float(steps[..., 0].flat[int(np.where(near, clear, -np.inf).argmax())])


def scored(points: Array) -> float:
    """The scorer's gaze of landmarks: the mean of both irises' places along their eyes."""
    return float(gaze(points)[:, 0].mean())


def correlation(a: Array, b: Array, which: NDArray[np.bool_]) -> float:
    """Of two rows of numbers (F,), where both are known, in some frames."""
    both = which & np.isfinite(a) & np.isfinite(b)
    return float(np.corrcoef(a[both], b[both])[0, 1]) if both.sum() > 4 else float("nan")


def _reader() -> Callable[[Picture], float]:
    """The scorer's way: the whole picture as a still."""
    import mediapipe

    mesh: Any = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True)

    def read(picture: Picture) -> float:
        faces = mesh.process(np.ascontiguousarray(picture)).multi_face_landmarks
        size = np.array([picture.shape[1], picture.shape[0], picture.shape[1]], np.float64)
        return scored(np.array([(p.x, p.y, p.z) for p in faces[0].landmark]) * size) if faces else float("nan")

    return read


def main() -> None:
    """Print a row for each driver."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only")
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--portraits")
    given = parser.parse_args()
    media, read = media_set(given.media, given.only, given.portraits), _reader()
    print("driver frames spread mirrored picture,scorer picture,motion")
    with Studio(open_cache(given.work / "cache"), keep=1) as studio:
        for driver in media.drivers:
            motion = open_pair(studio, media.portraits[0], driver, 256).driver.motion
            numbers = range(0, len(motion), given.every)
            faces = [landmarks_of(motion, number) for number in numbers]
            radii = np.median([[_radius(points, eye) for eye in range(2)] for points in faces], axis=0)
            rows = []
            with FrameReader(driver) as frames:
                for points, picture in zip(faces, islice(frames, 0, None, given.every), strict=False):
                    discs = [iris_place(picture, points, eye, radii[eye]) for eye in range(2)]
                    rows.append([read(picture), -read(picture[:, ::-1]), *discs])
            own = np.array(rows)
            print(label(driver), _line(own, motion.gaze[:: given.every, :, 0], faces), flush=True)
            for portrait in media.portraits if given.portraits else ():
                pair = open_pair(studio, portrait, driver, RESULT_PX)
                line = _of_result(own, _result_rows(pair, numbers, read), _opened(faces[: len(own)]))
                print(label(driver), label(portrait), line, flush=True)


def _radius(points: Array, eye: int) -> float:
    rim = points[list(lm.IRIS_RIMS[eye]), :2] - points[lm.IRIS_CENTRES[eye], :2]
    return float(np.linalg.norm(rim, axis=1).mean() / max(EyeFrame.of(points, eye).width, 1e-6))


def _result_rows(pair: Pair, numbers: range, read: Callable[[Picture], float]) -> Array:
    """Of the frames of a result (F, 4): the scorer's reading, the mirrored picture's, both discs' places."""
    drives = [pair.transfer.frame(number) for number in numbers]
    radii = np.median([[_radius(drive.landmarks, eye) for eye in range(2)] for drive in drives], axis=0)
    rows = []
    for drive in drives:
        picture = pair.frame(drive)
        discs = [iris_place(picture, drive.landmarks, eye, radii[eye]) for eye in range(2)]
        rows.append([read(picture), -read(picture[:, ::-1]), *discs])
    return np.array(rows)


def _of_result(own: Array, rows: Array, opened: NDArray[np.bool_]) -> str:
    rows = rows[: len(own)]
    everywhere = np.ones(len(own), bool)
    figures = (
        correlation(rows[:, 0], rows[:, 1], everywhere),
        correlation(own[:, 0], rows[:, 0], everywhere),
        correlation(own[:, 2:].mean(1), rows[:, 2:].mean(1), opened),
    )
    return "mirrored {:.2f} scorer {:.2f} pictures {:.2f}".format(*figures)


def _opened(faces: list[Array]) -> NDArray[np.bool_]:
    openings = np.array([eye_opening(points[:, :2]).mean() for points in faces])
    return np.asarray(openings > OPEN * np.median(openings), np.bool_)


def _line(rows: Array, motion: NDArray[np.floating[Any]], faces: list[Array]) -> str:
    own = np.asarray(motion[: len(rows)], np.float64)
    discs, opened = rows[:, 2:], _opened(faces[: len(rows)])
    off = discs - own
    off = np.abs(off - np.nanmedian(off, axis=0))
    clear = opened & (off < ASTRAY).all(1)
    place = discs.mean(1)
    agree = (
        correlation(rows[:, 0], rows[:, 1], opened),
        correlation(place, rows[:, 0], clear),
        correlation(place, own.mean(1), clear),
    )
    figures = " ".join(f"{value:.2f}" for value in agree)
    return f"{opened.sum()} {np.nanstd(rows[opened, 0]):.3f} {figures}, {clear.sum()} clear"


if __name__ == "__main__":
    main()
