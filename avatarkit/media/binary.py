"""Which ffmpeg runs, and what that build can do.

The choice does not depend on what happens to be installed: `AVATARKIT_FFMPEG` names one, else the build that
imageio-ffmpeg carries is taken, and only where that cannot run the one on PATH.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from avatarkit.errors import DependencyError

OLDEST_VERSION = 5
VARIABLE = "AVATARKIT_FFMPEG"
_FILTERS = {
    "bwdif": "deinterlace",
    "lut3d": "show HDR video in its right colours",
    "tpad": "read video",
    "fps": "read video",
    "atrim": "put sound under a video",
}
_DECODERS = {
    "h264": "read H.264",
    "hevc": "read HEVC",
    "vp9": "read VP9",
    "av1": "read AV1",
    "prores": "read ProRes",
    "opus": "read Opus sound",
    "aac": "read AAC sound",
}
_ENCODERS = {
    "libx264": "write H.264",
    "libx265": "write HEVC",
    "libvpx-vp9": "write VP9 and transparent .webm",
    "libsvtav1": "write AV1",
    "prores_ks": "write ProRes and transparent .mov",
    "aac": "write AAC sound",
    "libopus": "write Opus sound under .webm",
}
_STAND_INS = {"av1": ("libdav1d", "libaom-av1"), "libsvtav1": ("libaom-av1",)}


@dataclass(frozen=True)
class Build:
    """One ffmpeg: its path, where the choice came from, and the version as it prints it."""

    path: str
    origin: str
    version: str

    @property
    def major(self) -> int | None:
        """7 for version 7.0.2, None for a build that is named by its commit."""
        match = re.match(r"n?(\d+)\.", self.version)
        return int(match[1]) if match else None


def ffmpeg_binary() -> str:
    """Path of the ffmpeg to run. Raises DependencyError as `ffmpeg_build`."""
    return ffmpeg_build().path


@functools.lru_cache(maxsize=1)
def ffmpeg_build() -> Build:
    """The ffmpeg to run: what `AVATARKIT_FFMPEG` names, else imageio-ffmpeg's, else the one on PATH.

    The variable holds a path, or `system` for the one on PATH. Of the others, one without libx264 comes last,
    since the default output needs it. Raises DependencyError if the named one cannot be used (another never
    takes its place), or none is new enough.
    """
    named = os.environ.get(VARIABLE, "")
    usable: list[Build] = []
    problem = ""
    for path, origin in [_named(named)] if named else _candidates():
        try:
            build = Build(path, origin, _version(path))
            encoders = _listed(path, "encoders")
        except (OSError, subprocess.SubprocessError) as error:
            problem = problem or f"ffmpeg at {path} cannot be run ({_cause(error)})"
            continue
        if build.major is not None and build.major < OLDEST_VERSION:
            problem = f"ffmpeg {build.major} at {path} is too old: version {OLDEST_VERSION} is needed"
        elif "libx264" in encoders:
            return build
        else:
            usable.append(build)
    if usable:
        return usable[0]
    if named:
        raise DependencyError(f"{VARIABLE}={named}: {problem}; name another, or unset it")
    problem = problem or "no ffmpeg was found"
    raise DependencyError(f"{problem}; install a newer one, or run `pip install -U imageio-ffmpeg`")


def _named(value: str) -> tuple[str, str]:
    path = shutil.which("ffmpeg") if value == "system" else shutil.which(os.path.expanduser(value))
    if path is None:
        missing = "no ffmpeg on PATH" if value == "system" else "no such program"
        raise DependencyError(f"{VARIABLE}={value}: {missing}; give the path of an ffmpeg, or unset it")
    return path, VARIABLE


def _candidates() -> Iterator[tuple[str, str]]:
    bundled = None
    with contextlib.suppress(ImportError, RuntimeError):
        bundled = str(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
    if bundled:
        yield bundled, "imageio-ffmpeg"
    system = shutil.which("ffmpeg")
    if system:
        yield system, "PATH"


def encoders() -> frozenset[str]:
    """Names of the encoders that the ffmpeg in use was built with."""
    return _listed(ffmpeg_binary(), "encoders")


def lacks() -> tuple[str, ...]:
    """What the ffmpeg in use cannot do of all that avatarkit may ask of it: "write AV1 (libsvtav1)", ..."""
    binary = ffmpeg_binary()
    return tuple(
        f"{use} ({name})"
        for kind, wanted in (("decoders", _DECODERS), ("encoders", _ENCODERS), ("filters", _FILTERS))
        for name, use in wanted.items()
        if not _listed(binary, kind) & {name, *_STAND_INS.get(name, ())}
    )


def _version(binary: str) -> str:
    match = re.match(r"ffmpeg version (\S+)", _answer(binary, "-version"))
    if match is None:
        raise subprocess.SubprocessError("it is no ffmpeg")
    return match[1]


@functools.lru_cache(maxsize=16)
def _listed(binary: str, kind: str) -> frozenset[str]:
    """Names in ffmpeg's list of "encoders", "decoders" or "filters"."""
    return frozenset(re.findall(r"^ +[A-Z.|]{2,6} +(\S+)", _answer(binary, "-hide_banner", f"-{kind}"), re.MULTILINE))


def _answer(binary: str, *words: str) -> str:
    return subprocess.run(
        [binary, *words], capture_output=True, text=True, timeout=30, check=True, stdin=subprocess.DEVNULL
    ).stdout


def _cause(error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return "it gives no answer"
    if isinstance(error, subprocess.CalledProcessError):
        return f"it ends with status {error.returncode}"
    return getattr(error, "strerror", None) or str(error)
