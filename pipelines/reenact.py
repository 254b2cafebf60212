"""Source portrait and driver in, video out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatarkit.background.choice import INPAINTERS
from avatarkit.background.spec import parse_background
from avatarkit.errors import OutputError
from avatarkit.media.containers import output_kind
from avatarkit.media.encode import FrameWriter, takes_planes
from avatarkit.media.image import write_image
from avatarkit.media.output import pending_output
from avatarkit.media.yuv import even_side
from avatarkit.pipelines.filmed import FilmedSource
from avatarkit.pipelines.label import labelled
from avatarkit.pipelines.layer_files import LayerFiles
from avatarkit.pipelines.preview import moments, preview_sheet
from avatarkit.pipelines.program import open_cache
from avatarkit.pipelines.provenance.marks import Marks
from avatarkit.pipelines.provenance.sign import Input, sign
from avatarkit.pipelines.ready import ReadyPair, make_ready
from avatarkit.pipelines.reenact_config import ReenactConfig, checked
from avatarkit.pipelines.render import Finished, beside, even
from avatarkit.pipelines.report import ReenactReport
from avatarkit.pipelines.source import Source
from avatarkit.pipelines.studio import Studio
from avatarkit.runtime import MemoryMeter, Progress, StageTimer, cpu_threads

Picture = NDArray[np.uint8]
PRESET = "superfast"
"""The encoder shares two cores with the drawing of frames: one step faster makes larger files, not worse ones."""
WORTH_FORKING = 24
"""Fewer frames are drawn by this process alone."""


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
    timer = StageTimer()
    with ExitStack() as stack:
        memory = stack.enter_context(MemoryMeter())
        cache = open_cache(config.cache) if config.cache else None
        # Whoever does several at a time has its own ways to keep all processors busy.
        alone = studio is None
        studio = studio or stack.enter_context(Studio(cache))
        pair = make_ready(config, background, studio, progress, timer)
        if alone:
            studio.rest()
            memory.release()
        with timer.stage("render"):
            named = (("source", config.source), ("driver", config.driver))
            inputs = [Input(kind, path, studio.digest(path)) for kind, path in named if path is not None]
            size, audio = _write(pair, progress, shown, inputs, cpu_threads() - 1 if alone else 0)
            for line in pair.engine.notices():
                progress.notice(line)
    cut_out_by = None if pair.render.matting is None else pair.render.matting.name
    hashes = [None if path is None else studio.digest(path) for _, path in named]
    report = ReenactReport.of(
        pair.config, pair.source, pair.driver, pair.engine, pair.moves, cut_out_by, timer, memory.peak_bytes, size,
        audio, hashes,
    )  # fmt: skip
    if config.report is not None:
        _write_report(config.report, report, config)
    return report


def _write_report(path: Path, report: ReenactReport, config: ReenactConfig) -> None:
    try:
        with pending_output(path, overwrite=config.overwrite) as temporary:
            # Names that are not UTF-8 are shown with escapes.
            temporary.write_bytes(report.to_text().encode("utf-8", "backslashreplace"))
    except (OSError, OutputError) as error:
        said = f"{path}: cannot be written: "
        what = getattr(error, "strerror", None) or str(error).removeprefix(said)
        raise OutputError(f"{said}{what}; {config.output} is complete") from error


def _write(
    pair: ReadyPair,
    progress: Progress,
    shown_to: Callable[[Picture], None] | None,
    inputs: Sequence[Input],
    forks: int,
) -> tuple[tuple[int, int], str]:
    """Render and write; returns width and height of the output, and what became of the sound."""
    config, source, driver, moves, marks = pair.config, pair.source, pair.driver, pair.moves, _marks(pair)
    kind = output_kind(config.output)
    shown = moments(driver.motion, moves.references[0]) if config.preview else []
    progress.stage("render", len(shown) or len(moves))
    with ExitStack() as stack:
        temporary = stack.enter_context(
            pending_output(config.output, overwrite=config.overwrite, directory=kind == "folder")
        )
        order = [number for _, number in shown] or range(len(moves))
        # What nothing more is done to goes to the encoder as it takes it.
        changed = shown_to is not None or config.layers is not None or config.side_by_side or bool(config.label)
        planes = (
            kind == "video"
            and not changed
            and not isinstance(source, FilmedSource)
            and takes_planes(config.output, config.codec, source.transparent)
        )
        few = len(order) < WORTH_FORKING
        finished: Iterator[Finished] = stack.enter_context(
            closing(pair.frames(order, forks=0 if few else forks, planes=planes))  # type: ignore[type-var]
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
            result = _write_video(pair, temporary, frames, marks, progress, planes)
        else:
            picture = preview_sheet(source.shown, shown, frames, driver.motion.rate) if shown else next(frames)
            write_image(temporary, picture, marks.container(config.output), marks.xmp())
            progress.advance(len(order))
            result = (picture.shape[1], picture.shape[0]), "none"
        marks.embed(temporary)
        if config.signer is not None:
            sign(temporary, config.signer, marks, inputs, config.output.name)
        return result


def _marks(pair: ReadyPair) -> Marks:
    config, source = pair.config, pair.source
    behind = parse_background(config.background).kind
    shown = behind == "plate" or config.preview or pair.consent is not None
    own = isinstance(source, FilmedSource) or (isinstance(source, Source) and shown)
    return Marks.of(
        pair.engine.name,
        pair.weights,
        real_pixels=own or behind == "image" or config.paste_back or config.side_by_side,
        painted=any(item.name == source.inpainting and item.weights is not None for item in INPAINTERS),
        consent=pair.consent or "",
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


def _write_video(
    pair: ReadyPair, temporary: Path, frames: Iterator[Picture], marks: Marks, progress: Progress, planes: bool
) -> tuple[tuple[int, int], str]:
    output = pair.config.output
    writer, is_video = None, output_kind(output) == "video"
    with ExitStack() as stack:
        for frame in frames:
            if writer is None:
                width, height = size = pair.source.frame_size if planes else (frame.shape[1], frame.shape[0])
                if is_video:
                    size = even_side(width), even_side(height)
                if size != (width, height):
                    progress.notice(
                        f"{output.name}: {width} x {height} is odd and video needs even sides;"
                        " the last row or column is repeated"
                    )
                writer = stack.enter_context(_writer(pair, temporary, size, marks))
            if planes:
                writer.write_planes(frame)
            else:
                writer.write(even(frame) if is_video else frame)
            progress.advance()
        assert writer is not None, "a motion has at least one frame"
        writer.close()
        return size, writer.audio


def _writer(pair: ReadyPair, temporary: Path, size: tuple[int, int], marks: Marks) -> FrameWriter:
    config, driver = pair.config, pair.driver
    return FrameWriter(
        temporary,
        width=size[0],
        height=size[1],
        rate=driver.motion.rate,
        codec=config.codec,
        crf=config.crf,
        preset=PRESET,
        alpha=pair.source.transparent,
        audio_from=config.audio or (driver.info if driver.kind == "video" else None),
        audio_start=driver.start,
        metadata=marks.container(config.output),
    )

