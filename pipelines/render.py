"""Frames from the engine into a file: several drawn at once, written in order."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, repeat

import numpy as np
from numpy.typing import NDArray

from avatarkit.motion.transfer import Transfer
from avatarkit.pipelines.source import Source
from avatarkit.systems.protocol import Engine

Picture = NDArray[np.uint8]


def rendered(
    engine: Engine, source: Source, transfer: Transfer, order: Iterable[int], workers: int
) -> Iterator[Picture]:
    """Finished frames by the driver's frame numbers in `order`; at most `workers + 1` of them exist at a time."""

    def draw(index: int) -> Picture:
        return source.finish(*engine.drive(transfer.frame(index)))

    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="draw") as pool:
        waiting: deque[Future[Picture]] = deque()
        try:
            for index in order:
                waiting.append(pool.submit(draw, index))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


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
    rows, columns = picture.shape[0] % 2, picture.shape[1] % 2
    if not rows and not columns:
        return picture
    return np.pad(picture, ((0, rows), (0, columns), (0, 0)), mode="edge")
