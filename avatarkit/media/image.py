"""Pictures in and out: every kind that people have becomes upright RGB uint8 in sRGB."""

from __future__ import annotations

import contextlib
import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageCms, PngImagePlugin, UnidentifiedImageError

from avatarkit.errors import InputError, OutputError
from avatarkit.media.files import check_readable
from avatarkit.media.gif import gif_frames
from avatarkit.media.pixel_depth import deep_pixels

ImageArray = npt.NDArray[np.uint8]
AlphaArray = npt.NDArray[np.float32]

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "AVIF", "JPEG2000")
ANIMATED_FORMATS = frozenset({"GIF", "WEBP", "PNG", "AVIF"})
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
MAX_PIXELS = 300_000_000
STRIP_PIXELS = 4_000_000
_BLACK_POINT_COMPENSATION: Any = 0x2000  # a flag of Little CMS; Pillow names it from 10.3 on
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_BROKEN = (OSError, zlib.error, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)
_pillow_limit = threading.Lock()


@dataclass(frozen=True)
class ImageHeader:
    """What the header of a picture says: codec ("png"), displayed size in pixels, number of animation
    frames.
    """

    codec: str
    width: int
    height: int
    frames: int


def image_header(path: Path) -> ImageHeader | None:
    """Header of the picture or animation in `path`, by content; None where the file is something else.

    Raises InputError for HEIC, for more than 300 megapixels, and for a picture with a damaged header.
    """
    _refuse_heif(path)
    try:
        with open_image(path) as image:
            codec = (image.format or "").lower()
            frames = frame_count(image, path)
            width, height = _upright_size(image)
            return ImageHeader(codec, width, height, frames)
    except UnidentifiedImageError:
        return None
    except _BROKEN as error:
        raise _unreadable(path, error) from error


def frame_count(image: Image.Image, path: Path) -> int:
    """Frames of an opened animation, 1 for a still; Pillow would look through all of a GIF without a limit of time."""
    if image.format == "GIF":
        return gif_frames(path)
    return int(getattr(image, "n_frames", 1)) if image.format in ANIMATED_FORMATS else 1


def is_image(path: Path | str) -> bool:
    """Whether `path` holds a still picture, by content; an animation counts as video, an unreadable file
    as neither.
    """
    path = Path(path)
    try:
        check_readable(path)
        header = image_header(path)
    except InputError:
        return False
    return header is not None and header.frames == 1


def read_image(path: Path | str) -> ImageArray:
    """Read a picture as RGB uint8 H x W x 3: upright, in sRGB, transparent parts over white.

    Of an animation the first frame is taken. Raises InputError for anything that cannot be read in full.
    """
    rgb, alpha = read_image_rgba(path)
    return rgb if alpha is None else over_white(rgb, alpha)


def read_image_rgba(path: Path | str) -> tuple[ImageArray, AlphaArray | None]:
    """Read a picture as straight RGB uint8 H x W x 3 and its alpha, float32 H x W in [0, 1].

    The alpha is None where the picture has none or is opaque everywhere. Raises InputError as `read_image`.
    """
    path = Path(path)
    check_readable(path)
    _refuse_heif(path)
    try:
        with open_image(path) as image:
            return decode_image(image, path)
    except UnidentifiedImageError:
        raise InputError(
            f"{path}: is not a picture that can be read (PNG, JPEG, WebP, TIFF, GIF, BMP, AVIF)"
        ) from None
    except _BROKEN as error:
        raise _unreadable(path, error) from error


def over_white(rgb: ImageArray, alpha: AlphaArray) -> ImageArray:
    """Composite straight `rgb` (H x W x 3) over white by `alpha` (H x W in [0, 1])."""
    blended = np.empty_like(rgb)
    for rows in strips(*alpha.shape):
        weight = alpha[rows, :, None]
        blended[rows] = np.rint(rgb[rows] * weight + np.float32(255) * (1 - weight))
    return blended


def strips(height: int, width: int) -> Iterator[slice]:
    """Rows of a picture, a few megapixels at a time: what is computed so needs no second whole picture."""
    step = max(1, STRIP_PIXELS // max(width, 1))
    return (slice(top, min(top + step, height)) for top in range(0, height, step))


@contextlib.contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Open a picture with our own size limit in place of Pillow's warning at 89 megapixels."""
    with _pillow_limit, warnings.catch_warnings():
        previous, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            warnings.simplefilter("ignore")
            Image.init()
            image = Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN])
        finally:
            Image.MAX_IMAGE_PIXELS = previous
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise InputError(
                f"{path}: is {image.width} x {image.height}; make it smaller than "
                f"{MAX_PIXELS // 10**6} megapixels"
            )
        yield image


def decode_image(image: Image.Image, path: Path | None = None) -> tuple[ImageArray, AlphaArray | None]:
    """Pixels of an opened Pillow image (its current frame) as `read_image_rgba` gives them."""
    profile = image.info.get("icc_profile")
    deep = deep_pixels(image, path)  # first: asking for the orientation makes Pillow load a PNG at 8 bits
    if deep is None:
        image.load()  # turns a TIFF
        width, height = image.size
    else:
        height, width = deep[0].shape[:2]
    # OpenCV turns TIFFs by itself and nothing else.
    turned = 1 if deep is not None and image.format == "TIFF" and deep[0].ndim == 3 else _orientation(image)
    shape = (width, height) if turned in (5, 6, 7, 8) else (height, width)
    rgb, alpha = np.empty((*shape, 3), np.uint8), np.full(shape, 255, np.uint8)
    rgb_as_stored, alpha_as_stored = _as_stored(rgb, turned), _as_stored(alpha, turned)
    for rows in strips(height, width):
        if deep is None:
            part, opacity = _split(image.crop((0, rows.start, width, rows.stop)))
        else:
            part, opacity = Image.fromarray(deep[0][rows]), None if deep[1] is None else deep[1][rows]
        rgb_as_stored[rows] = np.asarray(_to_srgb(part, profile))
        if opacity is not None:
            alpha_as_stored[rows] = opacity
    return rgb, _as_alpha(alpha)


def _split(image: Image.Image) -> tuple[Image.Image, npt.NDArray[np.uint8] | None]:
    """A picture without its alpha, and that."""
    if image.mode not in ("RGBA", "LA", "PA", "RGBa", "La") and "transparency" not in image.info:
        return image, None
    image = image.convert("RGBA")
    return image.convert("RGB"), np.asarray(image.getchannel("A"))


def _as_alpha(alpha_8: npt.NDArray[np.uint8]) -> AlphaArray | None:
    if int(alpha_8.min()) == 255:
        return None
    alpha = alpha_8.astype(np.float32)
    alpha /= np.float32(255)
    return alpha


def _as_stored(upright: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """A view of an upright picture whose pixels lie as a file of that EXIF orientation stores them."""
    swapped = upright.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else upright
    return swapped[:: -1 if orientation in (3, 4, 6, 7) else 1, :: -1 if orientation in (2, 3, 7, 8) else 1]


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert to RGB through the embedded profile; without one the values count as sRGB (CMYK: Pillow's
    formula).
    """
    if image.mode == "LAB":
        source: ImageCms.ImageCmsProfile | None = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    else:
        if image.mode not in ("L", "RGB", "CMYK"):
            image = image.convert("RGB")
        source = _profile(profile, image.mode)
    if source is None:
        return image.convert("RGB")
    target = ImageCms.createProfile("sRGB")
    try:
        converted = ImageCms.profileToProfile(
            image,
            source,
            target,
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=_BLACK_POINT_COMPENSATION,
        )
    except ImageCms.PyCMSError:
        # A profile that the colour library refuses says nothing usable; viewers show such files as sRGB too.
        return image.convert("RGB")
    return converted or image.convert("RGB")


def _profile(data: bytes | None, mode: str) -> ImageCms.ImageCmsProfile | None:
    if not data:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        space = profile.profile.xcolor_space.strip()
        description = ImageCms.getProfileDescription(profile)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    if {"L": "GRAY"}.get(mode, mode) != space or "sRGB" in description:
        return None
    return profile


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    if image.format == "TIFF":
        # Pillow versions differ in whether the size of a TIFF is already turned; its tags are not.
        tags = getattr(image, "tag_v2", {})
        width, height = int(tags.get(256, width)), int(tags.get(257, height))
    return (height, width) if _orientation(image) in (5, 6, 7, 8) else (width, height)


def _orientation(image: Image.Image) -> int:
    return int(image.getexif().get(ExifTags.Base.Orientation, 1) or 1)


def _refuse_heif(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        raise InputError(f"{path}: is a HEIC picture, which cannot be read; convert it to JPEG or PNG")


def _unreadable(path: Path, error: Exception) -> InputError:
    text = str(error)
    if isinstance(error, InputError):
        return error
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return InputError(f"{path}: is truncated: the picture ends before its last row; get a complete copy")
    return InputError(
        f"{path}: is damaged and cannot be read ({text.splitlines()[0] if text else type(error).__name__})"
    )


def write_image(
    path: Path | str, image: ImageArray, metadata: Mapping[str, str] | None = None, xmp: bytes | None = None
) -> None:
    """Write RGB (H x W x 3) or straight RGBA (H x W x 4) uint8 as the suffix says: PNG, JPEG, WebP or TIFF.

    `metadata` goes into PNG text chunks, elsewhere into the EXIF description; `xmp`, a packet, into WebP and
    TIFF (into others by `xmp.add_xmp`). Raises OutputError for another
    suffix, for transparency in a JPEG, and where the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        raise OutputError(f"{path}: unknown picture extension; use one of {', '.join(IMAGE_SUFFIXES)}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (3, 4):
        raise ValueError(f"picture must be uint8 H x W x 3 or 4, not {image.dtype} {image.shape}")
    if image.shape[2] == 4 and suffix in (".jpg", ".jpeg"):
        raise OutputError(f"{path}: JPEG cannot hold transparency; use .png, .webp or .tiff")
    picture = Image.fromarray(np.ascontiguousarray(image))
    entries = dict(metadata or {})
    try:
        if suffix == ".png":
            texts = PngImagePlugin.PngInfo()
            for key, value in entries.items():
                texts.add_itxt(key, value)
            picture.save(path, "PNG", pnginfo=texts, compress_level=4)
            return
        exif = Image.Exif()
        if entries:
            exif[ExifTags.Base.ImageDescription] = "; ".join(
                f"{key}: {value}" for key, value in entries.items()
            )
        if suffix in (".jpg", ".jpeg"):
            picture.save(path, "JPEG", quality=95, subsampling=0, exif=exif)
        elif suffix == ".webp":
            picture.save(path, "WEBP", quality=95, exif=exif, **({"xmp": xmp} if xmp else {}))
        else:
            if xmp:
                exif[ExifTags.Base.XMLPacket] = xmp
            picture.save(path, "TIFF", compression="tiff_deflate", exif=exif)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
