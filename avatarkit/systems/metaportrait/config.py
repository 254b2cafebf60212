"""Sizes of all networks, by preset.

| preset | frames | for |
|---|---|---|
| paper-256 | 256 px, enhanced to 512 | as published |
| small-256 | 256 px, enhanced to 512 | a quarter of the widths: one GPU |
| tiny-64 | 64 px, enhanced to 128 | an eighth of them: tests and small trials on a CPU |

Source of the published ones: the authors' release, since the paper draws its architecture and names no widths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from avatarkit.errors import InputError, UsageError
from avatarkit.head.landmark_picture import SCHEME, landmark_lines
from avatarkit.nets.convs import Style
from avatarkit.nets.discriminator import DiscriminatorConfig
from avatarkit.nets.identity import IdentityConfig
from avatarkit.nets.resnet import ResNetConfig
from avatarkit.nets.sizes import MOST_FRAME, check_side, doublings

__all__ = ["PRESETS", "EnhancerConfig", "FlowConfig", "LinesConfig", "PortraitConfig", "Preset", "check_lines", "lines"]

_SPECTRAL = Style(standardise=False)
_PLAIN = Style(standardise=False, spectral=False)


@dataclass(frozen=True)
class LinesConfig:
    """The landmark pictures that a network was trained on, and knows alone.

    landmarks: of which tracker. name: of the set of lines. sha256: of its edges and colours.
    """

    landmarks: str
    name: str
    sha256: str


def lines(name: str) -> LinesConfig:
    """The set of lines of that name as this program draws it; UsageError where there is none."""
    return LinesConfig(SCHEME, name, landmark_lines(name).sha256)


def check_lines(config: LinesConfig, where: str) -> None:
    """Raise InputError where a checkpoint's network knows other landmark pictures than this program draws."""
    if config.landmarks != SCHEME:
        raise InputError(
            f"{where}: was trained on the landmarks of another tracker ({config.landmarks}); this program has"
            f" {SCHEME}: use a checkpoint that was trained with it"
        )
    try:
        known = lines(config.name)
    except UsageError as error:
        raise InputError(f"{where}: {error}") from error
    if config != known:
        raise InputError(
            f"{where}: was trained on landmark pictures with other edges or colours of {config.name}"
            f" ({config.sha256[:12]}, here {known.sha256[:12]}); use the avatarkit that trained it, or train again"
        )


_DENSE, _DLIB = lines("dense"), IdentityConfig()


@dataclass(frozen=True)
class FlowConfig:
    """E_w and F_w: motion code and flow.

    size: of frames, pixels. lines: of the landmark pictures. code: length of z_w.
    motion_widths: of E_w's convolutions, each of which halves the map. down_widths, up_widths: of F_w's steps.
    hidden: between z_w and the scale and shift of an AdaIN. style: of E_w's convolutions.
    """

    size: int = 256
    lines: LinesConfig = _DENSE
    code: int = 512
    motion_widths: tuple[int, ...] = (64, 128, 256, 512, 512, 512)
    down_widths: tuple[int, ...] = (128, 256, 512, 1024, 1024)
    up_widths: tuple[int, ...] = (1024, 512, 256)
    hidden: int = 128
    style: Style = _SPECTRAL

    def __post_init__(self) -> None:
        check_side("flow net: frames", self.size, MOST_FRAME)
        if len(self.up_widths) >= len(self.down_widths):
            raise UsageError("flow net: give fewer steps up than down")
        doublings(1 << max(len(self.motion_widths), len(self.down_widths)), self.size)

    @property
    def side(self) -> int:
        """Of the flow: a quarter of the frame's in all presets."""
        return self.size >> (len(self.down_widths) - len(self.up_widths))


@dataclass(frozen=True)
class PortraitConfig:
    """All networks of a frame: flow, source encoder, generator, and the frozen identity vector.

    size: of frames, pixels; the flow's. source_widths: of the source encoder's steps down, each of which halves the
    map. full_width: at full size. width: of the generator's blocks before its maps are as large as the source
    encoder's smallest. up_widths: of the blocks from there on; the last at full size. hidden: of the fused norms'
    side branch. style: of the generator's convolutions.
    """

    size: int = 256
    flow: FlowConfig = FlowConfig()
    identity: IdentityConfig = _DLIB
    source_widths: tuple[int, ...] = (128, 256, 512)
    full_width: int = 64
    width: int = 512
    up_widths: tuple[int, ...] = (256, 128, 64, 32)
    hidden: int = 128
    style: Style = _SPECTRAL

    def __post_init__(self) -> None:
        if len(self.up_widths) != len(self.source_widths) + 1:
            raise UsageError("portrait: the generator needs a block for each size of the source encoder's maps")
        if self.size != self.flow.size:
            raise UsageError(f"portrait of {self.size} px with a flow of {self.flow.size} px: give them one size")
        doublings(8 << len(self.source_widths), self.size)


@dataclass(frozen=True)
class EnhancerConfig:
    """The per-frame enhancer and its windows in time.

    size: of the frames that come in, pixels; twice as large ones go out. stem: channels at full size.
    widths: after each step down; on the way up they come in the other order. windows: whether frames see neighbours.
    """

    size: int = 256
    stem: int = 32
    widths: tuple[int, ...] = (64, 128, 256, 256, 256, 256, 256)
    windows: bool = False

    def __post_init__(self) -> None:
        check_side("enhancer: frames", self.size, MOST_FRAME)
        doublings(1 << len(self.widths), 2 * self.size)


@dataclass(frozen=True)
class Preset:
    """All networks of a preset. own_identity: the recogniser that `train metaportrait/identity` makes."""

    name: str
    portrait: PortraitConfig
    own_identity: IdentityConfig
    discriminator: DiscriminatorConfig
    enhancer: EnhancerConfig


_PAPER = Preset(
    "paper-256",
    PortraitConfig(),
    IdentityConfig("own", 256, 128, ResNetConfig()),
    DiscriminatorConfig(),
    EnhancerConfig(),
)
_SMALL = Preset(
    "small-256",
    PortraitConfig(
        flow=FlowConfig(
            code=128,
            motion_widths=(16, 32, 64, 128, 128, 128),
            down_widths=(32, 64, 128, 256, 256),
            up_widths=(256, 128, 64),
            hidden=64,
        ),
        source_widths=(32, 64, 128),
        full_width=16,
        width=128,
        up_widths=(64, 48, 32, 24),
        hidden=48,
    ),
    IdentityConfig("own", 128, 128, ResNetConfig(width=32)),
    DiscriminatorConfig(scales=2, widths=(32, 64, 128, 256)),
    EnhancerConfig(stem=16, widths=(24, 48, 96, 96, 96)),
)
_TINY = Preset(
    "tiny-64",
    PortraitConfig(
        size=64,
        flow=FlowConfig(
            size=64,
            lines=lines("contours"),
            code=64,
            motion_widths=(16, 32, 64, 64),
            down_widths=(16, 32, 64, 96),
            up_widths=(64, 48),
            hidden=32,
            style=_PLAIN,
        ),
        source_widths=(16, 32, 64),
        full_width=16,
        width=64,
        up_widths=(48, 32, 24, 16),
        hidden=24,
        style=_PLAIN,
    ),
    IdentityConfig("own", 64, 48, ResNetConfig(width=16, blocks=(1, 1, 1), stem_pool=False)),
    DiscriminatorConfig(scales=2, widths=(16, 32, 64)),
    EnhancerConfig(size=64, stem=8, widths=(16, 24, 32)),
)

PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in (_PAPER, _SMALL, _TINY)}
