"""The media that the benchmarks run on: a folder of drivers and portraits, or else the demo's own pair."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avatarkit.errors import AvatarkitError
from avatarkit.media.probe import probe
from avatarkit.media.rate import format_rate
from avatarkit.runtime import NullProgress

DEMO_SIDE_PX = 720
DEFAULT_PORTRAITS = ("p05", "p01", "p09", "p24", "p27", "p10")
SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".webm", ".gif", ".png", ".jpg", ".jpeg", ".webp"})


class BenchmarkError(Exception):
    """A benchmark cannot run as asked; the text says what is missing."""


@dataclass(frozen=True)
class MediaSet:
    """Drivers and portraits in the order of their names."""

    drivers: list[Path]
    portraits: list[Path]

    def hd_driver(self) -> Path:
        """The longest driver of 1280 x 720, for speed and memory.

        Raises:
            BenchmarkError: there is none.
        """
        best: tuple[float, Path] | None = None
        for path in self.drivers:
            video = probe(path, require_video=True).video
            if video is not None and {video.width, video.height} == {1280, 720}:
                best = max(best or (0.0, path), (float(video.duration), path))
        if best is None:
            raise BenchmarkError("no driver of 1280 x 720 among those chosen: name one with --driver")
        return best[1]


def media_set(folder: Path, only: str | None, portraits: str | None) -> MediaSet:
    """The chosen files of FOLDER/drivers and FOLDER/portraits.

    `only` and `portraits` are comma-separated beginnings of file names, such as "d02,d05".
    """
    names = portraits.split(",") if portraits else list(DEFAULT_PORTRAITS)
    drivers = _chosen(folder / "drivers", only.split(",") if only else None)
    return MediaSet(drivers, _chosen(folder / "portraits", names))


def demo_set(work: Path) -> MediaSet:
    """The driver and the portrait of `avatarkit demo`; the driver is made in `work`.

    Raises:
        BenchmarkError: the demo is not part of this installation, or its pictures are missing.
    """
    try:
        from avatarkit.pipelines.demo import make_driver, portrait
    except ImportError as error:
        raise BenchmarkError(f"the demo is not available ({error}): name a folder with --media") from error
    driver = work / "demo-driver.mp4"
    try:
        driver.unlink(missing_ok=True)
        make_driver(driver, size=DEMO_SIDE_PX, progress=NullProgress())
        return MediaSet([driver], [portrait()])
    except AvatarkitError as error:
        raise BenchmarkError(f"the demo failed: {error}") from error


def label(path: Path) -> str:
    """The short name of a media file: what stands before the first dash."""
    return path.stem.split("-")[0]


def described(path: Path) -> str:
    """Size, rate and codec of a driver in a few words."""
    video = probe(path, require_video=True).video
    if video is None:
        return path.name
    kind = "variable" if video.variable_rate else format_rate(video.rate)
    return f"{video.width} x {video.height}, {kind} fps, {video.codec}, {float(video.duration):.1f} s"


def _chosen(folder: Path, beginnings: list[str] | None) -> list[Path]:
    if not folder.is_dir():
        raise BenchmarkError(f"{folder}: not a folder; --media wants one with drivers/ and portraits/")
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    if beginnings is None:
        return files
    result = []
    for beginning in beginnings:
        matching = [path for path in files if path.name.startswith(beginning)]
        if not matching:
            raise BenchmarkError(f"{folder}: no file begins with {beginning}")
        result += matching
    return result
