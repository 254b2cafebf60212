"""How many faces of 60 to 400 px are found in wide shots and large photos, and what looking for them costs.

`python benchmarks/face_search.py [--portraits DIR] [--grounds DIR] [--check]`

Portraits are set into 1080p and 12 megapixel pictures at six places with faces of several sizes, on grounds that show
nobody; both come from folders, else from the public-domain photos of matplotlib and scikit-image. A face counts as
found if its middle and size are right, any other one as false. With --check the exit code is 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tables import Bar, Row, Verdict, markdown, verdict_table

from avatarkit.face.open import TRACKERS, open_tracker
from avatarkit.face.tracker import FaceTracker
from avatarkit.face.types import Face
from avatarkit.media.image import read_image

Picture = NDArray[np.uint8]

SHOWN = {"1080p": (1920, 1080), "12 MP": (4000, 3000)}
SIZES_PX = (60, 80, 110, 150, 200, 300, 400)
PLACES = ((0.0, 0.0), (1.0, 0.0), (0.5, 0.45), (0.0, 1.0), (1.0, 1.0), (0.3, 0.8))
"""Where the head lies between the picture's left and right, upper and lower edge."""
PICTURES = 30
"""Of each size of face and of picture: every place five times."""
AROUND = 2.4
"""Side of what is set in of a portrait, in faces."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; see the module's text."""
    options = _parser().parse_args(argv)
    with closing(open_tracker(options.tracker)) as tracker:
        heads = [head for path in portrait_paths(options.portraits) if (head := cut_head(read_image(path), tracker))]
        grounds = [*_grounds(options.grounds)]
        rows = [grid_row(tracker, heads, grounds, shown, size) for shown in SHOWN for size in SIZES_PX]
    verdicts = [
        Verdict(Bar("found at 80 px and more, share", ">=", 0.95), _share(rows, 80, 10**6)),
        Verdict(Bar("found at 60 px, share", ">=", 0.8), _share(rows, 60, 60)),
    ]
    print(f"{len(heads)} portraits, {len(grounds)} grounds, {options.tracker}\n")
    print(markdown(rows, ["picture", "face_px", "pictures", "found", "false", "ms"]), "\n")
    print(verdict_table(verdicts))
    return int(options.check and any(verdict.word == "FAIL" for verdict in verdicts))


def grid_row(
    tracker: FaceTracker, heads: list[tuple[Picture, Face]], grounds: list[Picture], shown: str, size: int
) -> Row:
    """One size of face in one size of picture, at every place with another portrait and ground."""
    result = false = 0
    seconds = []
    for number in range(PICTURES):
        head, ground = heads[number % len(heads)], grounds[number % len(grounds)]
        picture, (x, y) = scene(head, ground, SHOWN[shown], size, PLACES[number % len(PLACES)])
        began = time.perf_counter()
        faces = tracker.detect(picture)
        seconds.append(time.perf_counter() - began)
        right = [f for f in faces if np.hypot(f.centre[0] - x, f.centre[1] - y) < 0.4 * size
                 and 0.6 < f.extent_px / size < 1.6]  # fmt: skip
        result += bool(right)
        false += len(faces) - len(right)
    count = len(seconds)
    return {"picture": shown, "face_px": size, "pictures": count, "found": result / count, "false": false,
            "ms": 1000 * float(np.median(seconds))}  # fmt: skip


def scene(
    head: tuple[Picture, Face], ground: Picture, shown: tuple[int, int], size: int, place: tuple[float, float]
) -> tuple[Picture, tuple[float, float]]:
    """A portrait set into a ground, with soft edges, and the middle of its face there."""
    picture, face = head
    scale = size / face.extent_px
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=method)
    rows, columns = small.shape[:2]
    left, top = (round(at * (length - part)) for at, length, part in zip(place, shown, (columns, rows), strict=True))
    whole = np.asarray(cv2.resize(ground, shown, interpolation=cv2.INTER_CUBIC), np.float32)
    soft = np.zeros((rows, columns, 1), np.float32)
    rim = max(1, size // 12)
    soft[rim : rows - rim, rim : columns - rim] = 1.0
    soft = cv2.blur(soft, (2 * rim + 1, 2 * rim + 1))[..., None]
    part = whole[top : top + rows, left : left + columns]
    part += (small - part) * soft
    x, y = face.centre
    return np.clip(np.rint(whole), 0, 255).astype(np.uint8), (left + x * scale, top + y * scale)


def cut_head(portrait: Picture, tracker: FaceTracker) -> tuple[Picture, Face] | None:
    """The square around a portrait's face, and the face in it; None where there is not exactly one."""
    faces = tracker.detect(portrait)
    if len(faces) != 1:
        return None
    (x, y), half = faces[0].centre, AROUND * faces[0].extent_px / 2
    part = portrait[max(0, int(y - half)) : int(y + half), max(0, int(x - half)) : int(x + half)]
    inside = tracker.detect(part)
    return (part, inside[0]) if len(inside) == 1 else None


def portrait_paths(folder: Path | None) -> list[Path]:
    """A folder's pictures, or the two photos that come with matplotlib and scikit-image."""
    if folder is not None:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".png"))
    from skimage import data

    from avatarkit.pipelines.demo import portrait

    data.astronaut()
    return [portrait(), Path(str(data.__path__[0])) / "astronaut.png"]


def _grounds(folder: Path | None) -> list[Picture]:
    if folder is not None:
        return [read_image(path) for path in sorted(folder.iterdir()) if path.name.startswith("no-face")]
    from skimage import data

    return [np.asarray(make(), np.uint8) for make in (data.coffee, data.rocket, data.immunohistochemistry)]


def _share(rows: Sequence[Row], least: int, most: int) -> float:
    counted = [row for row in rows if least <= int(str(row["face_px"])) <= most]
    return float(np.mean([float(str(row["found"])) for row in counted]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portraits", type=Path, metavar="DIR", help="portraits of one person each")
    parser.add_argument("--grounds", type=Path, metavar="DIR", help="holds pictures without anybody, no-face*")
    parser.add_argument("--tracker", choices=["auto", *TRACKERS], default="auto")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
