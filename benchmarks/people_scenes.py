"""Is it always the chosen person whose face is followed? Twelve scenes of people who cross, cover each other and leave.

`python benchmarks/people_scenes.py [--portraits DIR] [--only NAME,...] [--prepare WORK] [--check]`

Two people are cut out of portraits (a folder's, else the public-domain photos of matplotlib and scikit-image) and moved
over a ground. Each frame must show the first person's face where it is, or nobody; a face anywhere else is wrong. With
--prepare the scenes go through prepare-data instead, whose clips must hold one person each, whichever. With --check the
exit code is 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from child import AVATARKIT
from face_search import Picture, portrait_paths
from numpy.typing import NDArray
from tables import Bar, Row, Verdict, markdown, verdict_table

from avatarkit.background.choice import open_matting
from avatarkit.data.dataset import Dataset
from avatarkit.data.reader import ShardReader
from avatarkit.face.open import open_tracker
from avatarkit.face.sequence import track
from avatarkit.face.tracker import FaceTracker
from avatarkit.face.types import FaceChoice, face_from_landmarks
from avatarkit.media.encode import FrameWriter
from avatarkit.media.image import read_image

WIDTH, HEIGHT, FRAMES, RATE = 960, 540, 90, 25
SIDE = 128
"""Pixels of a dataset's frames."""
FACE_PX = 110.0
AROUND = (1.3, 1.2, 1.3, 1.9)
"""What is cut out of a portrait: faces to the left of the face's middle, above, to the right and below."""
COVERED = 0.5
"""A face that the other covers by this share need not be found."""


@dataclass(frozen=True)
class Figure:
    """A person cut out of a portrait: RGBA (H, W, 4) with a face of `FACE_PX`, whose middle lies at x, y."""

    picture: Picture
    x: float
    y: float


@dataclass(frozen=True)
class Pose:
    """Where a face's middle is and how large the face, or that the person is away."""

    x: float = 0.0
    y: float = 250.0
    size: float = FACE_PX
    away: bool = False


@dataclass(frozen=True)
class Scene:
    """Both people over time, from 0 to 1, and whether the second stands in front of the first."""

    first: Callable[[float], Pose]
    second: Callable[[float], Pose]
    covers: bool = True


def _walk(start: float, stop: float, **more: float) -> Callable[[float], Pose]:
    return lambda t: Pose(start + (stop - start) * t, **more)


def _stand(x: float, **more: float) -> Callable[[float], Pose]:
    return lambda t: Pose(x, **more)


def _between(from_t: float, to_t: float, there: Callable[[float], Pose]) -> Callable[[float], Pose]:
    return lambda t: there(t) if from_t <= t < to_t else Pose(away=True)


def _swing(x: float, reach: float, turns: float) -> Callable[[float], Pose]:
    return lambda t: Pose(x + reach * np.sin(2 * np.pi * turns * t))


SCENES = {
    "cross, behind": Scene(_walk(200, 760), _walk(760, 200)),
    "cross, in front": Scene(_walk(200, 760), _walk(760, 200), covers=False),
    "cross, fast": Scene(_walk(100, 860), lambda t: Pose(1300 - 1700 * t)),
    "pass before one who stands": Scene(_stand(480), _walk(-150, 1110, y=270)),
    "pass slowly": Scene(_stand(480), lambda t: Pose(700 - 440 * t)),
    "cover and stay": Scene(_stand(480), lambda t: Pose(max(485, 900 - 900 * t))),
    "leave, other stays": Scene(_walk(600, 1250), _stand(250)),
    "leave, return": Scene(lambda t: Pose(300 - 520 * np.sin(np.pi * t)), _stand(660)),
    "leave, other takes the place": Scene(_between(0, 0.4, _walk(480, -120)), _between(0.5, 2, _stand(480))),
    "gone in one frame": Scene(_between(0, 0.5, _stand(480)), _between(0.5, 2, _stand(500))),
    "larger passes in front": Scene(_stand(420), _walk(-200, 1160, size=170.0, y=300)),
    "meet and part": Scene(_swing(380, 90, 1.0), lambda t: Pose(580 - 90 * np.sin(2 * np.pi * t))),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; see the module's text."""
    options = _parser().parse_args(argv)
    names = options.only.split(",") if options.only else list(SCENES)
    with closing(open_tracker()) as tracker:
        figures = [figure for path in portrait_paths(options.portraits) if (figure := cut_figure(path, tracker))]
        pairs = [(figures[2 * n % len(figures)], figures[(2 * n + 1) % len(figures)]) for n in range(len(names))]
        if options.prepare is None:
            rows = [scene_row(tracker, name, pair) for name, pair in zip(names, pairs, strict=True)]
    if options.prepare is not None:
        rows = prepared_rows(names, pairs, options.prepare)
    wrong = sum(int(str(row["wrong"])) for row in rows)
    what = "frames with somebody else" if options.prepare is None else "clips with two people"
    verdicts = [Verdict(Bar(what, "<=", 0), wrong, f"{len(rows)} scenes")]
    print(markdown(rows, list(rows[0])), "\n")
    print(verdict_table(verdicts))
    return int(options.check and any(verdict.word == "FAIL" for verdict in verdicts))


def scene_row(tracker: FaceTracker, name: str, pair: tuple[Figure, Figure]) -> Row:
    """One scene: frames whose first person is to be seen, and among all what was reported."""
    scene, right, wrong, visible, missing = SCENES[name], 0, list[int](), 0, 0
    first = scene.first(0.0)
    tracked = track(frames_of(scene, pair), tracker, FaceChoice(at=(first.x, first.y)), name)
    for at, result in enumerate(tracked):
        pose, other = scene.first(at / FRAMES), scene.second(at / FRAMES)
        seen = not pose.away and 0 < pose.x < WIDTH and not (scene.covers and _covered(pose, other))
        visible += seen
        if result.landmarks is None:
            missing += seen
            continue
        face = face_from_landmarks(result.landmarks, 1.0)
        own, theirs = (np.inf if p.away else float(np.hypot(face.centre[0] - p.x, face.centre[1] - p.y) / p.size)
                       for p in (pose, other))  # fmt: skip
        if own < 0.35 and (seen or own < theirs):
            right += 1
        else:
            wrong.append(at)
    return {"scene": name, "frames": FRAMES, "visible": visible, "right": right, "missing": missing,
            "wrong": len(wrong), "wrong at": ",".join(map(str, wrong[:12]))}  # fmt: skip


def prepared_rows(names: Sequence[str], pairs: Sequence[tuple[Figure, Figure]], work: Path) -> list[Row]:
    """All scenes through prepare-data: clips, their frames, and the clips that hold both people."""
    videos, out = work / "videos", work / "dataset"
    videos.mkdir(parents=True)
    for number, (name, pair) in enumerate(zip(names, pairs, strict=True)):
        with FrameWriter(videos / f"{number}.mp4", width=WIDTH, height=HEIGHT, rate=Fraction(RATE)) as writer:
            for frame in frames_of(SCENES[name], pair):
                writer.write(frame)
    words = [*AVATARKIT, "prepare-data", "videos", str(videos), "--output", str(out), "--quiet", "--size", str(SIDE)]
    subprocess.run([*words, "--min-head-px", "0", "--min-effective-px", "0"], check=True)
    dataset = Dataset.open(out)
    rows: list[Row] = []
    for number, name in enumerate(names):
        clips = [people_of(SCENES[name], dataset.reader(entry.shard), entry.place)
                 for entry in dataset.entries(selected=False) if entry.info.video == str(number)]  # fmt: skip
        rows.append({"scene": name, "clips": len(clips), "frames": sum(map(len, clips)),
                     "wrong": sum(len(set(people) - {None}) > 1 for people in clips)})  # fmt: skip
    return rows


def people_of(scene: Scene, reader: ShardReader, clip: int) -> list[int | None]:
    """Whom each frame of a clip shows, 0 or 1; None where they are too close to each other to tell."""
    columns = (reader.clip_column(name, clip) for name in ("time_s", "crop_px", "landmarks"))
    result: list[int | None] = []
    for time_s, (left, top, side), points in zip(*columns, strict=True):
        face = face_from_landmarks(points * (side / SIDE) + (left, top, 0), 1.0)
        poses = [person(time_s * RATE / FRAMES) for person in (scene.first, scene.second)]
        away = [np.inf if p.away else np.hypot(face.centre[0] - p.x, face.centre[1] - p.y) / p.size for p in poses]
        result.append(int(np.argmin(away)) if abs(away[0] - away[1]) > COVERED else None)
    return result


def _covered(pose: Pose, other: Pose) -> bool:
    if other.away:
        return False
    apart = np.hypot(pose.x - other.x, pose.y - other.y)
    return bool(apart < (1.0 - COVERED) * (pose.size + other.size) / 2)


def frames_of(scene: Scene, pair: tuple[Figure, Figure]) -> Iterator[Picture]:
    """The frames of a scene (540, 960, 3), over a ground of soft stripes."""
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    wave = np.sin(x / 60.0)[..., None] * (18, 6, -12) + np.cos(y / 45.0)[..., None] * (-5, 14, 10)
    ground = (np.array([120.0, 128.0, 135.0]) + wave).astype(np.float32)
    order = (0, 1) if scene.covers else (1, 0)
    for at in range(FRAMES):
        frame = ground.copy()
        poses = scene.first(at / FRAMES), scene.second(at / FRAMES)
        for who in order:
            if not poses[who].away:
                _draw(frame, pair[who], poses[who])
        yield np.clip(np.rint(frame), 0, 255).astype(np.uint8)


def _draw(frame: NDArray[np.float32], figure: Figure, pose: Pose) -> None:
    scale = pose.size / FACE_PX
    matrix = np.array([[scale, 0, pose.x - figure.x * scale], [0, scale, pose.y - figure.y * scale]])
    layer = cv2.warpAffine(figure.picture, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
    alpha = layer[..., 3:].astype(np.float32) / 255
    frame += (layer[..., :3] - frame) * alpha


def cut_figure(path: Path, tracker: FaceTracker) -> Figure | None:
    """The person of a portrait, cut out by the default matte; None where there is not exactly one face."""
    picture = read_image(path)
    faces = tracker.detect(picture)
    if len(faces) != 1:
        return None
    face = faces[0]
    alpha = open_matting("mediapipe").model.matte(picture, face.landmarks)
    (x, y), size = face.centre, face.extent_px
    left, top = max(0, int(x - AROUND[0] * size)), max(0, int(y - AROUND[1] * size))
    part = np.s_[top : int(y + AROUND[3] * size), left : int(x + AROUND[2] * size)]
    whole = np.dstack([picture, np.rint(alpha * 255).astype(np.uint8)])[part]
    scale = FACE_PX / size
    small = cv2.resize(whole, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return Figure(small, (x - left) * scale, (y - top) * scale)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portraits", type=Path, metavar="DIR", help="portraits of one person each")
    parser.add_argument("--only", metavar="NAME,..", help="scenes (all)")
    parser.add_argument("--prepare", type=Path, metavar="WORK", help="make a dataset of the scenes, in a new folder")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
