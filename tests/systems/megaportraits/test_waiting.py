"""No stage's losses wait for the device: what they compute is followed on a GPU that is made up."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest
import torch
from real_stages import configured, stage_trainer
from synthetic_heads import photo_data, video_data
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from avatarkit.systems import registry
from avatarkit.training.feed import fixed_batches
from avatarkit.training.hardware import to_device

STAGES = [stage.name for stage in registry.systems()["megaportraits"].stages]
ASKING = ("_local_scalar_dense", "nonzero", "masked_select", "equal.default", "_linalg_check_errors")


class Waiting(TorchDispatchMode):
    """Where the host waits: it asks for a value, copies between devices, or indexes by a tensor of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__
        waits = name.startswith(ASKING)
        if not waits and name.startswith(("_to_copy", "copy_", "index")):
            waits = len({tensor.device for tensor in tree_leaves(args) if isinstance(tensor, torch.Tensor)}) > 1
            target = (kwargs or {}).get("device")
            waits |= target is not None and torch.device(target).type != args[0].device.type
            waits &= not (kwargs or {}).get("non_blocking") and not any(option is True for option in args)
        if waits:
            ours = [frame for frame in traceback.extract_stack() if "/avatarkit/" in frame.filename]
            self.places.append(f"{name} at {ours[-1].filename}:{ours[-1].lineno}" if ours else name)
        return func(*args, **(kwargs or {}))


def on_a_made_up_gpu(module: nn.Module) -> None:
    for part in module.modules():
        for kept in (part._parameters, part._buffers):
            for name, value in kept.items():
                if value is not None:
                    there = torch.empty(value.shape, dtype=value.dtype, device="cuda")
                    kept[name] = nn.Parameter(there, value.requires_grad) if kept is part._parameters else there


@pytest.mark.parametrize("stage", STAGES)
def test_losses_ask_nothing_of_the_device(stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = stage_trainer(tmp_path, configured(stage))
    (batch,) = fixed_batches((photo_data() if stage == "enhancer" else video_data()).train, 2, 2)
    # Seeds stay with the host, which draws by them.
    monkeypatch.setattr("avatarkit.training.augment.pairs._draws", lambda seeds, *shape: torch.empty(shape))
    if stage in ("enhancer", "pose"):
        drawn = f"avatarkit.systems.megaportraits.stages.{stage}.draw_transforms"
        monkeypatch.setattr(drawn, lambda seeds, limits: torch.empty(len(seeds), 4, 4))
    adversary, waiting = trainer.stage.adversary, Waiting()
    with FakeTensorMode(allow_non_fake_inputs=True):
        for module in (trainer.stage, *([] if adversary is None else [adversary.discriminator])):
            on_a_made_up_gpu(module)
        there = to_device(batch, torch.device("cuda"))
        # Avatars are encoded once.
        trainer.stage.once(there["driver"]["image"].float() if "driver" in there else there["image"].float())
        with waiting:
            outcome = trainer.stage(there)
            if adversary is not None:
                for fake, real in outcome["fakes"].values():
                    adversary.loss(fake, real)
    assert {term.device.type for term in outcome["terms"].values()} == {"cuda"}
    assert waiting.places == []


def test_what_waits_is_seen() -> None:
    waiting = Waiting()
    with FakeTensorMode():
        here, there = torch.ones(3), torch.ones(3, device="cuda")
        with waiting:
            there[[0, 2]]
            there.new_tensor([1.0, 2.0])
            here.to("cuda")
            torch.linalg.inv_ex(torch.ones(2, 2, device="cuda"))
            here.to("cuda", non_blocking=True)
            there.copy_(here, non_blocking=True)
            assert len(waiting.places) == 3
            there.copy_(here)
            there.cpu()
            with pytest.raises(RuntimeError):
                float(there.sum())
    assert len(waiting.places) == 6
