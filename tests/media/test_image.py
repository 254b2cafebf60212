"""Pictures of every kind become upright RGB uint8 in sRGB."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from avatarkit.errors import InputError, OutputError
from avatarkit.media import image as image_module
from avatarkit.media.image import is_image, read_image, read_image_rgba, write_image
from avatarkit.media.pixel_depth import words_to_bytes

from .conftest import gradient

RGB = gradient()


def test_plain_rgb_is_exact(tmp_path: Path) -> None:
    for name, form in (("a.png", "PNG"), ("a.tiff", "TIFF"), ("a.bmp", "BMP"), ("b.jpg", "PNG")):
        Image.fromarray(RGB).save(tmp_path / name, form)
        np.testing.assert_array_equal(read_image(tmp_path / name), RGB)


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_lossy_rgb_is_close(tmp_path: Path, form: str) -> None:
    smooth = cv2.GaussianBlur(gradient(96, 128), (0, 0), 4)
    Image.fromarray(smooth).save(tmp_path / "x", form, quality=95)
    assert np.abs(read_image(tmp_path / "x").astype(int) - smooth).mean() < 1.5


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_exif_orientation(tmp_path: Path, orientation: int, form: str) -> None:
    # What a camera stores so that turning it as the tag says gives RGB.
    stored = {
        1: RGB, 2: RGB[:, ::-1], 3: RGB[::-1, ::-1], 4: RGB[::-1],
        5: RGB.swapaxes(0, 1), 6: np.rot90(RGB, 1), 7: np.rot90(RGB.swapaxes(0, 1), 2), 8: np.rot90(RGB, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, form, exif=exif)
    np.testing.assert_array_equal(read_image(path), RGB)
    header = image_module.image_header(path)
    assert header is not None
    assert (header.width, header.height) == (64, 48)


@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
@pytest.mark.parametrize("form", ["png", "tiff"])
def test_sixteen_bit_colour_is_turned_too(tmp_path: Path, orientation: int, form: str) -> None:
    stored = {1: RGB, 3: RGB[::-1, ::-1], 6: np.rot90(RGB, 1), 7: np.rot90(RGB.swapaxes(0, 1), 2)}[
        orientation
    ]
    path = tmp_path / f"deep.{form}"
    cv2.imwrite(str(path), stored[..., ::-1].astype(np.uint16) * 257)
    data = path.read_bytes()
    if form == "png":
        exif = b"eXIfMM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + struct.pack(">HHI", orientation, 0, 0)
        data = (
            data[:33]
            + struct.pack(">I", len(exif) - 4)
            + exif
            + struct.pack(">I", zlib.crc32(exif))
            + data[33:]
        )
    else:
        (directory,) = struct.unpack("<I", data[4:8])
        (count,) = struct.unpack("<H", data[directory : directory + 2])
        entries = data[directory + 2 : directory + 2 + 12 * count]
        split = sum(12 for i in range(count) if struct.unpack("<H", entries[12 * i : 12 * i + 2])[0] < 274)
        kept = b"".join(
            entries[12 * i : 12 * i + 12]
            for i in range(count)
            if struct.unpack("<H", entries[12 * i : 12 * i + 2])[0] != 274
        )
        kept = kept[:split] + struct.pack("<HHIHH", 274, 3, 1, orientation, 0) + kept[split:]
        moved = struct.pack("<H", len(kept) // 12) + kept + struct.pack("<I", 0)
        data = data[:4] + struct.pack("<I", len(data)) + data[8:] + moved
    path.write_bytes(data)
    np.testing.assert_array_equal(read_image(path), RGB)


def test_grey_and_bilevel(tmp_path: Path) -> None:
    grey = RGB[..., 0]
    Image.fromarray(grey).save(tmp_path / "g.png")
    np.testing.assert_array_equal(read_image(tmp_path / "g.png"), np.repeat(grey[..., None], 3, 2))
    Image.fromarray(grey > 100).save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_image(tmp_path / "b.png")[..., 1], np.where(grey > 100, 255, 0))


def test_sixteen_bit_grey_is_rounded(tmp_path: Path) -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65407, 65535]], np.uint16)
    expected = [0, 0, 1, 1, 128, 255, 255]
    for name in ("g.png", "g.tiff"):
        cv2.imwrite(str(tmp_path / name), values)
        assert read_image(tmp_path / name)[0, :, 0].tolist() == expected


@pytest.mark.parametrize("name", ["c.png", "c.tiff"])
def test_sixteen_bit_colour_is_rounded(tmp_path: Path, name: str) -> None:
    values = np.zeros((1, 3, 3), np.uint16)
    values[0, :, 0], values[0, :, 1], values[0, :, 2] = (200, 65535, 0), (129, 128, 1000), (0, 33153, 65400)
    cv2.imwrite(str(tmp_path / name), values[..., ::-1])
    np.testing.assert_array_equal(read_image(tmp_path / name), words_to_bytes(values))
    assert read_image(tmp_path / name)[0, 0, 0] == 1  # 200 / 257 rounds up; dropping the low byte gives 0


@given(st.integers(0, 65535))
def test_words_to_bytes_is_the_nearest(value: int) -> None:
    assert int(words_to_bytes(np.array([value]))[0]) == round(value / 257)


def test_alpha_is_straight_and_over_white(tmp_path: Path) -> None:
    rgba = np.dstack([RGB, np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))])
    Image.fromarray(rgba).save(tmp_path / "a.png")
    rgb, alpha = read_image_rgba(tmp_path / "a.png")
    assert alpha is not None
    assert alpha.dtype == np.float32
    np.testing.assert_array_equal(rgb, RGB)
    np.testing.assert_allclose(alpha * 255, rgba[..., 3], atol=1e-4)
    flat = read_image(tmp_path / "a.png")
    assert flat[0, 0].tolist() == [255, 255, 255]
    x = 32
    weight = rgba[0, x, 3] / 255
    np.testing.assert_allclose(flat[0, x], RGB[0, x] * weight + 255 * (1 - weight), atol=0.51)


def test_opaque_alpha_counts_as_none(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])).save(tmp_path / "a.png")
    rgb, alpha = read_image_rgba(tmp_path / "a.png")
    assert alpha is None
    np.testing.assert_array_equal(rgb, RGB)


def test_palette_and_grey_with_transparency(tmp_path: Path) -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    palette.save(tmp_path / "p.png", transparency=0)
    assert read_image(tmp_path / "p.png")[0].tolist() == [[255, 255, 255], [40, 50, 60]]
    la = Image.new("LA", (2, 1), (100, 255))
    la.putpixel((1, 0), (7, 0))
    la.save(tmp_path / "la.png")
    assert read_image(tmp_path / "la.png")[0].tolist() == [[100, 100, 100], [255, 255, 255]]


@pytest.mark.parametrize(
    ("ink", "colour"),
    [((0, 0, 0, 0), (255, 255, 255)), ((255, 0, 0, 0), (0, 255, 255)), ((0, 0, 0, 255), (0, 0, 0))],
)
@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk(tmp_path: Path, ink: tuple[int, ...], colour: tuple[int, ...], form: str) -> None:
    # Pillow writes CMYK JPEG inverted with an Adobe marker, as Photoshop does.
    Image.new("CMYK", (16, 16), ink).save(tmp_path / "x", form)
    np.testing.assert_allclose(read_image(tmp_path / "x")[8, 8], colour, atol=2)


def test_wide_gamut_profile_is_converted(tmp_path: Path) -> None:
    # A profile whose red and green primaries are swapped against sRGB makes a wrong conversion unmissable.
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    count = struct.unpack(">I", srgb[128:132])[0]
    data = bytearray(srgb)
    for i in range(count):
        tag = data[132 + 12 * i : 136 + 12 * i]
        if tag in (b"rXYZ", b"gXYZ"):
            data[132 + 12 * i : 136 + 12 * i] = b"gXYZ" if tag == b"rXYZ" else b"rXYZ"
        elif tag == b"desc":
            offset, size = struct.unpack(">II", data[136 + 12 * i : 144 + 12 * i])
            text = bytes(data[offset : offset + size])
            data[offset : offset + size] = text.replace(b"s\0R\0G\0B", b"o\0d\0d\0 ").replace(
                b"sRGB", b"odd "
            )
    Image.new("RGB", (4, 4), (200, 30, 60)).save(tmp_path / "odd.png", icc_profile=bytes(data))
    np.testing.assert_allclose(read_image(tmp_path / "odd.png")[0, 0], (30, 200, 60), atol=3)
    Image.new("RGB", (4, 4), (200, 30, 60)).save(tmp_path / "plain.png", icc_profile=srgb)
    assert read_image(tmp_path / "plain.png")[0, 0].tolist() == [200, 30, 60]
    Image.new("RGB", (4, 4), (200, 30, 60)).save(tmp_path / "broken.png", icc_profile=b"not a profile")
    assert read_image(tmp_path / "broken.png")[0, 0].tolist() == [200, 30, 60]


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.fromarray(RGB), Image.fromarray(RGB[::-1].copy())]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    np.testing.assert_array_equal(read_image(tmp_path / "a.webp"), RGB)
    assert not is_image(tmp_path / "a.webp")


def test_is_image_goes_by_content(tmp_path: Path, clip: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "picture.mp4", "PNG")
    assert is_image(tmp_path / "picture.mp4")
    assert not is_image(clip)
    assert not is_image(tmp_path / "none.png")
    assert not is_image(tmp_path)


def test_bad_pictures(tmp_path: Path, clip: Path) -> None:
    whole = tmp_path / "whole.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(whole)
    cases = {
        "none.png": (None, "no such file"),
        "empty.png": (b"", "is empty"),
        "text.png": (b"not a picture", "not a picture"),
        "cut.png": (whole.read_bytes()[:5000], "truncated"),
        "video.png": (clip.read_bytes(), "not a picture"),
        "phone.heic": (b"\0\0\0\x18ftypheic" + bytes(50), "HEIC .* convert it to JPEG or PNG"),
    }
    for name, (content, message) in cases.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=message) as caught:
            read_image(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)
    with pytest.raises(InputError, match="is a folder"):
        read_image(tmp_path)


def test_truncated_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(gradient(256, 256)).save(path, quality=95)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match="truncated"):
        read_image(path)


def test_size_limit(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "bomb.png").write_bytes(
        data + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    )
    with pytest.raises(InputError, match=r"40000 x 40000.*300 megapixels"):
        read_image(tmp_path / "bomb.png")


def test_8k_is_read(tmp_path: Path) -> None:
    Image.new("RGB", (7680, 4320), (1, 2, 3)).save(tmp_path / "8k.png", compress_level=1)
    assert read_image(tmp_path / "8k.png").shape == (4320, 7680, 3)


@pytest.mark.parametrize("name", ["o.png", "o.tiff", "o.tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_write_and_read_back(tmp_path: Path, name: str, channels: int) -> None:
    picture = np.dstack([RGB, RGB[..., 0]])[..., :channels]
    write_image(tmp_path / name, picture, {"comment": "synthetic größe"})
    with Image.open(tmp_path / name) as back:
        np.testing.assert_array_equal(np.asarray(back), picture)
    assert b"synthetic" in (tmp_path / name).read_bytes()


def test_write_lossy(tmp_path: Path) -> None:
    smooth = cv2.GaussianBlur(gradient(96, 128), (0, 0), 4)
    for name in ("o.jpg", "o.JPEG", "o.webp"):
        write_image(tmp_path / name, smooth, {"comment": "synthetic"})
        assert np.abs(read_image(tmp_path / name).astype(int) - smooth).mean() < 1.5
        assert b"synthetic" in (tmp_path / name).read_bytes()


def test_write_refuses(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"unknown picture extension.*\.png"):
        write_image(tmp_path / "o.xyz", RGB)
    with pytest.raises(OutputError, match="transparency"):
        write_image(tmp_path / "o.jpg", np.dstack([RGB, RGB[..., 0]]))
    with pytest.raises(OutputError, match="cannot be written"):
        write_image(tmp_path / "no" / "o.png", RGB)
    with pytest.raises(ValueError, match="uint8"):
        write_image(tmp_path / "o.png", RGB.astype(np.float32))  # type: ignore[arg-type]
