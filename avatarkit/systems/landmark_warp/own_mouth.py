"""What a source shows between its own lips: upper teeth stay with the skull, the rest goes with the jaw."""

import numpy as np
from numpy.typing import NDArray

from avatarkit.geometry.sampling import sample, sample_at
from avatarkit.systems.landmark_warp.openings import heights, lay, rise, rise_at
from avatarkit.systems.landmark_warp.seen_row import (
    BUMP,
    DARK,
    PER_UNIT,
    WET,
    dip,
    in_a_row,
    line_near,
    without_spots,
)
from avatarkit.systems.landmark_warp.teeth import arch_light
from avatarkit.systems.landmark_warp.tooth_fit import ToothFit
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
BROAD, TALL = 0.34, 0.082
"""A row that is seen over this width and height, that of a smile, serves however wide the mouth opens. Less high, drawn
teeth above it would be a second row."""
ROW_SERVES, STRIP_SERVES = (1.35, 2.0), (1.2, 2.0)
"""What is less gives way to drawn teeth where the lips are this many times as far apart as in the source, little by
little: these stand where it does."""
LIKE_OWN, LIKE_OWN_TEETH = (1.2, 1.8), (1.2, 1.7)
"""All of the source's mouth serves up to so many times its own opening, and none of it from the second on: without
teeth it may be drawn out, and teeth that it does not show come late."""
LEAST_WITH_TEETH = (0.45, 0.65)
"""With teeth it serves from so much of its own opening on: closing lips slide over teeth and do not press them."""
KNOWN_ABOVE, CUT_ABOVE = (0.004, 0.02), (0.1, 0.9)
"""Above where the source's lip cut its teeth off they go on as they begin, and have given way to drawn ones and gum. Of
less than a smile's row these begin to show, and are all that is seen, at such shares of its height from its edge to the
lip's shadow: a seam would be a line across the teeth."""
SHADED, AROUND = 0.5, 0.03
"""At the ends of a row teeth lie in the shadow of the cheek: light is what is so beside what lies around it, so far to
either side, but nothing there is a tooth that is darker than this share of the others."""
TOOTH_GAP = 0.035
"""Dark gaps between teeth are narrower than this."""
BITE_NEAR, BOTH_ROWS = 0.3, 0.08
"""Where both rows of teeth are seen, they meet at about the same share of the way from lip to lip everywhere. Lips less
far apart do not show both."""
LEAST_SHOWN = 8
"""So many pixels of what is kept have to be teeth, or none are seen. A strip of fewer than five rows, a millimetre, has
none: that may be a wet lip as well."""
LIGHTER_THAN_DRAWN = (0.5, 1.15)
"""Light of drawn teeth beside and above its own ones over that of drawn teeth alone, at least and at most."""
UNSEEN, UNSEEN_AT = 0.5, 0.06
"""Farther back, where it shows none, they lie in such a shade, and wholly so far from its ends."""
BENDS, USUAL_BEND = (-0.06, 0.02), -0.05
"""How far a row's edge lies below that of its middle teeth, at least and at most; that of drawn ones for each head unit
aside."""
LIT = 78
"""Per cent of what a row shows that is no lighter than its colour in the light: the lip shades its upper part."""
REDDEST = 1.45
"""Red over green of teeth in white light, at most; tongue, gums and lips are redder."""


class OwnMouth:
    """The inside of a source's mouth.

    Args:
        picture: RGB uint8 (H, W, 3). plane: of its teeth. top, bottom: inner edges (N, 2) of its lips in that plane.
        hue: (3,) of the light that falls on it, by channels.

    Attributes:
        teeth: (3,) their colour, None where none are seen. edge: where they end below the line of the lips, in the
            middle or next to it; None as well.
        ends: how far the row is seen to either side, in the plane of the teeth.
        open: whether the floor of the mouth is seen too. row: whether the teeth are seen over most of their height.
        stays: whether they serve however wide the mouth opens. fit: where drawn teeth stand as they do.
    """

    def __init__(self, picture: NDArray[np.uint8], plane: ToothPlane, top: Array, bottom: Array, hue: Array) -> None:
        self._reddest = REDDEST * float(hue[0] / hue[1])
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
        self._shadow, self._edges = top, bottom
        self._found = np.zeros(columns, bool)
        self._bite: Array | None = None
        cover = self._find_teeth(a, height, gap)
        self.edge = self._lowest(cover, a, b)
        cover = self._all_or_none(cover)
        seen = np.flatnonzero((cover > 0.5).any(0))
        self.ends = (float(a[0, seen[0]]), float(a[0, seen[-1]])) if len(seen) else (0.0, 0.0)
        self.stays = self.row and self.ends[1] - self.ends[0] > BROAD and self.height > TALL
        standing = cover * self._found
        self._light = self._lights(standing, a[0])
        stand, _ = plane.on_arch(a[:1].astype(np.float32), np.zeros((1, columns), np.float32))
        self.fit = ToothFit.of(self._inside.mean(2), standing, stand[0].astype(np.float64), PER_UNIT)
        self._bend = self._bends(cover, a, plane)
        self._upper = np.dstack([self._inside, 255.0 * cover]).astype(np.float32)

    def _find_teeth(self, a: Array, height: Pixels, gap: Pixels) -> Pixels:
        """Coverage (h, w) of the upper teeth in what is kept; where they end is noted.

        A single light band is the upper row: lower teeth show without upper ones in wide open mouths alone.
        """
        light = self._inside.mean(2)
        steady = without_spots(light)
        red = self._inside[..., 0] / np.maximum(self._inside[..., 1], 1.0)
        within = (height > 0.04) & (height < 0.96) & (gap > 0.4 * self._gap)
        if self._gap <= SHOWN_GAP or np.count_nonzero(within) < 20:
            return np.zeros_like(height)
        lit = float(np.percentile(steady[within], 92))
        pale = 1.0 - rise(red, self._reddest - 0.1, self._reddest + 0.15)
        tooth = rise(light, (DARK - 0.12) * lit, (DARK + 0.12) * lit) * pale
        # Down the middle of the mouth: how much tooth there is at each height.
        steps = np.clip((height * 24).astype(int), 0, 23)
        middle = within & (np.abs(a - a[within].mean()) < 0.25 * np.ptp(a[within]))
        count = np.bincount(steps[middle], minlength=24)
        # A narrow opening has fewer rows of pixels than steps: what lies between two is like them.
        known = np.flatnonzero(count)

        def down(values: Pixels) -> Array:
            """Means (24,) of values (h, w) at each height."""
            sums = np.bincount(steps[middle], values[middle], minlength=24)
            return np.asarray(np.interp(np.arange(24), known, sums[known] / count[known]))

        some = down(tooth) > 0.4
        edges = np.flatnonzero(np.diff(np.concatenate([[False], some, [False]]).astype(int)))
        runs = [(i, j) for i, j in zip(edges[::2], edges[1::2], strict=True) if j - i >= 2]
        if not runs or (runs[0][0] >= 12 and self.open):
            self._split = 0.5 if not runs else runs[0][0] / 24.0
            return np.zeros_like(height)
        start, stop = runs[0]
        bite = dip(down(light * pale)[start:stop])
        if bite is not None and self._gap > BOTH_ROWS:
            stop = start + bite + 1
            self._bite = line_near(steady, np.abs(height - (start + bite + 0.5) / 24.0) < BITE_NEAR)
        self._split = 1.0 if stop >= 23 else stop / 24.0 + 0.02
        chosen = middle & (tooth > 0.8) & (height < self._split) & (light < WET * steady)
        if np.count_nonzero(chosen) >= LEAST_SHOWN:
            self.teeth = np.asarray(np.percentile(self._inside[chosen], LIT, axis=0), np.float32)
        self.row = (stop - start) / 24.0 * self._gap > WHOLE_CROWN
        # At the mouth's corners nothing is told apart.
        return self._from_lip_to_edge((light, steady), lit, pale, height) * rise(gap, 0.1 * self._gap, 0.3 * self._gap)

    def _from_lip_to_edge(self, lights: tuple[Pixels, Pixels], lit: float, pale: Pixels, height: Pixels) -> Pixels:
        """Coverage (h, w) of the upper teeth, of what is seen above them, and of the gaps between them.

        Lower teeth right below are told from them by the dark line between, column by column.

        Args:
            lights: (h, w) what there is, and without spots. lit: of light parts. pale: (h, w) how little red.
                height: (h, w) from lip to lip.
        """
        import cv2

        light, steady = lights
        rows = np.arange(len(light), dtype=np.float32)[:, None]
        above = height < min(self._split + 0.08, 0.97) if self._bite is None else rows < self._bite
        lightest = np.sort(np.where((height > 0.02) & above, steady * pale, 0.0), axis=0)[-4:].mean(0)[None]
        reach = round(AROUND * PER_UNIT)
        lightest = cv2.GaussianBlur(cv2.dilate(lightest, np.ones((1, 2 * reach + 1))), (0, 0), reach / 1.5)
        tooth = rise(light / np.clip(lightest, SHADED * lit, lit), DARK - 0.12, DARK + 0.12) * pale
        # Gaps between teeth are dark, but no holes.
        between = np.ones((1, 2 * round(TOOTH_GAP * PER_UNIT / 2.0) + 1), np.uint8)
        tooth = np.asarray(cv2.morphologyEx(tooth, cv2.MORPH_CLOSE, between), np.float32)
        solid = ((tooth > 0.5) & (height > 0.0) & above).astype(np.uint8)
        solid = np.asarray(cv2.morphologyEx(solid, cv2.MORPH_OPEN, np.ones((5, 3), np.uint8)), np.uint8)
        below = (solid == 0) & (rows > solid.argmax(0))
        edge = np.where(below.any(0), below.argmax(0), len(solid)).astype(np.float32)
        shown = np.where(solid > 0, light, 0.0).sum(0) / np.maximum(solid.sum(0), 1)
        row = in_a_row(np.flatnonzero(solid.any(0)), edge, np.asarray(shown, np.float32))
        if len(row) < 2:
            return np.zeros_like(height)
        self._found[row] = True
        along = np.arange(row[0], row[-1] + 1)
        part = np.s_[:, row[0] : row[-1] + 1]
        edge, begin = (np.interp(along, row, rim[row]).astype(np.float32)[None] for rim in (edge, solid.argmax(0)))
        narrow = np.ones((1, 2 * round(BUMP * PER_UNIT / 2.0) + 1), np.uint8)
        line = cv2.GaussianBlur(cv2.morphologyEx(edge, cv2.MORPH_OPEN, narrow), (0, 0), 1.5)
        begins = cv2.GaussianBlur(begin, (0, 0), 3.0)
        self._shadow, self._edges = (
            self._corner + np.stack([along, rim[0]], axis=1) / PER_UNIT for rim in (begins, line)
        )
        cover = np.zeros_like(height)
        cover[part] = np.clip((line - rows) / 2.5 - 0.1, 0.0, 1.0) * rise(height[part], -0.02, 0.02)
        return np.asarray(cv2.GaussianBlur(cover, (0, 0), 1.0), np.float32)

    def _all_or_none(self, cover: Pixels) -> Pixels:
        """The same coverage (h, w); what is too little to tell a colour and an edge is none at all."""
        if self.teeth is not None and self.edge is not None:
            return cover
        self.teeth, self.edge, self.row = None, None, False
        return np.zeros_like(cover)

    def _lowest(self, cover: Pixels, a: Array, b: Array) -> float | None:
        """Where the teeth end in the middle of the mouth, or as near to it as they are seen."""
        seen = cover > 0.5
        if not seen.any():
            return None
        aside = np.abs(a)
        seen &= aside < 0.06 + max(float(aside[seen].min()) - 0.03, 0.0)
        return float(np.percentile(b[seen], 98)) if np.count_nonzero(seen) >= LEAST_SHOWN else None

    def _lights(self, cover: Pixels, along: Array) -> tuple[Array, Array]:
        """Places along the row from one of its ends to the other, and what `light` is there."""
        inside = (along >= self.ends[0]) & (along <= self.ends[1])
        if self.teeth is None or np.count_nonzero(inside) < 3:
            return np.zeros(1), np.ones(1)
        import cv2

        shown = (cover[:, inside] > 0.8).astype(np.float32)
        sums = np.stack([(shown * self._inside[:, inside].mean(2)).sum(0), shown.sum(0)])
        sums = cv2.GaussianBlur(sums, (0, 0), AROUND * PER_UNIT, sigmaY=1e-3, borderType=cv2.BORDER_REPLICATE)
        light = sums[0] / np.maximum(sums[1], 1e-3)
        drawn = float(np.median(light)) * arch_light(along[inside])
        return along[inside], np.clip(light / np.maximum(drawn, 1.0), *LIGHTER_THAN_DRAWN)

    def _bends(self, cover: Pixels, a: Array, plane: ToothPlane) -> tuple[Array, Array]:
        """Places along the arch of drawn teeth, rising, and what `bend` is there."""
        import cv2

        seen = cover > 0.5
        columns = np.flatnonzero(seen.any(0))
        if len(columns) < 3 or self.edge is None:
            return np.zeros(1), np.zeros(1)
        ends = heights(self._edges, a[:1, columns])
        along, height = plane.on_arch(a[:1, columns].astype(np.float32), ends)
        bend = height - np.float32(self.edge) - np.float32(USUAL_BEND) * np.abs(along)
        bend = cv2.GaussianBlur(bend, (0, 0), AROUND * PER_UNIT, borderType=cv2.BORDER_REPLICATE)
        order = np.argsort(along[0], kind="stable")
        return along[0, order].astype(np.float64), np.clip(bend[0, order], *BENDS).astype(np.float64)

    def gap(self, s: Pixels) -> Pixels:
        """How far apart the source's lips are at places (h, w) along the mouth."""
        return np.maximum(heights(self._bottom, s) - heights(self._top, s), 0.0)

    def likeness(self, gap: float) -> float:
        """How far a mouth that is open by `gap` is the source's own: 1 as it is there, 0 where it must be drawn."""
        ratio = gap / self._gap
        if self.teeth is None:
            return 1.0 - rise_at(ratio, *LIKE_OWN)
        return (1.0 - rise_at(ratio, *LIKE_OWN_TEETH)) * rise_at(ratio, *LEAST_WITH_TEETH)

    def whole(self, across: Pixels, down: Pixels, gap: Pixels) -> Pixels:
        """All that the source shows between its lips, (h, w, 3).

        Args:
            across: places (h, w) from 0 to 1, from one corner of the mouth to the other. down: the same between lips.
            gap: how far lips are apart there; upper teeth keep their size, and what is below them has the rest.
        """
        left, right = self._top[0, 0], self._top[-1, 0]
        a = np.float32(left) + across * np.float32(right - left)
        top = heights(self._top, a)
        high = np.maximum(heights(self._bottom, a) - top, np.float32(1e-4))
        if self.teeth is not None:
            teeth = np.clip((heights(self._edges, a) - top) / high, np.float32(0.0), np.float32(1.0))
            wide = gap / high
            below = down * wide - teeth
            rest = (np.float32(1.0) - teeth) / np.maximum(wide - teeth, np.float32(1e-3))
            down = np.minimum(teeth + np.where(below > 0.0, below * rest, below), np.float32(1.0))
        return self._at(self._inside, a, top + down * high)

    def share(self, gap: float) -> float:
        """How far the source's own upper teeth serve a mouth that is open by `gap`."""
        if self.teeth is None:
            return 0.0
        if self.stays:
            return 1.0
        # Where lips cut the row short and hide its ends, a wider mouth would show a piece of it.
        return 1.0 - rise_at(gap / self._gap, *(ROW_SERVES if self.row else STRIP_SERVES))

    @property
    def height(self) -> float:
        """How far above the edge of the teeth the lip is, in the middle; 0 where none are seen."""
        return 0.0 if self.edge is None else self.edge - float(self._top[len(self._top) // 2, 1])

    def above(self, s: Pixels, d: Pixels) -> Pixels:
        """How far places (h, w) in the plane of the teeth lie above what the source shows of them."""
        if self.stays:
            return rise(heights(self._top, s) - d, *KNOWN_ABOVE)
        edge = heights(self._edges, s)
        return rise((edge - d) / np.maximum(edge - heights(self._shadow, s), 0.01), *CUT_ABOVE)

    def beside(self, s: Pixels) -> Pixels:
        """How far places (h, w) along the row lie beside what the source shows of it."""
        return rise(self._beyond(s), -0.01, 0.02)

    def light(self, s: Pixels) -> Pixels:
        """Light of its teeth at places (h, w) along the row over that of drawn ones; beyond it goes on as it ends."""
        shade = np.float32(1.0) - np.float32(UNSEEN) * rise(self._beyond(s), 0.0, UNSEEN_AT)
        return shade * np.interp(s, *self._light).astype(np.float32)

    def _beyond(self, s: Pixels) -> Pixels:
        return np.maximum(np.float32(self.ends[0]) - s, s - np.float32(self.ends[1]))

    def bend(self, along: Pixels) -> Pixels:
        """How much lower than drawn teeth its own end at places (h, w) along their arch; 0 in the middle."""
        return np.interp(along, *self._bend).astype(np.float32)

    def lay_upper(self, colours: Pixels, s: Pixels, d: Pixels, share: float | Pixels) -> None:
        """Lay the upper teeth over colours (h, w, 3) at places in the plane of the teeth, in place.

        Args:
            share: how opaque, all over or (h, w).
        """
        top = heights(self._top, s)
        result = self._at(self._upper, s, np.maximum(d, top + np.float32(0.006)))
        cover = result[..., 3] * np.asarray(share, np.float32) / np.float32(255.0)
        lay(colours, result, cover)

    def lay_lower(self, colours: Pixels, s: Pixels, d: Pixels, jaw: Array) -> None:
        """Lay what lies below the upper teeth, of a mouth that is open, over colours (h, w, 3), in place.

        Args:
            jaw: (2,) where the middle of the lower lip's edge is now.
        """
        a, b = s - np.float32(jaw[0] - self._jaw[0]), d - np.float32(jaw[1] - self._jaw[1])
        top, bottom = heights(self._top, a), heights(self._bottom, a)
        gap = np.maximum(bottom - top, 0.0)
        split = top + np.float32(self._split) * gap
        share = rise(b - split, -0.01, 0.03) if self._split < 1.0 else np.zeros_like(gap)
        share = share * np.clip(gap / 0.02 - 0.4, 0.0, 1.0)
        own = self._at(self._inside, a, np.clip(b, split, bottom - np.float32(0.008)))
        lay(colours, own, np.asarray(share, np.float32))

    def _at(self, values: Pixels, a: Pixels, b: Pixels) -> Pixels:
        x, y = (a - np.float32(self._corner[0])) * PER_UNIT, (b - np.float32(self._corner[1])) * PER_UNIT
        return sample_at(values, x, y)
