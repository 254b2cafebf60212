"""Rotation matrices, Euler angles in degrees and rotation vectors, as pure functions over arrays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def from_euler_deg(yaw_deg: float, pitch_deg: float, roll_deg: float) -> Array:
    """Rotation (3, 3) that rolls about z, then pitches about x, then yaws about y.

    Positive yaw turns the nose towards smaller x, positive pitch towards larger y (down), positive roll
    turns the head clockwise as seen in the picture.
    """
    yaw, pitch, roll = np.radians([yaw_deg, pitch_deg, roll_deg])
    cy, sy, cp, sp, cr, sr = (
        np.cos(yaw),
        np.sin(yaw),
        np.cos(pitch),
        np.sin(pitch),
        np.cos(roll),
        np.sin(roll),
    )
    about_y = np.array([[cy, 0.0, sy], [0.0, 1.0, 0.0], [-sy, 0.0, cy]])
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cp, -sp], [0.0, sp, cp]])
    about_z = np.array([[cr, -sr, 0.0], [sr, cr, 0.0], [0.0, 0.0, 1.0]])
    result: Array = about_y @ about_x @ about_z
    return result


def to_euler_deg(rotation: NDArray[np.floating[Any]]) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees of a rotation (3, 3); the inverse of `from_euler_deg`.

    At a pitch of +-90 degrees yaw and roll are one turn; all of it is then reported as yaw.
    """
    pitch = float(np.arcsin(np.clip(-rotation[1, 2], -1.0, 1.0)))
    if abs(rotation[1, 2]) > 1.0 - 1e-9:
        yaw, roll = float(np.arctan2(-rotation[2, 0], rotation[0, 0])), 0.0
    else:
        yaw = float(np.arctan2(rotation[0, 2], rotation[2, 2]))
        roll = float(np.arctan2(rotation[1, 0], rotation[1, 1]))
    yaw_deg, pitch_deg, roll_deg = np.degrees([yaw, pitch, roll])
    return float(yaw_deg), float(pitch_deg), float(roll_deg)


def from_vector(vector: NDArray[np.floating[Any]]) -> Array:
    """Rotation (3, 3) of a rotation vector (3,): axis times angle in radians (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = np.asarray(vector, np.float64) / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    result: Array = np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross)
    return result


def to_vector(rotation: NDArray[np.floating[Any]]) -> Array:
    """Rotation vector (3,) in radians, of length at most pi, of a rotation (3, 3)."""
    skew = np.array(
        [rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]]
    )
    sine, cosine = float(np.linalg.norm(skew)) / 2.0, (float(np.trace(rotation)) - 1.0) / 2.0
    angle = float(np.arctan2(sine, cosine))
    if sine > 1e-7:
        return np.asarray(skew * (angle / (2.0 * sine)), np.float64)
    if cosine > 0:
        return np.asarray(skew / 2.0, np.float64)
    # A half turn has no skew part: the axis is the column of R + I with the largest diagonal entry.
    symmetric = np.asarray(rotation, np.float64) + np.eye(3)
    column = symmetric[:, int(np.argmax(np.diag(symmetric)))]
    return np.asarray(column / np.linalg.norm(column) * angle, np.float64)


def scaled(rotation: NDArray[np.floating[Any]], factor: float) -> Array:
    """The same turn about the same axis with its angle times `factor`."""
    return from_vector(to_vector(rotation) * factor)


def nearest(matrix: NDArray[np.floating[Any]]) -> Array:
    """The rotation nearest to a matrix (..., 3, 3) in the Frobenius norm; used after averaging rotations."""
    u, _, vt = np.linalg.svd(np.asarray(matrix, np.float64))
    sign = np.ones(u.shape[:-1])
    sign[..., 2] = np.sign(np.linalg.det(u @ vt))
    result: Array = (u * sign[..., None, :]) @ vt
    return result


def angle_deg(a: NDArray[np.floating[Any]], b: NDArray[np.floating[Any]]) -> float:
    """Angle in degrees between two rotations (3, 3)."""
    between = np.asarray(a, np.float64).T @ np.asarray(b, np.float64)
    return float(np.degrees(np.linalg.norm(to_vector(between))))
