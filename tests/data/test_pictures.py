"""Encoding and decoding of frames, and what reduced decoding gives."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from drawn_clips import drawn_frame, drawn_matte

from avatarkit.data.pictures import (
    decode_image,
    decode_matte,
    encode_image,
    encode_matte,
    levels,
    reduction,
    resize,
)
from avatarkit.errors import InputError


@pytest.mark.parametrize("image_format", ["jpeg", "webp"])
def test_pictures_come_back_in_rgb(image_format: str) -> None:
    image = np.full((32, 32, 3), (200, 100, 20), np.uint8)
    data = encode_image(image, image_format)
    assert np.abs(decode_image(data, "x").astype(int) - image).max() <= 4
    assert encode_image(image, image_format) == data


def test_mattes_come_back_exactly() -> None:
    matte = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    assert np.array_equal(decode_matte(encode_matte(matte), "x"), matte)
    assert len(encode_matte(drawn_matte(0, 256))) < 3000


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:33] + chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(10**6))) + data[33:],
        lambda data: data[:33] + chunk(b"PLTE", bytes(768)) + data[33:],
        lambda data: data[:33] + chunk(b"acTL", struct.pack(">II", 9, 0)) + data[33:],
        lambda data: cv2.imencode(".png", np.zeros((48, 48, 3), np.uint8))[1].tobytes(),
        lambda data: cv2.imencode(".png", np.zeros((48, 48), np.uint16))[1].tobytes(),
    ],
)  # fmt: skip
def test_mattes_are_levels_and_nothing_else(change: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode_matte(drawn_matte(0, 48))
    monkeypatch.setattr(cv2, "imdecode", lambda *about: pytest.fail("a decoder saw it"))
    with pytest.raises(InputError, match="is no plain PNG"):
        decode_matte(change(data), "x", side=48)


def test_levels_round() -> None:
    matte = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    assert np.abs(levels(matte) - matte * 255).max() <= 0.51
    assert levels(matte).dtype == np.uint8


def test_full_colour_keeps_what_half_size_loses() -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    image[:, ::2] = (255, 0, 0)
    image[:, 1::2] = (0, 0, 255)
    full, half = (
        np.abs(decode_image(encode_image(image, full_colour=full), "x").astype(int) - image).mean()
        for full in (True, False)
    )
    assert full < 5 < 50 < half


@pytest.mark.parametrize(("stored", "wanted", "expected"), [
    (512, 512, 1), (512, 256, 2), (512, 257, 1), (512, 200, 2), (512, 128, 4), (512, 64, 8), (512, 16, 8),
    (500, 125, 4), (510, 100, 2), (511, 64, 1), (256, 512, 1),
])  # fmt: skip
def test_reduction_leaves_enough(stored: int, wanted: int, expected: int) -> None:
    assert reduction(stored, wanted) == expected


@pytest.mark.parametrize("reduce", [2, 4, 8])
def test_reduced_decoding_is_as_good_as_an_area_average(reduce: int) -> None:
    generator = np.random.default_rng(0)
    rough = resize(generator.integers(0, 256, (32, 32, 3), np.uint8), 256)
    data = encode_image(rough)
    whole = resize(decode_image(data, "x"), 256 // reduce).astype(float)
    part = decode_image(data, "x", reduce=reduce).astype(float)
    assert part.shape == whole.shape
    psnr_db = 10 * np.log10(255**2 / np.mean((part - whole) ** 2))
    assert psnr_db > 32
    # Nothing is shifted: a shift by a quarter of a pixel of the reduced picture would cost more than all else.
    shifted = 0.75 * whole[:, :-1] + 0.25 * whole[:, 1:]
    assert np.mean((part - whole) ** 2) < 0.5 * np.mean((shifted - whole[:, :-1]) ** 2)


def test_only_jpeg_is_reduced_while_it_is_decoded() -> None:
    assert decode_image(encode_image(drawn_frame(0), "webp"), "x", reduce=4).shape == (32, 32, 3)
    assert decode_image(encode_image(drawn_frame(0)), "x", reduce=4).shape == (8, 8, 3)


def test_pictures_keep_their_colours_when_resized() -> None:
    assert np.array_equal(resize(np.full((8, 8), 77, np.uint8), 3), np.full((3, 3), 77))
    assert resize(drawn_frame(0), 64).shape == (64, 64, 3)


@pytest.mark.parametrize("data", [b"", b"nothing", b"\xff\xd8\xff\xe0"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    for decode in (decode_image, decode_matte):
        with pytest.raises(InputError, match="frame 3: is not"):
            decode(data, "frame 3")
