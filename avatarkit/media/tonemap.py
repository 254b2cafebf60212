"""HDR and wide-gamut video to what an SDR screen shows: one table of colours, which every ffmpeg build can apply.

Display light is taken relative to the reference white of 203 cd/m2 (ITU-R BT.2408), brighter light is bent below it
by the EETF of ITU-R BT.2390 (section 5.4.1) on the brightest of the three colours, so that hues stay, and the result
is encoded for the gamma of 2.4 of an SDR screen (BT.1886).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Colours = npt.NDArray[np.float64]

WHITE_NITS = 203.0
DEFAULT_PEAK_NITS = 1000.0
GRID = 49
"""Points of the table along each colour."""
_STEPS = 4096
_SCREEN_GAMMA = 2.4
_HLG_GAMMA = 1.2  # of the system, at a peak of 1000 cd/m2

# SMPTE ST 2084
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
# ARIB STD-B67, BT.2100
_A = 0.17883277
_B, _C = 1 - 4 * _A, 0.5 - _A * float(np.log(4 * _A))
_LUMINANCE_2020 = np.array([0.2627, 0.6780, 0.0593])

_WHITE_D65 = (0.3127, 0.3290)
_PRIMARIES = {
    "bt709": ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    "bt2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    "smpte432": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
_CURVES = {"smpte2084": "PQ", "arib-std-b67": "HLG"}
_GAMUTS = {"bt2020": "BT.2020", "smpte432": "Display P3"}


@dataclass(frozen=True)
class ColourSpace:
    """How a video's colours are meant, where an SDR screen would show them wrongly.

    `transfer` is "smpte2084" (PQ), "arib-std-b67" (HLG) or "" for the usual curve; `primaries` "bt2020", "smpte432"
    (Display P3) or "bt709"; `peak_nits` the brightest light of the content, from its metadata.
    """

    transfer: str
    primaries: str
    peak_nits: float = DEFAULT_PEAK_NITS

    @property
    def hdr(self) -> bool:
        """Whether there is light beyond an SDR screen's."""
        return bool(self.transfer)

    @property
    def name(self) -> str:
        """What it is called: "HDR (PQ, BT.2020)"."""
        gamut = _GAMUTS.get(self.primaries, "BT.709")
        return f"HDR ({_CURVES[self.transfer]}, {gamut})" if self.hdr else f"wide-gamut ({gamut})"


def colour_space(transfer: str, primaries: str, peak_nits: float | None) -> ColourSpace | None:
    """The colour space that ffmpeg's names mean, or None where a video is shown rightly as it is."""
    curve = transfer if transfer in _CURVES else ""
    # HDR without named primaries is BT.2020: neither standard knows others.
    gamut = primaries if primaries in _PRIMARIES else ("bt2020" if curve else "bt709")
    if not curve and gamut == "bt709":
        return None
    # HLG has no absolute brightness; its reference screen has 1000 cd/m2.
    peak = peak_nits if peak_nits and curve == "smpte2084" else DEFAULT_PEAK_NITS
    return ColourSpace(curve, gamut, min(max(peak, WHITE_NITS), 10000.0))


def to_sdr(values: Colours, space: ColourSpace) -> Colours:
    """Colours (..., 3) of `space` in [0, 1], as encoded, to BT.709 in [0, 1] for a screen with gamma 2.4."""
    return _shown(_light(values, space), space)


def _light(values: Colours, space: ColourSpace) -> Colours:
    """Each encoded value's light in [0, 1]: of the screen, as a share of the peak; with HLG of the scene."""
    values = np.clip(values, 0, 1)
    if space.transfer == "smpte2084":
        return np.minimum(pq_to_nits(values) / space.peak_nits, 1)
    if space.transfer == "arib-std-b67":
        scene: Colours = np.where(values <= 0.5, values**2 / 3, (np.exp((values - _C) / _A) + _B) / 12)
        return np.minimum(scene, 1)
    return np.asarray(values**_SCREEN_GAMMA)


def _shown(light: Colours, space: ColourSpace) -> Colours:
    """Light (..., 3) as `_light` gives it to BT.709 as encoded, in [0, 1]."""
    relative = light
    if space.hdr:
        nits = light * space.peak_nits
        if space.transfer == "arib-std-b67":
            luminance = np.maximum((light @ _LUMINANCE_2020)[..., None], 1e-9)
            nits = nits * luminance ** (_HLG_GAMMA - 1)
        brightest = np.maximum(nits.max(-1, keepdims=True), 1e-4)
        relative = nits * (bend(brightest, space.peak_nits, WHITE_NITS) / brightest) / WHITE_NITS
    encoded: Colours = np.clip(relative @ _conversion(space.primaries).T, 0, 1) ** (1 / _SCREEN_GAMMA)
    return encoded


def pq_to_nits(values: Colours) -> Colours:
    """Light in cd/m2 of PQ values in [0, 1] (SMPTE ST 2084)."""
    power = np.clip(values, 0, 1) ** (1 / _M2)
    nits: Colours = 10000 * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)
    return nits


def nits_to_pq(nits: Colours) -> Colours:
    """The inverse of `pq_to_nits`."""
    power = (np.clip(nits, 0, 10000) / 10000) ** _M1
    values: Colours = ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2
    return values


def bend(nits: Colours, peak_nits: float, target_nits: float) -> Colours:
    """The EETF of BT.2390: light up to `peak_nits` to light up to `target_nits`, unchanged where it is dark."""
    if peak_nits <= target_nits:
        return np.minimum(nits, target_nits)
    top, most = (float(nits_to_pq(np.array(level))) for level in (peak_nits, target_nits))
    signal, most = nits_to_pq(nits) / top, most / top
    knee = 1.5 * most - 0.5
    t = np.clip((signal - knee) / (1 - knee), 0, 1)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * most
    )
    return pq_to_nits(np.where(signal < knee, signal, spline) * top)


def _conversion(primaries: str) -> Colours:
    """Matrix (3, 3) from linear colours of these primaries to BT.709's."""
    return np.asarray(np.linalg.solve(_to_xyz("bt709"), _to_xyz(primaries)))


def _to_xyz(primaries: str) -> Colours:
    def xyz(x: float, y: float) -> list[float]:
        return [x / y, 1.0, (1 - x - y) / y]

    columns = np.array([xyz(*point) for point in _PRIMARIES[primaries]]).T
    return np.asarray(columns * np.linalg.solve(columns, np.array(xyz(*_WHITE_D65))))


@functools.lru_cache(maxsize=4)
def tables(space: ColourSpace) -> tuple[bytes, bytes]:
    """Two .cube files for ffmpeg: values to light for `lut1d`, then colours of light to SDR for `lut3d`.

    Light is encoded with the screen's gamma between the two, since a coarse table from PQ itself errs in the dark.
    """
    steps = np.linspace(0, 1, _STEPS)
    shaped = _light(steps, space) ** (1 / _SCREEN_GAMMA)
    axis = np.linspace(0, 1, GRID) ** _SCREEN_GAMMA
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")  # red runs fastest
    shown = _shown(np.stack([red, green, blue], -1).reshape(-1, 3), space)
    return _cube("LUT_1D_SIZE", _STEPS, shaped[:, None].repeat(3, 1)), _cube("LUT_3D_SIZE", GRID, shown)


def _cube(kind: str, size: int, rows: Colours) -> bytes:
    lines = "\n".join(f"{r:.6f} {g:.6f} {b:.6f}" for r, g, b in rows.tolist())
    return f"{kind} {size}\n{lines}\n".encode()
