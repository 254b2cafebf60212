"""Batches of drawn heads with landmark pictures, as the loader makes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from synthetic_heads import frame

from avatarkit.face.mirror import mirrored
from avatarkit.head.landmark_picture import draw_landmarks, landmark_lines
from avatarkit.training.feed import collate

NAME = "contours"


def lines_of(landmarks: np.ndarray, size: int) -> np.ndarray:
    """One face's picture, uint8 (3, size, size)."""
    return draw_landmarks(landmarks, size, landmark_lines(NAME)).transpose(2, 0, 1)


def drawn(person: int, moment: int, size: int, shrink: int = 1) -> dict[str, torch.Tensor]:
    """A frame with its lines, and those of its mirror image."""
    made = frame(person, moment, size)
    side = size // shrink
    points = (made["landmarks"].numpy() + 0.5) / shrink - 0.5
    pictures = [lines_of(points, side), lines_of(mirrored(points, side), side)]
    return {**made, "lines": torch.from_numpy(np.stack(pictures))}


def stacked(frames: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {name: torch.stack([one[name] for one in frames]) for name in frames[0]}


def batch_of(people: int, size: int, *, sources: int = 1, window: int = 1, shrink: int = 1) -> dict[str, Any]:
    """A sample of each person."""

    def some(person: int, first: int, count: int) -> dict[str, torch.Tensor]:
        frames = [drawn(person, first + number, size, shrink) for number in range(count)]
        return frames[0] if count == 1 else stacked(frames)

    samples = [
        {
            "source": some(person, 0, sources),
            "driver": some(person, 20, window),
            "clip": torch.tensor(person),
            "position": person,
        }
        for person in range(people)
    ]
    return collate(samples)
