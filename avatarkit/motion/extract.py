"""From tracked landmarks to motion: head transforms, expression, gaps filled, smoothed."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import InputError
from avatarkit.face import landmarks as lm
from avatarkit.face.sequence import TrackedFrame
from avatarkit.face.types import LANDMARKS
from avatarkit.geometry.easing import fall
from avatarkit.geometry.rotation import from_vector, nearest, to_vector
from avatarkit.geometry.similarity import fit
from avatarkit.head.coordinates import eye_opening, gaze, head_frame, mouth_opening
from avatarkit.motion import columns as c
from avatarkit.motion.smooth import EYE_WINDOW_S, WINDOW_S, gap_ends, savitzky_golay, window_frames
from avatarkit.motion.unseen_eyes import settle_unseen
from avatarkit.runtime import counted

Array = NDArray[np.float64]

IDENTITY_SAMPLES = 120
"""Frames of a shot that are averaged into the driver's mean face."""
FADE_S = 0.25
"""Seconds over which the motion fades out and in around a gap with on_missing="source"."""

_RIGID = list(lm.RIGID)


@dataclass(frozen=True)
class DriverInfo:
    """What a motion remembers of its driver."""

    name: str
    rate: Fraction
    width: int
    height: int
    tracker: str


def extract(frames: Iterable[TrackedFrame], info: DriverInfo, on_missing: str) -> c.Motion:
    """The motion of a driver from its tracked frames.

    Args:
        frames: one for each video frame.
        info: of the driver.
        on_missing: "interpolate" (default of the command line), "hold", "source" or "fail".

    Raises:
        InputError: no frame shows a face, or one does not and on_missing is "fail".
    """
    with c.Spool((LANDMARKS, 3)) as spool:
        present, cuts, eyes = _collect(frames, spool, info, on_missing)
        if not len(present):
            raise InputError(f"{info.name}: no frames")
        if not present.any():
            raise InputError(
                f"{info.name}: no face found in any of {counted(len(present), 'frames')};"
                " use a driver that shows a face"
            )
        shots = shot_ranges(present, cuts)
        return _solve(spool.array(), present, eyes, shots, info, on_missing)


def _collect(
    frames: Iterable[TrackedFrame], spool: c.Spool, info: DriverInfo, on_missing: str
) -> tuple[NDArray[np.bool_], list[int], NDArray[np.float32]]:
    """Landmarks go to the spool; returned are presence, cuts, and the contrast within the eyes (F, 2)."""
    present: list[bool] = []
    eyes: list[tuple[float, float]] = []
    cuts: list[int] = []
    nothing = np.zeros((LANDMARKS, 3), np.float32)
    for number, frame in enumerate(frames):
        if frame.landmarks is None and on_missing == "fail":
            raise InputError(
                f"{info.name}: no face in frame {number} ({float(number / info.rate):.2f} s);"
                " choose --on-missing hold, interpolate or source to go on without it"
            )
        if frame.cut:
            cuts.append(number)
        present.append(frame.landmarks is not None)
        eyes.append(frame.eyes)
        spool.append(nothing if frame.landmarks is None else frame.landmarks)
    return np.array(present, bool), cuts, np.array(eyes, np.float32).reshape(-1, 2)


def shot_ranges(present: NDArray[np.bool_], cuts: list[int]) -> list[tuple[int, int]]:
    """Shots as ranges of frames; one without any face joins its neighbour, so that every shot has a face."""
    edges = sorted({0, *cuts, len(present)})
    ranges: list[tuple[int, int]] = []
    pending = None
    for start, stop in pairwise(edges):
        first = start if pending is None else pending
        pending = None
        if present[start:stop].any():
            ranges.append((first, stop))
        elif ranges:
            ranges[-1] = (ranges[-1][0], stop)
        else:
            pending = first
    return ranges


def mean_face(points: NDArray[np.floating[Any]], present: NDArray[np.bool_]) -> Array:
    """The mean face (478, 3) of a shot in head coordinates, by Procrustes analysis on rigid points.

    Args:
        points: (F, 478, 3) landmarks.
        present: (F,) which rows hold a face; at least one.
    """
    rows = np.flatnonzero(present)
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, IDENTITY_SAMPLES).round().astype(int))]
    shapes = np.asarray(points[rows], np.float64)
    frames = [head_frame(shape) for shape in shapes]
    frontal = int(np.argmax([frame.rotation[2, 2] for frame in frames]))
    mean = frames[frontal].apply_inverse(shapes[frontal])
    for _ in range(3):
        aligned = [fit(mean[_RIGID], shape[_RIGID]).apply_inverse(shape) for shape in shapes]
        mean = np.mean(aligned, axis=0)
        mean = head_frame(mean).apply_inverse(mean)
    return mean


def _solve(
    points: NDArray[np.float32],
    present: NDArray[np.bool_],
    eyes: NDArray[np.float32],
    shots: list[tuple[int, int]],
    info: DriverInfo,
    on_missing: str,
) -> c.Motion:
    count = len(present)
    pose = np.zeros((count, 7))
    face = np.zeros((count, 7))
    shot = np.zeros(count, np.int32)
    presence = np.ones(count)
    identity = np.zeros((len(shots), LANDMARKS, 3))
    expression = c.Spool((LANDMARKS, 3))
    for number, (start, stop) in enumerate(shots):
        here = present[start:stop]
        identity[number] = mean_face(points[start:stop], here)
        shot[start:stop] = number
        with c.Spool((LANDMARKS, 3)) as raw:
            _measure_rows(points, present, identity[number], (start, stop), pose, face, raw)
            _fill(pose[start:stop], face[start:stop], here, on_missing)
            gaze_rows = face[start:stop, 3:7].reshape(-1, 2, 2)
            settle_unseen(face[start:stop, 1:3], gaze_rows, eyes[start:stop], float(info.rate))
            face[start:stop, 3:7] = gaze_rows.reshape(-1, 4)
            _smooth_rows(pose[start:stop], face[start:stop], float(info.rate))
            _smooth_expression(raw.array(), here, on_missing, float(info.rate), expression)
        if on_missing == "source":
            presence[start:stop] = _fade(here, float(info.rate))
    state = np.where(
        present, c.TRACKED, {"hold": c.HELD, "source": c.AT_SOURCE}.get(on_missing, c.INTERPOLATED)
    )
    return c.Motion(
        rate=info.rate,
        width=info.width,
        height=info.height,
        tracker=info.tracker,
        driver=info.name,
        rotation=np.stack([from_vector(row) for row in pose[:, :3]]).astype(np.float32),
        translation=pose[:, 3:6].astype(np.float32),
        scale=pose[:, 6].astype(np.float32),
        expression=expression.array(),
        mouth_opening=face[:, 0].astype(np.float32),
        eye_opening=face[:, 1:3].astype(np.float32),
        gaze=face[:, 3:7].reshape(-1, 2, 2).astype(np.float32),
        presence=presence.astype(np.float32),
        state=state.astype(np.uint8),
        shot=shot,
        identity=identity.astype(np.float32),
    )


def _measure_rows(
    points: NDArray[np.float32],
    present: NDArray[np.bool_],
    identity: Array,
    bounds: tuple[int, int],
    pose: Array,
    face: Array,
    raw: c.Spool,
) -> None:
    """Fill rows of `pose` (rotation vector, translation, scale) and `face`; append expressions to `raw`."""
    rigid = identity[_RIGID]
    for start, stop in c.chunks(*bounds):
        block = np.zeros((stop - start, LANDMARKS, 3), np.float32)
        for row in np.flatnonzero(present[start:stop]) + start:
            shape = np.asarray(points[row], np.float64)
            transform = fit(rigid, shape[_RIGID])
            head = transform.apply_inverse(shape)
            block[row - start] = head - identity
            pose[row] = [*to_vector(transform.rotation), *transform.translation, transform.scale]
            face[row] = [mouth_opening(shape[:, :2]), *eye_opening(head), *gaze(shape).ravel()]
        raw.append(block)


def _fill(pose: Array, face: Array, present: NDArray[np.bool_], on_missing: str) -> None:
    """Replace the rows without a face, in place; a shot's gaps never look beyond the shot."""
    before, after, share = gap_ends(present)
    if on_missing == "hold":
        share = np.zeros_like(share)
    for row in np.flatnonzero(~present):
        a, b, t = before[row], after[row], share[row]
        turn = to_vector(from_vector(pose[b, :3]) @ from_vector(pose[a, :3]).T)
        pose[row, :3] = to_vector(from_vector(turn * t) @ from_vector(pose[a, :3]))
        pose[row, 3:] = (1.0 - t) * pose[a, 3:] + t * pose[b, 3:]
        face[row] = (1.0 - t) * face[a] + t * face[b]


def _smooth_rows(pose: Array, face: Array, rate: float) -> None:
    """Smooth the rows of one shot in place. Rotations are averaged as matrices and brought back."""
    window = window_frames(WINDOW_S, rate, len(pose))
    matrices = nearest(savitzky_golay(np.stack([from_vector(row) for row in pose[:, :3]]), window))
    pose[:, :3] = [to_vector(matrix) for matrix in matrices]
    pose[:, 3:] = savitzky_golay(pose[:, 3:], window)
    face[:, 0] = savitzky_golay(face[:, 0], window)
    face[:, 1:] = savitzky_golay(face[:, 1:], window_frames(EYE_WINDOW_S, rate, len(pose)))


def _smooth_expression(
    raw: NDArray[np.float32], present: NDArray[np.bool_], on_missing: str, rate: float, out: c.Spool
) -> None:
    """Fill and smooth the expressions of one shot chunk by chunk, with margins that make the seams exact."""
    before, after, share = gap_ends(present)
    if on_missing == "hold":
        share = np.zeros_like(share)
    window = window_frames(WINDOW_S, rate, len(raw))
    margin = window
    for start, stop in c.chunks(0, len(raw)):
        low, high = max(0, start - margin), min(len(raw), stop + margin)
        t = share[low:high, None, None].astype(np.float32)
        block = raw[before[low:high]] * (1.0 - t) + raw[after[low:high]] * t
        out.append(savitzky_golay(block, window)[start - low : len(block) - (high - stop)])


def _fade(present: NDArray[np.bool_], rate: float) -> Array:
    """1 where there is a face, falling smoothly to 0 inside gaps over `FADE_S`."""
    rows = np.arange(len(present))
    known = rows[present]
    index = np.clip(np.searchsorted(known, rows), 0, len(known) - 1)
    distance = np.minimum(np.abs(known[index] - rows), np.abs(rows - known[np.maximum(index - 1, 0)]))
    return fall(distance / max(1.0, FADE_S * rate))
