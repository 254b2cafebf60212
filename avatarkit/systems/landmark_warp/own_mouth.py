"""What a source shows between its own lips: upper teeth stay with the skull, the rest goes with the jaw."""

import numpy as np
from numpy.typing import NDArray

from avatarkit.geometry.sampling import sample
from avatarkit.systems.landmark_warp.openings import heights, rise
from avatarkit.systems.landmark_warp.tooth_plane import ToothPlane

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]

# Lengths in head units (about 9 cm).
PARTED_GAP = 0.012
"""A source whose lips are this far apart shows something between them."""
SHOWN_GAP = 0.03
"""This far apart they show whether there are teeth."""
OPEN_GAP = 0.15
"""Lips this far apart show the floor of the mouth as well."""
WHOLE_CROWN = 0.06
"""Teeth shown over this height are a row; less is a strip, and serves only while the mouth is hardly wider open."""
BROAD = 0.34
"""A row that is seen over this width, that of a smile, serves however wide the mouth opens."""
ROW_SERVES, STRIP_SERVES = (1.35, 1.55), (1.15, 1.35)
"""What is less gives way to drawn teeth where the lips are this many times as far apart as in the source: soon, since
two rows that show through one another look like broken teeth, and a piece of a row among others like a bad tooth."""
LIKE_OWN, LIKE_OWN_TEETH = (1.2, 1.8), (1.35, 1.55)
"""All of the source's mouth serves up to so many times its own opening, and none of it from the second on: without
teeth it may be drawn out, and teeth that it does not show come late."""
LEAST_WITH_TEETH = (0.45, 0.65)
"""With teeth it serves from so much of its own opening on: closing lips slide over teeth and do not press them."""
KNOWN_ABOVE = (0.004, 0.02)
"""Above where the source's lip cut its teeth off they go on as they begin, and have given way to drawn ones and gum."""
DARK = 0.6
"""Inside a mouth, what is darker than this share of its light parts is no tooth."""
SHADED = 0.72
"""At the ends of a row teeth lie in the shadow of the cheek; those that are darker than this share of the lightest one
give way to drawn ones where more of them is bared."""
TOOTH_GAP = 0.035
"""Dark gaps between teeth are narrower than this."""
REDDEST = 1.45
"""Red over green of teeth, at most; tongue, gums and lips are redder."""
PER_UNIT = 400.0
"""Pixels of what is kept of the mouth to a head unit."""


class OwnMouth:
    """The inside of a source's mouth.

    Args:
        picture: RGB uint8 (H, W, 3). plane: of its teeth. top, bottom: inner edges (N, 2) of its lips in that plane.

    Attributes:
        teeth: (3,) their colour, None where none are seen. edge: where they end below the line of the lips.
        ends: how far the row is seen to either side, in the plane of the teeth.
        open: whether the floor of the mouth is seen too. row: whether the teeth are seen over most of their height.
        stays: whether they serve however wide the mouth opens.
    """

    def __init__(self, picture: NDArray[np.uint8], plane: ToothPlane, top: Array, bottom: Array) -> None:
        self._top, self._bottom = top, bottom
        self._jaw = np.array([bottom[len(bottom) // 2, 0], bottom[len(bottom) // 2, 1]])
        self._gap = float((bottom[:, 1] - top[:, 1]).max())
        self.open = self._gap > OPEN_GAP
        low, high = np.minimum(top.min(0), bottom.min(0)) - 0.02, np.maximum(top.max(0), bottom.max(0)) + 0.02
        self._corner = low
        columns, rows = np.ceil((high - low) * PER_UNIT).astype(int) + 1
        a, b = np.meshgrid(low[0] + np.arange(columns) / PER_UNIT, low[1] + np.arange(rows) / PER_UNIT)
        self._inside = sample(picture, plane.pixels(a, b)).astype(np.float32)
        lip, gap = heights(top, a[0]), np.maximum(heights(bottom, a[0]) - heights(top, a[0]), 1e-4)
        height = ((b - lip) / gap).astype(np.float32)
        self.teeth: Pixels | None = None
        self._split, self.row = 0.5, False
        cover = self._find_teeth(a, height, gap)
        self.edge = self._lowest(cover, a, b)
        light = np.where(cover > 0.5, self._inside.mean(2), 0.0).max(0)
        columns_seen = np.flatnonzero(light > SHADED * light.max(initial=0.0))
        self.ends = (float(a[0, columns_seen[0]]), float(a[0, columns_seen[-1]])) if len(columns_seen) else (0.0, 0.0)
        self.stays = self.row and self.ends[1] - self.ends[0] > BROAD
        self._upper = np.dstack([self._inside, 255.0 * cover]).astype(np.float32)

    def _find_teeth(self, a: Array, height: Pixels, gap: Pixels) -> Pixels:
        """Coverage (h, w) of the upper teeth in what is kept; where they end is noted.

        A single light band is the upper row: lower teeth show without upper ones in wide open mouths alone.
        """
        import cv2

        light = self._inside.mean(2)
        red = self._inside[..., 0] / np.maximum(self._inside[..., 1], 1.0)
        within = (height > 0.04) & (height < 0.96) & (gap > 0.4 * self._gap)
        if self._gap <= SHOWN_GAP or np.count_nonzero(within) < 20:
            return np.zeros_like(height)
        lit = float(np.percentile(light[within], 92))
        pale = 1.0 - rise(red, REDDEST - 0.1, REDDEST + 0.15)
        tooth = rise(light, (DARK - 0.12) * lit, (DARK + 0.12) * lit) * pale
        # Down the middle of the mouth: how much tooth there is at each height.
        steps = np.clip((height * 24).astype(int), 0, 23)
        middle = within & (np.abs(a - a[within].mean()) < 0.25 * np.ptp(a[within]))
        count = np.bincount(steps[middle], minlength=24)
        amount = np.bincount(steps[middle], tooth[middle], minlength=24) / np.maximum(count, 1)
        some = amount > 0.4
        edges = np.flatnonzero(np.diff(np.concatenate([[False], some, [False]]).astype(int)))
        runs = [(i, j) for i, j in zip(edges[::2], edges[1::2], strict=True) if j - i >= 2]
        if not runs or (runs[0][0] >= 12 and self.open):
            self._split = 0.5 if not runs else runs[0][0] / 24.0
            return np.zeros_like(height)
        start, stop = runs[0]
        self._split = 1.0 if stop >= 23 else stop / 24.0 + 0.02
        chosen = middle & (tooth > 0.8) & (height < self._split)
        if np.count_nonzero(chosen) >= 8:
            self.teeth = np.asarray(np.percentile(self._inside[chosen], 60, axis=0), np.float32)
        self.row = (stop - start) / 24.0 * self._gap > WHOLE_CROWN
        # Gaps between teeth are dark, but no holes.
        between = np.ones((1, 2 * round(TOOTH_GAP * PER_UNIT / 2.0) + 1), np.uint8)
        tooth = np.asarray(cv2.morphologyEx(tooth, cv2.MORPH_CLOSE, between), np.float32)
        cover = tooth * (1.0 - rise(height, 0.97, 1.03))
        cover *= 1.0 - rise(height, self._split, self._split + 0.08) if self._split < 1.0 else 1.0
        # What is seen above a tooth is its neck or gum.
        cover = np.maximum.accumulate(cover[::-1])[::-1] * rise(height, -0.02, 0.02)
        return np.asarray(cover * rise(gap, 0.1 * self._gap, 0.3 * self._gap), np.float32)

    def _lowest(self, cover: Pixels, a: Array, b: Array) -> float:
        """Where the teeth in the middle of the row end."""
        seen = (cover > 0.5) & (np.abs(a) < 0.06)
        return float(np.percentile(b[seen], 98)) if np.count_nonzero(seen) >= 8 else 0.0

    def gap(self, s: Pixels) -> Pixels:
        """How far apart the source's lips are at places (h, w) along the mouth."""
        return np.maximum(heights(self._bottom, s) - heights(self._top, s), 0.0)

    def likeness(self, gap: float) -> float:
        """How far a mouth that is open by `gap` is the source's own: 1 as it is there, 0 where it must be drawn."""
        ratio = np.array(gap / self._gap)
        if self.teeth is None:
            return 1.0 - float(rise(ratio, *LIKE_OWN))
        return (1.0 - float(rise(ratio, *LIKE_OWN_TEETH))) * float(rise(ratio, *LEAST_WITH_TEETH))

    def whole(self, across: Pixels, down: Pixels) -> Pixels:
        """All that the source shows between its lips, (h, w, 3).

        Args:
            across: places (h, w) from 0 to 1, from one corner of the mouth to the other. down: the same between lips.
        """
        left, right = self._top[0, 0], self._top[-1, 0]
        a = np.float32(left) + across * np.float32(right - left)
        top = heights(self._top, a)
        return self._at(self._inside, a, top + down * (heights(self._bottom, a) - top))

    def share(self, gap: float) -> float:
        """How far the source's own upper teeth serve a mouth that is open by `gap`."""
        if self.teeth is None:
            return 0.0
        if self.stays:
            return 1.0
        # Where lips cut the row short and hide its ends, a wider mouth would show a piece of it.
        return 1.0 - float(rise(np.array(gap / self._gap), *(ROW_SERVES if self.row else STRIP_SERVES)))

    @property
    def height(self) -> float:
        """How far above the edge of the teeth the lip is, in the middle."""
        return self.edge - float(self._top[len(self._top) // 2, 1])

    def unknown(self, s: Pixels, d: Pixels) -> Pixels:
        """How far places (h, w) in the plane of the teeth lie above or beside what the source shows of them."""
        aside = rise(np.maximum(self.ends[0] - s, s - self.ends[1]), -0.03, 0.01)
        return np.maximum(aside, rise(heights(self._top, s) - d, *KNOWN_ABOVE))

    def lay_upper(self, colours: Pixels, s: Pixels, d: Pixels, share: float | Pixels) -> None:
        """Lay the upper teeth over colours (h, w, 3) at places in the plane of the teeth, in place.

        Args:
            share: how opaque, all over or (h, w).
        """
        top = heights(self._top, s)
        result = self._at(self._upper, s, np.maximum(d, top + np.float32(0.006)))
        cover = result[..., 3] * np.asarray(share, np.float32) / np.float32(255.0)
        colours += cover[..., None] * (result[..., :3] - colours)

    def lay_lower(self, colours: Pixels, s: Pixels, d: Pixels, jaw: Array) -> None:
        """Lay what lies below the upper teeth, of a mouth that is open, over colours (h, w, 3), in place.

        Args:
            jaw: (2,) where the middle of the lower lip's edge is now.
        """
        if not self.open:
            return
        a, b = s - np.float32(jaw[0] - self._jaw[0]), d - np.float32(jaw[1] - self._jaw[1])
        top, bottom = heights(self._top, a), heights(self._bottom, a)
        gap = np.maximum(bottom - top, 0.0)
        split = top + np.float32(min(self._split, 1.0)) * gap
        share = rise(b - split, -0.01, 0.03) if self._split < 1.0 else np.zeros_like(gap)
        share = share * np.clip(gap / 0.02 - 0.4, 0.0, 1.0)
        own = self._at(self._inside, a, np.clip(b, split, bottom - np.float32(0.008)))
        colours += share[..., None] * (own - colours)

    def _at(self, values: Pixels, a: Pixels, b: Pixels) -> Pixels:
        x, y = (a - np.float32(self._corner[0])) * PER_UNIT, (b - np.float32(self._corner[1])) * PER_UNIT
        return sample(values, np.stack([x, y], axis=2))
