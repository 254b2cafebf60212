"""A scripted performance: motion made from formulas, so that demos, examples and tests need no recording.

The script talks, turns, nods, blinks, looks aside, raises the brows and smiles, and begins again after
`PERIOD_S`, where it passes through the face's own pose and expression. It depends on its arguments alone.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import UsageError
from avatarkit.geometry.easing import rise
from avatarkit.geometry.rotation import from_euler_deg
from avatarkit.head.coordinates import eye_opening, gaze, head_frame, mouth_opening
from avatarkit.motion.columns import TRACKED, Motion
from avatarkit.motion.face_shapes import FaceShapes, face_shapes

Array = NDArray[np.float64]

PERIOD_S = 6.0
NECK = np.array([0.0, 1.0, 0.25])
"""The point about which a head turns, from between the ears, in head units along the picture's axes."""
SHUT = 0.04
"""Lid distance over eye width at the bottom of a blink."""
STEADY_GAZE = 0.005
"""Eye widths by which the irises stay behind for each degree of yaw: people look on as they turn."""

# When a syllable is spoken (s), how far the jaw opens (share), and the lips: from spread (-1) to rounded (1).
SYLLABLES = (
    (0.95, 0.55, -0.3), (1.17, 0.85, 0.9), (1.46, 1.00, 0.0), (1.70, 0.40, -0.8),
    (1.95, 0.75, 0.8), (2.20, 0.35, -0.5), (2.78, 0.90, -0.2), (3.02, 0.45, 1.0),
    (3.27, 0.80, 0.1), (3.50, 0.35, -0.9), (3.76, 0.95, 0.3), (4.04, 0.60, 0.9),
)  # fmt: skip
SYLLABLE_S = 0.13
"""Half the length of a syllable."""
BLINKS_S = (0.70, 2.52, 4.55)
BLINK_S = 0.1
"""Half the time for which the lids are more closed than open."""


@dataclass(frozen=True)
class Script:
    """What the performance is like.

    duration_s: length in seconds. rate: frames per second, exact. yaw_deg, pitch_deg, roll_deg: how far the
    head turns, in degrees. jaw_deg: the widest opening of the jaw. speech, blinks, gaze, brows, smile:
    factors, 0 for none.
    """

    duration_s: float = PERIOD_S
    rate: Fraction = Fraction(25)
    yaw_deg: float = 18.0
    pitch_deg: float = 5.0
    roll_deg: float = 3.5
    jaw_deg: float = 12.0
    speech: float = 1.0
    blinks: float = 1.0
    gaze: float = 1.0
    brows: float = 1.0
    smile: float = 1.0


@dataclass(frozen=True)
class Curves:
    """The performance over time, (F,) each.

    Angles in degrees; jaw, lips (spread -1 to rounded 1), closed, smile, brows and lids (1 shut) as shares;
    gaze_x in eye widths; lean as a factor on the head's size.
    """

    yaw_deg: Array
    pitch_deg: Array
    roll_deg: Array
    jaw: Array
    lips: Array
    closed: Array
    smile: Array
    brows: Array
    lids: Array
    gaze_x: Array
    lean: Array


def curves(script: Script) -> Curves:
    """The curves of a script, sampled at its frames.

    Raises:
        UsageError: the script is shorter than a frame.
    """
    frames = round(script.duration_s * script.rate)
    if frames < 1:
        raise UsageError(
            f"a script of {script.duration_s:g} s has no frame at {float(script.rate):g} fps; make it longer"
        )
    time_s = np.arange(frames) / float(script.rate) % PERIOD_S
    turn = 2.0 * np.pi * time_s / PERIOD_S
    jaw, lips = np.zeros(frames), np.zeros(frames)
    for at_s, opening, shape in SYLLABLES:
        bump = _bump(time_s, at_s, SYLLABLE_S)
        jaw = np.maximum(jaw, opening * bump)
        lips += shape * bump
    talking = script.speech * _between(time_s, 0.35, 4.45, 0.35)
    lids = sum((np.exp(-(((time_s - at_s) / BLINK_S) ** 4)) for at_s in BLINKS_S), np.zeros(frames))
    yaw_deg = script.yaw_deg * (0.85 * np.sin(turn) + 0.15 * np.sin(3.0 * turn))
    glance = _between(time_s, 4.75, 5.05, 0.1) - _between(time_s, 5.15, 5.5, 0.1)
    return Curves(
        yaw_deg=yaw_deg,
        pitch_deg=script.pitch_deg * (0.75 * np.sin(3.0 * turn) + 0.25 * talking * jaw),
        roll_deg=script.roll_deg * np.sin(2.0 * turn),
        jaw=script.speech * jaw,
        lips=script.speech * lips,
        closed=talking,
        smile=-0.6 * talking + 0.5 * script.smile * _between(time_s, 4.6, 5.5, 0.3),
        brows=script.brows * (0.6 * _between(time_s, 1.35, 1.85, 0.15) + _between(time_s, 4.8, 5.45, 0.15)),
        lids=script.blinks * np.clip(lids, 0.0, 1.0),
        gaze_x=script.gaze * (0.14 * glance + STEADY_GAZE * yaw_deg),
        lean=1.0 + 0.02 * np.sin(turn),
    )


def scripted_motion(
    landmarks: NDArray[np.floating[Any]],
    width: int,
    height: int,
    script: Script | None = None,
    name: str = "script",
) -> Motion:
    """The motion of a face that performs a script.

    Args:
        landmarks: (478, 3) of the face as it is, in pixels; turns and expressions come on top of it.
        width, height: of the picture it was seen in, in pixels.
        script: what to perform; the default lasts one period.
        name: stored as the driver's name.

    Returns:
        A motion in which every frame counts as tracked. The lids are told by `eye_opening` alone.

    Raises:
        UsageError: the script is shorter than a frame.
    """
    script = script or Script()
    curve = curves(script)
    pose = head_frame(landmarks)
    face = pose.apply_inverse(landmarks)
    expression = _expression(curve, face_shapes(face), script.jaw_deg)
    frames = len(expression)
    own_look, own_eyes = gaze(np.asarray(landmarks, np.float64)), eye_opening(face)
    rotation, translation = np.zeros((frames, 3, 3)), np.zeros((frames, 3))
    look, mouth = np.zeros((frames, 2, 2)), np.zeros(frames)
    for i in range(frames):
        turn = from_euler_deg(curve.yaw_deg[i], curve.pitch_deg[i], curve.roll_deg[i])
        rotation[i] = turn @ pose.rotation
        translation[i] = pose.translation + pose.scale * (NECK - curve.lean[i] * turn @ NECK)
        look[i] = own_look + np.array([curve.gaze_x[i], 0.0])
        mouth[i] = mouth_opening(((face + expression[i]) @ rotation[i].T)[:, :2])
    shut = np.minimum(SHUT, own_eyes)
    return Motion(
        rate=script.rate,
        width=width,
        height=height,
        tracker="script",
        driver=name,
        rotation=rotation.astype(np.float32),
        translation=translation.astype(np.float32),
        scale=(pose.scale * curve.lean).astype(np.float32),
        expression=expression.astype(np.float32),
        mouth_opening=mouth.astype(np.float32),
        eye_opening=(own_eyes + curve.lids[:, None] * (shut - own_eyes)).astype(np.float32),
        gaze=look.astype(np.float32),
        presence=np.ones(frames, np.float32),
        state=np.full(frames, TRACKED, np.uint8),
        shot=np.zeros(frames, np.int32),
        identity=face[None].astype(np.float32),
    )


def _expression(curve: Curves, shapes: FaceShapes, jaw_deg: float) -> Array:
    """Offsets (F, 478, 3) in head coordinates: the shapes, each with its curve as weight."""
    weights = (
        (np.radians(jaw_deg) * curve.jaw, shapes.jaw),
        (curve.closed, shapes.closed),
        (np.maximum(curve.lips, 0.0), shapes.rounded),
        (curve.smile + 0.35 * np.maximum(-curve.lips, 0.0), shapes.smile),
        (curve.brows, shapes.brows),
    )
    result = np.zeros((len(curve.jaw), *shapes.jaw.shape))
    for weight, shape in weights:
        result += weight[:, None, None] * shape
    return result


def _bump(time_s: Array, at_s: float, half_s: float) -> Array:
    """1 at `at_s`, falling to 0 within `half_s` on either side, smooth."""
    return np.asarray(np.cos(np.clip((time_s - at_s) / half_s, -1.0, 1.0) * np.pi / 2.0) ** 2, np.float64)


def _between(time_s: Array, start_s: float, stop_s: float, rise_s: float) -> Array:
    """0, rising to 1 over `rise_s` from `start_s` on, and back to 0 over as much from `stop_s` on; smooth."""
    return rise((time_s - start_s) / rise_s) - rise((time_s - stop_s) / rise_s)
