"""Frames from the engine into a file: drawn, cut out, steadied and finished in stages that overlap, in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import chain, islice, repeat
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from avatarkit.background.composite import foreground_colors
from avatarkit.background.matting import Matting, mattes
from avatarkit.head.matrix import resized_px
from avatarkit.media.yuv import even_side, yuv420
from avatarkit.motion.transfer import DriveFrame
from avatarkit.pipelines.forks import CAN_FORK, Forks
from avatarkit.pipelines.source import Source, Unseen, laid_over
from avatarkit.systems.protocol import Drawn, Engine
from avatarkit.systems.steady import steadied

Picture = NDArray[np.uint8]
Given = TypeVar("Given")
Made = TypeVar("Made")


class Moves(Protocol):
    """Where the frames' motion comes from: a `Transfer`, or what stands for one."""

    def __len__(self) -> int: ...

    def frame(self, index: int) -> DriveFrame:
        """One frame, by the driver's number."""
        ...


@dataclass(frozen=True)
class Render:
    """How frames are made.

    matting: cuts out what engines draw that bring no alpha, where an alpha is wanted; None keeps their whole frames.
    stabilize: see `systems.steady`. apart: whether finished frames come with their layers. workers: threads that draw
    and finish. forks: processes that do so beside them, for engines that allow it. planes: whether finished frames come
    as what encoders take (`media.yuv.yuv420`), which those who draw can make of them.
    """

    matting: Matting | None = None
    stabilize: float = 0.0
    apart: bool = False
    workers: int = 2
    forks: int = 0
    planes: bool = False


class Finished(NamedTuple):
    """A finished frame, RGB, straight RGBA or planes, and its foreground (straight RGBA) where layers are asked for."""

    frame: Picture
    foreground: Picture | None


def rendered(
    engine: Engine, source: Source | Unseen, moves: Moves, order: Iterable[int], render: Render
) -> Iterator[Finished]:
    """Finished frames by the driver's frame numbers in `order`; a few batches of them exist at a time."""
    square_px, cuts_out = engine.needs.square_px, render.matting is not None
    drawing = 1 if engine.needs.alone else render.workers
    finishing = engine.needs.finishing
    # What looks at frames before and after one may need it again.
    spent = not render.stabilize and finishing is None
    planes = source.to_planes() if render.planes and spent else None

    def draw(batch: list[int]) -> list[tuple[DriveFrame, Drawn]]:
        frames = [moves.frame(index) for index in batch]
        return list(zip(frames, engine.drive(frames), strict=True))

    def cut_out(batch: list[tuple[DriveFrame, Drawn]]) -> list[Drawn]:
        assert render.matting is not None
        pictures = [drawn.frame for _, drawn in batch]
        marks = [resized_px(f.landmarks, square_px or d.frame.shape[0], d.frame.shape[0]) for f, d in batch]
        result = mattes(render.matting, pictures, marks)
        return [Drawn(picture, np.rint(255.0 * matte).astype(np.uint8)) for picture, matte in
                zip(pictures, result, strict=True)]  # fmt: skip

    def finish(drawn: Drawn) -> Finished:
        frame, alpha = drawn
        if cuts_out:
            assert alpha is not None
            frame = foreground_colors(frame, alpha.astype(np.float32) / np.float32(255.0))
        apart = laid_over(frame, alpha, None, source.layer_size, True) if render.apart else None
        if planes is not None:
            return Finished(planes(frame, alpha), apart)
        done = source.finish(frame, alpha, spent=spent)
        return Finished(yuv420(done) if render.planes else done, apart)

    batches = batched(order, engine.needs.at_once)
    with ExitStack() as stack:
        if not cuts_out and not render.stabilize and finishing is None:
            if render.forks and CAN_FORK and engine.needs.forks:
                width, height = source.frame_size
                most_bytes = 8 * width * height  # RGBA twice, where layers are wanted beside a transparent frame
                forks: Forks[int] = Forks(lambda number: finish(draw([number])[0][1]), render.forks, most_bytes)
                for frame, foreground in _staged(stack, stack.enter_context(forks), order, render.forks + 1):
                    assert frame is not None
                    yield Finished(frame, foreground)
                return
            yield from flat(_staged(stack, lambda b: [finish(d) for _, d in draw(b)], batches, drawing))
            return
        drawn = _staged(stack, draw, batches, drawing)
        # One thread: mattings are not made for several.
        cut = _staged(stack, cut_out, drawn, 1) if cuts_out else ([d for _, d in batch] for batch in drawn)
        whole = flat(cut) if finishing is None else finishing(flat(cut))
        steady = steadied(whole, render.stabilize) if render.stabilize else whole
        yield from _staged(stack, finish, steady, render.workers)


def _staged(
    stack: ExitStack, function: Callable[[Given], Made], items: Iterable[Given], workers: int
) -> Iterator[Made]:
    made: Iterator[Made] = stack.enter_context(closing(overlapped(function, items, workers)))  # type: ignore[type-var]
    return made


def overlapped(function: Callable[[Given], Made], items: Iterable[Given], workers: int) -> Iterator[Made]:
    """The function of each item, in order, made by threads while the caller is busy; at most `workers + 1` exist."""
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="draw") as pool:
        waiting: deque[Future[Made]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def batched(items: Iterable[Given], size: int) -> Iterator[list[Given]]:
    """Lists of up to `size` items, in order."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def flat(batches: Iterable[list[Made]]) -> Iterator[Made]:
    """The items of lists, one after another."""
    return chain.from_iterable(batches)


def beside(source: Picture, drivers: Iterator[Picture], results: Iterator[Picture]) -> Iterator[Picture]:
    """Source, driver and result next to each other, each as high as the result."""
    last: Picture | None = None
    shown: Picture | None = None
    for driver, result in zip(chain(drivers, repeat(None)), results):  # noqa: B905 - a short driver repeats its end
        height = result.shape[0]
        if shown is None:
            shown = fitted(source, height)
        last = fitted(driver, height) if driver is not None else last
        if last is None:
            last = np.zeros((height, height, 3), np.uint8)
        yield np.concatenate([shown, last, result], axis=1)


def fitted(picture: Picture, height: int) -> Picture:
    """The picture inside a square of that height, centred, with black around it."""
    import cv2

    scale = height / max(picture.shape[:2])
    columns, rows = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(picture, (columns, rows), interpolation=method)
    result = np.zeros((height, height, 3), np.uint8)
    top, left = (height - rows) // 2, (height - columns) // 2
    result[top : top + rows, left : left + columns] = small
    return result


def even(picture: Picture) -> Picture:
    """The picture with its last row or column repeated where a side is odd; video codecs want even sides."""
    rows, columns = (even_side(side) - side for side in picture.shape[:2])
    if not rows and not columns:
        return picture
    return np.pad(picture, ((0, rows), (0, columns), (0, 0)), mode="edge")
