"""The options of a reenactment, and what is refused before any work is done."""

from dataclasses import dataclass, field
from pathlib import Path

from avatarkit.background.spec import BackgroundSpec, parse_background
from avatarkit.errors import AvatarkitError, InputError, UsageError
from avatarkit.face.types import FaceChoice
from avatarkit.media.containers import choose_codec, output_kind
from avatarkit.media.output import check_distinct, check_output
from avatarkit.media.probe import probe
from avatarkit.motion.config import ON_MISSING, MotionConfig
from avatarkit.motion.transfer import check
from avatarkit.pipelines.driver import DriverPart, driver_kind
from avatarkit.pipelines.provenance.sign import Signer, check_signer
from avatarkit.weights.choice import AUTO

ENGINES = ("warp",)
CROP_SCALES = (1.2, 8.0)
"""Least and largest side of the drawn square, in heights of the face."""
MOST_OFFSET = 0.5
"""Furthest that the face is moved from its usual place, in sides of the drawn square."""


@dataclass(frozen=True)
class ReenactConfig:
    """One reenactment; the command line's options by the same names.

    size: side of the square output in pixels (ignored with paste_back). face, driver_face: which face is meant.
    part: the part of the driver that is used. background: see `background.spec.parse_background`. matting, inpaint,
    tracker: which method, "auto" for the best that can run here. crf: the encoder's quality, None for its usual one.
    crop_scale: side of the drawn square in heights of the face. crop_offset: how far the face is moved from its usual
    place in the square, to the right and down, in sides of the square. audio: sound to use instead of the driver's.
    label: a visible mark in every frame. sign: certificate and key of a C2PA manifest, PEM; tsa: address of its time
    stamps. cache: a folder where what is made of sources and drivers is kept; None keeps nothing.
    preview: write one picture of a few frames instead of the video.
    """

    source: Path
    driver: Path
    output: Path
    motion: MotionConfig = field(default_factory=MotionConfig)
    face: FaceChoice = field(default_factory=FaceChoice)
    driver_face: FaceChoice = field(default_factory=FaceChoice)
    on_missing: str = "interpolate"
    part: DriverPart = field(default_factory=DriverPart)
    size: int = 1024
    crop_scale: float = 2.4
    crop_offset: tuple[float, float] = (0.0, 0.0)
    background: str = "plate"
    paste_back: bool = False
    side_by_side: bool = False
    preview: bool = False
    engine: str = "warp"
    matting: str = AUTO
    inpaint: str = AUTO
    tracker: str = AUTO
    crf: int | None = None
    codec: str = "auto"
    audio: Path | None = None
    label: str | None = None
    sign: tuple[Path, Path] | None = None
    tsa: str | None = None
    cache: Path | None = None
    overwrite: bool = False
    report: Path | None = None

    @property
    def signer(self) -> Signer | None:
        """Who signs the output, None for nobody."""
        return None if self.sign is None else Signer(*self.sign, self.tsa)


def checked(config: ReenactConfig) -> BackgroundSpec:
    """Refuse what cannot work before any work is done; returns the background that was read.

    Raises:
        UsageError: options that do not go together. InputError: a file that cannot be what it is given as.
        OutputError: an output that exists, has no known format, or cannot be written.
    """
    check(config.motion)
    if config.engine not in ENGINES:
        raise UsageError(f"--engine {config.engine}: use {', '.join(ENGINES)}")
    if config.on_missing not in ON_MISSING:
        raise UsageError(f"--on-missing {config.on_missing}: use one of {', '.join(ON_MISSING)}")
    if not 64 <= config.size <= 8192 or config.size % 2:
        raise UsageError(f"--size {config.size}: use an even number from 64 to 8192")
    if not CROP_SCALES[0] <= config.crop_scale <= CROP_SCALES[1]:
        raise UsageError(f"--crop-scale {config.crop_scale:g}: use a number from {CROP_SCALES[0]} to {CROP_SCALES[1]}")
    if max(map(abs, config.crop_offset)) > MOST_OFFSET:
        raise UsageError(f"--crop-offset: use shares of the picture from -{MOST_OFFSET} to {MOST_OFFSET}")
    if config.tsa is not None and config.sign is None:
        raise UsageError("--tsa: time stamps are for --sign CERT KEY")
    if config.signer is not None:
        check_signer(config.signer, config.output)
    background = parse_background(config.background)
    _check_output(config, background)
    _check_inputs(config)
    if config.audio is not None and probe(config.audio).audio is None:
        raise UsageError(f"--audio {config.audio}: holds no sound")
    return background


def _check_inputs(config: ReenactConfig) -> None:
    """Refuse a driver that does not fit the output, and name a source and driver that were swapped."""
    kind, _ = driver_kind(config.driver)
    source = _kind_of(config.source)
    if source == "motion" or (source == "video" and kind == "image"):
        raise InputError(
            f"{config.source} is a {_spoken(source)} and {config.driver} a {_spoken(kind)}: the portrait comes first,"
            " then the driver; are they swapped?"
        )
    output = "image" if config.preview else output_kind(config.output)
    if not config.preview and (kind == "image") != (output == "image"):
        wanted = "a picture name such as out.png" if kind == "image" else "a video name such as out.mp4"
        raise UsageError(f"{config.output}: the driver {config.driver.name} is a {_spoken(kind)}; use {wanted}")
    if kind == "motion" and config.side_by_side:
        raise UsageError(f"--side-by-side: {config.driver.name} is a motion file and holds no pictures to show")
    if kind == "image" and not config.part.whole:
        raise UsageError(f"--start and --end: {config.driver.name} is a picture")


def _check_output(config: ReenactConfig, background: BackgroundSpec) -> None:
    transparent = background.kind == "transparent"
    if transparent and config.side_by_side:
        raise UsageError("--side-by-side shows opaque pictures: leave out --background transparent")
    kind = output_kind(config.output)
    if config.preview and (kind != "image" or config.side_by_side):
        raise UsageError(
            f"--preview writes one picture, not {config.output}: use a picture name such as preview.png, and leave out"
            " --side-by-side"
        )
    if kind != "image":
        choose_codec(config.output, config.codec, transparent)
    if kind == "folder" and not transparent and config.codec != "png":
        raise UsageError(
            f"{config.output}: a name without extension makes a folder of PNGs; add .mp4 for a video,"
            " or say --codec png"
        )
    inputs = [config.source, config.driver]
    inputs += [path for path in (background.image, config.audio) if path is not None]
    check_distinct(config.output, inputs)
    check_output(config.output, overwrite=config.overwrite, directory=kind == "folder")
    if config.report is not None:
        check_distinct(config.report, [*inputs, config.output])
        check_output(config.report, overwrite=config.overwrite)


def _kind_of(source: Path) -> str:
    """What the source is, as far as it can be told; "image" where reading it will say what is wrong with it."""
    try:
        return driver_kind(source)[0]
    except AvatarkitError:
        return "image"


def _spoken(kind: str) -> str:
    return {"image": "picture", "motion": "motion file"}.get(kind, kind)
