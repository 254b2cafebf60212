"""Personal avatars against the warp engine alone, on the end of each person's footage that nobody learned from.

    python -m benchmarks.personal self  OUT NAME=VIDEO[,VIDEO...] ... [--minutes 20] [--weights DIR] [--seed 0]
    python -m benchmarks.personal cross OUT DRIVER... [--limit 20]

`self` makes OUT/NAME.avatar of the first 80 % of each video (the shortest one's) and measures the rest: both engines
draw the avatar's own source frame, driven by what is held out, at 1024 px; compared is the face, forehead to chin and
ear to ear, at 256 px. OUT/NAME.png shows mouths and eyes, truth over warp over avatar. `cross` drives the avatars in
OUT by other people, and makes OUT/blind: the same moments of both engines, first and second by lot, to be judged by
somebody who has not seen OUT/cross.json, which says which is which.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from avatarkit.errors import AvatarkitError
from avatarkit.face import landmarks as lm
from avatarkit.face.open import open_tracker
from avatarkit.face.tracker import FaceTracker
from avatarkit.face.types import FaceChoice
from avatarkit.media.probe import probe
from avatarkit.metrics.artefacts import compensated_difference
from avatarkit.metrics.lpips import LPIPS
from avatarkit.metrics.motion import correlation, openings
from avatarkit.motion.columns import TRACKED
from avatarkit.motion.config import MotionConfig
from avatarkit.motion.transfer import DriveFrame, Framing, Transfer
from avatarkit.pipelines.driver import TRACKING_SIDE_PX, DriverPart, load_driver
from avatarkit.pipelines.layer_tools import LayerTools
from avatarkit.pipelines.personalize.config import PersonalizeConfig
from avatarkit.pipelines.personalize.footage import in_drawn, moves, source_of
from avatarkit.pipelines.personalize.run import personalize
from avatarkit.pipelines.portrait import avatar_portrait
from avatarkit.pipelines.reenact_config import USUAL_SIZE
from avatarkit.pipelines.source import Source
from avatarkit.runtime import NullProgress, cpu_threads
from avatarkit.systems.avatar import open_avatar
from avatarkit.systems.landmark_warp.engine import WarpEngine
from avatarkit.systems.options import EngineOptions
from avatarkit.systems.protocol import Engine
from avatarkit.systems.refined_warp.patches import FACE as FACE_PATCH
from avatarkit.systems.refined_warp.patches import Patch, patches

Picture = NDArray[np.uint8]
LEARNED = 0.8
SIZE, FACE = USUAL_SIZE, 256
FACE_UNITS = 1.7
"""Side of what is compared, in head units: the face without hair, neck and background, which neither engine learns."""
LIPS_PX, EYES_PX = 5, 3
"""What the boxes of the regions leave around lips and lids, at 256 px (as MetaPortrait's losses)."""
LIPS = [*lm.OUTER_LIP_UPPER, *lm.OUTER_LIP_LOWER]
EVERY = 2
CROSS_EVERY, CROSS_SECONDS, MOMENTS = 4, 6.0, 6


class Said(NullProgress):
    """Notices on stderr."""

    def notice(self, text: str) -> None:
        """Print it."""
        print(f"  {text}", file=sys.stderr, flush=True)


def open_lpips(weights: Path | None) -> LPIPS:
    """LPIPS of the registry, or of a folder."""
    if weights is None:
        return LPIPS.from_registry()
    net = LPIPS()
    files = (weights / "alexnet-features.safetensors", weights / "lpips-alexnet-heads.safetensors")
    net.load(*map(load_file, files))
    return net


def opened(avatar: Path) -> tuple[Source, dict[str, Engine]]:
    """The avatar's source at the measured size, and both engines, ready to draw it."""
    source = source_of(avatar_portrait(avatar), LayerTools())
    engines: dict[str, Engine] = {"warp": WarpEngine(), "avatar": open_avatar(EngineOptions(exported=avatar))}
    engines["warp"].prepare(replace(source.layers, teeth=None))  # it knows one frame
    engines["avatar"].prepare(source.layers)
    return source, engines


def top_octave(picture: Picture) -> float:
    """Energy of the frequencies from a quarter to half a cycle a pixel."""
    grey = picture.astype(np.float64).mean(axis=2)
    window = np.hanning(grey.shape[0])[:, None] * np.hanning(grey.shape[1])[None]
    spectrum = np.abs(np.fft.fft2((grey - grey.mean()) * window)) ** 2
    x, y = np.meshgrid(np.fft.fftfreq(grey.shape[1]), np.fft.fftfreq(grey.shape[0]))
    radius = np.hypot(x, y)
    return float(spectrum[(radius >= 0.25) & (radius < 0.5)].sum())


def boxes(points: NDArray[np.float64]) -> dict[str, list[tuple[slice, slice]]]:
    """The regions of mouth and eyes of landmarks in the compared picture."""

    def box(numbers: list[int], pad: int) -> tuple[slice, slice]:
        low, high = points[numbers, :2].min(0) - pad, points[numbers, :2].max(0) + pad + 1
        left, top, right, bottom = (int(v) for v in (*np.clip(low, 0, FACE), *np.clip(high, 0, FACE)))
        return slice(top, bottom), slice(left, right)

    eyes = [[*upper, *lower] for upper, lower in zip(lm.UPPER_LIDS, lm.LOWER_LIDS, strict=True)]
    return {"mouth": [box(LIPS, LIPS_PX)], "eyes": [box(eye, EYES_PX) for eye in eyes]}


def track(tracker: FaceTracker, picture: Picture) -> NDArray[np.float64] | None:
    """Landmarks of the face in a drawn picture, in pixels of 512."""
    small = np.asarray(cv2.resize(picture, (512, 512), interpolation=cv2.INTER_AREA), np.uint8)
    faces = tracker.detect(small)
    return max(faces, key=lambda one: one.extent_px).landmarks.astype(np.float64) if faces else None


def held_out(
    avatar: Path, videos: list[Path], start_s: float, tracker: FaceTracker, lpips: LPIPS
) -> tuple[dict[str, dict[str, float]], list[Picture]]:
    """Figures by engine over the end of the videos, and rows of a sheet."""
    source, engines = opened(avatar)
    warp = engines["warp"]
    assert isinstance(warp, WarpEngine)
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in engines}
    tracks: dict[str, list[NDArray[np.float64]]] = {name: [] for name in ("truth", *engines)}
    sheet: list[Picture] = []
    for video in videos:
        driver = load_driver(video, tracker, FaceChoice(), "hold", NullProgress(), DriverPart(start_s))
        transfer, framing = moves(source, driver.motion)
        shown = np.linspace(0, len(driver.motion) - 1, 10).round().astype(int)[1::3].tolist()
        for number, picture in enumerate(driver.frames(TRACKING_SIDE_PX)):
            if (number % EVERY and number not in shown) or driver.motion.state[number] != TRACKED:
                continue
            frame = transfer.frame(number)
            pictures = {"truth": in_drawn(picture, framing)}
            pictures |= {name: source.finish(*engine.drive([frame])[0]) for name, engine in engines.items()}
            marks = {name: track(tracker, drawn) for name, drawn in pictures.items()}
            if any(found is None for found in marks.values()):
                continue
            for name, found in marks.items():
                tracks[name].append(found)  # type: ignore[arg-type]
            # Where the warp eases the head's way, the drawn head is compared, not its place.
            eased = warp.eased(frame)
            patch, shown_at = (_face(one) for one in (frame, eased))
            faces = {name: shown_at.cut(drawn, (FACE, FACE)) for name, drawn in pictures.items()}
            faces["truth"] = patch.cut(pictures["truth"], (FACE, FACE))
            own = marks["truth"]
            assert own is not None
            regions = boxes((patch.local((own[:, :2] + 0.5) * 2.0 - 0.5) + 1.0) * 0.5 * FACE - 0.5)
            for name in engines:
                rows[name].append(compared(faces[name], faces["truth"], regions, lpips))
            if number in shown:
                sheet.append(column(pictures, {"truth": frame}, eased))
    figures: dict[str, dict[str, float]] = {}
    truth = openings(np.stack(tracks["truth"]))
    for name in engines:
        own_openings = openings(np.stack(tracks[name]))
        means = {key: float(np.mean([row[key] for row in rows[name]])) for key in rows[name][0]}
        means["sharpness"] = means.pop("ours") / means.pop("theirs")
        for key, values in (("r_mouth", "mouth"), ("r_eye", "lids")):
            one, other = (item[values].reshape(len(item[values]), -1).mean(1) for item in (own_openings, truth))
            means[key] = correlation(one, other) or float("nan")
        figures[name] = means
    return figures, sheet


def _face(frame: DriveFrame) -> Patch:
    whole = patches(frame.landmarks, frame.pose)[0]
    return Patch(whole.matrix * [FACE_UNITS / FACE_PATCH[0], FACE_UNITS / FACE_PATCH[1], 1.0])


def compared(
    face: Picture, truth: Picture, regions: Mapping[str, list[tuple[slice, slice]]], lpips: LPIPS
) -> dict[str, float]:
    """Errors of a face against the truth, and the energy of both in the top octave."""
    row = {"lpips": lpips.of_pictures(face, truth)}
    difference = np.abs(face.astype(np.float64) - truth) / 255.0
    for name, places in regions.items():
        row[f"{name}_l1"] = float(np.concatenate([difference[place].ravel() for place in places]).mean())
    return {**row, "ours": top_octave(face), "theirs": top_octave(truth)}


def column(pictures: Mapping[str, Picture], places: Mapping[str, DriveFrame], usual: DriveFrame) -> Picture:
    """Mouth and eyes of truth, warp and avatar, one over the other; `places` of those that are not at the usual one."""
    cells = []
    for name, picture in pictures.items():
        place = places.get(name, usual)
        _, mouth, right, left = patches(place.landmarks, place.pose)
        left = Patch(left.matrix * [-1.0, 1.0, 1.0])
        eyes = np.concatenate([right.cut(picture, (144, 96)), left.cut(picture, (144, 96))], axis=1)
        cells.append(np.concatenate([mouth.cut(picture, (288, 288))[40:250], eyes]))
    return np.concatenate(cells)


def run_self(args: argparse.Namespace) -> None:
    """Make and measure every avatar that is not measured yet."""
    args.out.mkdir(parents=True, exist_ok=True)
    lpips = open_lpips(args.weights)
    for item in args.items:
        name, _, text = item.partition("=")
        videos = [Path(part) for part in text.split(",")]
        infos = [probe(video).video for video in videos]
        end = LEARNED * min(float(info.duration) for info in infos if info is not None)
        avatar, result = args.out / f"{name}.avatar", args.out / f"{name}.json"
        if result.exists():
            continue
        print(name, file=sys.stderr, flush=True)
        if not avatar.exists():
            torch.set_num_threads(cpu_threads())
            clock = time.monotonic if args.clock == "wall" else _shared_clock
            config = PersonalizeConfig(tuple(videos), avatar, True, args.minutes, DriverPart(0.0, end), seed=args.seed)
            print("\n".join(personalize(config, Said(), lpips, clock).summary_lines()), file=sys.stderr, flush=True)
        with closing(open_tracker()) as tracker:
            figures, sheet = held_out(avatar, videos, end, tracker, lpips)
        cv2.imwrite(str(args.out / f"{name}.png"), np.concatenate(sheet, axis=1)[..., ::-1])
        result.write_text(json.dumps(figures, indent=1))
    print(table(args.out))


def _shared_clock() -> float:
    """Seconds that two cores would have taken, on a machine that others use too; two threads do 1.7 times as much."""
    return time.process_time() / 1.7


def table(folder: Path) -> str:
    """A row a person, avatar against warp, and the medians."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json")) if path.stem != "cross"}
    lines = ["| person | LPIPS | mouth L1 | eye L1 | sharpness, warp > avatar | r mouth | r eye |"]
    lines.append("|---|---|---|---|---|---|---|")
    changes: dict[str, list[float]] = {"lpips": [], "mouth_l1": [], "eyes_l1": []}
    for name, figures in found.items():
        warp, ours = figures["warp"], figures["avatar"]
        for key, values in changes.items():
            values.append(ours[key] / warp[key] - 1.0)
        cells = [f"{values[-1]:+.1%}" for values in changes.values()]
        cells += [f"{warp[key]:.3f} > {ours[key]:.3f}" for key in ("sharpness", "r_mouth", "r_eye")]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    sharp = median(figures["avatar"]["sharpness"] for figures in found.values())
    lines.append("| median | " + " | ".join(f"{median(v):+.1%}" for v in changes.values()) + f" | {sharp:.3f} | | |")
    return "\n".join(lines)


def run_cross(args: argparse.Namespace) -> None:
    """Correlations and unrest of both engines, avatars by other people's drivers; and pictures to judge."""
    avatars = sorted(args.out.glob("*.avatar"))
    pairs = [(avatar, Path(driver)) for driver in args.items for avatar in avatars if avatar.stem not in driver]
    lot = random.Random(0)
    lot.shuffle(pairs)
    blind = args.out / "blind"
    blind.mkdir(exist_ok=True)
    rows: list[dict[str, Any]] = []
    with closing(open_tracker()) as tracker:
        for avatar, path in pairs[: args.limit]:
            try:
                row, sheets = crossed(avatar, path, tracker)
            except AvatarkitError as error:
                print(f"  {error}", file=sys.stderr)
                continue
            order = lot.sample(list(sheets), 2)
            for place, name in enumerate(order, 1):
                cv2.imwrite(str(blind / f"{len(rows):02}-{place}.png"), sheets[name][..., ::-1])
            rows.append({"avatar": avatar.stem, "driver": path.stem, "order": order, **row})
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    (args.out / "cross.json").write_text(json.dumps(rows, indent=1))
    for key in ("r_mouth", "r_eye", "difference"):
        gaps = [row["avatar_" + key] - row["warp_" + key] for row in rows if row["warp_" + key] is not None]
        print(f"{key}: avatar less warp: median {median(gaps):+.3f}, from {min(gaps):+.3f} to {max(gaps):+.3f}")


def crossed(avatar: Path, path: Path, tracker: FaceTracker) -> tuple[dict[str, float | None], dict[str, Picture]]:
    """Figures of both engines for one driver of another person, and a sheet of each: mouths and eyes."""
    source, engines = opened(avatar)
    warp = engines["warp"]
    assert isinstance(warp, WarpEngine)
    driver = load_driver(path, tracker, FaceChoice(), "hold", NullProgress(), DriverPart(0.0, CROSS_SECONDS))
    transfer = Transfer(
        driver.motion, source.layers.landmarks, MotionConfig(), Framing(1.0, 0.0, 0.0), source.portrait.covered
    )
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in ("truth", *engines)}
    faces: dict[str, list[Picture]] = {name: [] for name in engines}
    unrest: dict[str, list[float]] = {name: [] for name in engines}
    columns: dict[str, list[Picture]] = {name: [] for name in engines}
    moments = np.linspace(0, len(driver.motion) - 1, MOMENTS + 1).astype(int)[1:] // CROSS_EVERY * CROSS_EVERY
    for number, picture in enumerate(_square(driver.frames(TRACKING_SIDE_PX))):
        if number % CROSS_EVERY > 1:
            continue
        frame = transfer.frame(number)
        pictures = {name: source.finish(*engine.drive([frame])[0]) for name, engine in engines.items()}
        shown = warp.eased(frame)
        for name, drawn in pictures.items():
            faces[name].append(_face(shown).cut(drawn, (FACE, FACE)))
            if number % CROSS_EVERY:
                unrest[name].append(compensated_difference(*faces[name][-2:]))
            if number in moments:
                columns[name].append(column({name: drawn}, {}, shown))
        if number % CROSS_EVERY:
            continue
        pictures["truth"] = picture
        marks = {name: track(tracker, drawn) for name, drawn in pictures.items()}
        if all(points is not None for points in marks.values()):
            for name, points in marks.items():
                found[name].append(points)  # type: ignore[arg-type]
    truth, row = np.stack(found["truth"]), {}
    wanted = openings(truth)
    for name in engines:
        track_of = np.stack(found[name])
        own = openings(track_of)
        row[f"{name}_r_mouth"] = correlation(own["mouth"], wanted["mouth"])
        row[f"{name}_r_eye"] = correlation(own["lids"].mean(1), wanted["lids"].mean(1))
        row[f"{name}_difference"] = float(np.mean(unrest[name]))
    return row, {name: np.concatenate(cells, axis=1) for name, cells in columns.items()}


def _square(frames: Iterator[Picture]) -> Iterator[Picture]:
    for frame in frames:
        side = max(frame.shape[:2])
        yield np.pad(frame, ((0, side - frame.shape[0]), (0, side - frame.shape[1]), (0, 0)))


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("self", "cross"))
    parser.add_argument("out", type=Path)
    parser.add_argument("items", nargs="+")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: CPU seconds over 1.7")
    parser.add_argument("--weights", type=Path, help="folder with LPIPS' weights as safetensors")
    for name, usual in (("--limit", 20), ("--seed", 0)):
        parser.add_argument(name, type=int, default=usual)
    args = parser.parse_args()
    (run_self if args.kind == "self" else run_cross)(args)


if __name__ == "__main__":
    main()
