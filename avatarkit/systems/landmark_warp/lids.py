"""Closing eyelids: skin over the eye, a crease, and lashes along the lid's edge.

A source with open eyes shows next to nothing of its upper lids. Stretching that little smears lashes over the
eye; instead the skin around the eye is continued over it once, with the texture of that person's open skin and the
light of a rounded lid, and comes into view as the lid comes down.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.background.membrane import fill_smooth
from avatarkit.face import landmarks as lm
from avatarkit.geometry.easing import eased
from avatarkit.geometry.sampling import sample_at
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.eye_frame import EyeFrame, EyePatch, turned_away
from avatarkit.systems.landmark_warp.openings import Region, blend, heights, rise, rise_at, smooth_curve, soft_mask
from avatarkit.systems.landmark_warp.skin import blur_around_mouth, skin_detail
from avatarkit.systems.landmark_warp.spectacles import frame_before, worn
from avatarkit.systems.landmark_warp.tones import Tones

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]

# In eye widths. Lashes and make-up reach this far beyond the opening; no skin is taken from there.
LASHES_ABOVE, LASHES_BELOW = 0.18, 0.08
LINE_THICKNESS, LINE_STRENGTH = 0.026, 0.9
LASH_LENGTH, LASHES, LASH_STRENGTH = 0.14, 36, 0.9
"""Of a shut eye, hanging down; how many there are; how dense they look at their roots."""
LASH_LIGHT = (0.22, 0.6)
"""Lashes have at least the first share of the lid's colour: what is darkest beside an open lid is a pupil or paint, and
the line in which shut lids meet was ink. They have at most the second of the skin's: pale ones cast a shadow on it."""
LASHES_OUTWARDS = 1.0
"""By how much more than their mean length lashes are longer, an eye width away from its middle outwards."""
LASHES_FROM = 0.7
"""Lashes point at the viewer above this openness, and hang down below it."""
FADE_IN, FADE_FULL = 0.9, 0.55
"""The lid's skin begins to show below the first openness and is all there below the second."""
OPEN_LASHES, LASH_WIDTH, LASH_DARK = 0.26, 0.12, (0.06, 0.16)
"""Lashes of the open eye are taken away up to this far above the crease: what is narrower than the second length and
darker than what is beside it by more than the first of these shares, altogether from the second on."""
CORNERS = ((0.28, 0.2), (0.1, 0.12))
"""Half axes, along the eye and across it, of what a closing lid covers around the outer and the inner corner: lashes of
the open eye are a dark lump there, and its rims end in a hook."""
CORNERS_FROM = 0.6
"""It does so below this openness."""
CORNERS_LIGHT = (0.5, 0.75)
"""And where what lies around them is lighter than the first share of it, wholly from the second on."""
OWN_LID = 0.24
"""Below the crease the source's own skin runs into the drawn one over this many eye widths."""
LID_TONE = np.array([1.0, 0.975, 0.97], np.float32)
"""Lids are thin skin: a little redder than what is around them."""
SKIN_RANGE = (0.66, 1.4)
"""Light of skin around the eye, over its median; brows, deep shadow and shine lie outside."""
DARKEST, MOST_LIGHT = 0.9, 1.15
"""A lid is on average at least this share as light as the skin around the eye: what surrounds it is shadow or paint.
It is lightened by no more than this for it."""


@dataclass(frozen=True)
class Lid:
    """One eye's closed lid: the skin over it, the colour (3,) of its lashes, and a spectacle frame before it.

    frame: coverage in one channel, 0 to 1; None without spectacles. corners: how far the skin covers those of the eye.
    """

    skin: EyePatch
    lashes: Pixels
    frame: EyePatch | None
    corners: float


class LidLayer:
    """Draws the closing lids of a source."""

    def __init__(self, picture: NDArray[np.uint8], landmarks: Array) -> None:
        scale = head_frame(landmarks).scale
        spectacles = worn(picture, landmarks)
        tones = Tones.of(picture, landmarks)
        self._lids = [_lid(picture, landmarks, eye, scale, spectacles, tones) for eye in range(2)]
        widest = max(lid.skin.drop for lid in self._lids)
        self._comb = _blurred(_comb(), blur_around_mouth(picture, landmarks) / max(widest, 1e-6))

    def draw(self, frame: NDArray[np.uint8], motion: DriveFrame) -> None:
        """Draw what the lids hide into a frame (H, W, 3), in place; open eyes are left alone."""
        for eye, lid in enumerate(self._lids):
            share = float(np.clip((FADE_IN - motion.eye_openness[eye]) / (FADE_IN - FADE_FULL), 0.0, 1.0))
            if share > 0.0 and not turned_away(motion.landmarks, eye, motion.pose.rotation):
                self._draw_one(frame, motion, eye, lid, eased(share))

    def _draw_one(self, frame: NDArray[np.uint8], motion: DriveFrame, eye: int, lid: Lid, share: float) -> None:
        eye_frame = EyeFrame.of(motion.landmarks, eye, lid.skin.drop * motion.pose.scale)
        if eye_frame.width < 3.0:
            return
        openness = float(motion.eye_openness[eye])
        edge, lower, top = _curves(motion.landmarks[:, :2], eye, eye_frame)
        # A shut lid rests on the lower one and hides its rim too.
        shut = float(np.clip(1.0 - openness / 0.25, 0.0, 1.0))
        rim = edge + shut * (np.maximum(lower - edge, 0.0) + 0.03 * eye_frame.width * eye_frame.across)
        outline = np.concatenate([top, rim[::-1]])
        region = Region.around(outline, 1.1 * OPEN_LASHES * eye_frame.width, frame.shape[1], frame.shape[0])
        if region is None:
            return
        local, part = eye_frame.of_region(region), region.of(frame)
        a, b = local[..., 0], local[..., 1]
        line = eye_frame.local((edge + shut * lower) / (1.0 + shut))
        off = b - heights(line, a)
        mask = soft_mask(outline, region, 0.03 * eye_frame.width)
        # From the crease down, and in from the corners, the source's own lid runs into the drawn one.
        below = b - heights(eye_frame.local(top), a)
        mask *= rise(below / OWN_LID + 0.15) * rise((0.6 - np.abs(a)) / 0.3)
        covered = lid.corners * rise_at(1.0 - openness / CORNERS_FROM)
        mask = np.maximum(mask, covered * rise(_at_corners(a, b, eye), 0.0, 0.8))
        if shut < 1.0:
            # The edge over the eyeball is sharp, and stays on the lid's side.
            mask *= np.clip(0.5 - off * np.float32(eye_frame.height) / 1.5, shut, 1.0)
        free = np.full(a.shape, share, np.float32)
        if lid.frame is not None:
            free *= 1.0 - lid.frame.at(local)
        above = rise(below, -OPEN_LASHES, -0.6 * OPEN_LASHES) * rise(-off, -0.01, 0.02) * rise((0.8 - np.abs(a)) / 0.2)
        _without_lashes(part, free * above, max(3, round(LASH_WIDTH * eye_frame.width) | 1), eye_frame.along)
        blend(part, lid.skin.at(local), free * mask)
        # From the inner corner (-0.5) to the outer one: lashes grow longer and denser.
        out = -a if eye == 0 else a
        inside = np.clip((0.5 - np.abs(a)) / 0.22, 0.0, 1.0)
        # Shut, lids meet from corner to corner, and the line that they leave ends in a point.
        meets = np.clip((np.where(out > 0.0, 0.56, 0.52) - np.abs(a)) / 0.2, 0.0, 1.0)
        meets = inside + shut * (meets - inside)
        thick = LINE_THICKNESS * (1.0 + shut * (0.25 + out)) * (0.4 + 0.6 * meets)
        strength = LINE_STRENGTH * meets * np.exp(-((off / thick) ** 2))
        hang = LASH_LENGTH * float(np.clip((LASHES_FROM - openness) / LASHES_FROM, 0.0, 1.0))
        if hang > 0.01:
            long = hang * (1.0 + LASHES_OUTWARDS * np.clip(out, -0.5, 0.6))
            along = (a + np.float32(0.6)) * np.float32(self._comb.shape[1] / 1.2)
            down = np.asarray(off / long * self._comb.shape[0], np.float32)
            there = np.clip((np.where(out > 0.0, 0.58, 0.46) - np.abs(a)) / 0.2, 0.0, 1.0)
            strength = np.maximum(strength, LASH_STRENGTH * there * sample_at(self._comb, along, down) * (off > 0))
        strength *= free
        blend(part, np.broadcast_to(lid.lashes, (*a.shape, 3)), strength.astype(np.float32))


def _without_lashes(part: NDArray[np.uint8], share: Pixels, width: int, along: Array) -> None:
    """Take strands that stand on an eye out of a picture, in place: they are darker than what is beside them.

    share: (h, w) how far; no more than `LASH_DARK` leaves of it. width: of the strands, at most, in pixels. along: unit
    vector (2,) along the eye, which need not be level.
    """
    import cv2

    turn, size = _levelling(part.shape[:2], along)
    level = cv2.warpAffine(part, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    clear = cv2.morphologyEx(level, cv2.MORPH_CLOSE, np.ones((1, width), np.uint8))
    light, beside = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) for picture in (level, clear))
    dark = 1.0 - light / np.maximum(beside, 1.0)
    calm = cv2.blur(clear, (width // 2, 3)).astype(np.float32)
    strands = cv2.blur(cv2.dilate(rise(dark, *LASH_DARK), np.ones((3, 3), np.uint8)), (3, 3))
    back, size = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, (part.shape[1], part.shape[0])
    found = cv2.warpAffine(np.dstack([calm, strands]), turn, size, flags=back, borderMode=cv2.BORDER_REPLICATE)
    calm, strands = np.asarray(found[..., :3], np.float32), np.asarray(found[..., 3], np.float32)
    blend(part, calm, share * strands)


def _levelling(shape: tuple[int, ...], along: Array) -> tuple[Array, tuple[int, int]]:
    """The matrix (2, 3) that turns a picture (h, w) until an eye in it is level, and the turned one's width and height.

    An eye that is level is moved by whole pixels, and so not blurred.
    """
    matrix = np.array([along, [-along[1], along[0]]])
    right, bottom = shape[1] - 1.0, shape[0] - 1.0
    corners = np.array([[0.0, 0.0], [right, 0.0], [0.0, bottom], [right, bottom]]) @ matrix.T
    low, high = np.floor(corners.min(0) + 0.01), np.ceil(corners.max(0) - 0.01)
    columns, rows = (high - low).astype(int) + 1
    return np.column_stack([matrix, -low]), (int(columns), int(rows))


def _at_corners(a: NDArray[Any], b: NDArray[Any], eye: int) -> Pixels:
    """How far places in eye coordinates (h, w) belong to the corners of an eye, 1 in the middle, negative outside."""
    outer = a < 0.0 if eye == 0 else a > 0.0
    long, high = (np.where(outer, *sizes).astype(np.float32) for sizes in zip(*CORNERS, strict=True))
    # The outer one lies a little above the corner itself: lashes grow upwards.
    centre = np.where(outer, np.float32(-0.05), np.float32(0.0))
    return np.asarray(1.0 - ((np.abs(a) - 0.47) / long) ** 2 - ((b - centre) / high) ** 2, np.float32)


def _curves(points: Array, eye: int, frame: EyeFrame) -> tuple[Array, Array, Array]:
    """The edges of the upper and of the lower lid, and the top of what the lid's skin covers, (N, 2) each."""
    upper = points[list(lm.UPPER_LIDS[eye])]
    crease = points[[lm.UPPER_LIDS[eye][0], *lm.UPPER_CREASES[eye], lm.UPPER_LIDS[eye][-1]]]
    top = smooth_curve(0.35 * crease + 0.65 * upper - 0.04 * frame.width * frame.across)
    # The crease itself is the limit wherever it is higher.
    top += np.minimum((smooth_curve(crease) - top) @ frame.across, 0.0)[:, None] * frame.across
    return smooth_curve(upper), smooth_curve(points[list(lm.LOWER_LIDS[eye])]), top


def _lid(
    picture: NDArray[np.uint8], landmarks: Array, eye: int, scale: float, spectacles: bool, tones: Tones
) -> Lid:
    """Continue the skin around the eye over it, and read the lashes' colour."""
    import cv2

    patch, axes = EyePatch.cut(picture, landmarks, eye, scale), EyeFrame.of(landmarks, eye)
    a, b = patch.local[0, :, 0], patch.local[..., 1]
    crease_points = [lm.UPPER_LIDS[eye][0], *lm.UPPER_CREASES[eye], lm.UPPER_LIDS[eye][-1]]
    top, bottom, crease = (
        heights(axes.local(landmarks[list(ring), :2]), a)
        for ring in (lm.UPPER_LIDS[eye], lm.LOWER_LIDS[eye], crease_points)
    )
    taper = np.clip((0.62 - np.abs(a)) / 0.2, 0.0, 1.0)
    hidden = (b > top - LASHES_ABOVE * taper) & (b < bottom + LASHES_BELOW * taper) & (taper > 0)
    corners = _at_corners(patch.local[..., 0], b, eye)
    hidden |= corners > 0.0
    light = patch.pixels.mean(2)
    usual = float(np.median(light[~hidden]))
    frame = frame_before(patch, top, bottom) if spectacles else None
    clear = ~hidden if frame is None else ~hidden & (frame < 0.05)
    known = clear & (light > SKIN_RANGE[0] * usual) & (light < SKIN_RANGE[1] * usual)
    if np.count_nonzero(known) < 50:
        known = ~hidden
    skin = fill_smooth(patch.pixels, known.astype(np.float32))
    gain = float(np.clip(DARKEST * usual / max(float(skin[hidden].mean()), 1.0), 1.0, MOST_LIGHT))
    inner = cv2.GaussianBlur(hidden.astype(np.float32), (0, 0), 0.08 * patch.per_width)
    skin *= 1.0 + np.float32(gain - 1.0) * np.asarray(inner)[..., None]
    # A rounded lid: shade in the crease, light on the bulge, shade again towards the lashes.
    down = np.clip((b - crease) / np.maximum(bottom - crease, 0.05), 0.0, 1.0)
    # Its light ends softly at the corners, where the crease comes down to the line.
    lid = rise((0.5 - np.abs(a)) / 0.2) * np.clip((b - crease) / 0.04 + 0.5, 0.0, 1.0)
    lid = taper * lid * np.clip((bottom - b) / 0.04 + 0.5, 0.0, 1.0)
    round_light = 0.94 + 0.11 * np.sin(np.pi * np.clip(1.1 * down, 0.0, 1.0)) - 0.12 * down**4
    round_light = round_light - 0.12 * np.clip(np.abs(a) / 0.5, 0.0, 1.0) ** 2
    fold = 0.12 * np.exp(-(((b - crease) / 0.022) ** 2)) * np.clip((0.5 - np.abs(a)) / 0.2, 0.0, 1.0)
    tone = (round_light[..., None] * tones.tint(LID_TONE) - 1.0) * lid[..., None] + 1.0
    skin = skin * tone * (1.0 - fold)[..., None]
    detail = skin_detail(picture, landmarks, eye, (light.shape[0], light.shape[1]), patch.per_width / axes.width)
    skin = np.clip(skin + detail[..., None], 0.0, 255.0).astype(np.float32)
    strip = patch.pixels[(np.abs(b - top) < 0.035) & (np.abs(a) < 0.4)]
    lightness = strip.mean(1)
    dark = strip[lightness <= np.percentile(lightness, 20)].mean(0)
    least, most = LASH_LIGHT[0] * np.median(skin[hidden], axis=0), LASH_LIGHT[1] * tones.skin
    lashes = np.minimum(np.maximum(dark, least), most)
    before = None if frame is None else patch.with_pixels(frame)
    # In deep shadow, and beside paint, open skin would be a light spot.
    around = float(np.median(light[(corners < 0.0) & (corners > -1.0)])) / max(float(skin[corners > 0.3].mean()), 1.0)
    covered = rise_at(around, *CORNERS_LIGHT)
    return Lid(patch.with_pixels(skin), np.asarray(lashes, np.float32), before, covered)


def _comb(rows: int = 48, columns: int = 768) -> Pixels:
    """Coverage (rows, columns) of lashes that hang from a straight edge, 0.6 eye widths to either side.

    Each begins at the edge (row 0), leans away from the eye's middle, and tapers off at its own length.
    """
    rng = np.random.default_rng(7)
    t = (np.arange(rows)[:, None] + 0.5) / rows
    a = np.linspace(-0.6, 0.6, columns)[None]
    result = np.zeros((rows, columns), np.float32)
    for root in np.linspace(-0.5, 0.5, LASHES) + rng.uniform(-0.012, 0.012, LASHES):
        length, lean = rng.uniform(0.5, 1.0), 0.14 * root / 0.5 + rng.uniform(-0.015, 0.015)
        along = np.clip(t / length, 0.0, 1.0)
        width = 0.01 * (1.0 - along) + 0.001
        stroke = np.exp(-(((a - root - lean * t**1.3) / width) ** 2)) * np.clip((1.0 - along) * 4.0, 0.0, 1.0)
        result = np.maximum(result, stroke.astype(np.float32))
    return result


def _blurred(comb: Pixels, blur: float) -> Pixels:
    """A comb as a picture shows it that is blurred with a standard deviation in eye widths."""
    import cv2

    rows, columns = comb.shape
    along, down = max(columns / 1.2 * blur, 0.1), max(rows / LASH_LENGTH * blur, 0.1)
    soft = cv2.GaussianBlur(comb, (0, 0), sigmaX=along, sigmaY=down, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.pad(soft[:-1], ((0, 1), (0, 0))), np.float32)
