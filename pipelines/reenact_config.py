"""The options of a reenactment, and what is refused before any work is done."""

from dataclasses import dataclass, field
from pathlib import Path

from avatarkit.background.spec import BackgroundSpec, parse_background
from avatarkit.errors import AvatarkitError, InputError, UsageError
from avatarkit.face.types import FaceChoice
from avatarkit.media.containers import choose_codec, output_kind
from avatarkit.media.output import check_distinct, check_output
from avatarkit.media.probe import probe
from avatarkit.motion.config import ON_MISSING, MotionConfig, check
from avatarkit.pipelines.driver import DriverPart, driver_kind
from avatarkit.pipelines.provenance.sign import Signer, check_signer
from avatarkit.systems.refined_warp import is_avatar
from avatarkit.weights.choice import AUTO

USUAL_SIZE = 1024
"""Side of the output of engines that draw at any size."""
CROP_SCALES = (1.2, 8.0)
"""Least and largest side of the drawn square, in heights of the face."""
MOST_HEAD_ROOM = 0.4
"""Of the drawn square's side; more would leave no place for the face."""
PORTRAIT, HEAD = "portrait", "head"
FRAMINGS = (AUTO, PORTRAIT, HEAD)
"""What finished frames show: head and shoulders, or the square of the head that networks see."""
MOST_OFFSET = 0.5
"""Furthest that the face is moved from its usual place, in sides of the drawn square."""


@dataclass(frozen=True)
class ReenactConfig:
    """One reenactment; the command line's options by the same names.

    source: None for an engine that knows whom it draws. driver: None with `turntable`, degrees that the head turns to
    either side. size: side of the square output in pixels (ignored with paste_back), None for the engine's own.
    face, driver_face: which face is meant. part: the part of the driver that is used. background: see
    `background.spec.parse_background`. matting, inpaint, tracker: which method, "auto" for the best that can run here.
    crf: the encoder's quality, None for its usual one. crop_scale: side of the drawn square in heights of the face.
    crop_offset: how far the face is moved from its usual place in the square, to the right and down, in sides of the
    square. head_room: least space above the hair, in sides of the square, None for any. audio: sound to use instead of
    the driver's. framing: see `FRAMINGS`; "auto" for head and shoulders, with networks the square that they draw.
    label: a visible mark in every frame. sign: certificate and key of a C2PA manifest, PEM; tsa: address of its time
    stamps. cache: a folder where what is made of sources and drivers is kept; None keeps nothing.
    preview: write one picture of a few frames instead of the video. checkpoint, avatar, device, precision, compile: of
    engines with networks, see `systems.options.EngineOptions`. stabilize: how much flicker is taken out, 0 to 1;
    None: `ready.STEADIED` of what is cut out frame by frame.
    layers: folder for foreground, matte and plate as files of their own.
    """

    source: Path | None
    driver: Path | None
    output: Path
    motion: MotionConfig = field(default_factory=MotionConfig)
    face: FaceChoice = field(default_factory=FaceChoice)
    driver_face: FaceChoice = field(default_factory=FaceChoice)
    on_missing: str = "interpolate"
    part: DriverPart = field(default_factory=DriverPart)
    size: int | None = None
    framing: str = AUTO
    crop_scale: float = 2.4
    crop_offset: tuple[float, float] = (0.0, 0.0)
    head_room: float | None = None
    background: str = "plate"
    paste_back: bool = False
    side_by_side: bool = False
    preview: bool = False
    engine: str = AUTO
    checkpoint: tuple[Path, ...] = ()
    avatar: str | None = None
    device: str = AUTO
    precision: str = AUTO
    compile: bool = False
    stabilize: float | None = None
    layers: Path | None = None
    turntable: float | None = None
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

    @property
    def side(self) -> int:
        """Side of the square output in pixels."""
        return self.size or USUAL_SIZE

    @property
    def source_name(self) -> str:
        """What messages call the source."""
        return "" if self.source is None else self.source.name

    @property
    def driver_name(self) -> str:
        """What messages call the driver."""
        return "turntable" if self.driver is None else self.driver.name


def checked(config: ReenactConfig) -> BackgroundSpec:
    """Refuse what cannot work before any work is done; returns the background that was read.

    Raises:
        UsageError: options that do not go together. InputError: a file that cannot be what it is given as.
        OutputError: an output that exists, has no known format, or cannot be written.
    """
    background = checked_look(config)
    if config.tsa is not None and config.sign is None:
        raise UsageError("--tsa: time stamps are for --sign CERT KEY")
    if config.signer is not None:
        check_signer(config.signer, config.output)
    _check_output(config, background)
    kind = checked_inputs(config)
    if kind is not None and not config.preview and (kind == "image") != (output_kind(config.output) == "image"):
        wanted = "a picture name such as out.png" if kind == "image" else "a video name such as out.mp4"
        raise UsageError(f"{config.output}: the driver {config.driver_name} is a {_spoken(kind)}; use {wanted}")
    if config.audio is not None and probe(config.audio).audio is None:
        raise UsageError(f"--audio {config.audio}: holds no sound")
    return background


def checked_look(config: ReenactConfig) -> BackgroundSpec:
    """Refuse options of motion and look that cannot be; returns the background that was read.

    Raises:
        UsageError: says which and what can be used.
    """
    check(config.motion)
    if config.on_missing not in ON_MISSING:
        raise UsageError(f"--on-missing {config.on_missing}: use one of {', '.join(ON_MISSING)}")
    if not 64 <= config.side <= 8192 or config.side % 2:
        raise UsageError(f"--size {config.size}: use an even number from 64 to 8192")
    if config.framing not in FRAMINGS:
        raise UsageError(f"--framing {config.framing}: use one of {', '.join(FRAMINGS)}")
    if config.framing != AUTO and config.paste_back:
        raise UsageError("--framing: --paste-back shows the whole picture; leave one of them out")
    if not CROP_SCALES[0] <= config.crop_scale <= CROP_SCALES[1]:
        raise UsageError(f"--crop-scale {config.crop_scale:g}: use a number from {CROP_SCALES[0]} to {CROP_SCALES[1]}")
    if max(map(abs, config.crop_offset)) > MOST_OFFSET:
        raise UsageError(f"--crop-offset: use shares of the picture from -{MOST_OFFSET} to {MOST_OFFSET}")
    if config.head_room is not None and not 0.0 <= config.head_room <= MOST_HEAD_ROOM:
        raise UsageError(f"--head-room {config.head_room:g}: use a share of the picture from 0 to {MOST_HEAD_ROOM}")
    if config.head_room is not None and config.paste_back:
        raise UsageError("--head-room: --paste-back shows the whole picture; leave one of them out")
    if config.stabilize is not None and not 0.0 <= config.stabilize <= 1.0:
        raise UsageError(f"--stabilize {config.stabilize:g}: use a number from 0 to 1")
    if config.turntable is not None and not 0.0 < config.turntable <= 60.0:
        raise UsageError(f"--turntable {config.turntable:g}: use degrees up to 60")
    return parse_background(config.background)


def checked_inputs(config: ReenactConfig) -> str | None:
    """The driver's kind: "video", "image" or "motion"; None for a turntable. Names swapped inputs.

    Raises:
        UsageError: no driver, or options that do not fit it. InputError: it cannot be read, or is a source.
    """
    if config.turntable is not None:
        _check_turntable(config)
        return None
    if config.driver is None:
        raise UsageError("give a portrait and a driver, in this order (only --turntable does without a driver)")
    kind, _ = driver_kind(config.driver)
    source = "image" if config.source is None else _kind_of(config.source)
    if source == "motion" or (source == "video" and kind == "image"):
        raise InputError(
            f"{config.source} is a {_spoken(source)} and {config.driver} a {_spoken(kind)}: the portrait comes first,"
            " then the driver; are they swapped?"
        )
    if kind == "motion" and config.side_by_side:
        raise UsageError(f"--side-by-side: {config.driver.name} is a motion file and holds no pictures to show")
    if kind == "image" and not config.part.whole:
        raise UsageError(f"--start and --end: {config.driver.name} is a picture")
    return kind


def _check_turntable(config: ReenactConfig) -> None:
    if config.driver is not None:
        raise UsageError(f"--turntable: turns the head without a driver; leave out {config.driver}")
    if config.side_by_side or not config.part.whole:
        raise UsageError("--turntable: has no driver; leave out --side-by-side, --start and --end")
    if not config.preview and output_kind(config.output) == "image":
        raise UsageError(f"{config.output}: --turntable makes a video; use a name such as out.mp4")


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
    given = config.source, config.driver, background.image, config.audio, *config.checkpoint
    inputs = [path for path in given if path is not None]
    check_distinct(config.output, inputs)
    check_output(config.output, overwrite=config.overwrite, directory=kind == "folder")
    if config.layers is not None:
        if config.preview:
            raise UsageError("--layers: --preview writes one picture; leave out one of them")
        check_distinct(config.layers, [*inputs, config.output])
        check_output(config.layers, overwrite=config.overwrite, directory=True)
    if config.report is not None:
        check_distinct(config.report, [*inputs, config.output])
        check_output(config.report, overwrite=config.overwrite)


def _kind_of(source: Path) -> str:
    """What the source is, as far as it can be told; "image" where reading it will say what is wrong with it."""
    if is_avatar(source):
        return "image"
    try:
        return driver_kind(source)[0]
    except AvatarkitError:
        return "image"


def _spoken(kind: str) -> str:
    return {"image": "picture", "motion": "motion file"}.get(kind, kind)
