"""Everything that is done once for a source portrait: face, crop, layers, plate."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatarkit.background.composite import composite, foreground_colors, make_plate, to_rgba
from avatarkit.background.inpaint import Inpainter
from avatarkit.background.matting import Matting
from avatarkit.background.spec import BackgroundSpec, load_background
from avatarkit.engines.protocol import SourceLayers
from avatarkit.errors import InputError
from avatarkit.face.select import choose
from avatarkit.face.tracker import FaceTracker
from avatarkit.face.types import Face, FaceChoice
from avatarkit.geometry.crop import Crop, cut, head_crop
from avatarkit.media.image import read_image, read_image_rgba

Picture = NDArray[np.uint8]

SMALLEST_FACE_PX = 40
SOFT_FACE_PX = 200
"""Below this face height in the source the result looks soft at 1024 px; the summary says so."""
PLATE_MARGIN = 0.02
"""The hole for the plate is grown by this share of the crop's side."""


@dataclass(frozen=True)
class SourceOptions:
    """How a source is framed: size of the square output, and whether it returns to the full picture."""

    size: int
    paste_back: bool
    background: BackgroundSpec
    face: FaceChoice


class Source:
    """A portrait ready to be driven: `layers` for the engine, `finish` from the engine's answer to a frame.

    crop: from the picture to what the engine draws. picture_size: (width, height) of the file. face: in pixels of
    the file. faces: how many were seen. matting, inpainting: what ran, or "none".
    """

    def __init__(
        self, path: Path, options: SourceOptions, tracker: FaceTracker, matting: Matting, inpainter: Inpainter
    ) -> None:
        straight, own_alpha = read_image_rgba(path)
        picture = straight if own_alpha is None else read_image(path)
        height, width = picture.shape[:2]
        found = tracker.detect(picture)
        self.face: Face = choose(found, options.face, str(path))
        self.faces = len(found)
        self.picture_size = (width, height)
        if self.face.extent_px < SMALLEST_FACE_PX:
            raise InputError(
                f"{path}: the face is only {self.face.extent_px:.0f} px high; use a picture with at least"
                f" {SMALLEST_FACE_PX} px, better {SOFT_FACE_PX}"
            )
        crop = head_crop(self.face.landmarks, width, height, options.size)
        self.crop = Crop(crop.left, crop.top, crop.side, int(crop.side)) if options.paste_back else crop
        self._paste_back, self._kind = options.paste_back, options.background.kind
        self.matting = self.inpainting = "none"
        # With paste-back the matte must reach beyond the crop wherever the background is exchanged.
        whole = options.paste_back and self._kind in ("color", "image", "transparent")
        part = picture if whole else cut(picture, self.crop)
        marks = self.face.landmarks.astype(np.float64)
        part_marks = marks if whole else self.crop.to_crop(marks)
        if self._kind == "keep":
            alpha, foreground = np.ones(part.shape[:2], np.float32), part
        else:
            alpha = self._matte(own_alpha, part, part_marks, whole, matting)
            foreground = foreground_colors(part, alpha)
        background = self._background(options.background, picture, part, alpha, inpainter)
        self._frame = self._full_frame(picture, foreground, alpha, background, whole)
        inside = _window(self.crop) if whole else np.s_[:, :]
        self.background = background[inside] if background is not None else None
        self.layers = SourceLayers(
            cut(picture, self.crop), foreground[inside], alpha[inside], self.crop.to_crop(marks),
            anchored=options.paste_back or self._kind == "keep",
        )

    @property
    def frame_size(self) -> tuple[int, int]:
        """Width and height of finished frames."""
        return self.picture_size if self._paste_back else (self.crop.size, self.crop.size)

    @property
    def transparent(self) -> bool:
        """Whether finished frames have an alpha channel."""
        return self._kind == "transparent"

    def finish(self, frame: Picture, alpha: Picture) -> Picture:
        """The finished frame, RGB or (transparent) straight RGBA, from what the engine drew."""
        if self.transparent:
            done = to_rgba(frame, alpha)
        elif self.background is None:
            done = frame
        else:
            done = composite(frame, alpha, self.background)
        if not self._paste_back or self._frame is None:
            return done
        full = self._frame.copy()
        full[_window(self.crop)] = done
        return full

    def _matte(
        self, own: NDArray[np.float32] | None, part: Picture, marks: NDArray[np.float64], whole: bool, matting: Matting
    ) -> NDArray[np.float32]:
        """The picture's own transparency when it says something about the subject, else an estimated matte."""
        if own is not None and 0.02 < float((own < 0.5).mean()) < 0.98:
            self.matting = "the picture's own alpha"
            if whole:
                return own
            levels = np.dstack([np.round(own * 255.0).astype(np.uint8)] * 3)
            return cut(levels, self.crop)[..., 0].astype(np.float32) / np.float32(255.0)
        self.matting = matting.name
        return matting.matte(part, marks)

    def _background(
        self, spec: BackgroundSpec, picture: Picture, part: Picture, alpha: NDArray[np.float32], inpainter: Inpainter
    ) -> Picture | None:
        if spec.kind == "plate":
            self.inpainting = inpainter.name
            return make_plate(part, alpha, inpainter, max(2, round(PLATE_MARGIN * self.crop.size)))
        if spec.kind in ("color", "image"):
            return load_background(spec, part.shape[1], part.shape[0], read_image)
        return None

    def _full_frame(
        self, picture: Picture, foreground: Picture, alpha: NDArray[np.float32], background: Picture | None, whole: bool
    ) -> Picture | None:
        """What surrounds the crop in a full frame; None when the crop is the frame."""
        if not self._paste_back:
            return None
        if not whole:
            return picture
        return to_rgba(foreground, alpha) if background is None else composite(foreground, alpha, background)


def _window(crop: Crop) -> tuple[slice, slice]:
    left, top, side = round(crop.left), round(crop.top), round(crop.side)
    return np.s_[top : top + side, left : left + side]
