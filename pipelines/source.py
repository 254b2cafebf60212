"""Everything that is done once for a source portrait: face, crop, layers, plate."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from avatarkit.background.composite import composite, to_rgba, with_rim
from avatarkit.background.spec import BackgroundSpec, load_background
from avatarkit.background.still import StillPicture, seams
from avatarkit.geometry.crop import Crop, cut
from avatarkit.head.square import Square
from avatarkit.media.image import read_image
from avatarkit.media.yuv import yuv420
from avatarkit.pipelines.layer_tools import LayerTools
from avatarkit.pipelines.portrait import Portrait
from avatarkit.systems.protocol import SourceLayers, WiderLayers

Picture = NDArray[np.uint8]

WIDER = 0.16
"""The layers reach beyond the drawn part by this share of its sides, as far as the picture does."""
PLATE_MARGIN = 0.02
"""The hole for the plate is grown by this share of the crop's side."""
RIM = 0.05
"""With background "keep" this share of the crop's side around the subject moves with it, less and less outwards."""


class Source:
    """A portrait ready to be driven: `layers` for the engine, `finish` from the engine's answer to a frame.

    Args:
        portrait: the picture and its face.
        crop: the part of the picture that the engine draws.
        paste_back: whether finished frames are the full picture.
        background: what stands behind the subject.
        tools: matting and inpainting, used where the background asks for them.
        square: the head as networks see it, for engines that ask for it.
        around: with paste-back, a larger part whose matte and plate are made; None for the crop's own.

    Attributes `matting` and `inpainting` name what ran, or "none"; `advice` says what would be better.
    """

    def __init__(
        self,
        portrait: Portrait,
        crop: Crop,
        background: BackgroundSpec,
        tools: LayerTools,
        *,
        paste_back: bool = False,
        square: Square | None = None,
        around: Crop | None = None,
    ) -> None:
        self.portrait, self.crop = portrait, crop
        self._paste_back, self._kind = paste_back, background.kind
        self.matting = self.inpainting = "none"
        picture = portrait.picture
        # With paste-back the matte must reach beyond the crop wherever the background is exchanged.
        whole = paste_back and self._kind in ("color", "image", "transparent")
        # What networks draw comes with surroundings of its own, which "keep" keeps.
        kept = self._kind == "keep" and square is not None
        # Without it the drawn part moves on its own, and shows what lies around it in the picture.
        wide = not paste_back and not kept
        outer = crop.grown(WIDER, portrait.size) if wide else around or crop
        inside = crop.window if whole else crop.within(outer)
        part = picture if whole else cut(picture, outer)
        if wide:
            part[inside] = cut(picture, crop)
        marks = portrait.landmarks if whole else outer.to_crop(portrait.landmarks)
        if kept:
            alpha = np.ones(part.shape[:2], np.float32)
        else:
            alpha = self._matte(part, marks, None if whole else outer, tools)
        if kept:
            foreground, taken = part, alpha
        elif self._kind == "keep":
            # The subject takes a soft rim of its surroundings along, so that no outline is cut; all else stays.
            foreground, taken = part, with_rim(alpha, self._plate_margin, round(RIM * max(crop.shown)))
        else:
            foreground, taken = tools.foreground(part, alpha), alpha
        seen = inside if wide else np.s_[:, :]
        behind = None if kept else self._background(background, part[seen], alpha[seen], tools)
        alpha = taken
        self._frame = self._full_frame(picture, foreground, alpha, behind, whole)
        self.background = behind if behind is None or wide else behind[inside]
        self.advice = tuple(tools.advice)
        self._seams = seams(crop, portrait.size) if paste_back else []
        self.layers = SourceLayers(
            picture if self._covers else cut(picture, crop),
            foreground[inside],
            alpha[inside],
            crop.to_crop(portrait.landmarks),
            anchored=paste_back,
            wider=WiderLayers(foreground, alpha, inside[1].start, inside[0].start) if wide else None,
            square=square,
            cut_out=not kept,
            teeth=portrait.teeth,
        )

    @property
    def _plate_margin(self) -> int:
        """How far the plate is made up around the matte, in pixels as shown."""
        return max(2, round(PLATE_MARGIN * max(self.crop.shown)))

    @property
    def _covers(self) -> bool:
        """Whether the drawn part is the picture as it is."""
        return (self.crop.width, self.crop.height) == self.portrait.size == self.crop.shown

    @property
    def frame_size(self) -> tuple[int, int]:
        """Width and height of finished frames."""
        return self.portrait.size if self._paste_back else self.crop.shown

    @property
    def layer_size(self) -> tuple[int, int]:
        """Width and height of what is drawn, and of the plate behind it, as shown."""
        return self.crop.shown

    @property
    def frame_side(self) -> int:
        """The side at which the drawn square is shown in them."""
        return self.crop.shown[0]

    @property
    def shown(self) -> Picture:
        """What finished frames show of the source at rest, RGB."""
        return self.portrait.picture if self._paste_back else self.layers.picture

    @property
    def transparent(self) -> bool:
        """Whether finished frames have an alpha channel."""
        return self._kind == "transparent"

    def finish(self, frame: Picture, alpha: Picture | None, *, spent: bool = False) -> Picture:
        """The finished frame, RGB or (transparent) straight RGBA, from what the engine drew, at any size.

        spent: whether nobody needs what the engine drew any more.
        """
        done = laid_over(frame, alpha, self.background, self.crop.shown, self.transparent, spent=spent)
        if not self._paste_back or self._frame is None or self._covers:
            return done
        full = self._frame.copy()
        around, inner = self._frame[self.crop.window], full[self.crop.window]
        inner[:] = done
        for strip, weight in self._seams:
            inner[strip] = composite(done[strip], weight, around[strip])
        return full

    def to_planes(self) -> Callable[[Picture, Picture | None], Picture]:
        """What makes finished frames that are not transparent as `media.yuv.yuv420` gives them; it writes over what the
        engine drew.
        """
        behind, corner = self.background, (0, 0)
        if behind is None:
            return lambda frame, alpha: yuv420(self.finish(frame, alpha, spent=True))
        around = empty = behind
        if self._paste_back and self._frame is not None and not self._covers:
            rows, columns = self.crop.window
            around, corner = self._frame, (rows.start, columns.start)
            empty = self.finish(behind, None)
        still = StillPicture(yuv420(empty), around, behind, corner, self._seams)

        def planes(frame: Picture, alpha: Picture | None) -> Picture:
            if alpha is None:
                return yuv420(self.finish(frame, alpha, spent=True))
            return still.under(fitted(frame, self.crop.shown), fitted(alpha, self.crop.shown))

        return planes

    def _matte(
        self, part: Picture, marks: NDArray[np.float64], crop: Crop | None, tools: LayerTools
    ) -> NDArray[np.float32]:
        """The picture's own transparency when it says something about the subject, else an estimated matte.

        crop: the part of the picture that `part` shows, None for all of it.
        """
        own = self.portrait.alpha
        if own is None or not 0.02 < float((own < 0.5).mean()) < 0.98:
            alpha, self.matting = tools.matte(part, marks)
            return alpha
        self.matting = "the picture's own alpha"
        if crop is None:
            return own
        levels = np.dstack([np.round(own * 255.0).astype(np.uint8)] * 3)
        return cut(levels, crop)[..., 0].astype(np.float32) / np.float32(255.0)

    def _background(
        self, spec: BackgroundSpec, part: Picture, alpha: NDArray[np.float32], tools: LayerTools
    ) -> Picture | None:
        if spec.kind in ("plate", "keep"):
            plate, self.inpainting = tools.plate(part, alpha, self._plate_margin)
            return plate
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


class Unseen:
    """In place of a source, for engines that know whom they draw: frames of their size, and what stands behind.

    Args:
        size: side of finished frames, pixels. background: as `Source`'s; the plate of a source that is not there
            is what the engine draws itself.
    """

    portrait = None
    matting = inpainting = "none"
    advice: tuple[str, ...] = ()

    def __init__(self, size: int, background: BackgroundSpec) -> None:
        self.frame_size = self.layer_size = size, size
        self.frame_side = size
        self.transparent = background.kind == "transparent"
        self.background = load_background(background, size, size, read_image)
        self.shown = np.zeros((size, size, 3), np.uint8)

    def finish(self, frame: Picture, alpha: Picture | None, *, spent: bool = False) -> Picture:
        """The finished frame; see `Source.finish`."""
        return laid_over(frame, alpha, self.background, self.frame_size, self.transparent, spent=spent)

    def to_planes(self) -> Callable[[Picture, Picture | None], Picture]:
        """What makes finished frames as planes; see `Source.to_planes`."""
        return lambda frame, alpha: yuv420(self.finish(frame, alpha, spent=True))


def laid_over(
    frame: Picture,
    alpha: Picture | None,
    background: Picture | None,
    size: tuple[int, int],
    transparent: bool,
    *,
    spent: bool = False,
) -> Picture:
    """A frame (h, w, 3) with its alpha (h, w), None for all of it, over a background, at a size (width, height).

    spent: whether the frame may be overwritten.
    """
    frame = fitted(frame, size)
    if alpha is None:
        return frame
    alpha = fitted(alpha, size)
    if transparent:
        return to_rgba(frame, alpha)
    return frame if background is None else composite(frame, alpha, background, in_place=spent)


def fitted(picture: Picture, size: tuple[int, int]) -> Picture:
    """A picture at a size (width, height): area average when it shrinks, cubic when it grows."""
    import cv2

    if (picture.shape[1], picture.shape[0]) == size:
        return picture
    method = cv2.INTER_AREA if size[0] < picture.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, size, interpolation=method), np.uint8)
