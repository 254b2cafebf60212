"""What the doctor looks at: each check says whether something is there, and what to do where it is not."""

import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from avatarkit.background.choice import open_inpainter, open_matting
from avatarkit.errors import AvatarkitError
from avatarkit.face.open import open_tracker
from avatarkit.media.binary import encoders, ffmpeg_build, lacks
from avatarkit.runtime import cpu_threads
from avatarkit.weights.cache import cache_dir
from avatarkit.weights.choice import Choice

OK, MISSING, NOTE = "ok", "missing", "note"
LEAST_FREE_BYTES = 1 << 30

_PACKAGES = ("numpy", "scipy", "opencv", "ffmpeg-python", "pillow", "platformdirs", "filelock", "h5py")
_FOR_TRAINING = ("torch", "torchvision", "accelerate", "omegaconf", "safetensors")
_OPTIONAL = (
    ("decord", "random access to video"),
    ("yt-dlp", "prepare-data --download"),
    ("ray", "prepare-data --runner ray"),
)


@dataclass(frozen=True)
class Check:
    """One thing looked at: its name, its state, and what was found or what to do.

    state: "ok", "missing" (a job needs it) or "note" (nothing needs it); for weight files the registry's states.
    """

    name: str
    state: str
    detail: str


def python() -> list[Check]:
    """The interpreter."""
    from importlib.metadata import metadata

    result = ".".join(map(str, sys.version_info[:3]))
    wanted = metadata("avatarkit")["Requires-Python"]
    return [Check("python", OK, f"{result} (avatarkit takes {wanted})")]


def packages() -> list[Check]:
    """The packages that the main jobs need, and those that add something."""
    needed = [_package(name, None) for name in (*_PACKAGES, *_FOR_TRAINING)]
    return needed + [_package(name, use) for name, use in _OPTIONAL]


def accelerators() -> list[Check]:
    """What torch can run networks on."""
    try:
        import torch
    except ImportError as error:
        return [Check("accelerator", NOTE, f"torch cannot be imported ({error})")]
    if torch.cuda.is_available():
        cards = {torch.cuda.get_device_name(card) for card in range(torch.cuda.device_count())}
        what = f"CUDA {torch.version.cuda}: {torch.cuda.device_count()} x {', '.join(sorted(cards))}"
        return [Check("accelerator", OK, what)]
    if torch.backends.mps.is_available():
        return [Check("accelerator", OK, "Apple MPS")]
    return [Check("accelerator", NOTE, "no CUDA or MPS device; reenact needs none, training at full size does")]


def ffmpeg() -> list[Check]:
    """The ffmpeg in use, where it comes from, and what it cannot do."""
    try:
        build, known, missing = ffmpeg_build(), encoders(), lacks()
    except AvatarkitError as error:
        return [Check("ffmpeg", MISSING, str(error))]
    origin = {"PATH": "on PATH", "imageio-ffmpeg": "of imageio-ffmpeg"}.get(build.origin, f"by {build.origin}")
    what = f"{build.version} {origin}: {build.path}"
    needed = OK if "libx264" in known else MISSING
    rows = [Check("ffmpeg", OK, what), Check("encoder libx264", needed, "H.264, the default output")]
    return [*rows, *(Check("ffmpeg cannot", NOTE, thing) for thing in missing if "libx264" not in thing)]


def mediapipe_generation() -> list[Check]:
    """Which of MediaPipe's two programming interfaces is here."""
    try:
        result = version("mediapipe")
    except PackageNotFoundError:
        return [Check("mediapipe", NOTE, "not installed: pip install mediapipe")]
    legacy = find_spec("mediapipe.python") is not None and find_spec("mediapipe.python.solutions") is not None
    return [Check("mediapipe", OK, f"{result}, {'solutions with their models' if legacy else 'Tasks only'}")]


def networks() -> list[Check]:
    """What each option takes when it is left at `auto`, and what would be better."""
    from avatarkit.quality.choice import open_quality

    rows = [_tracker()]
    openers: dict[str, Callable[[], Choice[Any]]] = {
        "matting": open_matting,
        "inpaint": open_inpainter,
        "quality": open_quality,
    }
    for name, opener in openers.items():
        try:
            choice = opener()
        except AvatarkitError as error:
            rows.append(Check(name, MISSING, str(error)))
            continue
        used = choice.model.name
        rows.append(Check(name, OK, f"{used}; {choice.advice}" if choice.advice else used))
    return rows


def machine() -> list[Check]:
    """Threads, and free space where things are written."""
    places = (("temporary folder", Path(tempfile.gettempdir())), ("weights folder", cache_dir()))
    return [Check("threads", OK, str(cpu_threads())), *(_space(name, folder) for name, folder in places)]


def _space(name: str, folder: Path) -> Check:
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    return Check(name, OK if free > LEAST_FREE_BYTES else NOTE, f"{folder}: {free / 1e9:.1f} GB free")


def _package(name: str, optional_for: str | None) -> Check:
    if name == "opencv":
        return _opencv()
    try:
        return Check(name, OK, version(name))
    except PackageNotFoundError:
        if optional_for is not None:
            return Check(name, NOTE, f"not installed; only needed for {optional_for}")
        return Check(name, MISSING, f"pip install {name}")


def _opencv() -> Check:
    if find_spec("cv2") is None:
        return Check("opencv", MISSING, "pip install opencv-contrib-python")
    import cv2

    return Check("opencv", OK, str(cv2.__version__))


def _tracker() -> Check:
    try:
        with closing(open_tracker()) as tracker:
            return Check("tracker", OK, tracker.name)
    except AvatarkitError as error:
        return Check("tracker", MISSING, str(error))
