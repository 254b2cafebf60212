"""How well the face embedding tells people apart: frames of one person against those of others.

    python benchmarks/identity.py CLIPS --table index.csv [--frames 4] [--weights FILE]

CLIPS is a folder of videos; the table has the columns `clip` and `person`. Prints the area under the curve (a pair of
one person is nearer than a pair of two) and mean distances: within a clip, across clips of a person, across people.
The bar is 0.98.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatarkit.face.open import open_tracker
from avatarkit.media.decode import FrameReader
from avatarkit.media.probe import probe
from avatarkit.metrics.face_embedding import FaceEmbedding

BAR = 0.98


def area_under_curve(same: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Share of all (same, other) pairs in which the distance within a person is the smaller one; ties count half."""
    ordered = np.sort(other)
    above = len(ordered) - np.searchsorted(ordered, same, side="right")
    ties = np.searchsorted(ordered, same, side="right") - np.searchsorted(ordered, same, side="left")
    return float((above + 0.5 * ties).sum() / (len(same) * len(other)))


def codes_of(clip: Path, frames: int, tracker: object, embedding: FaceEmbedding) -> NDArray[np.float32]:
    """Embeddings (N, 128) of up to so many frames, evenly over a clip, that show a face."""
    video = probe(clip, require_video=True).video
    assert video is not None
    wanted = set(np.linspace(0, video.frames - 1, frames).astype(int).tolist())
    pictures, landmarks = [], []
    with FrameReader(clip, info=probe(clip)) as reader:
        for number, frame in enumerate(reader):
            faces = tracker.detect(frame) if number in wanted else []  # type: ignore[attr-defined]
            if faces:
                pictures.append(frame)
                landmarks.append(max(faces, key=lambda face: face.extent_px).landmarks)
    return embedding.embed(pictures, landmarks)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--weights", type=Path, help="by default the registry's")
    options = parser.parse_args()
    with options.table.open(encoding="utf-8") as file:
        people = {row["clip"]: row["person"] for row in csv.DictReader(file)}
    embedding = FaceEmbedding.from_file(options.weights) if options.weights else FaceEmbedding.from_registry()
    tracker = open_tracker()
    codes, names, clips = [], [], []
    for path in sorted(options.clips.glob("*.mp4")):
        if path.name not in people:
            continue
        for code in codes_of(path, options.frames, tracker, embedding):
            codes.append(code)
            names.append(people[path.name])
            clips.append(path.name)
    tracker.close()
    given = np.stack(codes)
    apart: dict[str, list[float]] = {"same clip": [], "same person, another clip": [], "other people": []}
    for a, b in itertools.combinations(range(len(given)), 2):
        same_person = "same clip" if clips[a] == clips[b] else "same person, another clip"
        kind = same_person if names[a] == names[b] else "other people"
        apart[kind].append(float(np.linalg.norm(given[a] - given[b])))
    other = np.array(apart["other people"])
    same = np.array(apart["same clip"] + apart["same person, another clip"])
    print("| pairs | number | mean distance | AUC against other people |\n|---|---|---|---|")
    for kind, values in apart.items():
        area = "" if kind == "other people" or not values else f"{area_under_curve(np.array(values), other):.4f}"
        print(f"| {kind} | {len(values)} | {np.mean(values) if values else float('nan'):.3f} | {area} |")
    area = area_under_curve(same, other)
    print(f"\nall pairs of one person: AUC {area:.4f}, bar {BAR}: {'pass' if area >= BAR else 'FAIL'}")
    return int(area < BAR)


if __name__ == "__main__":
    sys.exit(main())
