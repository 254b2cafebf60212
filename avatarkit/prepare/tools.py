"""The networks and measures that preparing needs, opened once per worker process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatarkit.background.matting import Matting
from avatarkit.face.tracker import FaceTracker
from avatarkit.prepare.config import PrepareConfig
from avatarkit.quality.protocol import QualityModel
from avatarkit.quality.sharpness import SharpnessScore

__all__ = ["Tools", "open_tools"]


@dataclass(frozen=True)
class Tools:
    """What one worker uses; used from one thread.

    matting: for the frames of videos. photo_matting: for single pictures, finer and slower.
    names: "tracker", "matting", "photo_matting", "scorer", and "scorer_sha256", "matting_sha256" where there are
        weights: to be kept with the dataset. Scores compare only under one scorer with one hash.
    advice: one line each on what would be better, and by which command.
    """

    tracker: FaceTracker
    matting: Matting
    photo_matting: Matting
    quality: QualityModel
    sharpness: SharpnessScore
    names: Mapping[str, str]
    advice: tuple[str, ...]

    def rate(self, picture: NDArray[np.uint8]) -> tuple[float, float]:
        """Sharpness and quality of a crop, RGB uint8 (H, W, 3); the same number where sharpness is the measure."""
        sharpness = float(self.sharpness.score(picture[None])[0])
        if self.quality.name == self.sharpness.name:
            return sharpness, sharpness
        return sharpness, float(self.quality.score(picture[None])[0])

    def close(self) -> None:
        """Release native resources."""
        self.tracker.close()


def open_tools(config: PrepareConfig) -> Tools:
    """Open what the configuration names; nothing is downloaded.

    Raises:
        UsageError: no such name, or a tracker without the 478 landmarks that clips need.
        DependencyError: something named is not here; the message says how to get it.
    """
    from avatarkit.background.choice import open_matting
    from avatarkit.face.open import open_tracker
    from avatarkit.quality.choice import open_quality

    quality = open_quality(config.iqa)
    matting = open_matting(config.matting)
    of_photos = matting.model
    of_videos: Matting = of_photos
    if of_photos.name == "mediapipe":
        from avatarkit.prepare.video_matte import VideoMatting

        of_videos = VideoMatting()
    tracker = open_tracker(config.tracker)
    names = {
        "tracker": tracker.name,
        "matting": of_videos.name,
        "photo_matting": of_photos.name,
        "scorer": quality.model.name,
    }
    hashes = {"scorer_sha256": quality.model.weights_sha256, "matting_sha256": _hash_of(of_photos)}
    names.update({key: value for key, value in hashes.items() if value})
    advice = tuple(line for line in (quality.advice, matting.advice) if line)
    return Tools(tracker, of_videos, of_photos, quality.model, SharpnessScore(), names, advice)


def _hash_of(matting: Matting) -> str | None:
    """The hash of a matting network's weights; those inside MediaPipe's wheel go by the wheel's version."""
    value = getattr(matting, "weights_sha256", None)
    return value if isinstance(value, str) else None
