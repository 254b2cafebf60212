"""A film as source: its frames keep their pose, place and background, and the driver gives the expression."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import AvatarkitError, UsageError
from avatarkit.face.visibility import covered
from avatarkit.media.decode import FrameReader
from avatarkit.motion.columns import Motion
from avatarkit.motion.moment import landmarks_of
from avatarkit.motion.reference import reference_frames
from avatarkit.motion.transfer import Framing, Transfer
from avatarkit.pipelines.driver import Driver, driver_kind
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.pipelines.render import Finished, overlapped
from avatarkit.runtime import cpu_threads
from avatarkit.systems.landmark_warp.engine import FEATURES, Feature
from avatarkit.systems.landmark_warp.filmed import expressed
from avatarkit.systems.refined_warp import is_avatar
from avatarkit.weights.choice import AUTO

Picture = NDArray[np.uint8]
REGIONS = {"all": "expression", "expression": "expression", "eyes": "eyes", "mouth": "mouth"}
"""What follows the driver, by what is asked for: the film's own pose stays."""
DRAWN = {"expression": tuple(FEATURES), "eyes": ("lids", "eyes"), "mouth": ("mouth",)}


@dataclass(frozen=True)
class Shot:
    """One person's neutral face in a shot of the film, under the driver's motion, and what is drawn into it."""

    transfer: Transfer
    features: tuple[Feature, ...]


class FilmedSource:
    """In place of a source that is a picture: its film, tracked; attributes as `Source`'s."""

    portrait = background = None
    matting = inpainting = "none"
    advice: tuple[str, ...] = ()
    transparent = False

    def __init__(self, film: Driver, driver: Motion, config: ReenactConfig) -> None:
        assert film.info is not None
        self._film, self._config = film, config
        with FrameReader(film.path, info=film.info) as reader:
            self.frame_size = reader.width, reader.height
        self.frame_side = self.frame_size[0]
        motion = film.motion
        neutral = reference_frames(motion, "auto", "relative", np.empty(0), np.empty(0))
        self.region = REGIONS[config.motion.region]
        self.shots = [self._shot(number, driver) for number in neutral]
        self.shown = self._picture(neutral[0])

    def landmarks(self, number: int) -> NDArray[np.float64]:
        """(478, 3) of a frame, in its pixels."""
        scale = self.frame_size[0] / self._film.motion.width
        points = landmarks_of(self._film.motion, number) * scale
        points[:, :2] += (scale - 1.0) / 2.0
        return points

    def finished(self, order: Sequence[int], rate: Fraction) -> Iterator[Finished]:
        """Frames with the driver's expression, by ascending numbers of its frames; `rate` is the driver's.

        Where the film is too short its last frame stands.
        """
        with (
            closing(self._pictures(order, rate)) as pictures,
            closing(overlapped(self._finish, pictures, cpu_threads() + 1)) as frames,  # type: ignore[type-var]
        ):
            yield from frames

    def _pictures(self, order: Sequence[int], rate: Fraction) -> Generator[tuple[int, Picture, int]]:
        """For each frame of the driver the number and the picture of the film's frame at that time."""
        film = self._film.motion
        with FrameReader(self._film.path, info=self._film.info) as reader:
            frame, at = next(reader), 0
            for index in order:
                wanted = min(int(index * film.rate / rate), len(film) - 1)
                while at < wanted:
                    frame, at = next(reader), at + 1
                yield wanted, frame, index

    def _finish(self, item: tuple[int, Picture, int]) -> Finished:
        number, frame, index = item
        motion = self._film.motion
        shot = self.shots[int(motion.shot[number])]
        share = float(motion.presence[number])
        wanted = shot.transfer.frame(index)
        return Finished(expressed(frame, self.landmarks(number), wanted, shot.features, self.region, share), None)

    def _picture(self, number: int) -> Picture:
        with FrameReader(self._film.path, info=self._film.info, part=(number, number + 1)) as reader:
            return next(reader)

    def _shot(self, neutral: int, driver: Motion) -> Shot:
        picture, points = self._picture(neutral), self.landmarks(neutral)
        config = replace(self._config.motion, region=self.region)
        transfer = Transfer(driver, points, config, Framing(1.0, 0.0, 0.0), covered(picture, points))
        return Shot(transfer, tuple(FEATURES[name](picture, points) for name in DRAWN[self.region]))


def is_film(path: Path | None) -> bool:
    """Whether a source is a video."""
    if path is None or is_avatar(path):
        return False
    try:
        return driver_kind(path)[0] == "video"
    except AvatarkitError:
        return False  # reading it as a picture says what is wrong with it


def check_filmed(config: ReenactConfig) -> None:
    """Refuse what a film as source cannot do.

    Raises:
        UsageError: names the option.
    """
    motion = config.motion
    without = {
        f"--engine {config.engine}": config.engine not in (AUTO, "warp") or bool(config.checkpoint),
        f"--background {config.background}": config.background not in ("plate", "keep"),
        f"--motion {motion.mode}": motion.mode != "relative",
        f"--region {motion.region}": motion.region == "pose",
        "--size": config.size is not None,
        f"--framing {config.framing}": config.framing != AUTO,
        "--turntable": config.turntable is not None,
        "--preview": config.preview,
        "--layers": config.layers is not None,
    }
    for option, used in without.items():
        if used:
            raise UsageError(
                f"{option}: {config.source_name} is a video, whose frames keep their pose, size and background;"
                " leave it out, or use a picture as source"
            )
