"""Source portrait and driver in, video out."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatarkit.background.spec import BackgroundSpec, parse_background
from avatarkit.errors import UsageError
from avatarkit.face.open import open_dense_tracker
from avatarkit.face.types import FaceChoice
from avatarkit.geometry.crop import Crop, head_crop, union
from avatarkit.head.coordinates import eye_opening
from avatarkit.media.containers import choose_codec, output_kind
from avatarkit.media.encode import FrameWriter
from avatarkit.media.image import write_image
from avatarkit.media.output import check_distinct, check_output, pending_output
from avatarkit.motion.columns import Motion
from avatarkit.motion.config import ON_MISSING, MotionConfig
from avatarkit.motion.moment import landmarks_of
from avatarkit.motion.transfer import Framing, Transfer, check
from avatarkit.pipelines.driver import Driver, driver_kind, load_driver
from avatarkit.pipelines.layer_tools import LayerTools
from avatarkit.pipelines.render import beside, even, rendered
from avatarkit.pipelines.report import ReenactReport, synthetic_marks
from avatarkit.pipelines.source import Portrait, Source, open_portrait
from avatarkit.runtime import MemoryMeter, Progress, StageTimer, cpu_threads
from avatarkit.systems.landmark_warp import WarpEngine
from avatarkit.systems.protocol import Engine
from avatarkit.weights.choice import AUTO

Picture = NDArray[np.uint8]
ENGINES = ("warp",)
PRESET = "superfast"
"""The encoder shares two cores with the drawing of frames: one step faster makes larger files, not worse ones."""
SHUT_EYES = 0.12
"""Lid distance over eye width below which a source's eyes count as shut."""
HEAD_BOX = np.array([[x, y, 0.0] for x in (-1.6, 1.6) for y in (-2.6, 1.5)])
"""Corners of a head with hair or a hat, in head coordinates."""


@dataclass(frozen=True)
class ReenactConfig:
    """One reenactment; the command line's options by the same names.

    size: side of the square output in pixels (ignored with paste_back). face, driver_face: which face is meant.
    background: see `background.spec.parse_background`. matting, inpaint, tracker: which method, "auto" for the best
    that can run here. crf: the encoder's quality, None for its usual one.
    """

    source: Path
    driver: Path
    output: Path
    motion: MotionConfig = field(default_factory=MotionConfig)
    face: FaceChoice = field(default_factory=FaceChoice)
    driver_face: FaceChoice = field(default_factory=FaceChoice)
    on_missing: str = "interpolate"
    size: int = 1024
    background: str = "plate"
    paste_back: bool = False
    side_by_side: bool = False
    engine: str = "warp"
    matting: str = AUTO
    inpaint: str = AUTO
    tracker: str = AUTO
    crf: int | None = None
    codec: str = "auto"
    overwrite: bool = False
    report: Path | None = None


def reenact(config: ReenactConfig, progress: Progress) -> ReenactReport:
    """Make the source move like the driver and write the result.

    Raises:
        UsageError: options that do not go together. InputError: a source or driver that cannot be used.
        OutputError: an output that exists, has no known format, or cannot be written. Nothing is left behind then.
    """
    background = _checked(config)
    tools = LayerTools(config.matting, config.inpaint)
    timer = StageTimer()
    with MemoryMeter() as memory, closing(open_dense_tracker(config.tracker)) as tracker:
        with timer.stage("source"):
            progress.stage("source", None)
            portrait = open_portrait(config.source, config.face, tracker)
            _notice_source(config, portrait, progress)
        # A crop around the head is split into layers while the driver is tracked; paste-back waits for its path.
        with ThreadPoolExecutor(1, thread_name_prefix="layers") as pool:
            early = None if config.paste_back else pool.submit(_layers, portrait, None, background, tools, config)
            with timer.stage("track"):
                driver = load_driver(config.driver, tracker, config.driver_face, config.on_missing, progress)
        _check_pair(config, driver)
        with timer.stage("prepare"):
            progress.stage("prepare", None)
            source = early.result() if early else _layers(portrait, driver.motion, background, tools, config)
            crop = source.crop
            framing = _framing(driver.motion, portrait, crop, config)
            transfer = Transfer(driver.motion, source.layers.landmarks, config.motion, framing)
            engine: Engine = WarpEngine()
            engine.prepare(source.layers)
        with timer.stage("render"):
            progress.stage("render", len(transfer))
            size, audio = _write(config, source, driver, engine, transfer, progress)
    report = ReenactReport.of(config, source, driver, engine, transfer, timer, memory.peak_bytes, size, audio)
    if config.report is not None:
        with pending_output(config.report, overwrite=config.overwrite) as temporary:
            temporary.write_text(report.to_text(), encoding="utf-8")
    return report


def _checked(config: ReenactConfig) -> BackgroundSpec:
    """Refuse what cannot work before any work is done."""
    check(config.motion)
    if config.engine not in ENGINES:
        raise UsageError(f"--engine {config.engine}: use {', '.join(ENGINES)}")
    if config.on_missing not in ON_MISSING:
        raise UsageError(f"--on-missing {config.on_missing}: use one of {', '.join(ON_MISSING)}")
    if not 64 <= config.size <= 8192 or config.size % 2:
        raise UsageError(f"--size {config.size}: use an even number from 64 to 8192")
    background = parse_background(config.background)
    transparent = background.kind == "transparent"
    if transparent and config.side_by_side:
        raise UsageError("--side-by-side shows opaque pictures: leave out --background transparent")
    kind = output_kind(config.output)
    if kind != "image":
        choose_codec(config.output, config.codec, transparent)
    if kind == "folder" and not transparent and config.codec != "png":
        raise UsageError(
            f"{config.output}: a name without extension makes a folder of PNGs; add .mp4 for a video,"
            " or say --codec png"
        )
    inputs = [config.source, config.driver, *([background.image] if background.image else [])]
    check_distinct(config.output, inputs)
    check_output(config.output, overwrite=config.overwrite, directory=kind == "folder")
    if config.report is not None:
        check_distinct(config.report, [*inputs, config.output])
        check_output(config.report, overwrite=config.overwrite)
    driver, _ = driver_kind(config.driver)
    if (driver == "image") != (kind == "image"):
        wanted = "a picture name such as out.png" if driver == "image" else "a video name such as out.mp4"
        raise UsageError(f"{config.output}: the driver {config.driver.name} is a {_spoken(driver)}; use {wanted}")
    if driver == "motion" and config.side_by_side:
        raise UsageError(f"--side-by-side: {config.driver.name} is a motion file and holds no pictures to show")
    return background


def _spoken(kind: str) -> str:
    return {"image": "picture", "motion": "motion file"}.get(kind, kind)


def _notice_source(config: ReenactConfig, portrait: Portrait, progress: Progress) -> None:
    """Say what the user may not expect of this source."""
    if portrait.faces > 1 and config.face == FaceChoice():
        x, y = portrait.face.centre
        progress.notice(
            f"{config.source.name}: {portrait.faces} faces; the largest, at {x:.0f},{y:.0f}, is used"
            " (choose with --face or --face-at, see avatarkit doctor --faces)"
        )
    if float(eye_opening(portrait.landmarks[:, :2]).max()) < SHUT_EYES:
        progress.notice(f"{config.source.name}: the eyes are shut and cannot be opened; use a picture with open eyes")


def _check_pair(config: ReenactConfig, driver: Driver) -> None:
    if driver.kind == "motion" and len(driver.motion) == 1 and output_kind(config.output) == "video":
        return
    if driver.kind != "image" and output_kind(config.output) == "image":
        raise UsageError(f"{config.output}: a video does not fit into a picture; use .mp4")


def _layers(
    portrait: Portrait,
    motion: Motion | None,
    background: BackgroundSpec,
    tools: LayerTools,
    config: ReenactConfig,
) -> Source:
    """The source's layers; the driver's motion is needed with paste-back alone."""
    crop = _crop(portrait, motion, config)
    return Source(portrait, crop, background, tools, paste_back=config.paste_back)


def _crop(portrait: Portrait, motion: Motion | None, config: ReenactConfig) -> Crop:
    """The part of the picture that is drawn: head and shoulders, with paste-back all that the head passes over."""
    width, height = portrait.size
    crop = head_crop(portrait.face.landmarks, width, height, config.size)
    if motion is None:
        return crop
    whole = Crop(0.0, 0.0, float(width), float(height), 1.0)
    path = Transfer(motion, portrait.landmarks, config.motion, _framing(motion, portrait, whole, config))
    corners = np.concatenate([path.pose(i).apply(HEAD_BOX)[:, :2] for i in range(len(path))])
    return union(crop, corners, width, height)


def _framing(motion: Motion, portrait: Portrait, drawn: Crop, config: ReenactConfig) -> Framing:
    """Where the driver's picture lies in what the engine draws, for absolute motion.

    With paste-back the driver's frame fills the source's; else the crop around the driver's head, in its first
    frame, becomes the crop around the source's.
    """
    if config.paste_back:
        width, height = portrait.size
        scale = min(width / motion.width, height / motion.height)
        left, top = (width - scale * motion.width) / 2.0, (height - scale * motion.height) / 2.0
        half = (scale - 1.0) / 2.0
        return Framing(scale, left + half - drawn.left, top + half - drawn.top)
    window = head_crop(landmarks_of(motion, 0), motion.width, motion.height, max(drawn.shown))
    corner = window.to_crop(np.zeros((1, 2)))[0]
    return Framing(window.scale, float(corner[0]), float(corner[1]))


def _write(
    config: ReenactConfig, source: Source, driver: Driver, engine: Engine, transfer: Transfer, progress: Progress
) -> tuple[tuple[int, int], str]:
    """Render and write; returns width and height of the output, and what became of the sound."""
    marks = synthetic_marks(engine.name)
    kind = output_kind(config.output)
    with ExitStack() as stack:
        frames: Iterator[Picture] = stack.enter_context(
            closing(rendered(engine, source, transfer, workers=min(4, cpu_threads() + 1)))  # type: ignore[type-var]
        )
        if config.side_by_side:
            frames = beside(source.layers.picture, driver.frames(source.frame_size[1]), frames)
        temporary = stack.enter_context(
            pending_output(config.output, overwrite=config.overwrite, directory=kind == "folder")
        )
        if kind == "image":
            picture = next(frames)
            write_image(temporary, picture, marks)
            progress.advance()
            return (picture.shape[1], picture.shape[0]), "none"
        return _write_video(config, temporary, frames, driver, source, marks, progress)


def _write_video(
    config: ReenactConfig,
    temporary: Path,
    frames: Iterator[Picture],
    driver: Driver,
    source: Source,
    marks: dict[str, str],
    progress: Progress,
) -> tuple[tuple[int, int], str]:
    writer: FrameWriter | None = None
    with ExitStack() as stack:
        for frame in frames:
            padded = even(frame) if output_kind(config.output) == "video" else frame
            if writer is None:
                if padded.shape != frame.shape:
                    progress.notice(
                        f"{config.output.name}: {frame.shape[1]} x {frame.shape[0]} is odd and video needs even sides;"
                        " the last row or column is repeated"
                    )
                writer = stack.enter_context(_writer(config, temporary, padded, driver, source, marks))
            writer.write(padded)
            progress.advance()
        assert writer is not None, "a motion has at least one frame"
        writer.close()
        return (padded.shape[1], padded.shape[0]), writer.audio


def _writer(
    config: ReenactConfig, temporary: Path, first: Picture, driver: Driver, source: Source, marks: dict[str, str]
) -> FrameWriter:
    return FrameWriter(
        temporary,
        width=first.shape[1],
        height=first.shape[0],
        rate=driver.motion.rate,
        codec=config.codec,
        crf=config.crf,
        preset=PRESET,
        alpha=source.transparent,
        audio_from=driver.info if driver.kind == "video" else None,
        metadata=marks,
    )

