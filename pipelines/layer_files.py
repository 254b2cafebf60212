"""Foreground, matte and plate as files of their own, beside the finished video."""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from avatarkit.media.encode import FrameWriter
from avatarkit.media.image import write_image
from avatarkit.pipelines.provenance.marks import Marks

Picture = NDArray[np.uint8]


class LayerFiles:
    """Writes `foreground` (straight RGBA), `matte` (grey) and `plate.png` into a folder.

    Args:
        folder: that exists. codec: "prores" for .mov files of ProRes 4444, "png" for folders of PNGs.
        rate: frames per second. plate: what stands behind, None without one. marks: what the files say of themselves.
    """

    def __init__(
        self, folder: Path, codec: str, rate: Fraction, plate: Picture | None, marks: Marks
    ) -> None:
        self._folder, self._codec, self._rate, self._marks = folder, codec, rate, marks
        self._stack = ExitStack()
        self._writers: list[FrameWriter] = []
        if plate is not None:
            write_image(folder / "plate.png", plate, marks.container(folder / "plate.png"), marks.xmp())

    def __enter__(self) -> LayerFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(self, foreground: Picture) -> None:
        """The next frame's foreground, straight RGBA (H, W, 4)."""
        if not self._writers:
            self._writers = [self._writer("foreground", foreground, True), self._writer("matte", foreground, False)]
        matte = np.repeat(foreground[..., 3:], 3, axis=2)
        for writer, picture in zip(self._writers, (foreground, matte), strict=True):
            writer.write(picture)

    def close(self) -> None:
        """Finish the files."""
        for writer in self._writers:
            writer.close()

    def _writer(self, name: str, picture: Picture, alpha: bool) -> FrameWriter:
        path = self._folder / (f"{name}.mov" if self._codec == "prores" else name)
        if self._codec == "png":
            path.mkdir()
        return self._stack.enter_context(
            FrameWriter(
                path,
                width=picture.shape[1],
                height=picture.shape[0],
                rate=self._rate,
                codec=self._codec,
                alpha=alpha,
                metadata=self._marks.container(path),
            )
        )
