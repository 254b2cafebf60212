"""The engine of MetaPortrait: a source's square, moved as its landmarks go, perhaps enlarged with windows in time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from avatarkit.checkpoint import Checkpoint
from avatarkit.errors import AvatarkitError, InputError, UsageError
from avatarkit.head.landmark_picture import draw_landmarks, landmark_lines
from avatarkit.head.square import Square
from avatarkit.motion.transfer import DriveFrame
from avatarkit.nets.inference import Inference, frames_at_once, open_inference
from avatarkit.systems.avatar_file import StoredNet
from avatarkit.systems.metaportrait.build import build_own_portrait
from avatarkit.systems.metaportrait.config import PortraitConfig, check_lines
from avatarkit.systems.metaportrait.enhancer import Enhancer
from avatarkit.systems.metaportrait.load import load_enhancer, load_portrait
from avatarkit.systems.metaportrait.portrait import Driven, Portrait, SourceCode
from avatarkit.systems.options import EngineOptions
from avatarkit.systems.protocol import Drawn, Needs, SourceLayers

__all__ = ["META", "PORTRAIT", "PortraitEngine", "open_portrait", "own_engine"]

PORTRAIT, META = "metaportrait/portrait", "metaportrait/meta"
ENHANCER, TEMPORAL = "metaportrait/enhancer", "metaportrait/temporal"
LEAST_CHUNK = 8
"""Frames that are enhanced together, beside those around them; more where windows reach far."""


class PortraitEngine:
    """Draws any source with a trained portrait; an enhancer doubles the size of what it draws.

    The source's square is the one that datasets store, and the frame's landmarks are drawn in it. With relative motion
    those are the source's own, changed as the driver's have changed; nothing else of the driver is looked at. The matte
    is the network's own.
    """

    def __init__(self, portrait: Portrait, enhancer: Enhancer | None, inference: Inference, label: str) -> None:
        """Take the networks; they are folded and moved to the device. `label` names the checkpoints."""
        self._inference, self._label = inference, label
        self._lines = landmark_lines(portrait.config.flow.lines.name)
        self._portrait = inference.ready(portrait)
        self._enhancer = None if enhancer is None else inference.ready(enhancer)
        self._draw = inference.compiled(self._drawn)
        self._source: SourceCode | None = None
        self._size = portrait.config.size
        self._at_once = frames_at_once(inference, self._size, self._rehearse)

    @property
    def name(self) -> str:
        """Name and checkpoints, for reports."""
        return f"metaportrait {self._label}"

    @property
    def needs(self) -> Needs:
        """The source's square, and drivers tracked in squares of that size."""
        finishing = None if self._enhancer is None else self.enhanced
        drawn_px = self._size if finishing is None else 2 * self._size
        return Needs(
            self._size, drawn_px=drawn_px, at_once=self._at_once, alone=True, alpha=True, finishing=finishing
        )

    def prepare(self, source: SourceLayers) -> None:
        """Encode the source's square."""
        assert source.square is not None
        self.prepare_square(source.square)

    def prepare_square(self, square: Square) -> None:
        """Encode a source."""
        points = np.asarray(square.landmarks, np.float64)
        with self._inference.running():
            self._source = self._portrait.encode_source(
                self._inference.batch([square.picture]), self._pictures_of([points]), self._inference.rows([points])
            )

    def drive(self, frames: Sequence[DriveFrame]) -> list[Drawn]:
        """See `Engine.drive`."""
        if self._source is None:
            raise AvatarkitError("PortraitEngine.prepare must be called before frames are drawn")
        points = [np.asarray(frame.landmarks, np.float64) for frame in frames]
        with self._inference.running():
            driven = self._draw(self._source.for_each(len(frames)), self._pictures_of(points), points)
            pictures, mattes = self._inference.pictures(driven.image), _levels(driven.matte)
        return [Drawn(picture, matte) for picture, matte in zip(pictures, mattes, strict=True)]

    def enhanced(self, frames: Iterable[Drawn]) -> Iterator[Drawn]:
        """Drawn frames at twice their size, in order; each with as many neighbours in view as the windows reach."""
        assert self._enhancer is not None
        reach = self._enhancer.reach
        chunk = max(LEAST_CHUNK, 2 * reach)
        held: list[Drawn] = []
        first = 0  # of the held frames, the one that comes next
        for frame in frames:
            held.append(frame)
            if len(held) == first + chunk + reach:
                yield from self._enlarged(held, first, first + chunk)
                held = held[first + chunk - reach :]
                first = reach
        yield from self._enlarged(held, first, len(held))

    def notices(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def _enlarged(self, held: Sequence[Drawn], first: int, stop: int) -> Iterator[Drawn]:
        if first == stop:
            return
        assert self._enhancer is not None
        alphas = [frame.alpha for frame in held if frame.alpha is not None]
        with self._inference.running():
            low = self._inference.batch([frame.frame for frame in held])
            matte = self._inference.batch([alpha[..., None] for alpha in alphas])
            drawn = self._enhancer((low * matte)[None])[0, first:stop]
            grown = F.interpolate(matte[first:stop], scale_factor=2.0, mode="bilinear", align_corners=False)
            pictures, mattes = self._inference.pictures(drawn), _levels(grown)
        yield from (Drawn(picture, alpha) for picture, alpha in zip(pictures, mattes, strict=True))

    def _drawn(self, source: SourceCode, lines: Tensor, points: Sequence[NDArray[np.float64]]) -> Driven:
        return self._portrait.drive(source, lines, self._inference.rows(points))

    def _pictures_of(self, faces: Sequence[NDArray[np.float64]]) -> Tensor:
        """Landmark pictures of faces, on the device."""
        return self._inference.batch([draw_landmarks(points, self._size, self._lines) for points in faces])

    def _rehearse(self) -> None:
        """Draw one frame of nothing, to see what memory that takes."""
        points = np.linspace(0, self._size - 1, 3 * 478).reshape(478, 3)
        lines = self._pictures_of([points])
        with self._inference.running():
            code = self._portrait.encode_source(lines, lines, self._inference.rows([points]))
            self._draw(code, lines, [points])


def _levels(matte_B1HW: Tensor) -> list[NDArray[np.uint8]]:
    """Mattes in [0, 1] as arrays (H, W)."""
    levels = (matte_B1HW[:, 0].float().clamp(0, 1) * 255).round().to(torch.uint8)
    return list(np.ascontiguousarray(levels.cpu().numpy()))


def open_portrait(options: EngineOptions) -> PortraitEngine:
    """The engine of a portrait, of plain training or of meta-learning, and of an enhancer that was trained on it.

    Raises:
        UsageError: no portrait, or two; an option that the engine has not. InputError: checkpoints that do not fit, or
            whose landmark pictures are not this program's. DependencyError: device or precision that is not here.
    """
    drawing = _only(options, (PORTRAIT, META), "portraits")
    if drawing is None:
        raise UsageError(
            "--engine metaportrait: needs --checkpoint PORTRAIT, made by avatarkit train metaportrait/portrait or /meta"
        )
    if options.avatar is not None:
        raise UsageError(f"--avatar {options.avatar}: a portrait draws the source; avatars are a student's")
    growing = _only(options, (ENHANCER, TEMPORAL), "enhancers")
    inference = open_inference(options.device, options.precision, options.compile)
    portrait = load_portrait(drawing)
    enhancer = None if growing is None else load_enhancer(growing)
    if growing is not None and enhancer is not None and enhancer.config.size != portrait.config.size:
        raise InputError(
            f"{growing.folder}: this enhancer takes {enhancer.config.size} px, and {drawing.folder} draws"
            f" {portrait.config.size}"
        )
    label = " + ".join(_label(checkpoint) for checkpoint in (drawing, growing) if checkpoint is not None)
    return PortraitEngine(portrait, enhancer, inference, label)


def own_engine(path: Path, net: StoredNet, options: EngineOptions) -> PortraitEngine:
    """The engine of a personal avatar.

    Raises:
        InputError: a net that is damaged, or knows other landmark pictures. DependencyError: as `open_portrait`.
    """

    def make(config: PortraitConfig) -> Portrait:
        check_lines(config.flow.lines, str(path))
        return build_own_portrait(config, 0)

    portrait = net.built(PortraitConfig, make, path)
    inference = open_inference(options.device, options.precision, options.compile)
    return PortraitEngine(portrait, None, inference, f"avatar {path.name}")


def _only(options: EngineOptions, stages: Sequence[str], what: str) -> Checkpoint | None:
    given = [options.checkpoints[stage] for stage in stages if stage in options.checkpoints]
    if len(given) > 1:
        both = f"{given[0].folder} is given too, and both are {what}"
        raise UsageError(f"--checkpoint {given[1].folder}: {both}; give one")
    return given[0] if given else None


def _label(checkpoint: Checkpoint) -> str:
    """Stage, step and identity of a checkpoint."""
    stage = checkpoint.meta.stage.rpartition("/")[2]
    return f"{stage} {checkpoint.meta.preset} step {checkpoint.meta.step} ({checkpoint.sha256[:12]})"
