"""One stored frame as tensors, at any size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from avatarkit.data.dataset import Dataset
from avatarkit.data.pictures import Pixels, reduction, resize
from avatarkit.data.reader import ShardReader
from avatarkit.errors import InputError, UsageError
from avatarkit.face.mirror import mirrored
from avatarkit.head.landmark_picture import draw_landmarks, landmark_lines
from avatarkit.head.matrix import head_matrix, resized_px

Frame = dict[str, torch.Tensor]
"""A frame of side S: "image" uint8 (3, S, S) RGB; "matte" uint8 (1, S, S); "landmarks" float32 (478, 3) in pixels of S;
"head" float32 (4, 4), see head/matrix.py; "gaze" float32 (2, 2); "eye_opening" float32 (2,); "mouth_opening"
float32 (); the side-car columns asked for, by name; and "lines" where asked for, uint8 (2, 3, s, s): the landmark
pictures of the frame, and of the frame in a mirror, whose lines have other colours than the picture turned over."""


@dataclass(frozen=True)
class FrameLoader:
    """Reads frames of a dataset.

    size: side of the tensors' pictures in pixels; a smaller one than stored is an area average, and JPEG decodes to a
    half, a quarter or an eighth where that is still large enough. matte: read mattes too. columns: of side-car files.
    lines, lines_shrink: of landmark pictures, as `SampleSpec` has them.
    """

    dataset: Dataset
    size: int
    matte: bool = True
    columns: tuple[str, ...] = ()
    lines: str = ""
    lines_shrink: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.size <= 1 << 14:
            raise UsageError(f"size {self.size}: use pixels from 1 up")

    def load(self, shard: str, number: int) -> Frame:
        """A frame of a shard by its number there, from 0.

        Raises:
            InputError: the shard cannot be read, or the frame cannot be decoded or has another size than the dataset.
        """
        reader, stored = self.dataset.reader(shard), self.dataset.manifest.size
        frame = {"image": _planes(self._image(reader, number, stored))}
        if self.matte:
            frame["matte"] = torch.from_numpy(self._matte(reader, number, stored))[None]
        landmarks = resized_px(reader.row("landmarks", number), stored, self.size).astype(np.float32)
        frame["landmarks"] = torch.from_numpy(landmarks)
        rotation, translation, scale = (reader.row(name, number) for name in ("rotation", "translation_px", "scale_px"))
        frame["head"] = torch.from_numpy(head_matrix(rotation, translation, scale, stored))
        for name in ("gaze", "eye_opening", "mouth_opening"):
            frame[name] = torch.from_numpy(np.array(reader.row(name, number), np.float32))
        for name in self.columns:
            frame[name] = torch.from_numpy(np.array(self.dataset.sidecar(name).row(shard, number)))
        if self.lines:
            frame["lines"] = torch.from_numpy(self._lines(landmarks))
        return frame

    def _lines(self, landmarks: NDArray[np.float32]) -> Pixels:
        side = self.size // self.lines_shrink
        points = resized_px(landmarks, self.size, side)
        drawn = [draw_landmarks(face, side, landmark_lines(self.lines)) for face in (points, mirrored(points, side))]
        return np.ascontiguousarray(np.stack(drawn).transpose(0, 3, 1, 2))

    def _image(self, reader: ShardReader, number: int, stored: int) -> Pixels:
        reduce = reduction(stored, self.size)
        image = reader.image(number, reduce=reduce)
        # Only JPEG is reduced while it is decoded.
        _check_size(image, stored if image.shape[0] == stored else stored // reduce, reader, number)
        return resize(image, self.size)

    def _matte(self, reader: ShardReader, number: int, stored: int) -> Pixels:
        matte = reader.matte(number)
        _check_size(matte, stored, reader, number)
        return resize(matte, self.size)


def _check_size(picture: Pixels, size: int, reader: ShardReader, number: int) -> None:
    if picture.shape[:2] != (size, size):
        raise InputError(
            f"{reader.path}: frame {number} is {picture.shape[1]} x {picture.shape[0]}, the dataset's size is {size};"
            " run `avatarkit data verify`"
        )


def _planes(image: Pixels) -> torch.Tensor:
    """(H, W, 3) to a contiguous tensor (3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
