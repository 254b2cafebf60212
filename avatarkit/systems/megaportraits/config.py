"""Sizes of all networks, by preset.

| preset | frames | for |
|---|---|---|
| paper-512 | 512 px, enhanced to 1024 | as published |
| paper-256 | 256 px, enhanced to 512 | the paper's first stage: the same volume, one pooling and one enlargement less |
| small-256 | 256 px, enhanced to 512 | minutes on one GPU; at most 15 M parameters in the base model |
| tiny-64 | 64 px, enhanced to 128 | tests and small trials on a CPU |

Source of the published ones: MegaPortraits, supplementary, figures 9 to 11; what is ours is marked (choice).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from avatarkit.errors import UsageError
from avatarkit.nets.convs import Style
from avatarkit.nets.discriminator import DiscriminatorConfig
from avatarkit.nets.resnet import ResNetConfig
from avatarkit.nets.sizes import MOST_CROP, MOST_FRAME, check_side

__all__ = [
    "PRESETS", "BaseConfig", "EnhancerConfig", "GazeConfig", "LocalConfig", "PoseConfig",
    "Preset", "StudentConfig",
]  # fmt: skip

_STYLE, _PLAIN = Style(), Style(spectral=False)
_RESNET18, _RESNET50 = ResNetConfig(), ResNetConfig(blocks=(3, 4, 6, 3), bottleneck=True)


@dataclass(frozen=True)
class LocalConfig:
    """The local appearance encoder, and the volume that it makes.

    stem: channels after the first convolution. widths: of the blocks; the first ones are followed by a pooling, as
    many as the picture is to shrink. channels, depth: of the volume. blocks: ResBlock3D at the end.
    """

    stem: int = 64
    widths: tuple[int, ...] = (128, 256, 512)
    channels: int = 96
    depth: int = 16
    blocks: int = 6


_OFFSET_GAIN = 0.1
"""Adam moves each weight by about the learning rate, and hundreds of weights that move together shift all offsets at
once: at gain 1 they were a third of the volume after 250 steps, and most of what the warps then read lay outside."""


@dataclass(frozen=True)
class BaseConfig:
    """The base model G_base.

    size: of frames, pixels. side: of the volume's height and width. code: length of e and z.
    face_size: of the expression encoder's face crops, pixels (choice).
    use_head_pose: False leaves the rigid motion out of both warps, to measure what it does.
    pose_net: of a frozen net whose estimates it was trained with; None: with the tracker's head transforms.
    warp_start, warp_depth: channels and depth of a warp generator's first volume, 4 x 4 in the picture's plane.
    offset_gain: of a warp generator's last convolution before its tanh (choice); None: 1, as before there was one.
    warp_widths: one block for each doubling from there to `side`; the first ones double the depth as well.
    g3d_widths: on the three levels of G_3D. projection: channels of P and of G_2D's first blocks.
    g2d_widths: of the blocks at the end; the first ones follow an enlargement, as many as are needed.
    """

    size: int = 512
    side: int = 64
    code: int = 512
    face_size: int = 128
    use_head_pose: bool = True
    pose_net: PoseConfig | None = None
    local: LocalConfig = LocalConfig()
    global_net: ResNetConfig = _RESNET50
    expression_net: ResNetConfig = _RESNET18
    warp_start: int = 512
    warp_depth: int = 4
    warp_widths: tuple[int, ...] = (256, 128, 64, 32)
    offset_gain: float | None = None
    g3d_widths: tuple[int, int, int] = (192, 384, 512)
    projection: int = 512
    g2d_blocks: int = 8
    g2d_widths: tuple[int, ...] = (256, 128, 64)
    style: Style = _STYLE

    def __post_init__(self) -> None:
        check_side("base model: frames", self.size, MOST_FRAME, self.global_net.stride)
        check_side("base model: face crops", self.face_size, MOST_CROP, self.expression_net.stride)
        if self.offset_gain is not None and not 0.0 < self.offset_gain <= 10.0:
            raise UsageError(f"base model: offset_gain {self.offset_gain:g}; use a number above 0, at most 10")


@dataclass(frozen=True)
class EnhancerConfig:
    """The enhancer G_enh.

    size: of the frames that come in, pixels; twice as large ones go out. local: encoder, as in the base model.
    width, blocks: of the decoder's first blocks. up_widths: each after an enlargement, one for each pooling of the
    encoder. tail_widths: of the blocks at full size.
    """

    size: int = 512
    local: LocalConfig = LocalConfig()
    width: int = 512
    blocks: int = 8
    up_widths: tuple[int, ...] = (256, 128, 128)
    tail_widths: tuple[int, ...] = (128, 64, 32)
    style: Style = _STYLE

    def __post_init__(self) -> None:
        check_side("enhancer: frames", self.size, MOST_FRAME)


@dataclass(frozen=True)
class StudentConfig:
    """The student G_DT.

    size: of frames, pixels. encoder: of the driver. widths: of the blocks; the last ones enlarge, as many as bring the
    encoder's map to `size`. identity_side: at most, of the stored identity tensors.
    """

    size: int = 512
    encoder: ResNetConfig = _RESNET18
    widths: tuple[int, ...] = (192, 192, 192, 192, 192, 96, 48, 24)
    identity_side: int = 64
    style: Style = _STYLE

    def __post_init__(self) -> None:
        check_side("student: frames", self.size, MOST_FRAME, self.encoder.stride)


@dataclass(frozen=True)
class GazeConfig:
    """The gaze and blink net.

    eye_size: of the crops, pixels. widths: of VGG16's five blocks. code: of an eye. keypoint_code: of the face's
    points. hidden: in both heads (choice).
    """

    eye_size: int = 64
    widths: tuple[int, int, int, int, int] = (64, 128, 256, 512, 512)
    code: int = 256
    keypoint_code: int = 64
    hidden: int = 128

    def __post_init__(self) -> None:
        check_side("gaze net: eye crops", self.eye_size, MOST_CROP)


@dataclass(frozen=True)
class PoseConfig:
    """The head-pose net; frames of any size are brought to `size` pixels."""

    size: int = 128
    net: ResNetConfig = _RESNET18
    style: Style = _PLAIN

    def __post_init__(self) -> None:
        check_side("pose net: frames", self.size, MOST_CROP, self.net.stride)


@dataclass(frozen=True)
class Preset:
    """All networks of a preset."""

    name: str
    base: BaseConfig
    base_discriminator: DiscriminatorConfig
    enhancer: EnhancerConfig
    enhancer_discriminator: DiscriminatorConfig
    student: StudentConfig
    student_discriminator: DiscriminatorConfig
    gaze: GazeConfig
    pose: PoseConfig


_PAPER_512 = Preset(
    name="paper-512",
    base=BaseConfig(offset_gain=_OFFSET_GAIN),
    base_discriminator=DiscriminatorConfig(),
    enhancer=EnhancerConfig(),
    enhancer_discriminator=DiscriminatorConfig(),
    student=StudentConfig(),
    student_discriminator=DiscriminatorConfig(scales=4),
    gaze=GazeConfig(),
    pose=PoseConfig(),
)
_PAPER_256 = replace(
    _PAPER_512,
    name="paper-256",
    base=replace(_PAPER_512.base, size=256),
    enhancer=replace(_PAPER_512.enhancer, size=256),
    student=replace(_PAPER_512.student, size=256),
)
_SMALL_STYLE = Style(groups=16)
_SMALL_LOCAL = LocalConfig(stem=32, widths=(48, 96, 192), channels=24, depth=16, blocks=3)
_SMALL_RESNET = ResNetConfig(width=32)
_SMALL_DISCRIMINATOR = DiscriminatorConfig(scales=2, widths=(32, 64, 128, 256))
_SMALL_256 = Preset(
    name="small-256",
    base=BaseConfig(
        offset_gain=_OFFSET_GAIN,
        size=256,
        code=256,
        local=_SMALL_LOCAL,
        global_net=ResNetConfig(width=24, blocks=(1, 2, 2, 1), bottleneck=True),
        expression_net=_SMALL_RESNET,
        warp_start=128,
        warp_widths=(96, 64, 32, 24),
        g3d_widths=(48, 96, 128),
        projection=192,
        g2d_blocks=4,
        g2d_widths=(128, 64, 32),
        style=_SMALL_STYLE,
    ),
    base_discriminator=_SMALL_DISCRIMINATOR,
    enhancer=EnhancerConfig(
        size=256,
        local=_SMALL_LOCAL,
        width=192,
        blocks=4,
        up_widths=(96, 64, 48),
        tail_widths=(32,),
        style=_SMALL_STYLE,
    ),
    enhancer_discriminator=_SMALL_DISCRIMINATOR,
    student=StudentConfig(
        size=256, encoder=_SMALL_RESNET, widths=(96, 96, 96, 96, 64, 48, 32, 24), style=_SMALL_STYLE
    ),
    student_discriminator=replace(_SMALL_DISCRIMINATOR, scales=4),
    gaze=GazeConfig(widths=(32, 64, 128, 128, 128), code=128),
    pose=PoseConfig(net=_SMALL_RESNET),
)
_TINY_STYLE = Style(groups=8, spectral=False)
_TINY_LOCAL = LocalConfig(stem=16, widths=(24, 48), channels=16, depth=8, blocks=2)
_TINY_RESNET = ResNetConfig(width=16, blocks=(1, 1, 1), stem_pool=False)
_TINY_DISCRIMINATOR = DiscriminatorConfig(scales=2, widths=(16, 32, 64))
_TINY_64 = Preset(
    name="tiny-64",
    base=BaseConfig(
        offset_gain=_OFFSET_GAIN,
        size=64,
        side=16,
        code=128,
        face_size=48,
        local=_TINY_LOCAL,
        global_net=_TINY_RESNET,
        expression_net=_TINY_RESNET,
        warp_start=64,
        warp_widths=(48, 24),
        g3d_widths=(24, 32, 48),
        projection=64,
        g2d_blocks=3,
        g2d_widths=(48, 32),
        style=_TINY_STYLE,
    ),
    base_discriminator=_TINY_DISCRIMINATOR,
    enhancer=EnhancerConfig(
        size=64,
        local=replace(_TINY_LOCAL, widths=(24, 32, 48), blocks=1),
        width=64,
        blocks=2,
        up_widths=(48, 32, 24),
        tail_widths=(16,),
        style=_TINY_STYLE,
    ),
    enhancer_discriminator=_TINY_DISCRIMINATOR,
    student=StudentConfig(
        size=64, encoder=_TINY_RESNET, widths=(64, 48, 32, 24), identity_side=16, style=_TINY_STYLE
    ),
    student_discriminator=replace(_TINY_DISCRIMINATOR, scales=4, widths=(16, 32)),
    gaze=GazeConfig(eye_size=32, widths=(8, 16, 24, 32, 32), code=64, keypoint_code=16, hidden=32),
    pose=PoseConfig(size=64, net=_TINY_RESNET, style=_TINY_STYLE),
)

PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in (_PAPER_512, _PAPER_256, _SMALL_256, _TINY_64)}
