"""What lies behind the teeth of an open mouth, drawn once for a source: tongue, throat, and the dark of the cheeks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatarkit.geometry.sampling import sample_at
from avatarkit.systems.landmark_warp.openings import rise, times
from avatarkit.systems.landmark_warp.teeth import Palette

Pixels = NDArray[np.float32]

TONGUE = 0.27
"""Half the tongue's width, in head units (about 9 cm)."""
REACH = 1.5
"""Half the width of what the picture holds, in tongues' halves; beyond it is dark."""
COLUMNS, ROWS = 193, 97
IN_SHADE = 0.48
"""Light of the flesh beside the tongue over that of gums."""
LIT = (0.08, 0.36)
"""Lips so far apart let in little light, and all that comes in at all, in head units."""
DIM = 0.42
"""The light that reaches a tongue between lips that are hardly apart."""


@dataclass(frozen=True)
class MouthFloor:
    """A tongue between its teeth: RGB float32 (h, w, 3), 0 to 255, the throat's side up."""

    picture: Pixels

    @staticmethod
    def of(colours: Palette) -> "MouthFloor":
        """Draw it in these colours.

        It is one body from the lower teeth to the upper ones, between cheeks in the shade: light falls on its front,
        its far end lies in the shadow of the upper teeth, and nothing outlines it anywhere.
        """
        x = np.linspace(-REACH, REACH, COLUMNS)[None]
        up = np.linspace(1.0, 0.0, ROWS)[:, None]
        aside = np.abs(x)
        # The throat is dark. The cheeks and what the tongue lies in are flesh in the shade: black, they outline it.
        throat = rise(up, 0.3, 0.95) * (1.0 - 0.5 * rise(aside, 0.3, 1.2))
        flesh = np.float32(IN_SHADE) * colours.gum
        behind = flesh + throat[..., None] * (colours.cavity - flesh)
        # Behind the lower teeth, which bend back to both sides, lies their shadow.
        bed = 0.02 + 0.16 * aside**2
        cover = rise(up - bed, -0.1, 0.16) * (1.0 - rise(aside, 0.5, 1.08))
        light = (0.6 + 0.4 * rise(up - bed, 0.0, 0.34)) * (1.0 - 0.3 * aside**2)
        light = light * (1.0 - 0.84 * rise(up + 0.1 * aside, 0.32, 0.9))
        # A furrow, and the unevenness of a surface that is nowhere smooth.
        light = light * (1.0 - 0.07 * np.exp(-((x / 0.07) ** 2)) * rise(up, 0.15, 0.4))
        light = light * (1.0 + 0.025 * _uneven(2.5) + 0.012 * _uneven(1.2, 1))
        tongue = np.clip(light, 0.0, None)[..., None] * colours.tongue
        # It is wet.
        gloss = rise(_uneven(1.2, 2), 0.3, 2.2) * np.exp(-(((up - 0.36) / 0.12) ** 2) - (x / 0.5) ** 2)
        tongue = tongue + 0.1 * gloss[..., None] * (colours.teeth - tongue)
        return MouthFloor(np.asarray(behind + cover[..., None] * (tongue - behind), np.float32))

    def at(self, aside: Pixels, up: Pixels, gap: Pixels) -> Pixels:
        """Colours (h, w, 3) at places between lips.

        Args:
            aside: (h, w) from the middle of the jaw, in head units. up: from the lower lip, 0, to the upper one, 1.
            gap: how far the lips are apart, in head units.
        """
        columns = (aside * np.float32(1.0 / TONGUE) + np.float32(REACH)) * np.float32((COLUMNS - 1) / (2.0 * REACH))
        found = sample_at(self.picture, columns, (1.0 - up) * np.float32(ROWS - 1))
        times(found, np.float32(DIM) + np.float32(1.0 - DIM) * rise(gap, *LIT))
        return found


def _uneven(fine: float, seed: int = 0) -> Pixels:
    """Smooth noise (h, w) of mean 0 and deviation 1, the same for everybody."""
    import cv2

    noise = np.random.default_rng(seed).standard_normal((ROWS, COLUMNS)).astype(np.float32)
    noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), fine), np.float32)
    return np.asarray((noise - noise.mean()) / noise.std(), np.float32)
