"""Motion of a driver applied to the face of a source: where the source's landmarks go."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.face.visibility import Covered
from avatarkit.geometry.easing import held
from avatarkit.geometry.rotation import from_euler_deg, from_vector, scaled, to_vector
from avatarkit.geometry.similarity import Similarity
from avatarkit.head.coordinates import eye_opening, head_frame
from avatarkit.head.square import Square
from avatarkit.motion.around_lips import AroundLips
from avatarkit.motion.averted import with_near_half
from avatarkit.motion.columns import Motion
from avatarkit.motion.config import MotionConfig, check
from avatarkit.motion.irises import Irises, agreed
from avatarkit.motion.lids import WIDEST_EYE, openness, shares, winks
from avatarkit.motion.moment import Reference, eyes_seen, looking_ahead, moment, pose_of, still_moment
from avatarkit.motion.reference import reference_frames
from avatarkit.motion.reshape import (
    ALL_THE_WAY,
    SCALE_RATIO_RANGE,
    closing_lips,
    lips_closer,
    mouth_ratio,
    proportions,
    region_weights,
    with_lids,
    with_lips_apart,
    with_lips_of,
    with_mouth_within,
)
from avatarkit.motion.round_lips import with_round_opening

Array = NDArray[np.float64]

NOTHING = Covered()
LONGEST_SHIFT = 0.6
"""Relative motion shifts the head by at most this many head units: a driver who walks, or a camera that pans, must
not carry the head out of the picture. Small shifts pass unchanged (the limit is a hyperbolic tangent)."""
CALM_S = 0.12
"""What is calm is averaged over frames up to so many seconds before and after, nearer ones counting more."""


@dataclass(frozen=True)
class Posture:
    """How a head is turned and its face is shaped. rotation: (3, 3). shape: (478, 3) in head coordinates."""

    rotation: Array
    shape: Array


@dataclass(frozen=True)
class DriveFrame:
    """One frame of motion on the source, in the pixels of the picture that the engine draws.

    pose: head coordinates to pixels. landmarks: (478, 3). eye_openness: (2,) share of the source's own lid
    distance, 0 closed, 1 as in the source. index: number of the driver's frame. driver: for engines that look at the
    driver, its squares with their shares, more than one where a gap lies between them. neutral: of relative motion,
    what the source's own expression stands for. weight: share of the expression that is taken over. posed: the
    driver's square whose pose the head was given; None where the source's own was moved. calm: gives the posture
    without the tremor of a tracker, see `CALM_S`, for networks whose answers would tremble with it; None where a frame
    stands alone. Who asks twice for a frame is given the same arrays: they are not to be written into.
    """

    pose: Similarity
    landmarks: Array
    eye_openness: Array
    index: int
    driver: tuple[tuple[Square, float], ...] = ()
    neutral: Square | None = None
    weight: float = 1.0
    posed: Square | None = None
    calm: Callable[[], Posture] | None = None


@dataclass(frozen=True)
class Framing:
    """From the driver's pixels to the drawn picture's, for absolute motion: `p * scale + offset`."""

    scale: float
    offset_x: float
    offset_y: float


class Transfer:
    """Applies a driver's motion to one source face.

    Args:
        motion: of the driver.
        source: (478, 3) landmarks of the source in pixels of the drawn picture.
        config: see `MotionConfig`.
        framing: where the driver's picture lies in the drawn one; used by absolute motion alone.
        covered: what of the source's face is covered, and stays as it is.
        same_person: the source is the driver itself: its face stands for its own expression, not for that of a frame
            of the driver that is like it.
    """

    def __init__(
        self,
        motion: Motion,
        source: NDArray[np.floating[Any]],
        config: MotionConfig,
        framing: Framing,
        covered: Covered = NOTHING,
        *,
        same_person: bool = False,
    ) -> None:
        self._covered = covered
        self._motion, self._config, self._framing = motion, check(config), framing
        self._source = np.asarray(source, np.float64)
        self._pose = head_frame(source)
        self._shape = self._pose.apply_inverse(source)
        self._irises = Irises(self._source)
        self.references = reference_frames(motion, config.reference_frame, config.mode, self._shape, self._source)
        # One rotation reference for all shots: a change of camera angle is a change of pose.
        upright = min(self.references, key=lambda r: float(-motion.rotation[r][2, 2]))
        self._upright = np.asarray(motion.rotation[upright], np.float64)
        self._proportions = [proportions(self._shape, identity) for identity in motion.identity]
        self._mouth, self._eyes = region_weights(self._shape)
        self._around_lips = AroundLips.of(self._shape)
        widths = [mouth_ratio(self._shape, motion, reference) for reference in self.references]
        self._moments = [moment(motion, reference) for reference in self.references]
        relative = config.mode == "relative"
        if relative and config.reference_frame == "auto":
            self._moments = looking_ahead(self._moments, eyes_seen(motion))
        openings = [
            (motion.identity[motion.shot[r]] + motion.expression[r]).astype(np.float64) for r in self.references
        ]
        if config.close_mouth:
            self._lips_closing = [lips_closer(self._shape, ALL_THE_WAY)] * len(openings)
        else:
            self._lips_closing = [
                closing_lips(self._shape, opening if relative else self._shape) for opening in openings
            ]
        if len(motion) == 1:
            # A photo has no neutral frame to compare with: its pose and expression are compared with the source's.
            self._upright = self._pose.rotation
            self._moments = [self._moment_of_source(self._proportions[0])]
            widths = list(SCALE_RATIO_RANGE[1:])
            self._lips_closing = [np.zeros_like(self._shape)]
        if same_person:
            self._moments = [still_moment(self._source, identity) for identity in motion.identity]
            self._proportions, widths = [np.ones(3)] * len(motion.identity), [1.0] * len(motion.identity)
        self._stretch = [
            p + self._mouth[:, None] * (np.minimum(p, w) - p) for p, w in zip(self._proportions, widths, strict=True)
        ]

        usual = np.array([self._moments[number].eye_opening for number in motion.shot])
        self._shares = shares(motion.eye_opening, usual)
        self._winks = winks(self._shares, motion.shot_ranges(), float(motion.rate))
        self._calm_reach = max(1, round(CALM_S * float(motion.rate)))
        # By a weak reference, or else a transfer and the motion that it maps would outlive their last use.
        self._frame = lru_cache(maxsize=4 * self._calm_reach)(partial(Transfer._moved, weakref.proxy(self)))

    def __len__(self) -> int:
        return len(self._motion)

    def frame(self, index: int) -> DriveFrame:
        """Where the source's face is in one frame of the driver."""
        return replace(self._frame(index), calm=partial(self._calm, index))

    def _calm(self, index: int) -> Posture:
        shot, reach = self._motion.shot, self._calm_reach
        around = range(max(index - reach, 0), min(index + reach + 1, len(self)))
        near = [other for other in around if shot[other] == shot[index]]
        shares = np.array([reach + 1.0 - abs(other - index) for other in near])
        frames, shares = [self._frame(other) for other in near], shares / shares.sum()
        shape = np.tensordot(shares, [f.pose.apply_inverse(f.landmarks) for f in frames], axes=1)
        own = self._frame(index).pose.rotation
        turn = shares @ np.stack([to_vector(f.pose.rotation @ own.T) for f in frames])
        return Posture(from_vector(turn) @ own, np.asarray(shape, np.float64))

    def _moved(self, index: int) -> DriveFrame:
        motion, region = self._motion, self._config.region
        shot = int(motion.shot[index])
        reference = self._moments[shot]
        weight = self._weight(index)
        pose = self.pose(index)
        shape = self._shape.copy()
        opened = np.ones(2)
        if region != "pose":
            change = np.asarray(motion.expression[index], np.float64) - reference.expression
            turn = float(motion.rotation[index][0, 2])
            offsets = with_near_half(reference.offsets(change), self._shape, self._mouth, turn)
            offsets *= weight * self._stretch[shot]
            shape += offsets * self._weights(region)[:, None]
            if region != "eyes" and not self._covered.mouth:
                shape += min(weight, 1.0) * self._lips_closing[shot]
                shape = with_mouth_within(shape, self._shape, self._mouth)
                shape = with_lips_apart(self._around_lips.given_way(with_lips_of(shape, self._shape)))
                shape = with_round_opening(shape, self._shape)
            if region != "mouth" and not self._covered.eyes:
                opened = self._openness(index, weight)
            shape = with_lids(shape, self._shape, opened)
        landmarks = pose.apply(shape)
        looks = region in ("all", "expression", "eyes") and not self._covered.eyes
        look = weight if looks else 0.0
        change = np.asarray(motion.gaze[index], np.float64) - reference.gaze
        self._irises.place(landmarks, look * agreed(change, float(motion.rotation[index][0, 2])))
        return DriveFrame(pose, landmarks, opened, index)

    def pose(self, index: int) -> Similarity:
        """The source's head in one frame of the driver: head coordinates to pixels."""
        moves = self._config.region in ("all", "pose")
        reference = self._moments[int(self._motion.shot[index])]
        return self._pose_at(index, reference, self._weight(index) if moves else 0.0)

    def _weight(self, index: int) -> float:
        return float(self._motion.presence[index]) * self._config.strength

    def _weights(self, region: str) -> Array:
        moves = {"mouth": self._mouth, "eyes": self._eyes}.get(region, np.ones(len(self._shape)))
        return moves * (1.0 - self._mouth) if self._covered.mouth else moves

    def _pose_at(self, index: int, reference: Reference, weight: float) -> Similarity:
        motion, config = self._motion, self._config
        extra = from_euler_deg(config.yaw_deg, config.pitch_deg, config.roll_deg)
        own = np.eye(3) if config.frontalize else self._pose.rotation
        now = pose_of(motion, index)
        if config.mode == "absolute" and weight > 0:
            f, seen = self._framing, reference.moved(now)
            place = seen.translation * f.scale + np.array([f.offset_x, f.offset_y, 0.0])
            turn = np.eye(3) if config.frontalize else scaled(seen.rotation @ self._pose.rotation.T, weight)
            shift = weight * (place - self._pose.translation)
            growth = (seen.scale * f.scale / self._pose.scale) ** weight
        else:
            turn = scaled(now.rotation @ self._upright.T, weight)
            drift = reference.moved(now).translation - reference.frame.translation
            shift = _bounded(weight * drift / reference.frame.scale, LONGEST_SHIFT) * self._pose.scale
            growth = (now.scale / reference.pose.scale) ** weight
        if config.keep_scale:
            growth = 1.0
        if config.keep_translation:
            shift = np.zeros(3)
        rotation = turn @ own @ extra
        return Similarity(rotation, self._pose.translation + shift, self._pose.scale * growth)

    def _openness(self, index: int, weight: float) -> Array:
        """Share (2,) of the source's lid distance that is left open."""
        opened = openness(self._shares[index], float(self._motion.rotation[index][0, 2]), float(self._winks[index]))
        return np.asarray(np.clip(1.0 + weight * (opened - 1.0), 0.0, WIDEST_EYE), np.float64)

    def _moment_of_source(self, proportions: Array) -> Reference:
        """The source's face in a photo's place: same pose, expression in the photo's proportions."""
        motion = self._motion
        expression = self._shape / proportions - motion.identity[0]
        change = motion.expression[0] - expression
        # Where the two mouths sit in their faces is identity; how they differ around that place is expression.
        lips = change[[*lm.OUTER_LIP_UPPER, *lm.OUTER_LIP_LOWER]].mean(0)
        expression = motion.expression[0] - (change - lips) * self._mouth[:, None]
        now = moment(motion, 0)
        opening, look = eye_opening(self._shape), self._irises.gaze
        return replace(now, expression=np.asarray(expression, np.float64), eye_opening=opening, gaze=look)


def _bounded(vector: Array, longest: float) -> Array:
    """The vector, shortened smoothly so that it is never longer than `longest`."""
    length = float(np.linalg.norm(vector[:2]))
    return vector if length < 1e-9 else vector * (held(length, 0.0, longest) / length)
