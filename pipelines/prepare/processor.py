"""What turns one job into clips: the real thing, and how any other is named, so that a run can be tested alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from avatarkit.data.clip import ClipData, Rejected
from avatarkit.prepare.config import PrepareConfig
from avatarkit.prepare.job import PhotoJob, VideoJob


class Processor(Protocol):
    """Opened once per worker process.

    Attributes:
        names: of the tools, and hashes of their weights; the same in all workers, or their shards do not mix.
        advice: what would be better, and by which command.
    """

    names: Mapping[str, str]
    advice: tuple[str, ...]

    def process(self, job: VideoJob | PhotoJob) -> Iterator[ClipData | Rejected]:
        """Clips and rejections of one job; equal jobs give equal results."""

    def close(self) -> None:
        """Release what is open."""


class _Processor:
    """Tracks, crops, annotates and scores with the tools that the configuration names."""

    def __init__(self, config: PrepareConfig) -> None:
        from avatarkit.prepare.tools import open_tools

        self._config = config
        self._tools = open_tools(config)
        self.names: Mapping[str, str] = dict(self._tools.names)
        self.advice = self._tools.advice

    def process(self, job: VideoJob | PhotoJob) -> Iterator[ClipData | Rejected]:
        from avatarkit.prepare.process import process_photo, process_video

        if isinstance(job, VideoJob):
            yield from process_video(job, self._config, self._tools)
        else:
            yield process_photo(job, self._config, self._tools)

    def close(self) -> None:
        self._tools.close()


def open_processor(config: PrepareConfig) -> Processor:
    """Open the tools of `avatarkit.prepare`. Raises as `avatarkit.prepare.tools.open_tools`."""
    return _Processor(config)
