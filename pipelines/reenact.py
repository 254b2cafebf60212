"""Source portrait and driver in, video out."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatarkit.background.choice import INPAINTERS
from avatarkit.background.spec import parse_background
from avatarkit.errors import OutputError
from avatarkit.media.containers import output_kind
from avatarkit.media.encode import LARGE_PX, FrameWriter
from avatarkit.media.image import write_image
from avatarkit.media.output import pending_output
from avatarkit.motion.square_transfer import Followed, SquareTransfer
from avatarkit.motion.transfer import Transfer
from avatarkit.motion.turntable import turntable
from avatarkit.pipelines.driver import Driver, driver_kind
from avatarkit.pipelines.engines import (
    AUTO,
    AVATAR,
    Given,
    check_engine,
    checkpoint_hashes,
    choose_engine,
    consent_of,
    given_for,
)
from avatarkit.pipelines.framing import drawn_part, drawn_square, framing
from avatarkit.pipelines.label import labelled
from avatarkit.pipelines.layer_files import LayerFiles
from avatarkit.pipelines.layer_tools import LayerTools
from avatarkit.pipelines.outlook import about_layers, about_motion, about_source
from avatarkit.pipelines.preview import moments, preview_sheet
from avatarkit.pipelines.program import open_cache
from avatarkit.pipelines.provenance.marks import Marks
from avatarkit.pipelines.provenance.sign import Input, sign
from avatarkit.pipelines.reenact_config import ReenactConfig, checked
from avatarkit.pipelines.render import Finished, Render, beside, even, rendered
from avatarkit.pipelines.report import ReenactReport
from avatarkit.pipelines.source import Portrait, Source, Unseen
from avatarkit.pipelines.studio import Studio
from avatarkit.runtime import MemoryMeter, Progress, StageTimer, cpu_threads
from avatarkit.systems.protocol import Engine

Picture = NDArray[np.uint8]
Shown = Source | Unseen
Moves = Transfer | Followed
STEADIED = 1.0
"""Mattes found frame by frame flicker; engines that bring their own alpha, and whole frames, need none of it."""
PRESET = "superfast"
"""The encoder shares two cores with the drawing of frames: one step faster makes larger files, not worse ones."""


def reenact(
    config: ReenactConfig,
    progress: Progress,
    studio: Studio | None = None,
    shown: Callable[[Picture], None] | None = None,
) -> ReenactReport:
    """Make the source move like the driver and write the result.

    Args:
        config: what is asked for.
        progress: hears of stages, frames and notices.
        studio: with what is open and known already, for several reenactments; none makes one of its own.
        shown: gets the frame in the middle, for a gallery.

    Raises:
        UsageError: options that do not go together. InputError: a source, driver or checkpoint that cannot be used.
        OutputError: an output that exists, has no known format, or cannot be written. Nothing is left behind then.
        DependencyError: weights, packages or a device that are missing.
    """
    background = checked(config)
    given = given_for(config)
    info = choose_engine(config.engine, given)
    check_engine(info, config, None if config.driver is None else driver_kind(config.driver)[0])
    timer = StageTimer()
    with ExitStack() as stack:
        memory = stack.enter_context(MemoryMeter())
        cache = open_cache(config.cache) if config.cache else None
        studio = studio or stack.enter_context(Studio(cache))
        tools = studio.tools(config)  # what cannot run here is said before any work is done
        with timer.stage("engine"):
            opened = studio.opened(info, given, config)
        if given and config.engine == AUTO:
            progress.notice(f"engine {opened.name}, by the checkpoints given")
        config, square_px = _sized(config, opened), opened.needs.square_px
        with timer.stage("source"):
            progress.stage("source", None)
            portrait = None if config.source is None else studio.portrait(config)
            for line in _about_portrait(portrait, square_px, config):
                progress.notice(line)
        # A crop around the head is split into layers while the driver is tracked; paste-back waits for its path.
        with ThreadPoolExecutor(1, thread_name_prefix="layers") as pool:
            early = None
            if not config.paste_back:
                early = pool.submit(studio.source, config, portrait, None, background, square_px)
            with timer.stage("track"):
                driver = _driver(studio, portrait, opened, config, progress)
        with timer.stage("prepare"):
            progress.stage("prepare", None)
            source = (
                early.result() if early else studio.source(config, portrait, driver.motion, background, square_px)
            )
            moves = _moves(driver, opened, source, config)
            _look_out(source, driver, moves, config, progress)
            engine = studio.engine(opened, config, source, background)
            render = _render(engine, source, tools, config)
        with timer.stage("render"):
            named = (("source", config.source), ("driver", config.driver))
            inputs = [Input(kind, path, studio.digest(path)) for kind, path in named if path is not None]
            marks = _marks(config, engine, source, given, studio)
            size, audio = _write(config, source, driver, engine, moves, render, progress, shown, inputs, marks)
            for line in engine.notices():
                progress.notice(line)
    cut_out_by = None if render.matting is None else render.matting.name
    hashes = [None if path is None else studio.digest(path) for _, path in named]
    report = ReenactReport.of(
        config, source, driver, engine, moves, cut_out_by, timer, memory.peak_bytes, size, audio, hashes
    )
    if config.report is not None:
        _write_report(config.report, report, config)
    return report


def _write_report(path: Path, report: ReenactReport, config: ReenactConfig) -> None:
    try:
        with pending_output(path, overwrite=config.overwrite) as temporary:
            # Names that are not UTF-8 are shown with escapes.
            temporary.write_bytes(report.to_text().encode("utf-8", "backslashreplace"))
    except (OSError, OutputError) as error:
        what = getattr(error, "strerror", None) or error
        raise OutputError(f"{path}: cannot be written: {what}; {config.output} is complete") from error


def _sized(config: ReenactConfig, engine: Engine) -> ReenactConfig:
    """The configuration with the size of its output, the engine's own where none is asked for."""
    return config if config.size is not None else replace(config, size=engine.needs.drawn_px or config.side)


def _about_portrait(portrait: Portrait | None, square_px: int | None, config: ReenactConfig) -> Iterator[str]:
    if portrait is not None:
        framed = None if square_px is None else drawn_square(portrait, square_px, config)[1]
        yield from about_source(portrait, framed or drawn_part(portrait, None, config), config)


def _driver(
    studio: Studio, portrait: Portrait | None, engine: Engine, config: ReenactConfig, progress: Progress
) -> Driver:
    if config.driver is None:
        assert portrait is not None
        assert config.turntable is not None
        motion = turntable(portrait.landmarks, *portrait.size, config.turntable)
        return Driver(Path(config.driver_name), "turntable", motion, None)
    looks = config.motion.region != "pose" or not engine.needs.source
    return studio.driver(config, progress, engine.needs.square_px if looks else None)


def _moves(driver: Driver, engine: Engine, source: Shown, config: ReenactConfig) -> Moves:
    """How each frame moves the source."""
    if not engine.needs.source:
        assert driver.squares is not None
        return Followed(driver.motion, driver.squares)
    assert isinstance(source, Source)
    motion = config.motion if config.driver is not None else replace(config.motion, mode="relative", region="pose")
    if source.layers.square is not None:
        return SquareTransfer(driver.motion, source.layers.square, motion, driver.squares)
    place = framing(driver.motion, source.portrait, source.crop, config)
    return Transfer(driver.motion, source.layers.landmarks, motion, place, source.portrait.covered)


def _look_out(source: Shown, driver: Driver, moves: Moves, config: ReenactConfig, progress: Progress) -> None:
    """Say what will look bad."""
    if isinstance(source, Unseen):
        if config.background == "plate":
            progress.notice("no source, no plate: the background is what the engine draws; see --background")
        return
    for line in about_layers(source, config):
        progress.notice(line)
    for line in about_motion(driver.motion, moves, config) if isinstance(moves, Transfer) else ():
        progress.notice(line)


def _render(engine: Engine, source: Shown, tools: LayerTools, config: ReenactConfig) -> Render:
    wanted = source.background is not None or source.transparent or config.layers is not None
    matting = tools.frame_matting if wanted and not engine.needs.alpha else None
    usual = 0.0 if matting is None else STEADIED
    return Render(
        matting=matting,
        stabilize=0.0 if config.preview else usual if config.stabilize is None else config.stabilize,
        apart=config.layers is not None,
        workers=_workers(source),
    )


def _write(
    config: ReenactConfig,
    source: Shown,
    driver: Driver,
    engine: Engine,
    moves: Moves,
    render: Render,
    progress: Progress,
    shown_to: Callable[[Picture], None] | None,
    inputs: Sequence[Input],
    marks: Marks,
) -> tuple[tuple[int, int], str]:
    """Render and write; returns width and height of the output, and what became of the sound."""
    kind = output_kind(config.output)
    shown = moments(driver.motion, moves.references[0]) if config.preview else []
    progress.stage("render", len(shown) or len(moves))
    with ExitStack() as stack:
        temporary = stack.enter_context(
            pending_output(config.output, overwrite=config.overwrite, directory=kind == "folder")
        )
        order = [number for _, number in shown] or range(len(moves))
        finished: Iterator[Finished] = stack.enter_context(
            closing(rendered(engine, source, moves, order, render))  # type: ignore[type-var]
        )
        if config.layers is not None:
            folder = stack.enter_context(pending_output(config.layers, overwrite=config.overwrite, directory=True))
            codec = "png" if kind == "folder" else "prores"
            files = LayerFiles(folder, codec, driver.motion.rate, source.background, marks)
            finished = _kept(finished, stack.enter_context(files))
        frames: Iterator[Picture] = (item.frame for item in finished)
        if shown_to is not None:
            frames = _glimpsed(frames, len(order) // 2, shown_to)
        if config.side_by_side:
            frames = beside(source.shown, driver.frames(source.frame_size[1]), frames)
        if config.label:
            frames = labelled(frames, config.label)
        if kind != "image":
            result = _write_video(config, temporary, frames, driver, source, marks, progress)
        else:
            picture = preview_sheet(source.shown, shown, frames, driver.motion.rate) if shown else next(frames)
            write_image(temporary, picture, marks.container(config.output), marks.xmp())
            progress.advance(len(order))
            result = (picture.shape[1], picture.shape[0]), "none"
        marks.embed(temporary)
        if config.signer is not None:
            sign(temporary, config.signer, marks, inputs, config.output.name)
        return result


def _marks(config: ReenactConfig, engine: Engine, source: Shown, given: Given, studio: Studio) -> Marks:
    behind, avatar = parse_background(config.background).kind, given.get(AVATAR)
    own = isinstance(source, Source) and (behind == "plate" or config.preview or avatar is not None)
    return Marks.of(
        engine.name,
        tuple(checkpoint_hashes(given, studio.digest).values()),
        real_pixels=own or behind == "image" or config.paste_back or config.side_by_side,
        painted=any(item.name == source.inpainting and item.weights is not None for item in INPAINTERS),
        consent=consent_of(avatar) if isinstance(avatar, Path) else "",
    )


def _kept(finished: Iterator[Finished], files: LayerFiles) -> Iterator[Finished]:
    """The frames, once their layers are written; the files are finished with the last."""
    for item in finished:
        assert item.foreground is not None
        files.write(item.foreground)
        yield item
    files.close()


def _glimpsed(frames: Iterator[Picture], at: int, shown: Callable[[Picture], None]) -> Iterator[Picture]:
    for number, frame in enumerate(frames):
        if number == at:
            shown(frame)
        yield frame


def _workers(source: Shown) -> int:
    """Frames that are drawn at a time; each takes thirty times its bytes while it is drawn."""
    width, height = source.frame_size
    return min(2 if width * height > LARGE_PX else 4, cpu_threads() + 1)


def _write_video(
    config: ReenactConfig,
    temporary: Path,
    frames: Iterator[Picture],
    driver: Driver,
    source: Shown,
    marks: Marks,
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
    config: ReenactConfig, temporary: Path, first: Picture, driver: Driver, source: Shown, marks: Marks
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
        audio_from=config.audio or (driver.info if driver.kind == "video" else None),
        audio_start=driver.start,
        metadata=marks.container(config.output),
    )

