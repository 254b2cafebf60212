from __future__ import annotations

import copy

import pytest
import torch

from avatarkit.nets.convs import Conv2d, Conv3d, Style, advance_norms, fold_weights, standardised

BOTH, WS, SN, NONE = (
    Style(standardise=standardise, spectral=spectral) for standardise in (True, False) for spectral in (True, False)
)


def largest(weight: torch.Tensor) -> float:
    return float(torch.linalg.matrix_norm(weight.flatten(1), ord=2))


def test_standardised_filters_have_mean_0_and_variance_1_over_fan_in() -> None:
    weight = standardised(3 * torch.randn(5, 4, 3, 3, generator=torch.Generator().manual_seed(0)) + 7)
    assert weight.flatten(1).mean(1).abs().max() < 1e-6
    assert weight.flatten(1).var(1, correction=0) == pytest.approx(torch.full((5,), 1 / 36), rel=1e-4)


def test_standardising_forgets_scale_and_offset() -> None:
    weight = torch.randn(5, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(standardised(weight), standardised(10 * weight - 3), atol=1e-6)


@pytest.mark.parametrize("style", [WS, NONE])
def test_plain_convolution_is_pytorchs(style: Style) -> None:
    conv, x = Conv2d(3, 4, 3, style), torch.rand(2, 3, 6, 6)
    weight = standardised(conv.weight) if style.standardise else conv.weight
    assert torch.allclose(conv(x), torch.conv2d(x, weight, conv.bias, padding=1), atol=1e-6)


def test_ends_are_not_standardised() -> None:
    assert Conv2d(3, 4, 7, BOTH).standardise
    assert not Conv2d(3, 4, 7, BOTH, end=True).standardise
    assert not Conv3d(3, 4, 3, BOTH, end=True).standardise


@pytest.mark.parametrize("style", [BOTH, SN])
@pytest.mark.parametrize("make", [Conv2d, Conv3d])
def test_spectral_norm_reaches_1(make, style: Style) -> None:
    torch.manual_seed(0)  # the nearer the two largest singular values are, the more iterations it takes
    conv = make(6, 8, 3, style).train()
    for _ in range(60):
        advance_norms(conv)
    used = conv.used_weight()
    assert largest(used.detach()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("train", [True, False])
def test_spectral_norm_goes_on_when_it_is_told_to_alone(train: bool) -> None:
    conv = Conv2d(6, 8, 3, SN).train(train)
    before = conv.spectral.u.clone()
    with torch.no_grad():
        conv.weight.mul_(1.1)
    conv(torch.rand(1, 6, 4, 4))
    assert torch.equal(conv.spectral.u, before)
    advance_norms(torch.nn.Sequential(torch.nn.ReLU(), conv))
    assert not torch.equal(conv.spectral.u, before)


def test_gradient_of_the_normalised_weight() -> None:
    conv = Conv2d(2, 3, 1, BOTH).double().eval()
    x = torch.rand(1, 2, 2, 2, dtype=torch.float64)

    def run(weight: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(conv, {"weight": weight}, (x,))

    # The norm is taken in single precision.
    assert torch.autograd.gradcheck(run, conv.weight.detach().clone().requires_grad_(), eps=1e-3, atol=1e-3, rtol=1e-2)


def test_a_graph_outlives_the_next_iteration() -> None:
    conv, x = Conv2d(3, 4, 3, BOTH).train(), torch.rand(1, 3, 4, 4)
    loss = conv(x).square().sum()
    with torch.no_grad():
        other = copy.deepcopy(conv)
        other.weight.mul_(2)
    conv.spectral.iterate(conv.weight.detach().flatten(1), 1)
    loss.backward()
    assert conv.weight.grad is not None


def test_state_goes_through_a_state_dict() -> None:
    torch.manual_seed(0)
    one, other = Conv2d(3, 4, 3, BOTH), Conv2d(3, 4, 3, BOTH)
    assert set(one.state_dict()) == {"weight", "bias", "spectral.u"}
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.eval().used_weight(), other.eval().used_weight())


def test_continuing_from_a_state_dict_is_exact() -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 3, 5, 5)

    def steps(conv: Conv2d, count: int) -> Conv2d:
        optimiser = torch.optim.SGD(conv.parameters(), lr=0.1)
        for _ in range(count):
            optimiser.zero_grad()
            conv(x).square().sum().backward()
            optimiser.step()
        return conv

    start = Conv2d(3, 4, 3, BOTH).train()
    whole = steps(copy.deepcopy(start), 4)
    half = steps(copy.deepcopy(start), 2)
    resumed = Conv2d(3, 4, 3, BOTH).train()
    resumed.load_state_dict(half.state_dict())
    resumed = steps(resumed, 2)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


@pytest.mark.parametrize("style", [BOTH, WS, SN, NONE])
def test_folded_weights_draw_the_same(style: Style) -> None:
    net, x = torch.nn.Sequential(Conv2d(3, 4, 3, style), Conv2d(4, 2, 1, style)).eval(), torch.rand(1, 3, 5, 5)
    before = net(x)
    assert fold_weights(net) is net
    assert torch.allclose(net(x), before, atol=1e-6)
    assert set(net.state_dict()) == {"0.weight", "0.bias", "1.weight", "1.bias"}
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_half_precision_keeps_the_norm() -> None:
    conv = Conv2d(6, 8, 3, BOTH).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = conv.used_weight()
    assert torch.allclose(half.float(), conv.used_weight(), atol=1e-6)


def test_a_compiled_convolution_is_compiled_once() -> None:
    """Training changes weights and norms at each step; neither is part of what is compiled."""
    conv, x = Conv2d(3, 4, 3, BOTH).train(), torch.rand(1, 3, 4, 4)
    optimiser = torch.optim.AdamW(conv.parameters(), lr=0.1, fused=True)
    graphs: list[object] = []

    def kept(graph: torch.fx.GraphModule, inputs: object) -> object:
        graphs.append(graph)
        return graph.forward

    plain, compiled = copy.deepcopy(conv), torch.compile(conv, backend=kept)
    for _ in range(4):
        advance_norms(conv)
        optimiser.zero_grad()
        compiled(x).square().sum().backward()
        optimiser.step()
    assert len(graphs) == 1
    assert not torch.equal(plain.weight, conv.weight)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (7, 1), (3, 2)])
def test_repeated_edges_leave_an_even_picture_even(kernel: int, stride: int) -> None:
    conv = Conv2d(2, 3, kernel, NONE, stride=stride, repeat_edges=True)
    x = torch.tensor([0.3, -0.7])[None, :, None, None].expand(1, 2, 10, 10)
    drawn = conv(x)
    assert drawn.shape == Conv2d(2, 3, kernel, NONE, stride=stride)(x).shape
    torch.testing.assert_close(drawn, drawn[..., :1, :1].expand_as(drawn))
