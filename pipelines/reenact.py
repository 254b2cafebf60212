"""Source portrait and driver in, video out."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatarkit.media.containers import output_kind
from avatarkit.media.encode import LARGE_PX, FrameWriter
from avatarkit.media.image import write_image
from avatarkit.media.output import pending_output
from avatarkit.motion.transfer import Transfer
from avatarkit.pipelines.driver import Driver
from avatarkit.pipelines.framing import drawn_part, framing
from avatarkit.pipelines.label import labelled
from avatarkit.pipelines.outlook import about_layers, about_motion, about_source
from avatarkit.pipelines.preview import moments, preview_sheet
from avatarkit.pipelines.program import open_cache
from avatarkit.pipelines.provenance.marks import Marks
from avatarkit.pipelines.provenance.sign import Input, sign
from avatarkit.pipelines.reenact_config import ReenactConfig, checked
from avatarkit.pipelines.render import beside, even, rendered
from avatarkit.pipelines.report import ReenactReport
from avatarkit.pipelines.source import Source
from avatarkit.pipelines.studio import Studio
from avatarkit.runtime import MemoryMeter, Progress, StageTimer, cpu_threads
from avatarkit.systems.protocol import Engine

Picture = NDArray[np.uint8]
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
        UsageError: options that do not go together. InputError: a source or driver that cannot be used.
        OutputError: an output that exists, has no known format, or cannot be written. Nothing is left behind then.
    """
    background = checked(config)
    timer = StageTimer()
    with ExitStack() as stack:
        memory = stack.enter_context(MemoryMeter())
        cache = open_cache(config.cache) if config.cache else None
        studio = studio or stack.enter_context(Studio(cache))
        studio.tools(config)  # what cannot run here is said before any work is done
        with timer.stage("source"):
            progress.stage("source", None)
            portrait = studio.portrait(config)
            for line in about_source(portrait, drawn_part(portrait, None, config), config):
                progress.notice(line)
        # A crop around the head is split into layers while the driver is tracked; paste-back waits for its path.
        with ThreadPoolExecutor(1, thread_name_prefix="layers") as pool:
            early = None if config.paste_back else pool.submit(studio.source, config, portrait, None, background)
            with timer.stage("track"):
                driver = studio.driver(config, progress)
        with timer.stage("prepare"):
            progress.stage("prepare", None)
            source = early.result() if early else studio.source(config, portrait, driver.motion, background)
            place = framing(driver.motion, portrait, source.crop, config)
            transfer = Transfer(driver.motion, source.layers.landmarks, config.motion, place, portrait.covered)
            for line in (*about_layers(source, config), *about_motion(driver.motion, transfer, config)):
                progress.notice(line)
            engine = studio.engine(config, source, background)
        with timer.stage("render"):
            hashes = studio.digest(config.source), studio.digest(config.driver)
            inputs = Input("source", config.source, hashes[0]), Input("driver", config.driver, hashes[1])
            size, audio = _write(config, source, driver, engine, transfer, progress, shown, inputs)
            for line in engine.notices():
                progress.notice(line)
    report = ReenactReport.of(config, source, driver, engine, transfer, timer, memory.peak_bytes, size, audio, hashes)
    if config.report is not None:
        with pending_output(config.report, overwrite=config.overwrite) as temporary:
            temporary.write_text(report.to_text(), encoding="utf-8")
    return report


def _write(
    config: ReenactConfig,
    source: Source,
    driver: Driver,
    engine: Engine,
    transfer: Transfer,
    progress: Progress,
    shown_to: Callable[[Picture], None] | None,
    inputs: Sequence[Input],
) -> tuple[tuple[int, int], str]:
    """Render and write; returns width and height of the output, and what became of the sound."""
    marks = Marks.of(engine.name, (), real_pixels=config.background not in ("transparent",))
    kind = output_kind(config.output)
    shown = moments(driver.motion, transfer.references[0]) if config.preview else []
    progress.stage("render", len(shown) or len(transfer))
    with ExitStack() as stack:
        temporary = stack.enter_context(
            pending_output(config.output, overwrite=config.overwrite, directory=kind == "folder")
        )
        order = [number for _, number in shown] or range(len(transfer))
        frames: Iterator[Picture] = stack.enter_context(
            closing(rendered(engine, source, transfer, order, _workers(source)))  # type: ignore[type-var]
        )
        if shown_to is not None:
            frames = _glimpsed(frames, len(order) // 2, shown_to)
        if config.side_by_side:
            frames = beside(source.layers.picture, driver.frames(source.frame_size[1]), frames)
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


def _glimpsed(frames: Iterator[Picture], at: int, shown: Callable[[Picture], None]) -> Iterator[Picture]:
    for number, frame in enumerate(frames):
        if number == at:
            shown(frame)
        yield frame


def _workers(source: Source) -> int:
    """Frames that are drawn at a time; each takes thirty times its bytes while it is drawn."""
    width, height = source.frame_size
    return min(2 if width * height > LARGE_PX else 4, cpu_threads() + 1)


def _write_video(
    config: ReenactConfig,
    temporary: Path,
    frames: Iterator[Picture],
    driver: Driver,
    source: Source,
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
    config: ReenactConfig, temporary: Path, first: Picture, driver: Driver, source: Source, marks: Marks
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

