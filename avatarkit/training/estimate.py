"""What a training will need, told before it begins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avatarkit.nets.count import counted, parameters_of
from avatarkit.training.config import TrainConfig
from avatarkit.training.stage import Batch, Stage


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes on each device.

    weights: of all nets, frozen and averaged ones too. states: gradients and two moments of what is trained.
    once: computed before the first sample and kept, such as the student's encoded avatars.
    activations: kept between the passes, of all samples that a device takes at once.
    """

    weights: int
    states: int
    once: int
    activations: int

    @property
    def total(self) -> int:
        """All of it, without what the allocator and single operations need on top."""
        return self.weights + self.states + self.once + self.activations


@dataclass(frozen=True)
class StepEstimate:
    """What a training step takes.

    frozen_flops: of the frozen nets, by name: operations of one sample's forward pass, without what is computed once.
    """

    memory: MemoryEstimate
    frozen_flops: dict[str, int]


def estimate_step(stage: Stage, config: TrainConfig, sample: Batch, at_once: int) -> StepEstimate:
    """Estimate a training step by one forward pass of a single sample.

    Args:
        stage: on the CPU, perhaps of tensors that have shapes alone. sample: a batch of one, of the same kind.
        at_once: samples of one pass.
    """
    trained = _bytes(stage.nets)
    discriminator = _bytes(stage.adversary.discriminator) if stage.adversary is not None else 0
    weights = _bytes(stage) + discriminator + (trained if config.ema else 0)
    half = torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16")
    with half:
        once = sum(tensor.untyped_storage().nbytes() for tensor in stage.once(_picture(sample)).values())
    frozen = {name: child for name, child in stage.named_children() if name != "nets" and parameters_of(child)}
    with ExitStack() as stack, kept_bytes() as kept, half:
        flops = {name: stack.enter_context(counted(child)) for name, child in frozen.items()}
        outcome = stage(sample)
        for fake, real in outcome["fakes"].values():
            if stage.adversary is not None:
                outcome["terms"] |= stage.adversary.loss(fake, real)
    memory = MemoryEstimate(weights, 3 * (trained + discriminator), once, at_once * kept[0])
    return StepEstimate(memory, {name: count[0] for name, count in flops.items()})


@contextmanager
def kept_bytes() -> Iterator[list[int]]:
    """Count, in the list's only entry, the bytes that the body keeps for the backward pass, parameters left out."""
    seen: set[int] = set()
    kept = [0]

    def count(tensor: Tensor) -> Tensor:
        place = tensor.untyped_storage()._cdata
        if place not in seen and not isinstance(tensor, nn.Parameter):
            seen.add(place)
            kept[0] += tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        yield kept


def _picture(sample: Batch) -> Tensor:
    """A picture of the batch as the stages see them."""
    picture: Tensor = sample.get("driver", sample)["image"]
    return picture.float()


def _bytes(module: nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
