"""Parameters and floating-point operations of each network of a preset, without computing or holding any of them.

A multiply-add counts as two operations. Convolutions and linear layers count; norms, activations and sampling, a few
per cent, do not, nor does what weights go through before they convolve, which no frame repeats after `fold_weights`.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from avatarkit.face.landmarks import IRIS_CENTRES
from avatarkit.nets.count import NetCount, counted, parameters_of
from avatarkit.nets.discriminator import Discriminator
from avatarkit.systems.megaportraits.base import Base
from avatarkit.systems.megaportraits.config import Preset
from avatarkit.systems.megaportraits.enhancer import Enhancer
from avatarkit.systems.megaportraits.gaze import GazeNet
from avatarkit.systems.megaportraits.pose import PoseNet
from avatarkit.systems.megaportraits.student import Student

__all__ = ["count_base", "count_preset"]

_LANDMARKS = IRIS_CENTRES[1] + 5
_META = torch.device("meta")


def count_preset(preset: Preset) -> tuple[NetCount, ...]:
    """Count all networks of a preset; the student with one avatar."""
    return (*count_base(preset), *_others(preset))


def count_base(preset: Preset) -> tuple[NetCount, ...]:
    """Count the parts of the base model."""
    config = preset.base
    with _META:
        base = Base(config)
        image = torch.empty(1, 3, config.size, config.size)
        face = torch.empty(1, 3, config.face_size, config.face_size)
        code = torch.empty(1, config.code)
        volume = torch.empty(1, config.local.channels, config.local.depth, config.side, config.side)
    return (
        _count("E_app, local", base.appearance.local, "source", image),
        _count("E_app, global", base.appearance.overall, "source", image),
        _count("E_mtn, expression", base.expression_encoder, "source and frame", face),
        _count("W, source", base.warp_source, "source", code),
        _count("W, driver", base.warp_driver, "frame", code),
        _count("G_3D", base.g3d, "source", volume),
        _count("P + G_2D", nn.Sequential(base.projection, base.g2d), "frame", volume),
    )


def _others(preset: Preset) -> Iterator[NetCount]:
    with _META:
        pose, gaze = PoseNet(preset.pose), GazeNet(preset.gaze)
        frame = torch.empty(1, 3, preset.pose.size, preset.pose.size)
        eyes = torch.empty(1, 2, 3, preset.gaze.eye_size, preset.gaze.eye_size)
        landmarks = torch.empty(1, _LANDMARKS, 2)
        enhancer, student = Enhancer(preset.enhancer), Student(preset.student, 1)
        low = torch.empty(1, 3, preset.enhancer.size, preset.enhancer.size)
        driver = torch.empty(1, 3, preset.student.size, preset.student.size)
        avatar = torch.empty(1, dtype=torch.int64)
        sharp = torch.empty(1, 3, 2 * preset.enhancer.size, 2 * preset.enhancer.size)
    yield _count("E_mtn, pose", pose, "source and frame", frame)
    yield _count("G_enh", enhancer, "frame", low)
    with torch.no_grad(), counted(student) as per_avatar:
        modulations = student.modulations(avatar)
    with torch.no_grad(), counted(student) as per_frame:
        student.draw(driver, modulations)
    own = sum(weight.numel() for name, weight in student.named_parameters() if name.endswith(".identity"))
    yield NetCount("G_DT", parameters_of(student) - own, per_frame[0], "frame")
    yield NetCount("G_DT, per avatar", own, per_avatar[0], "source")
    for name, config, image in (
        ("D, base", preset.base_discriminator, low),
        ("D, enhancer", preset.enhancer_discriminator, sharp),
        ("D, student", preset.student_discriminator, driver),
    ):
        with _META:
            judge = Discriminator(config)
        yield _count(name, judge, "training", image)
    yield _count("gaze and blink", gaze, "training", eyes, landmarks)


def _count(name: str, net: nn.Module, runs: str, *inputs: Tensor) -> NetCount:
    with torch.no_grad(), counted(net) as flops:
        net(*inputs)
    return NetCount(name, parameters_of(net), flops[0], runs)
