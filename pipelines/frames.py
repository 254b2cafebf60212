"""One pair as frames in memory, for programs that show or store them in their own way.

    with Studio() as studio:
        for frame in animate(studio, "ann.jpg", "hello.mp4", size=512):
            show(frame)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import UsageError
from avatarkit.pipelines.ready import ReadyPair, make_ready
from avatarkit.pipelines.reenact_config import ReenactConfig, checked_inputs, checked_look
from avatarkit.pipelines.source import Source
from avatarkit.pipelines.studio import Studio
from avatarkit.runtime import NullProgress, Progress, StageTimer

Picture = NDArray[np.uint8]
OF_FILES = frozenset({
    "source", "driver", "output", "overwrite", "report", "cache", "sign", "tsa", "label", "side_by_side", "preview",
    "layers", "audio", "codec", "crf",
})  # fmt: skip
"""What a `ReenactConfig` says of files, and is no option here."""


class Animation:
    """A portrait that moves: iterate over its frames, as often as wanted.

    Several may be drawn in turn, frame by frame; of engines with networks one at a time in each studio.

    Attributes:
        rate: frames per second, exact. size: width and height of frames in pixels. len(): how many there are.
    """

    def __init__(self, pair: ReadyPair) -> None:
        self._pair = pair
        self.rate: Fraction = pair.driver.motion.rate
        self.size: tuple[int, int] = pair.source.frame_size

    def __len__(self) -> int:
        return len(self._pair.moves)

    def __iter__(self) -> Iterator[Picture]:
        """Frames in order, uint8 (H, W, 3) RGB; (H, W, 4), straight alpha, with a transparent background."""
        if self._pair.weights and isinstance(self._pair.source, Source):
            # Its networks may have been made ready for another source of the studio meanwhile.
            self._pair.engine.prepare(self._pair.source.layers)
        with closing(self._pair.frames()) as finished:  # type: ignore[type-var]
            for item in finished:
                yield item.frame


def animate(
    studio: Studio,
    source: Path | str | None,
    driver: Path | str | None,
    *,
    progress: Progress | None = None,
    **options: Any,
) -> Animation:
    """Prepare a pair; its frames are drawn while the result is iterated over.

    Args:
        studio: keeps tracker and networks open, and with `keep` sources and drivers between calls; must stay open as
            long as frames are drawn. With `Studio(open_cache(folder))` later runs find what was tracked.
        source: a portrait; None for an engine that knows whom it draws.
        driver: a video, picture or motion file; None with `turntable`.
        progress: hears of the driver's tracking and of what will look bad.
        options: fields of `ReenactConfig` by name, but for those of files: size, motion, background, checkpoint...

    Raises:
        UsageError: options that do not exist or do not go together. InputError: a source, driver or checkpoint that
        cannot be used. DependencyError: weights, packages or a device that are missing.
    """
    known = [item.name for item in fields(ReenactConfig) if item.name not in OF_FILES]
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, 1)
            raise UsageError(f"animate: {name} is no option of it{f'; {near[0]} is' if near else ''}")
    config = ReenactConfig(_path(source), _path(driver), Path(), **options)
    background = checked_look(config)
    checked_inputs(config)
    return Animation(make_ready(config, background, studio, progress or NullProgress(), StageTimer()))


def _path(given: Path | str | None) -> Path | None:
    return None if given is None else Path(given)


__all__ = ["Animation", "Studio", "animate"]
