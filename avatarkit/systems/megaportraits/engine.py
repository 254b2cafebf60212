"""The engines of MegaPortraits: base model and enhancer for any source, student for the avatars that it knows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avatarkit.checkpoint import Checkpoint
from avatarkit.devices import full_precision
from avatarkit.errors import AvatarkitError, InputError, UsageError
from avatarkit.head.matrix import head_matrix
from avatarkit.head.square import Square
from avatarkit.motion.transfer import DriveFrame
from avatarkit.nets.inference import Inference, frames_at_once, open_inference
from avatarkit.systems.megaportraits.avatar import AvatarEngine, chosen_avatar
from avatarkit.systems.megaportraits.base import Base, SourceCode
from avatarkit.systems.megaportraits.enhancer import Enhancer
from avatarkit.systems.megaportraits.load import avatars_of, load_base, load_enhancer, load_student
from avatarkit.systems.megaportraits.stages.drive import encode, motion_code, rows
from avatarkit.systems.megaportraits.student import Student
from avatarkit.systems.options import EngineOptions
from avatarkit.systems.protocol import Drawn, Engine, Needs, SourceLayers

Picture = NDArray[np.uint8]


class BaseEngine:
    """Draws any source with a base model, enlarged by an enhancer where there is one.

    The source is encoded once, canonical volume included. A frame takes the expression code of the driver's square and
    the pose of the `DriveFrame`. With absolute motion the code is the driver's own, z_d, as in training. With relative
    motion it is z_s + (z_d - z_n): the source's code, changed as the driver's has changed since its neutral frame. One
    encoder makes all three, so that what a code holds of a person beside the expression cancels, and the source's own
    expression stands for the driver's neutral one, as it does for the landmarks of other engines.
    """

    def __init__(self, base: Base, enhancer: Enhancer | None, inference: Inference, label: str) -> None:
        """Take the networks; they are folded and moved to the device. `label` names the checkpoints."""
        self._inference = inference
        self._base = inference.ready(base)
        self._enhancer = None if enhancer is None else inference.ready(enhancer)
        self._draw = inference.compiled(self._drawn)
        self._label = label
        self._source: tuple[SourceCode, Tensor, Square] | None = None
        self._neutral: dict[int, Tensor] = {}
        size = base.config.size
        self._drawn_px = size if enhancer is None else 2 * size
        self._at_once = frames_at_once(inference, self._drawn_px, self._rehearse)

    @property
    def name(self) -> str:
        """Name and checkpoints, for reports."""
        return f"megaportraits {self._label}"

    @property
    def needs(self) -> Needs:
        """Squares of the base model's size."""
        return Needs(self._base.config.size, drawn_px=self._drawn_px, at_once=self._at_once, alone=True)

    def prepare(self, source: SourceLayers) -> None:
        """Encode the source's square."""
        assert source.square is not None
        self.prepare_square(source.square)

    def prepare_square(self, square: Square) -> None:
        """Encode a source."""
        if square.matte is None:
            raise AvatarkitError("BaseEngine.prepare needs a square with its matte")
        with self._inference.running():
            z_s = self._codes([square])
            frames = {
                "image": self._inference.batch([square.picture]),
                "matte": self._inference.rows([square.matte[None] / np.float32(255)]),
                "head": self._inference.rows([square.head]),
            }
            code = encode(self._base, frames, z_s)
        self._source = code, z_s, square
        self._neutral.clear()

    def drive(self, frames: Sequence[DriveFrame]) -> list[Drawn]:
        """See `Engine.drive`."""
        if self._source is None:
            raise AvatarkitError("BaseEngine.prepare must be called before frames are drawn")
        code, z_s, own = self._source
        with self._inference.running():
            z = self._expressions(frames, z_s)
            same = rows(code, torch.zeros(len(frames), dtype=torch.int64, device=z.device))
            drawn = self._inference.pictures(self._draw(same, self._heads(frames, own), z))
        return [Drawn(picture, None) for picture in drawn]

    def notices(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def _drawn(self, source: SourceCode, head_B44: Tensor, z_BE: Tensor) -> Tensor:
        low = self._base.drive(source, head_B44, z_BE).image
        return low if self._enhancer is None else self._enhancer(low)

    def _codes(self, squares: Sequence[Square]) -> Tensor:
        """Expression codes (B, E) of squares."""
        pictures = self._inference.batch([square.picture for square in squares])
        return motion_code(self._base, pictures, self._inference.rows([square.head for square in squares]))

    def _heads(self, frames: Sequence[DriveFrame], own: Square) -> Tensor:
        """The head transforms to be drawn, (B, 4, 4).

        They are the tracker's. A model that was trained with a pose net gets them as the net would see them: changed
        by what it sees otherwise in the square that the pose was taken from.
        """
        size = self._base.config.size
        poses = [frame.pose for frame in frames]
        wanted = self._inference.rows([head_matrix(p.rotation, p.translation, p.scale, size) for p in poses])
        if self._base.pose_net is None:
            return wanted
        origins = [frame.posed or own for frame in frames]
        tracked = self._inference.rows([square.head for square in origins])
        seen = self._base.pose(self._inference.batch([square.picture for square in origins]), tracked)
        with full_precision(wanted.device):
            heads: Tensor = wanted @ torch.linalg.inv(tracked) @ seen
            return heads

    def _expressions(self, frames: Sequence[DriveFrame], z_s: Tensor) -> Tensor:
        """What each frame is drawn with, (B, E)."""
        seen = [(number, square, share) for number, frame in enumerate(frames) for square, share in frame.driver]
        result = z_s.float().repeat(len(frames), 1)
        if not seen:
            return result
        codes = self._codes([square for _, square, _ in seen]).float()
        z_d = torch.zeros_like(result)
        for (number, _, share), code in zip(seen, codes, strict=True):
            z_d[number] += share * code
        for number, frame in enumerate(frames):
            if frame.driver and frame.weight:
                start = result[number] if frame.neutral is None else self._neutral_code(frame.neutral)
                result[number] += frame.weight * (z_d[number] - start)
        return result

    def _neutral_code(self, square: Square) -> Tensor:
        if square.index not in self._neutral:
            self._neutral[square.index] = self._codes([square])[0].float()
        return self._neutral[square.index]

    def _rehearse(self) -> None:
        """Draw one frame of nothing, to see what memory that takes."""
        config, local = self._base.config, self._base.config.local
        device = self._inference.device
        volume = torch.zeros(1, local.channels, local.depth, config.side, config.side, device=device)
        nothing = SourceCode(volume, torch.zeros(1, config.code, device=device), volume)
        with self._inference.running():
            self._draw(nothing, torch.eye(4, device=device)[None], torch.zeros(1, config.code, device=device))


class StudentEngine(AvatarEngine):
    """The student itself, on a device of torch's."""

    def __init__(self, student: Student, avatar: int, inference: Inference, label: str) -> None:
        """Take the network and the avatar's number; what the avatar alone decides is computed here, once."""
        self._inference = inference
        self._size = student.config.size
        self._label = label
        # On a CPU convolutions are half as fast again where a pixel's channels lie together.
        self._layout = torch.channels_last if inference.device == "cpu" else torch.contiguous_format
        self._student = inference.ready(student).to(memory_format=self._layout)
        with inference.running():
            number = torch.tensor([avatar], device=inference.device)
            self._modulations = [
                tuple(tuple(tensor.contiguous(memory_format=self._layout) for tensor in pair) for pair in block)
                for block in self._student.modulations(number)
            ]
        self._draw = inference.compiled(self._student.draw)
        blank = np.zeros((self._size, self._size, 3), np.uint8)
        self._at_once = frames_at_once(inference, self._size, lambda: self.frames([blank]))

    def frames(self, pictures: Sequence[Picture]) -> list[Picture]:
        """The avatar as drivers' squares (S, S, 3) move it."""
        with self._inference.running():
            drivers = self._inference.batch(pictures).contiguous(memory_format=self._layout)
            return self._inference.pictures(self._draw(drivers, self._modulations))


def open_base(options: EngineOptions) -> BaseEngine:
    """The engine of a base model, and of an enhancer trained on it.

    Raises:
        UsageError: no base model, or an option that the engine has not. InputError: checkpoints that do not fit.
        DependencyError: device or precision that is not here.
    """
    base, enhancer = options.checkpoints.get("base"), options.checkpoints.get("enhancer")
    if base is None:
        raise UsageError("--engine megaportraits: needs --checkpoint BASE, made by avatarkit train base")
    if options.avatar is not None:
        raise UsageError(f"--avatar {options.avatar}: a base model draws the source; avatars are a student's")
    if enhancer is not None and enhancer.meta.parents.get("base") != base.sha256:
        raise InputError(
            f"{enhancer.folder}: this enhancer was trained on the base model"
            f" {enhancer.meta.parents.get('base', 'unknown')[:12]}, and {base.folder} is {base.sha256[:12]}; give the"
            " two that belong together"
        )
    inference = open_inference(options.device, options.precision, options.compile)
    label = " + ".join(_label(checkpoint) for checkpoint in (base, enhancer) if checkpoint is not None)
    net = load_base(base)
    grown = None if enhancer is None else load_enhancer(enhancer)
    if grown is not None and grown.config.size != net.config.size:
        assert enhancer is not None
        raise InputError(
            f"{enhancer.folder}: this enhancer takes {grown.config.size} px, and {base.folder} draws {net.config.size}"
        )
    return BaseEngine(net, grown, inference, label)


def open_student(options: EngineOptions) -> Engine:
    """The engine of a student's checkpoint, or of a file that was exported from one; errors as `open_base`."""
    if options.exported is not None:
        from avatarkit.systems.megaportraits.export import open_exported

        return open_exported(options.exported, options)
    checkpoint = options.checkpoints.get("student")
    if checkpoint is None:
        raise UsageError("--engine student: needs --checkpoint STUDENT, made by avatarkit train student")
    names = avatars_of(checkpoint)
    number = chosen_avatar(names, options.avatar, str(checkpoint.folder))
    inference = open_inference(options.device, options.precision, options.compile)
    return StudentEngine(load_student(checkpoint), number, inference, f"{_label(checkpoint)}, avatar {names[number]}")


def _label(checkpoint: Checkpoint) -> str:
    """Step and identity of a checkpoint."""
    return f"{checkpoint.meta.stage} {checkpoint.meta.preset} step {checkpoint.meta.step} ({checkpoint.sha256[:12]})"
