"""Adversarial losses and feature matching, with a discriminator that looks at several scales.

Hinge: J. H. Lim, J. C. Ye, "Geometric GAN", arXiv:1705.02894. Least squares: X. Mao et al., "Least Squares Generative
Adversarial Networks", ICCV 2017. Feature matching: T.-C. Wang et al., "High-Resolution
Image Synthesis and Semantic Manipulation with Conditional GANs", CVPR 2018. Both average over scales and layers
(choice), so that their weights do not depend on the discriminator's depth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatarkit.devices import at_least_single
from avatarkit.losses.foreground import check_same, foreground
from avatarkit.nets.convs import decay_groups

__all__ = [
    "FORMS", "AdversarialLoss", "OptimiserConfig", "feature_matching", "hinge_d", "hinge_g", "least_squares_d",
    "least_squares_g",
]  # fmt: skip

Scales = Sequence[tuple[Tensor, Sequence[Tensor]]]
"""What a discriminator returns: for each scale its logits, and the feature maps on the way there."""


def hinge_d(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """The discriminator's loss: logits of real pictures should be above 1, of others below -1.

    Args:
        real, fake: logits of each scale, any shape.

    Returns:
        A scalar: the mean over scales of the mean over logits of both parts' sum.
    """
    parts = [
        F.relu(1 - at_least_single(good)).mean() + F.relu(1 + at_least_single(bad)).mean()
        for good, bad in zip(real, fake, strict=True)
    ]
    return torch.stack(parts).mean()


def hinge_g(fake: Sequence[Tensor]) -> Tensor:
    """The generator's loss: less the mean logit, averaged over scales; a scalar. Logits as in `hinge_d`."""
    return torch.stack([-at_least_single(logits).mean() for logits in fake]).mean()


def least_squares_d(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """The discriminator's loss: logits of real pictures should be 1, of others 0; shapes and means as `hinge_d`."""
    parts = [
        ((1 - at_least_single(good)) ** 2).mean() + (at_least_single(bad) ** 2).mean()
        for good, bad in zip(real, fake, strict=True)
    ]
    return torch.stack(parts).mean()


def least_squares_g(fake: Sequence[Tensor]) -> Tensor:
    """The generator's loss: logits should be 1; a scalar."""
    return torch.stack([((1 - at_least_single(logits)) ** 2).mean() for logits in fake]).mean()


FORMS = {"hinge": (hinge_d, hinge_g), "least-squares": (least_squares_d, least_squares_g)}
"""The discriminator's and the generator's loss, by name."""


def feature_matching(real: Sequence[Sequence[Tensor]], fake: Sequence[Sequence[Tensor]]) -> Tensor:
    """L1 between the discriminator's features of a prediction and of its target, which get no gradient.

    Args:
        real, fake: feature maps of each scale.

    Returns:
        A scalar: the mean over scales of the mean over maps of each one's mean absolute difference.

    Raises:
        UsageError: two maps differ in shape.
    """
    scales = []
    for wanted, seen in zip(real, fake, strict=True):
        for item, other in zip(wanted, seen, strict=True):
            check_same(item, other, "real feature map", "fake feature map")
        pairs = zip(wanted, seen, strict=True)
        maps = [(at_least_single(other) - at_least_single(item).detach()).abs().mean() for item, other in pairs]
        scales.append(torch.stack(maps).mean())
    return torch.stack(scales).mean()


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW's settings; the defaults are MegaPortraits' for generators and discriminators alike."""

    lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    eps: float = 1e-8
    weight_decay: float = 1e-2


class AdversarialLoss:
    """Owns a discriminator and its optimiser: a training says `teach` and `loss`, then lets the optimiser step.

    Attributes:
        discriminator: picture (B x 3 x H x W) to `Scales`.
        optimiser: of its parameters; a schedule may change its learning rate.
    """

    def __init__(
        self, discriminator: nn.Module, config: OptimiserConfig | None = None, form: str = "hinge"
    ) -> None:
        """Take a discriminator, already on its device; form: one of `FORMS`."""
        config = config or OptimiserConfig()
        self._d, self._g = FORMS[form]
        self.discriminator = discriminator
        self.optimiser: torch.optim.Optimizer = torch.optim.AdamW(
            decay_groups(discriminator),
            lr=config.lr,
            betas=config.betas,
            eps=config.eps,
            weight_decay=config.weight_decay,
            fused=all(weight.device.type in ("cpu", "cuda") for weight in discriminator.parameters()),
        )

    def teach(
        self,
        fake: Tensor,
        real: Tensor,
        *,
        matte: Tensor | None = None,
        backward: Callable[[Tensor], object] | None = None,
    ) -> dict[str, Tensor]:
        """Add to the discriminator's gradients those of telling both apart; neither picture gets one.

        The step is the caller's: the passes of a step share it, and gradients are looked at before.

        Args:
            fake, real: B x 3 x H x W.
            matte: B x 1 x H x W in [0, 1], of both; see `foreground`.
            backward: in place of the loss's own, to scale it or for mixed precision.

        Returns:
            "discriminator": the loss; "real", "fake": mean logits; scalars without gradients, on the pictures' device.
        """
        fake, real = foreground(fake.detach(), real.detach(), matte)
        # One pass over both: spectral norms and wrappers of the discriminator count passes.
        scales: Scales = self.discriminator(torch.cat([real, fake]))
        good = [logits[: len(real)] for logits, _ in scales]
        bad = [logits[len(real) :] for logits, _ in scales]
        loss = self._d(good, bad)
        if backward is None:
            torch.autograd.backward(loss)
        else:
            backward(loss)
        means = (torch.stack([logits.detach().float().mean() for logits in part]).mean() for part in (good, bad))
        return dict(zip(("discriminator", "real", "fake"), (loss.detach(), *means), strict=True))

    def loss(self, fake: Tensor, real: Tensor, *, matte: Tensor | None = None) -> dict[str, Tensor]:
        """The generator's losses. Gradients reach `fake`, and nothing of the discriminator.

        Args:
            fake, real: B x 3 x H x W.
            matte: B x 1 x H x W in [0, 1], of both.

        Returns:
            "adversarial" and "feature_matching", scalars.
        """
        fake, real = foreground(fake, real, matte)
        with torch.no_grad():
            wanted: Scales = self.discriminator(real)
        with _frozen(self.discriminator):
            seen: Scales = self.discriminator(fake)
        return {
            "adversarial": self._g([logits for logits, _ in seen]),
            "feature_matching": feature_matching([maps for _, maps in wanted], [maps for _, maps in seen]),
        }


@contextmanager
def _frozen(net: nn.Module) -> Iterator[None]:
    """Parameters without gradients for a while; what passes through keeps its own."""
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
