"""What the warp samples: the subject's colours and matte, as far beyond the drawn picture as something is known.

Beyond the drawn part come the picture's own pixels, where it has more. Where the picture itself ends and cuts the
subject off, a narrow strip goes on with calm colours (`CONTINUED`); everything else beyond the picture is transparent.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from avatarkit.systems.protocol import SourceLayers

Array = NDArray[np.float64]

CONTINUED = 0.06
"""A head cut off by the picture's edge is continued by this many head units; motion that would show more is eased."""
_FADE = 0.5
"""Hair that is continued fades out over this share of it, half of it gone at its end; shoulders go on below."""
_OPAQUE = 0.5
SMALLEST_SOFTENED_PX = 80.0
"""Head unit from which on points are softened: of smaller faces rims of eyes are threads themselves. Neither are
those of a picture around which the whole one stays, a photo or a film: they would be seen to differ."""
POINT_LEVELS, POINT_BLUR_PX = (35.0, 70.0), 0.8
"""What differs from the median of the 5 x 5 pixels around it by the first of these levels (of 255) begins to be blurred
with this standard deviation, wholly by the second."""
_BAND, _BESIDE = 512, 4
_BLOCK = 4
"""Side in pixels of the blocks of which is kept whether they show anything: of pixels it would be as much memory as the
picture is."""


@dataclass(frozen=True)
class Canvas:
    """Colours and matte, RGBA uint8 (h, w, 4), around the drawn picture.

    left, top: position of the drawn picture's first pixel in it. known: left, top, right and bottom edge of what comes
    from the picture itself, in pixels of the drawn part. reach_px: how far the subject is continued beyond them, to
    where half of it has faded out.
    """

    pixels: NDArray[np.uint8]
    left: int
    top: int
    known: tuple[float, float, float, float]
    reach_px: float

    @staticmethod
    def of(source: SourceLayers, unit_px: float) -> "Canvas":
        """Lay out a source whose head unit is `unit_px` long."""
        import cv2

        wider = source.wider
        colours, alpha = (source.foreground, source.alpha) if wider is None else (wider.foreground, wider.alpha)
        left, top = (0, 0) if wider is None else (wider.left, wider.top)
        height, width = alpha.shape
        reach = CONTINUED * unit_px
        pad = int(np.ceil((1.0 + _FADE / 2.0) * reach)) + 2
        layers = np.dstack([colours, np.round(alpha * 255.0).astype(np.uint8)])
        if unit_px >= SMALLEST_SOFTENED_PX and not source.anchored:
            _soften_points(layers)
        grown = np.asarray(cv2.copyMakeBorder(layers, pad, pad, pad, pad, cv2.BORDER_REPLICATE), np.uint8)
        _calm(grown, pad)
        _fade(grown[..., 3], pad, reach)
        known = (-0.5 - left, -0.5 - top, width - left - 0.5, height - top - 0.5)
        return Canvas(grown, left + pad, top + pad, known, reach)

    @property
    def solid_px(self) -> float:
        """How far the subject is continued before it begins to fade out."""
        return (1.0 - _FADE / 2.0) * self.reach_px

    @cached_property
    def _sums(self) -> NDArray[np.int32]:
        """Number (h + 1, w + 1) of blocks above and to the left that are not wholly transparent; see `_BLOCK`."""
        import cv2

        height, width = self.pixels.shape[:2]
        shown = np.zeros((-(-height // _BLOCK) * _BLOCK, -(-width // _BLOCK) * _BLOCK), np.bool_)
        np.greater(self.pixels[..., 3], 0, out=shown[:height, :width])
        blocks = shown.reshape(len(shown) // _BLOCK, _BLOCK, -1, _BLOCK).any(axis=(1, 3))
        return np.asarray(cv2.integral(blocks.view(np.uint8)), np.int32)

    def seen(self, nodes: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which cells (h - 1, w - 1) between nodes (h, w, 2), in pixels of the drawn part, may show the subject."""
        places = nodes + np.array([self.left, self.top], np.float32)
        end = np.array(self.pixels.shape[1::-1], np.float32) - np.float32(1.0)
        # Of the corners of each cell, first of the two above one another, then of both sides; in whole blocks.
        least, most = (of(places[:-1], places[1:]) for of in (np.minimum, np.maximum))
        low, high = np.minimum(least[:, :-1], least[:, 1:]), np.ceil(np.maximum(most[:, :-1], most[:, 1:]))
        low, high = (
            (np.minimum(np.maximum(side, np.float32(0.0)), end) * np.float32(1.0 / _BLOCK)).astype(np.intp)
            for side in (low, high)
        )
        pitch, sums = self._sums.shape[1], self._sums.reshape(-1)
        left, right, above, below = low[..., 0], high[..., 0] + 1, low[..., 1] * pitch, (high[..., 1] + 1) * pitch
        inside = np.take(sums, below + right) - np.take(sums, above + right)
        inside -= np.take(sums, below + left) - np.take(sums, above + left)
        return np.asarray(inside > 0, np.bool_)

    def cut_points(self) -> tuple[Array, Array]:
        """Where the picture's edges cut the subject off: points (N, 2) on the edges, and the ways inwards (N, 2)."""
        left, top, right, bottom = self.known
        rows = slice(self.top + round(top + 0.5), self.top + round(bottom + 0.5))
        columns = slice(self.left + round(left + 0.5), self.left + round(right + 0.5))
        alpha = self.pixels[rows, columns, 3] > _OPAQUE * 255
        points: list[Array] = []
        inwards: list[Array] = []
        for along, start, step, way in (
            (alpha[0], (left, top), (1.0, 0.0), (0.0, 1.0)),
            (alpha[-1], (left, bottom), (1.0, 0.0), (0.0, -1.0)),
            (alpha[:, 0], (left, top), (0.0, 1.0), (1.0, 0.0)),
            (alpha[:, -1], (right, top), (0.0, 1.0), (-1.0, 0.0)),
        ):
            places = np.flatnonzero(along)
            points.append(np.array(start) + (places[:, None] + 0.5) * np.array(step))
            inwards.append(np.tile(np.array(way), (len(places), 1)))
        return np.concatenate(points), np.concatenate(inwards)


def _soften_points(layers: NDArray[np.uint8]) -> None:
    """Soften points and threads a pixel wide in layers (h, w, 4), in place: moved by parts of a pixel they flicker."""
    import cv2

    # Band by band: pictures are large. Each sees the rows beside it as they were.
    above = layers[:0].copy()
    for top in range(0, len(layers), _BAND):
        rows = layers[top : top + _BAND]
        whole = np.concatenate([above, layers[top : top + _BAND + _BESIDE]])
        first, above = len(above), rows[-_BESIDE:].copy()
        stands_out = cv2.absdiff(whole, cv2.medianBlur(whole, 5)).max(2)[first : first + len(rows)]
        y, x = np.nonzero(stands_out > POINT_LEVELS[0])
        share = (stands_out[y, x].astype(np.float32) - POINT_LEVELS[0]) / (POINT_LEVELS[1] - POINT_LEVELS[0])
        own, soft = rows[y, x].astype(np.float32), cv2.GaussianBlur(whole, (0, 0), POINT_BLUR_PX)[y + first, x]
        rows[y, x] = np.round(own + np.minimum(share, 1.0)[:, None] * (soft - own)).astype(np.uint8)


def _calm(grown: NDArray[np.uint8], pad: int) -> None:
    """Blur the strips around a picture along its edges, the more the farther out, in place: no streaks, no copy."""
    import cv2

    turned = np.swapaxes(grown, 0, 1)
    for strip in range(pad):
        sigma = 0.3 + 0.6 * (pad - strip)
        for whole in (grown, turned):
            for line in (strip, -1 - strip):
                row = np.ascontiguousarray(whole[line][None])
                whole[line] = cv2.GaussianBlur(row, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)[0]


def _fade(matte: NDArray[np.uint8], pad: int, reach: float) -> None:
    """Leave half of the matte (H, W) at `reach` beyond a picture with `pad` pixels around it, all of it below."""
    rows, columns = matte.shape
    x = np.maximum(pad - np.arange(columns), np.arange(columns) - (columns - 1 - pad))
    y = pad - np.arange(rows)
    # The picture itself, most of it, stays as it is.
    for strip in (np.s_[:pad, :], np.s_[pad:, :pad], np.s_[pad:, columns - pad :]):
        beyond = np.maximum(np.maximum(x[None, strip[1]], y[strip[0], None]), 0.0)
        left = np.clip(0.5 - (beyond - reach) / (_FADE * reach), 0.0, 1.0)
        matte[strip] = np.round(matte[strip] * left).astype(np.uint8)
