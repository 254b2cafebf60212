"""Windows in time: where they start, how far they see, and clips in pieces."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from avatarkit.errors import UsageError
from avatarkit.systems.metaportrait.build import build_enhancer
from avatarkit.systems.metaportrait.config import PRESETS, EnhancerConfig
from avatarkit.systems.metaportrait.enhancer import Enhancer, Window, enhance_clip

ALONE = EnhancerConfig(size=16, stem=4, widths=(6, 8))


def awake(config: EnhancerConfig, strength: float = 0.1) -> Enhancer:
    """With windows that do something."""
    net = build_enhancer(config, 0)
    torch.manual_seed(1)
    for window in net.windows:
        nn.init.normal_(window.added.weight, std=strength)
    return net


def clip(frames: int, size: int = 16) -> torch.Tensor:
    return torch.rand(1, frames, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_windows_start_at_the_per_frame_net_bit_for_bit() -> None:
    alone = build_enhancer(ALONE, 0)
    windowed = build_enhancer(replace(ALONE, windows=True), 1)
    windowed.load_state_dict(alone.state_dict(), strict=False)
    x = clip(5)
    with torch.no_grad():
        assert torch.equal(windowed(x), alone(x))
        torch.testing.assert_close(alone(x)[:, 2], alone(x[:, 2:3])[:, 0], atol=1e-6, rtol=0)


def test_a_still_clip_stays_still() -> None:
    net = awake(replace(ALONE, windows=True))
    with torch.no_grad():
        drawn = net(clip(1).expand(1, 6, 3, 16, 16))
    torch.testing.assert_close(drawn, drawn[:, :1].expand_as(drawn), atol=1e-6, rtol=0)


def test_a_window_is_a_convolution_in_time_with_repeated_ends() -> None:
    torch.manual_seed(0)
    window = Window(3)
    nn.init.normal_(window.added.weight)
    x = torch.randn(5, 3, 8, 8)
    kernel = window.joined.weight.unflatten(1, (3, 3)).movedim(1, 2)  # frames become a third axis
    padded = torch.cat([x[:1], x, x[-1:]]).movedim(0, 1)[None]
    joined = F.conv3d(padded, kernel, window.joined.bias, padding=(0, 1, 1))[0].movedim(0, 1)
    wanted = x + window.added(F.leaky_relu(joined, 0.2))
    torch.testing.assert_close(window(x, 5), wanted, atol=1e-5, rtol=1e-5)


def test_windows_do_not_mix_clips_of_a_batch() -> None:
    net = awake(replace(ALONE, windows=True))
    x = torch.cat([clip(4), 1 - clip(4)])
    with torch.no_grad():
        torch.testing.assert_close(net(x)[:1], net(x[:1]), atol=1e-5, rtol=0)


def test_chunks_with_as_many_frames_around_as_windows_give_the_whole_clip() -> None:
    net = awake(EnhancerConfig(size=64, stem=2, widths=(2,) * 7, windows=True), strength=2.0).double()
    assert net.reach == 14
    x = clip(16, 64)[0].double()
    with torch.no_grad():
        whole = net(x[None])[0]
        assert (enhance_clip(net, x, 15) - whole).abs().max() < 1e-5
        assert (enhance_clip(net, x, 15, overlap=13) - whole).abs().max() > 1e-5


def test_published_windows() -> None:
    config = replace(PRESETS["paper-256"].enhancer, windows=True)
    with torch.device("meta"):
        assert Enhancer(config).reach == 14


def test_another_size_is_refused() -> None:
    with pytest.raises(UsageError, match="this enhancer takes 16"):
        build_enhancer(ALONE, 0)(clip(1, 8))
