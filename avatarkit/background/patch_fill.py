"""Filling a hole with patches of the rest of the picture, from coarse to fine, so that lines and textures go on.

Y. Wexler, E. Shechtman, M. Irani, "Space-Time Completion of Video", TPAMI 2007: each pixel takes the mean of what the
patches around it, each replaced by its likest one from outside of the hole, say of it. Likest patches are looked for as
in C. Barnes et al., "PatchMatch", SIGGRAPH 2009, with all pixels at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["fill_patches"]

Array = NDArray[np.float32]
Index = NDArray[np.int32]
Mask = NDArray[np.bool_]

_RADIUS = 3
_SIDE = 2 * _RADIUS + 1  # patches are 7 x 7 pixels of their level
_VALUES, _LINE = 3 * _SIDE**2, slice(3 * _SIDE * _RADIUS, 3 * _SIDE * (_RADIUS + 1))  # the patch's middle line
_COARSEST_PX, _FINEST_PX = 32, 224
_ROUNDS = (12, 3)  # on the coarsest level and on the others
_SEARCHES = 4  # random tries in each round, each half as far as the last
_GUIDANCE = 0.7  # how much the smooth guess counts beside a patch's own pixels: plain areas are like anything blurred
_SHARPNESS = 0.35  # of the mean: patches farther from their likest ones by this share of the usual count little


@dataclass
class _Level:
    """One size of the picture: its pixels, the centres of patches that touch the hole, and those that may be copied.

    `targets` and `sources` hold flat indices; `nearest` is the likest source's index for every target. `guide` holds
    the smooth guess of all pixels, one after the other.
    """

    image: Array
    guide: Array
    hole: Mask
    targets: Index
    allowed: Mask
    nearest: Index

    @property
    def width(self) -> int:
        return self.image.shape[1]


def fill_patches(image_rgb: NDArray[np.uint8], hole: Mask, start: Array) -> NDArray[np.uint8]:
    """Fill a hole with patches of the known pixels; the same input gives the same output.

    Args:
        image_rgb: H x W x 3 uint8.
        hole: H x W bool with at least one pixel of each kind.
        start: H x W x 3 float32, a smooth guess of the hole's colours.

    Returns:
        H x W x 3 uint8, equal to the picture outside of the hole; None of the hole's own pixels are looked at. Where
        no patch lies wholly outside of the hole the guess is returned.
    """
    height, width = hole.shape
    rng = np.random.default_rng(0)
    level: _Level | None = None
    side = min(_FINEST_PX, max(height, width))
    sides = [side]
    while sides[-1] > 1.5 * _COARSEST_PX:
        sides.append(round(sides[-1] / 1.6))
    for longest in reversed(sides):
        finer = _at_size(image_rgb, hole, start, longest)
        if finer is None:
            continue
        rounds = _ROUNDS[0 if level is None else 1]
        level = _begun(finer, level, rng)
        for _ in range(rounds):
            _vote(level, _match(level, rng))
    if level is None:
        return np.where(hole[..., None], np.clip(np.rint(start), 0, 255), image_rgb).astype(np.uint8)
    return _copied(image_rgb, hole, level)


def _at_size(image_rgb: NDArray[np.uint8], hole: Mask, start: Array, longest: int) -> _Level | None:
    """The picture reduced, with the guess in its hole; None where no patch can be copied."""
    height, width = hole.shape
    scale = longest / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    share = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    guess = np.where(hole[..., None], start, image_rgb.astype(np.float32)).astype(np.float32)
    image = np.asarray(cv2.resize(guess, size, interpolation=cv2.INTER_AREA), np.float32)
    guide = np.asarray(cv2.resize(start, size, interpolation=cv2.INTER_AREA), np.float32).reshape(-1, 3)
    small = np.asarray(share > 0.02, bool)
    window = np.ones((2 * _RADIUS + 1, 2 * _RADIUS + 1), np.uint8)
    touched = cv2.dilate(small.astype(np.uint8), window).astype(bool)
    allowed = ~touched
    for edge in (np.s_[:_RADIUS], np.s_[-_RADIUS:], np.s_[:, :_RADIUS], np.s_[:, -_RADIUS:]):
        allowed[edge] = False
    if not allowed.any():
        return None
    targets = np.flatnonzero(touched).astype(np.int32)
    return _Level(image, guide, small, targets, allowed, np.zeros_like(targets))


def _begun(level: _Level, coarser: _Level | None, rng: np.random.Generator) -> _Level:
    """The level with likest patches to begin with: those of the coarser level, or any."""
    sources = np.flatnonzero(level.allowed).astype(np.int32)
    level.nearest = rng.choice(sources, len(level.targets))
    if coarser is None:
        return level
    offsets = _offsets(coarser)
    height, width = level.hole.shape
    ratio = np.array([width / coarser.hole.shape[1], height / coarser.hole.shape[0]], np.float32)
    moved = cv2.resize(offsets * ratio, (width, height), interpolation=cv2.INTER_NEAREST)
    y, x = np.divmod(level.targets, width)
    from_x = np.clip(np.rint(x + moved[y, x, 0]).astype(np.int32), 0, width - 1)
    from_y = np.clip(np.rint(y + moved[y, x, 1]).astype(np.int32), 0, height - 1)
    kept = level.allowed[from_y, from_x]
    level.nearest[kept] = (from_y * width + from_x)[kept]
    _vote(level, np.ones(len(level.targets), np.float32))
    return level


def _offsets(level: _Level) -> Array:
    """For every pixel the way (x, y) to its likest patch; zero where the picture is known."""
    y, x = np.divmod(level.targets, level.width)
    from_y, from_x = np.divmod(level.nearest, level.width)
    out = np.zeros((*level.hole.shape, 2), np.float32)
    out[y, x] = np.stack([from_x - x, from_y - y], 1)
    return out


def _patches(image: Array) -> NDArray[np.int16]:
    """The patch around every pixel, (H * W, 49 * 3)."""
    padded = cv2.copyMakeBorder(image, _RADIUS, _RADIUS, _RADIUS, _RADIUS, cv2.BORDER_REFLECT_101).astype(np.int16)
    side = 2 * _RADIUS + 1
    rows = np.lib.stride_tricks.sliding_window_view(padded.reshape(len(padded), -1), 3 * side, axis=1)[:, ::3]
    views = [rows[y : y + image.shape[0]] for y in range(side)]
    return np.asarray(np.concatenate(views, axis=2), np.int16).reshape(image.shape[0] * image.shape[1], -1)


def _match(level: _Level, rng: np.random.Generator) -> Array:
    """Improve the likest patches by those of the neighbours and by random ones; returns their mean square distance."""
    height, width = level.hole.shape
    patches = _patches(level.image)
    line = np.ascontiguousarray(patches[:, _LINE])
    wanted, own_line = patches[level.targets], line[level.targets]
    place = np.full(height * width, -1, np.int32)
    place[level.targets] = np.arange(len(level.targets), dtype=np.int32)
    y, x = np.divmod(level.targets, width)
    guide, aim = level.guide, level.guide[level.targets]
    best = _distance(wanted, patches, level.nearest) + _astray(aim, guide[level.nearest])

    def attempt(rows: Index, from_y: Index, from_x: Index) -> None:
        inside = (from_y >= 0) & (from_y < height) & (from_x >= 0) & (from_x < width)
        rows, candidate = rows[inside], (from_y * width + from_x)[inside]
        # Neighbours mostly go the same way: what is the likest one already needs no second look.
        other = np.flatnonzero(np.take(level.allowed, candidate) & (candidate != np.take(level.nearest, rows)))
        rows, candidate = np.take(rows, other), np.take(candidate, other)
        # Most are not as like, which a part of each distance tells: sums of so few squares are exact.
        result = astray = _astray(np.take(aim, rows, axis=0), np.take(guide, candidate, axis=0))
        for some, own in ((line, own_line), (patches, wanted)):
            hope = np.flatnonzero(result < np.take(best, rows))
            rows, candidate, astray = np.take(rows, hope), np.take(candidate, hope), np.take(astray, hope)
            result = _distance(np.take(own, rows, axis=0), some, candidate) + astray
        better = result < best[rows]
        best[rows[better]] = result[better]
        level.nearest[rows[better]] = candidate[better]

    for step in (8, 4, 2, 1):
        for step_y, step_x in ((0, step), (step, 0), (0, -step), (-step, 0)):
            near_y, near_x = np.clip(y + step_y, 0, height - 1), np.clip(x + step_x, 0, width - 1)
            near = place[near_y * width + near_x]
            rows = np.flatnonzero(near >= 0).astype(np.int32)
            from_y, from_x = np.divmod(level.nearest[near[rows]], width)
            attempt(rows, from_y - step_y, from_x - step_x)
    everywhere = np.arange(len(level.targets), dtype=np.int32)
    for number in range(_SEARCHES):
        reach = max(height, width) / 2.0 ** (number + 1)
        from_y, from_x = np.divmod(level.nearest, width)
        jump = np.rint(rng.uniform(-reach, reach, (2, len(everywhere)))).astype(np.int32)
        attempt(everywhere, from_y + jump[0], from_x + jump[1])
    return best


def _distance(wanted: NDArray[np.int16], patches: NDArray[np.int16], candidate: Index) -> Array:
    difference = (np.take(patches, candidate, axis=0) - wanted).astype(np.float32)
    return np.asarray(np.einsum("nk,nk->n", difference, difference) / _VALUES, np.float32)


def _astray(aim: Array, guide: Array) -> Array:
    """What patches from where the picture is of other colours than the guess (N x 3 each) are set back by."""
    difference = guide - aim
    return np.asarray(_GUIDANCE * np.einsum("nk,nk->n", difference, difference) / aim.shape[1], np.float32)


def _vote(level: _Level, distance: Array) -> None:
    """Give every pixel of the hole the weighted mean of what the patches around it say."""
    width = level.width
    usual = float(np.percentile(distance, 75)) * _SHARPNESS + 1.0
    weight = np.exp(-distance / usual) + np.float32(1e-6)
    # Over the rectangle around the targets, whole rows at a time: sums of slices are much faster than those of places.
    y, x = np.divmod(level.targets, width)
    top, left, bottom, right = y.min(), x.min(), y.max() + 1, x.max() + 1
    share = np.zeros((bottom - top, right - left, 1), np.float32)
    share[y - top, x - left, 0] = weight
    # Patches that may be copied lie wholly inside the picture; where there is no target, any does with no weight.
    source = np.full(share.shape[:2], level.nearest[0], np.intp)
    source[y - top, x - left] = level.nearest
    said = cv2.cvtColor(level.image, cv2.COLOR_RGB2RGBA).reshape(-1, 4)
    said[:, 3] = 1.0
    total = np.zeros((share.shape[0] + 2 * _RADIUS, share.shape[1] + 2 * _RADIUS, 4), np.float32)
    for step_y in range(-_RADIUS, _RADIUS + 1):
        for step_x in range(-_RADIUS, _RADIUS + 1):
            part = np.take(said, source + (step_y * width + step_x), axis=0)
            part *= share
            first_y, first_x = _RADIUS + step_y, _RADIUS + step_x
            total[first_y : first_y + share.shape[0], first_x : first_x + share.shape[1]] += part
    in_y, in_x = np.nonzero(level.hole)
    mean = total[in_y - top + _RADIUS, in_x - left + _RADIUS]
    level.image = level.image.copy()
    level.image[in_y, in_x] = mean[:, :3] / np.maximum(mean[:, 3:], 1e-9)


def _copied(image_rgb: NDArray[np.uint8], hole: Mask, level: _Level) -> NDArray[np.uint8]:
    """Copy the picture's own pixels along the finest level's ways, mixed from the four ways around each pixel."""
    height, width = hole.shape
    small_height, small_width = level.hole.shape
    ratio = np.array([width / small_width, height / small_height], np.float32)
    offsets = _offsets(level) * ratio
    y, x = np.nonzero(hole)
    u, v = (x + 0.5) / ratio[0] - 0.5, (y + 0.5) / ratio[1] - 0.5
    left, top = np.floor(u).astype(int), np.floor(v).astype(int)
    total = np.zeros((len(y), 3), np.float32)
    mass = np.zeros(len(y), np.float32)
    for step_y in (0, 1):
        for step_x in (0, 1):
            cell_x, cell_y = left + step_x, top + step_y
            near = 1 - np.abs(u - cell_x), 1 - np.abs(v - cell_y)
            cell_x, cell_y = np.clip(cell_x, 0, small_width - 1), np.clip(cell_y, 0, small_height - 1)
            way = np.take(offsets.reshape(-1, 2), cell_y * small_width + cell_x, axis=0)
            from_x = np.clip(np.rint(x + way[:, 0]), 0, width - 1).astype(int)
            from_y = np.clip(np.rint(y + way[:, 1]), 0, height - 1).astype(int)
            source = from_y * width + from_x
            weight = (near[0] * near[1]).astype(np.float32) * ~np.take(hole, source)
            total += weight[:, None] * np.take(image_rgb.reshape(-1, 3), source, axis=0)
            mass += weight
    known = mass > 1e-3
    out = image_rgb.copy()
    rough = np.asarray(cv2.resize(level.image, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)[y, x]
    filled = np.where(known[:, None], total / np.maximum(mass, 1e-6)[:, None], rough)
    out[y, x] = np.clip(np.rint(filled), 0, 255).astype(np.uint8)
    return out
