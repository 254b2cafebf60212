"""The matting and inpainting methods by name; `auto` takes the best that can run here."""

from __future__ import annotations

from avatarkit.background.inpaint import Inpainter, OpenCVInpainter
from avatarkit.background.matting import Matting
from avatarkit.weights.choice import Candidate, Choice, choose


def _modnet() -> Matting:
    from avatarkit.background.modnet import MODNetMatting
    from avatarkit.devices import choose_device

    return MODNetMatting.from_registry(choose_device())


def _multiclass() -> Matting:
    from avatarkit.background.multiclass_matting import MulticlassMatting

    return MulticlassMatting.from_registry()


def _mediapipe() -> Matting:
    from avatarkit.background.mediapipe_matting import MediaPipeMatting

    return MediaPipeMatting()


def _landmarks() -> Matting:
    from avatarkit.background.grabcut_matting import LandmarkMatting

    return LandmarkMatting()


def _lama() -> Inpainter:
    from avatarkit.background.lama import LaMaInpainter
    from avatarkit.devices import choose_device

    return LaMaInpainter.from_registry(choose_device())


MATTINGS: tuple[Candidate[Matting], ...] = (
    Candidate("multiclass", _multiclass, "selfie-multiclass", "shoulders, collars and hats that stay whole"),
    Candidate("modnet", _modnet, "modnet", "finer hair with MODNet"),
    Candidate("mediapipe", _mediapipe),
    Candidate("landmarks", _landmarks),
)
INPAINTERS: tuple[Candidate[Inpainter], ...] = (
    Candidate("lama", _lama, "big-lama", "a more plausible background with LaMa"),
    Candidate("opencv", OpenCVInpainter),
)


def open_matting(name: str = "auto") -> Choice[Matting]:
    """Matting by name: auto, multiclass, modnet, mediapipe, landmarks; see `weights.choice.choose`."""
    return choose("--matting", name, MATTINGS)


def open_inpainter(name: str = "auto") -> Choice[Inpainter]:
    """Inpainting by name: auto, lama, opencv; see `weights.choice.choose`."""
    return choose("--inpaint", name, INPAINTERS)
