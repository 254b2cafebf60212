"""From footage of one person to what the refinement learns from: tracked, its neutral frame drawn in all others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from avatarkit.background.spec import BackgroundSpec
from avatarkit.errors import InputError
from avatarkit.face.open import open_tracker
from avatarkit.face.tracker import FaceTracker
from avatarkit.face.types import Face, FaceChoice
from avatarkit.geometry.crop import head_crop
from avatarkit.head.coordinates import head_frame
from avatarkit.media.decode import FrameReader
from avatarkit.motion.columns import TRACKED, Motion
from avatarkit.motion.config import MotionConfig
from avatarkit.motion.moment import landmarks_of
from avatarkit.motion.reference import not_neutral
from avatarkit.motion.transfer import DriveFrame, Framing, Transfer
from avatarkit.pipelines.driver import TRACKING_SIDE_PX, Driver, load_driver
from avatarkit.pipelines.layer_tools import LayerTools
from avatarkit.pipelines.personalize.config import LEAST_SECONDS, USUAL_SECONDS, PersonalizeConfig
from avatarkit.pipelines.portrait import Portrait
from avatarkit.pipelines.reenact_config import USUAL_SIZE
from avatarkit.pipelines.source import Source
from avatarkit.runtime import Progress
from avatarkit.systems.landmark_warp.engine import WarpEngine
from avatarkit.systems.protocol import Drawn, SeenTeeth
from avatarkit.systems.refined_warp.patches import Patch, patches
from avatarkit.systems.refined_warp.samples import warped

Picture = NDArray[np.uint8]
LEAST_FACE_PX = 80
HELD_OUT = 0.12
"""Share of each video, its end, that is not learned from."""
SEEN_OPEN, SEEN_CLOSED = 0.12, 0.6
"""Openness of a mouth that is seen open, and share of the usual lids' distance in an eye that is seen closing."""


@dataclass(frozen=True)
class Take:
    """One video of the person, tracked."""

    driver: Driver

    @property
    def motion(self) -> Motion:
        """Its motion."""
        return self.driver.motion

    @property
    def usable(self) -> NDArray[np.int64]:
        """Numbers of the frames that show the face."""
        return np.flatnonzero(self.motion.state == TRACKED)

    def pictures(self) -> Iterator[Picture]:
        """All frames, as they were tracked."""
        yield from self.driver.frames(TRACKING_SIDE_PX)

    def pictures_of(self, rows: NDArray[np.int64]) -> Iterator[tuple[int, Picture]]:
        """Some frames with their numbers, in order."""
        wanted = set(rows.tolist())
        return ((number, picture) for number, picture in enumerate(self.pictures()) if number in wanted)

    def picture(self, number: int) -> Picture:
        """One frame."""
        first = (self.driver.part[0] if self.driver.part else 0) + number
        with FrameReader(
            self.driver.path, max_side=TRACKING_SIDE_PX, info=self.driver.info, part=(first, first + 1)
        ) as reader:
            return next(iter(reader))


@dataclass(frozen=True)
class Footage:
    """All videos of the person, tracked, and the most neutral frame as a source.

    number, frame: the take and the frame that it is. others: faces of other people in that frame.
    """

    takes: Sequence[Take]
    number: int
    frame: int
    portrait: Portrait
    others: Sequence[Face]


def followed(config: PersonalizeConfig, progress: Progress, squares_px: int | None = None) -> Footage:
    """Track the footage, say what it lacks, and choose the source.

    Args:
        squares_px: side of the heads' squares that are to be kept; None keeps none.

    Raises:
        InputError: footage that is no video, shows no face, or too little of it.
    """
    with closing(open_tracker(config.tracker)) as tracker:
        takes = track_takes(config, tracker, progress, squares_px)
        for line in _judged(takes):
            progress.notice(line)
        number, frame = neutral_frame(takes)
        portrait, others = portrait_of(takes[number], frame, tracker)
    if others and config.face == FaceChoice():
        progress.notice(f"{len(others) + 1} people in the footage: the largest face is meant; --face chooses another")
    return Footage(takes, number, frame, portrait, others)


def track_takes(
    config: PersonalizeConfig, tracker: FaceTracker, progress: Progress, squares_px: int | None
) -> list[Take]:
    """Track all footage. Raises InputError for what is no video, or shows no face."""
    takes = []
    for path in config.footage:
        driver = load_driver(path, tracker, config.face, "hold", progress, config.part, squares_px)
        if driver.kind != "video":
            raise InputError(
                f"{path}: is no video; what a person's teeth, lids and sides look like is learned from"
                " footage of 20 seconds and more"
            )
        takes.append(Take(driver))
    return takes


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


def evenly(rows: NDArray[np.int64], most: int, run: int = 1) -> NDArray[np.int64]:
    """So many of the rows at most, evenly over all, `run` that follow each other at a time."""
    if len(rows) <= most:
        return rows
    firsts = np.linspace(0, len(rows) - run, max(1, most // run)).round().astype(int)
    return np.asarray(rows[np.unique(firsts[:, None] + np.arange(run))], np.int64)


def followed_by_next(rows: NDArray[np.int64], motion: Motion) -> NDArray[np.bool_]:
    """Of frames of a take, in order, whether the one after it here is the next one of the same shot."""
    result = np.zeros(len(rows), bool)
    shots = motion.shot[rows]
    result[:-1] = (np.diff(rows) == 1) & (shots[1:] == shots[:-1])
    return result


def first_held_out(rows: NDArray[np.int64]) -> int:
    """The frame from which on a video is not learned from, of those that are used."""
    return int(rows[min(len(rows) - 1, int((1.0 - HELD_OUT) * len(rows)))]) if len(rows) else 0


def neutral_frame(takes: Sequence[Take]) -> tuple[int, int]:
    """The take and the frame that look most neutral: mouth closed, eyes open, frontal."""
    best = []
    for number, take in enumerate(takes):
        cost = not_neutral(take.motion) + 100.0 * (take.motion.state != TRACKED)
        frame = int(np.argmin(cost))
        best.append((float(cost[frame]), number, frame))
    _, number, frame = min(best)
    return number, frame


def portrait_of(take: Take, frame: int, tracker: FaceTracker) -> tuple[Portrait, tuple[Face, ...]]:
    """A frame as a source, and the faces of others in it. Raises InputError where the face is too small."""
    picture = take.picture(frame)
    faces = tracker.detect(picture)
    expected = landmarks_of(take.motion, frame)[:, :2].mean(0)
    if not faces:
        raise InputError(f"{take.driver.path}: frame {frame} shows no face when it is looked at alone")
    face = min(faces, key=lambda one: float(np.linalg.norm(one.landmarks[:, :2].mean(0) - expected)))
    if face.extent_px < LEAST_FACE_PX:
        raise InputError(
            f"{take.driver.path}: the face is only {face.extent_px:.0f} px high; at least {LEAST_FACE_PX} are needed,"
            " better 250"
        )
    return Portrait(picture, None, face, len(faces), tracker.name), tuple(one for one in faces if one is not face)


def moves(source: Source, motion: Motion) -> tuple[Transfer, Framing]:
    """Absolute motion on a source, and where the driver's picture lies in the drawn one: head on head."""
    own, rows = head_frame(source.layers.landmarks), motion.state == TRACKED
    place = np.median(np.asarray(motion.translation[rows], np.float64), axis=0)
    scale = own.scale / float(np.median(motion.scale[rows]))
    left, top = (own.translation - scale * place)[:2]
    framing = Framing(scale, float(left), float(top))
    config = MotionConfig(mode="absolute")
    transfer = Transfer(
        motion, source.layers.landmarks, config, framing, source.portrait.covered, same_person=True
    )
    return transfer, framing


def in_drawn(picture: Picture, framing: Framing) -> Picture:
    """A driver's picture in the coordinates of the drawn one (`USUAL_SIZE`).

    It is enlarged as a source is: detail that no enlarged frame has cannot be asked of a drawn one.
    """
    import cv2

    scale = framing.scale
    offset = framing.offset_x, framing.offset_y
    if scale < 1.0:
        size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        offset = (offset[0] - 0.5 * scale + 0.5, offset[1] - 0.5 * scale + 0.5)
        scale = 1.0
    matrix = np.array([[scale, 0.0, offset[0]], [0.0, scale, offset[1]]])
    return np.asarray(cv2.warpAffine(picture, matrix, (USUAL_SIZE, USUAL_SIZE), flags=cv2.INTER_CUBIC), np.uint8)


def source_of(portrait: Portrait, tools: LayerTools) -> Source:
    """A frame as what is drawn."""
    crop = head_crop(portrait.face.landmarks, *portrait.size, USUAL_SIZE)
    return Source(portrait, crop, BackgroundSpec("keep"), tools)


@dataclass(frozen=True)
class Moment:
    """A frame of footage, drawn and true.

    drawn: the warp's. shown: the motion that it shows. truth: RGB uint8 (H, W, 3), in its coordinates. places: the
    patches of the head in the truth.
    """

    drawn: Drawn
    shown: DriveFrame
    truth: Picture
    places: tuple[Patch, ...]


class Drawer:
    """Draws the person's footage again by the warp alone, from one frame of it, and with what is known of the teeth."""

    def __init__(self, source: Source, teeth: SeenTeeth | None, engine: WarpEngine) -> None:
        self._source, self._engine = source, engine
        engine.prepare(replace(source.layers, teeth=teeth))

    def of(self, take: Take) -> Callable[[int, Picture], Moment]:
        """What draws frames of a take, by number, with the picture that it shows there."""
        transfer, framing = moves(self._source, take.motion)

        def draw(number: int, picture: Picture) -> Moment:
            asked = transfer.frame(number)
            shown = self._engine.eased(asked)
            places = patches(asked.landmarks, asked.pose)
            return Moment(warped(self._engine, asked, shown), shown, in_drawn(picture, framing), places)

        return draw
