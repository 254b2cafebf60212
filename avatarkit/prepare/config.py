"""What decides how videos and photos become clips; part of a dataset's identity, so a frozen value without I/O."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from avatarkit.data.clip import FRAME_RATE
from avatarkit.errors import UsageError

__all__ = ["GRID_RATE", "IMAGE_FORMATS", "PrepareConfig"]

GRID_RATE = Fraction(FRAME_RATE)
"""Frames a second of all clips; VoxCeleb counts its frame numbers at this rate."""
IMAGE_FORMATS = ("jpeg", "webp")


@dataclass(frozen=True)
class PrepareConfig:
    """Settings of all stages from tracking to scores.

    size                stored frames' side in pixels, even
    min_head_px         least side of the head's square in the original, median over a clip; None: half of `size`
    min_effective_px    the same after what enlargement and blur have taken (`quality.effective_resolution`);
                        None: half of the least head side; 0: only reported
    min_frames          least frames of a clip, at 25 a second
    max_frames          most frames of a clip; longer finds of `videos` go on in another clip
    image_format        "jpeg" or "webp"
    image_quality       of the frames, 1 to 100
    matting, iqa, tracker   names that `open_matting`, `open_quality`, `open_tracker` take
    max_faces           most people in a photo
    min_age             youngest person of a photo, in years, where the age is known
    """

    size: int = 512
    min_head_px: float | None = None
    min_effective_px: float | None = None
    min_frames: int = 25
    max_frames: int = 250
    image_format: str = "jpeg"
    image_quality: int = 95
    matting: str = "auto"
    iqa: str = "auto"
    tracker: str = "auto"
    max_faces: int = 1
    min_age: float = 18.0

    def __post_init__(self) -> None:
        """Refuse values that no dataset can have with a UsageError."""
        if not 64 <= self.size <= 4096 or self.size % 2:
            raise UsageError(f"--size {self.size}: use an even number from 64 to 4096")
        if self.image_format not in IMAGE_FORMATS:
            raise UsageError(f"--image-format {self.image_format}: use one of {', '.join(IMAGE_FORMATS)}")
        if not 1 <= self.image_quality <= 100:
            raise UsageError(f"--image-quality {self.image_quality}: use a number from 1 to 100")
        if not 2 <= self.min_frames <= self.max_frames:
            raise UsageError(f"--max-frames {self.max_frames}: use a number from {max(2, self.min_frames)} up")
        for name, value in (("--min-head-px", self.min_head_px), ("--min-effective-px", self.min_effective_px)):
            if value is not None and not value >= 0:
                raise UsageError(f"{name} {value}: use a number from 0 up")

    @property
    def least_head_px(self) -> float:
        """The head side in pixels of the original under which clips and photos are dropped."""
        return self.size / 2.0 if self.min_head_px is None else self.min_head_px

    @property
    def least_effective_px(self) -> float:
        """The effective head side in pixels under which they are dropped."""
        return self.least_head_px / 2.0 if self.min_effective_px is None else self.min_effective_px
