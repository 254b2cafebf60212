"""Datasets in memory: drawn heads that turn and move, in the layout of the real ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avatarkit.face.landmarks import FACE_OVAL, LOWER_LIDS, UPPER_LIDS
from avatarkit.training.seeds import derive
from avatarkit.training.sources import TrainData

POINTS = 478


def mean_face() -> np.ndarray:
    """Landmarks (478, 3) in head units: an oval, with the lids where eyes are."""
    draw = np.random.default_rng(0)
    angle, radius = draw.uniform(0, 2 * math.pi, POINTS), np.sqrt(draw.uniform(0, 0.8, POINTS))
    points = np.stack([0.6 * radius * np.cos(angle), 0.8 * radius * np.sin(angle)], 1)
    around = np.linspace(0, 2 * math.pi, len(FACE_OVAL), endpoint=False)
    points[list(FACE_OVAL)] = np.stack([0.6 * np.sin(around), -0.8 * np.cos(around)], 1)
    for side, upper, lower in zip((-1, 1), UPPER_LIDS, LOWER_LIDS, strict=True):
        for lids, sign in ((upper, -1), (lower, 1)):
            along = np.linspace(1, -1, len(lids))
            x = side * (0.25 + 0.12 * along)
            points[list(lids)] = np.stack([x, -0.2 + sign * 0.05 * (1 - along**2)], 1)
    points[468:473] = (-0.25, -0.2)
    points[473:] = (0.25, -0.2)
    return np.concatenate([points, 0.3 * (points**2).sum(1, keepdims=True)], 1)


FACE = mean_face()


def frame(person: int, moment: int, size: int) -> dict[str, Tensor]:
    """A head of one person at one moment, in the layout of the dataset."""
    draw = np.random.default_rng((person, moment))
    yaw, scale = draw.uniform(-0.3, 0.3), 0.9
    shift = np.array([*draw.uniform(-0.1, 0.1, 2), 0.0])
    turn = np.array([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
    placed = scale * FACE @ turn.T + shift
    pixels = np.concatenate([((placed[:, :2] + 1) * size - 1) / 2, placed[:, 2:] * size / 2], 1)
    head = np.eye(4)
    head[:3, :3], head[:3, 3] = scale * turn, shift
    open_share = draw.uniform(0, 1, 2)
    y, x = np.mgrid[:size, :size]
    normal = np.stack([(2 * x + 1) / size - 1, (2 * y + 1) / size - 1])
    inside = ((normal[0] - shift[0]) / 0.6) ** 2 + ((normal[1] - shift[1]) / 0.8) ** 2 < scale**2
    colour = np.random.default_rng(person).uniform(0.3, 0.9, 3)
    shade = 0.8 + 0.2 * np.cos(3 * (normal[0] - shift[0] - yaw))
    picture = np.where(inside, colour[:, None, None] * shade, 0.2)
    for eye in (-0.25, 0.25):
        middle = scale * turn @ np.array([eye, -0.2, 0]) + shift
        picture[:, np.hypot(normal[0] - middle[0], normal[1] - middle[1]) < 0.08] = 0.05
    return {
        "image": torch.from_numpy((255 * picture).astype(np.uint8)),
        "matte": torch.from_numpy((255 * inside[None]).astype(np.uint8)),
        "landmarks": torch.from_numpy(pixels.astype(np.float32)),
        "head": torch.from_numpy(head.astype(np.float32)),
        "gaze": torch.from_numpy(draw.uniform(-0.4, 0.4, (2, 2)).astype(np.float32)),
        "eye_opening": torch.from_numpy(open_share.astype(np.float32)),
        "mouth_opening": torch.tensor(float(draw.uniform(0, 1))),
    }


class Pairs:
    """Pairs of moments of one person with pairs of another."""

    def __init__(self, people: int = 3, size: int = 64, length: int = 12, seed: int = 0) -> None:
        self.people, self.size, self.length, self.seed = people, size, length, seed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, position: int) -> dict[str, Any]:
        epoch, index = divmod(position, self.length)
        person = index % self.people
        other = (person + 1 + derive(self.seed, epoch, index) % max(self.people - 1, 1)) % self.people
        moments = [derive(self.seed, position, number) % 50 for number in range(4)]
        return {
            "source": frame(person, moments[0], self.size),
            "driver": frame(person, moments[1], self.size),
            "other_source": frame(other, moments[2], self.size),
            "other_driver": frame(other, moments[3], self.size),
            "clip": torch.tensor(person),
            "other_clip": torch.tensor(other),
        }


class Photos:
    """One photo per person, with that of the next."""

    def __init__(self, people: int = 6, size: int = 128) -> None:
        self.people, self.size = people, size

    def __len__(self) -> int:
        return self.people

    def __getitem__(self, position: int) -> dict[str, Any]:
        photos = [frame((position + more) % self.people, 0, self.size) for more in (0, 1)]
        return {**photos[0], "partner": photos[1]}


def video_data(people: int = 3, size: int = 64) -> TrainData:
    """Videos of some people, with a validation split."""
    return TrainData(
        kind="videos",
        size=size,
        sha256="0" * 64,
        train=Pairs(people, size),
        val=Pairs(people, size, seed=1),
        clips=tuple((f"clip-{person}", f"person-{person}") for person in range(people)),
        first_frame=lambda clip_id: frame(int(clip_id.partition("-")[2]), 0, size),
    )


def photo_data(people: int = 6, size: int = 128) -> TrainData:
    """Photos of some people, without a validation split."""
    return TrainData(kind="photos", size=size, sha256="1" * 64, train=Photos(people, size))
