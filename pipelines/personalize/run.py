"""Footage of one person in, an avatar's file out."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

import avatarkit
from avatarkit.atomic import left_over_of, own_folder, write_whole
from avatarkit.checkpoint import FOLDER
from avatarkit.errors import AvatarkitError, InputError, OutputError
from avatarkit.face.open import open_tracker
from avatarkit.face.types import LANDMARKS, Face, FaceChoice
from avatarkit.geometry.crop import head_crop
from avatarkit.pipelines.layer_tools import LayerTools
from avatarkit.pipelines.personalize.config import LEAST_SECONDS, USUAL_SECONDS, PersonalizeConfig, checked
from avatarkit.pipelines.personalize.footage import Drawer, Take, neutral_frame, portrait_of, track_takes
from avatarkit.pipelines.personalize.learn import SHEET, Learned, described, learn
from avatarkit.pipelines.personalize.pairs import ABOUT, ROWS, Pairs, PairWriter, read_pairs
from avatarkit.pipelines.program import program_digest
from avatarkit.pipelines.render import overlapped
from avatarkit.pipelines.source import Portrait
from avatarkit.reading import read_arrays
from avatarkit.runtime import Progress, cpu_threads, sha256_file
from avatarkit.systems.refined_warp.avatar_file import Avatar, write_avatar
from avatarkit.systems.refined_warp.losses import Perceptual, pyramid_loss
from avatarkit.systems.refined_warp.network import RefinementConfig
from avatarkit.systems.refined_warp.patches import NAMES
from avatarkit.systems.refined_warp.samples import Sample
from avatarkit.weights.load import present

SOURCE = "source.safetensors"
MOST_SOURCE = 2 << 30
"""Bytes: a picture of 300 megapixels, its matte and landmarks."""
HELD_OUT = 0.12
"""Share of each video, its end, that is not learned from."""
MOST_FRAMES = 1500
HIDDEN = 0.3
"""Other people's faces are blurred with so much around them, in shares of their sides."""
KEPT_MARGIN = 3.2
"""Side of the picture that an avatar keeps of its source, in heights of the face."""
SEEN_OPEN, SEEN_CLOSED = 0.12, 0.6
"""Openness of a mouth that is seen open, and share of the usual lids' distance in an eye that is seen closing."""


@dataclass(frozen=True)
class PersonalizeReport:
    """A finished avatar. about: what its file says of itself."""

    output: Path
    about: Mapping[str, Any]

    def summary_lines(self) -> list[str]:
        """What a person wants to know, a line each."""
        learned = self.about["learned"]
        return [
            f"{self.output}: {self.output.stat().st_size / 1e6:.1f} MB, learned from {learned['frames']} frames in"
            f" {learned['seconds'] / 60:.1f} minutes",
            f"held-out error against the warp's: {described(learned['errors'])}",
            f"avatarkit reenact {self.output} DRIVER -o out.mp4",
        ]


def personalize(
    config: PersonalizeConfig,
    progress: Progress,
    perceptual: Perceptual | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> PersonalizeReport:
    """Make an avatar; the same call after an interruption goes on where it was.

    Args:
        perceptual: how far two pictures are apart to the eye; None: LPIPS where its weights are here.
        clock: tells the seconds that count as learning.

    Raises:
        UsageError: no consent, or options that cannot be. InputError: footage that cannot be used. OutputError: a
            place that cannot be written.
    """
    checked(config)
    sizes = RefinementConfig()
    hashes = {path.name: sha256_file(path) for path in config.footage}
    key = _key(config, hashes)
    try:
        own_folder(config.work.parent, config.work.name)
    except OSError as error:
        raise OutputError(f"{config.work}: cannot be made: {error.strerror or error}") from error
    kept, source = read_pairs(config.work, sizes), _kept_source(config.work / SOURCE)
    if kept is None or source is None or kept[1].get("key") != key:
        _empty(config.work)
        try:
            _prepare(config, sizes, key, hashes, progress)
        except AvatarkitError:
            shutil.rmtree(config.work, ignore_errors=True)
            raise
        kept, source = read_pairs(config.work, sizes), _kept_source(config.work / SOURCE)
        assert kept is not None
        assert source is not None
    else:
        progress.notice(f"goes on with what {config.work} holds")
    pairs, about = kept
    judge, name = (perceptual, "given") if perceptual is not None else _perceptual(progress)
    learned = learn(pairs, sizes, config.work, config.minutes, judge, config.seed, progress, clock)
    made = {**about["made"], "learned": _figures(learned, pairs, name)}
    avatar = Avatar(source["picture"], source["alpha"], source["landmarks"], learned.net, made)
    write_avatar(config.output, avatar)
    shutil.rmtree(config.work, ignore_errors=True)
    return PersonalizeReport(config.output, made)


def _empty(work: Path) -> None:
    """Remove a folder of work; OutputError where it holds what no run of ours has put there."""
    own = {ABOUT, ROWS, SOURCE, SHEET, FOLDER, *(f"{name}.npy" for name in NAMES)}
    foreign = sorted(path.name for path in work.iterdir() if path.name not in own and left_over_of(path.name) is None)
    if foreign:
        raise OutputError(f"{work}: holds {foreign[0]}, which is not of an unfinished avatar; move the folder away")
    shutil.rmtree(work)


def _key(config: PersonalizeConfig, hashes: Mapping[str, str]) -> str:
    values = [sorted(hashes.values()), asdict(config.part), asdict(config.face), config.tracker, config.matting]
    text = json.dumps([*values, config.seed, program_digest()])
    return hashlib.sha256(text.encode()).hexdigest()


def _prepare(
    config: PersonalizeConfig, sizes: RefinementConfig, key: str, hashes: Mapping[str, str], progress: Progress
) -> None:
    """Track the footage, choose the source, and write the pairs."""
    with closing(open_tracker(config.tracker)) as tracker:
        takes = track_takes(config.footage, config.part, config.face, tracker, progress)
        for line in _judged(takes):
            progress.notice(line)
        number, frame = neutral_frame(takes)
        portrait, others = portrait_of(takes[number], frame, tracker)
        name = tracker.name
    if others and config.face == FaceChoice():
        progress.notice(f"{len(others) + 1} people in the footage: the largest face is meant; --face chooses another")
    tools = LayerTools(config.matting)
    drawer = Drawer(portrait, sizes, tools)
    chosen = [_chosen(take, len(takes)) for take in takes]
    writer = PairWriter(config.work, sum(map(len, chosen)), sizes)
    progress.stage("draw", sum(map(len, chosen)))
    for take, rows in zip(takes, chosen, strict=True):
        first = _first_held_out(rows)
        for row, one in _samples(drawer, take, rows):
            writer.add(one, held_out=row >= first)
            progress.advance()
    _keep_source(config.work / SOURCE, portrait, others, tools)
    source = {"video": takes[number].driver.path.name, "frame": frame}
    about = {
        "consent": "confirmed with --consent that the person shown agreed",
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "program": f"avatarkit {avatarkit.__version__}",
        "start": "from nothing",
        "footage": [{"name": path, "sha256": digest} for path, digest in hashes.items()],
        "source": source,
        "tracker": name,
    }
    writer.finish({"key": key, "made": about})


def _judged(takes: Sequence[Take]) -> Iterator[str]:
    """What the footage lacks, a line each; InputError where there is too little of it."""
    seconds = sum(len(take.usable) / float(take.motion.rate) for take in takes)
    if seconds < LEAST_SECONDS:
        raise InputError(
            f"{takes[0].driver.path}: shows the face for {seconds:.1f} s; at least {LEAST_SECONDS:.0f} s are needed,"
            f" better a minute"
        )
    if seconds < USUAL_SECONDS:
        yield f"{seconds:.0f} s of footage: short; a minute shows more of what the face does"
    cuts = sum(len(take.motion.cuts) for take in takes)
    if cuts:
        yield f"{cuts} cuts in the footage: every shot is used, its light too"
    mouth = np.concatenate([take.motion.mouth_opening[take.usable] for take in takes])
    lids = np.concatenate([take.motion.eye_opening[take.usable].mean(axis=1) for take in takes])
    if float(np.percentile(mouth, 98)) < SEEN_OPEN:
        yield "the mouth never opens in this footage: the avatar will not know the person's teeth"
    open_eyes = float(np.percentile(lids, 80))
    if open_eyes < 0.12:
        yield "the eyes are closed throughout this footage: the avatar will not know them"
    elif float(np.percentile(lids, 0.5)) > SEEN_CLOSED * open_eyes:
        yield "the eyes never close in this footage: the avatar will not know the person's lids"


def _chosen(take: Take, takes: int) -> NDArray[np.int64]:
    """The frames of a video that are used."""
    rows = take.usable
    most = MOST_FRAMES // takes
    if len(rows) <= most:
        return rows
    return np.asarray(rows[np.unique(np.linspace(0, len(rows) - 1, most).round().astype(int))], np.int64)


def _first_held_out(rows: NDArray[np.int64]) -> int:
    return int(rows[min(len(rows) - 1, int((1.0 - HELD_OUT) * len(rows)))]) if len(rows) else 0


def _samples(drawer: Drawer, take: Take, rows: NDArray[np.int64]) -> Iterator[tuple[int, Sample]]:
    transfer, framing = drawer.moves(take)
    wanted = set(rows.tolist())
    frames = ((number, picture) for number, picture in enumerate(take.pictures()) if number in wanted)

    def draw(item: tuple[int, NDArray[np.uint8]]) -> tuple[int, Sample]:
        return item[0], drawer.sample(transfer, framing, *item)

    yield from overlapped(draw, frames, cpu_threads())


def _keep_source(path: Path, portrait: Portrait, others: Sequence[Face], tools: LayerTools) -> None:
    """The part of the source that the avatar keeps: head and shoulders, and nobody else's face."""
    width, height = portrait.size
    crop = head_crop(portrait.face.landmarks, width, height, 64, margin=KEPT_MARGIN)
    window = crop.window
    picture = without_faces(portrait.picture, others)[window].copy()
    landmarks = portrait.face.landmarks.copy()
    landmarks[:, :2] -= (window[1].start, window[0].start)
    alpha, _ = tools.matte(picture, landmarks.astype(np.float64))
    write_whole(path, save({"picture": picture, "alpha": alpha, "landmarks": landmarks}))


def _kept_source(path: Path) -> dict[str, NDArray[Any]] | None:
    """What `_keep_source` wrote; None where nothing is, or something else."""
    try:
        source = read_arrays(path, MOST_SOURCE)
    except (FileNotFoundError, InputError):
        return None
    size = source["picture"].shape[:2] if "picture" in source else ()
    wanted = {"picture": (*size, 3), "alpha": size, "landmarks": (LANDMARKS, 3)}
    kinds = {"picture": "uint8", "alpha": "float32", "landmarks": "float32"}
    sound = {name: array.shape for name, array in source.items()} == wanted
    return source if sound and {name: array.dtype.name for name, array in source.items()} == kinds else None


def without_faces(picture: NDArray[np.uint8], faces: Sequence[Face]) -> NDArray[np.uint8]:
    """The picture (H, W, 3) with faces blurred until nobody can be told."""
    import cv2

    result = picture.copy()
    for face in faces:
        left, top, right, bottom = face.box
        x, y = HIDDEN * (right - left), HIDDEN * (bottom - top)
        rows = slice(max(0, int(top - y)), max(0, int(bottom + y)))
        columns = slice(max(0, int(left - x)), max(0, int(right + x)))
        if result[rows, columns].size:
            result[rows, columns] = cv2.GaussianBlur(result[rows, columns], (0, 0), 0.25 * face.extent_px)
    return result


def _perceptual(progress: Progress) -> tuple[Perceptual, str]:
    if present("alexnet") and present("lpips-alexnet"):
        from avatarkit.metrics.lpips import LPIPS

        return LPIPS.from_registry(), LPIPS.name
    progress.notice("could be better: avatarkit weights fetch alexnet lpips-alexnet (learns by what the eye sees)")
    return pyramid_loss, "Laplacian pyramid"


def _figures(learned: Learned, pairs: Pairs, perceptual: str) -> dict[str, Any]:
    return {
        "frames": int((~pairs.held_out).sum()),
        "held_out_frames": int(pairs.held_out.sum()),
        "seconds": round(learned.seconds, 1),
        "steps": learned.steps,
        "perceptual": perceptual,
        "errors": {name: round(value, 5) for name, value in learned.errors.items()},
    }
