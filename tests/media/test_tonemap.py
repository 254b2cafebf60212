"""HDR and wide gamut: published points of the curves, and whole clips against colours that are known."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from avatarkit.media.binary import encoders, ffmpeg_binary
from avatarkit.media.decode import FrameReader
from avatarkit.media.probe import probe
from avatarkit.media.tonemap import ColourSpace, bend, colour_space, nits_to_pq, pq_to_nits, tables, to_sdr

PQ, HLG = ("smpte2084", "bt2020"), ("arib-std-b67", "bt2020")


def space(transfer: str, primaries: str) -> ColourSpace:
    found = colour_space(transfer, primaries, None)
    assert found is not None
    return found


def test_pq_has_its_published_points() -> None:
    # ITU-R BT.2408-7, table 1 and annex 1: 203 cd/m2 is 58 % PQ, 1000 cd/m2 is 75 %
    nits = np.array([0.0, 100, 203, 1000, 10000])
    np.testing.assert_allclose(nits_to_pq(nits), [0, 0.508, 0.581, 0.752, 1], atol=1e-3)
    np.testing.assert_allclose(pq_to_nits(nits_to_pq(nits)), nits, rtol=1e-6, atol=1e-6)


def test_the_bend_leaves_the_dark_and_ends_at_the_target() -> None:
    dark = np.array([0.1, 1.0, 20, 80])
    np.testing.assert_allclose(bend(dark, 1000, 203), dark, rtol=1e-9)
    light = bend(np.linspace(0, 1000, 500), 1000, 203)
    assert (np.diff(light) > 0).all()
    np.testing.assert_allclose([light[-1], bend(np.array(150.0), 150, 203)], [203, 150], rtol=1e-6)


def test_greys_and_white() -> None:
    white = nits_to_pq(np.full(3, 1000.0))
    grey = nits_to_pq(np.full(3, 50.0))
    np.testing.assert_allclose(to_sdr(white, space(*PQ)), 1, atol=1e-3)
    np.testing.assert_allclose(to_sdr(grey, space(*PQ)), (50 / 203) ** (1 / 2.4), atol=1e-3)
    # HLG at 75 % is the same reference white as 58 % PQ (BT.2408).
    np.testing.assert_allclose(
        to_sdr(np.full(3, 0.75), space(*HLG)), to_sdr(nits_to_pq(np.full(3, 203.0)), space(*PQ)), atol=2e-3
    )


def test_wide_gamut_keeps_greys_and_finds_bt709_again() -> None:
    wide = space("bt709", "bt2020")
    np.testing.assert_allclose(to_sdr(np.full(3, 0.4), wide), 0.4, atol=1e-6)
    # ITU-R BT.2087, equation 4: linear BT.709 to BT.2020
    matrix = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    colours = np.array([[0.8, 0.3, 0.1], [0.1, 0.7, 0.2], [0.2, 0.2, 0.9], [0.9, 0.7, 0.6]])
    np.testing.assert_allclose(to_sdr((colours**2.4 @ matrix.T) ** (1 / 2.4), wide), colours, atol=3e-3)


def test_which_videos_need_it() -> None:
    assert colour_space("bt709", "bt709", None) is None
    assert colour_space("", "", None) is None
    assert colour_space("smpte170m", "smpte170m", None) is None
    assert space("smpte2084", "").primaries == "bt2020"
    assert space("bt2020-10", "bt2020").name == "wide-gamut (BT.2020)"
    assert space(*HLG).name == "HDR (HLG, BT.2020)"
    peaks = [colour_space("smpte2084", "bt2020", nits) for nits in (None, 4000.0, 100.0, 1e6)]
    assert [found.peak_nits for found in peaks if found] == [1000, 4000, 203, 10000]


def test_tables_are_cube_files() -> None:
    line, cube = tables(space(*PQ))
    assert line.startswith(b"LUT_1D_SIZE 4096\n0.000000 0.000000 0.000000\n")
    assert cube.startswith(b"LUT_3D_SIZE 49\n0.000000 0.000000 0.000000\n")
    assert cube.count(b"\n") == 1 + 49**3
    assert cube.endswith(b"1.000000 1.000000 1.000000\n")


COLOURS = np.array(
    [[30, 30, 30], [118, 118, 118], [200, 200, 200], [198, 144, 120], [90, 56, 40], [40, 70, 150], [60, 140, 70]]
)


@pytest.mark.parametrize("value_range", ["tv", "pc"])
@pytest.mark.parametrize(
    ("transfer", "primaries", "matrix"),
    [
        (*PQ, "bt2020nc"), (*HLG, "bt2020nc"), ("bt2020-10", "bt2020", "bt2020nc"),
        ("bt709", "bt709", "bt709"), ("smpte170m", "smpte170m", "smpte170m"),
    ],
)  # fmt: skip
def test_a_clip_shows_the_colours_that_were_meant(
    tmp_path: Path, transfer: str, primaries: str, matrix: str, value_range: str
) -> None:
    """Patches of SDR colours are brought into the other colour space, encoded with 10 bits, and read back."""
    if "libx265" not in encoders():
        pytest.skip("this ffmpeg has no libx265")
    path = tmp_path / "hdr ',[x];%.mp4"
    to_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    light = (COLOURS / 255) ** 2.4 @ to_2020.T  # 1 is reference white, 203 cd/m2
    if transfer == "smpte2084":
        values = nits_to_pq(light * 203)
    elif transfer == "arib-std-b67":
        # BT.2100: back through the system gamma of 1.2, then the curve
        screen = light * 0.203
        luminance = (screen @ [0.2627, 0.6780, 0.0593])[:, None]
        scene = screen * luminance ** (1 / 1.2 - 1)
        curve = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
        values = np.where(scene <= 1 / 12, np.sqrt(3 * scene), curve)
    elif transfer == "bt2020-10":
        values = light ** (1 / 2.4)
    else:
        values = COLOURS / 255
    picture = np.round(np.repeat(values[None], 32, 0).repeat(32, 1) * 65535).astype("<u2")
    size = f"{picture.shape[1]}x{picture.shape[0]}"
    subprocess.run(
        [
            ffmpeg_binary(), "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb48le", "-s", size, "-r", "25", "-i", "-",
            "-vf", f"scale=out_color_matrix={matrix.removesuffix('nc')}:out_range={value_range}"
            ":flags=bicubic+accurate_rnd,format=yuv420p10le,"
            f"setparams=range={value_range}:color_primaries={primaries}:color_trc={transfer}:colorspace={matrix}",
            "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:crf=2",
            f"file:{path}",
        ],
        input=picture.tobytes() * 3, check=True, timeout=300, capture_output=True,
    )  # fmt: skip
    info = probe(path)
    assert info.video is not None
    assert info.video.colours == colour_space(transfer, primaries, None)
    assert len(info.notes) == (primaries == "bt2020")
    with FrameReader(path, info=info) as reader:
        shown = next(reader)[16, 16::32].astype(float)
    if transfer not in ("smpte2084", "arib-std-b67"):
        expected = COLOURS.astype(float)
    else:  # what is brighter than half of white is bent down a little
        expected = to_sdr(values, space(transfer, primaries)) * 255
        np.testing.assert_allclose(expected[:2], COLOURS[:2], atol=1)
    np.testing.assert_allclose(shown, expected, atol=4)
    assert np.abs(shown - expected).mean() < 1.5
