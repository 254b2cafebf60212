"""Networks out of checkpoints: rebuilt from what the checkpoint holds, whatever the presets say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from avatarkit.checkpoint import Checkpoint, Meta, write_checkpoint
from avatarkit.errors import InputError
from avatarkit.nets.plain import to_plain
from avatarkit.systems.megaportraits.base import Base
from avatarkit.systems.megaportraits.build import build_student
from avatarkit.systems.megaportraits.config import StudentConfig
from avatarkit.systems.megaportraits.load import load_base, load_enhancer, load_student, net_config
from tests.memory import cost


def written(run: Path, stage: str, net: torch.nn.Module, average: float | None = None, **config: object) -> Checkpoint:
    """A checkpoint of one net; its average has all weights at `average`."""
    tensors = {stage: dict(net.state_dict())}
    if average is not None:
        tensors[f"{stage}.ema"] = {key: torch.full_like(value, average) for key, value in net.state_dict().items()}
    nets = {stage: {"config": to_plain(net.config), "parameters": 1}}
    return write_checkpoint(run, Meta(stage, "mine", 1, 1, dict(config), nets, {}, {}, {}), tensors, ({}, {}))


def test_a_net_of_no_preset_comes_back(tmp_path: Path, base: Base) -> None:
    checkpoint = written(tmp_path, "base", base)
    found = load_base(checkpoint)
    assert found.config == base.config == net_config(checkpoint, "base")
    for key, value in base.state_dict().items():
        assert torch.equal(found.state_dict()[key], value)
    assert not found.training
    assert not any(parameter.requires_grad for parameter in found.parameters())


def test_the_average_is_taken_where_there_is_one(tmp_path: Path, base: Base) -> None:
    found = load_base(written(tmp_path, "base", base, average=0.25))
    assert all(bool((value == 0.25).all()) for value in found.state_dict().values())


def test_a_student_has_as_many_avatars_as_its_list(tmp_path: Path, student_config: StudentConfig) -> None:
    student = build_student(student_config, 3, seed=1)
    assert load_student(written(tmp_path / "a", "student", student, avatars=["x", "y", "z"])).avatars == 3
    with pytest.raises(InputError, match="is not net student's state dict"):
        load_student(written(tmp_path / "b", "student", student, avatars=["x"]))
    with pytest.raises(InputError, match="no list of avatars"):
        load_student(written(tmp_path / "c", "student", student))


def test_what_does_not_fit_is_refused(tmp_path: Path, base: Base) -> None:
    checkpoint = written(tmp_path, "base", base)
    with pytest.raises(InputError, match="is a checkpoint of train base and has no net enhancer"):
        load_enhancer(checkpoint)
    checkpoint.meta.nets["base"]["config"]["warp_widths"] = [8] * 9
    with pytest.raises(InputError, match=r"nets\.base\.config cannot be built"):
        load_base(checkpoint)


@pytest.mark.parametrize(
    ("path", "value"),
    [("code", 10**9), ("code", 4096), ("g2d_blocks", 4096), ("g2d_blocks", -1), ("side", 0),
     ("global_net.blocks", [4096] * 9), ("g2d_widths", [8] * 10**5), ("projection", 4096), ("face_size", 4096),
     ("face_size", 0), ("size", 0), ("size", 4096), ("offset_gain", 1e300), ("style.groups", 0),
     ("style.skip_kernel", 4095), ("global_net.blocks", []), ("style", "x" * 10_000)],
)  # fmt: skip
def test_a_net_costs_no_more_than_the_tensors_that_come_with_it(
    tmp_path: Path, base: Base, path: str, value: object
) -> None:
    checkpoint = written(tmp_path, "base", base)
    config = checkpoint.meta.nets["base"]["config"]
    *outer, key = path.split(".")
    for name in outer:
        config = config[name]
    config[key] = value

    def refused() -> None:
        with pytest.raises(InputError) as refusal:
            load_base(checkpoint)
        assert "\n" not in str(refusal.value)
        assert len(str(refusal.value)) < 500

    found = cost(refused)
    assert (found.memory_bytes < 100_000_000, found.seconds < 3) == (True, True), found
    assert torch.is_grad_enabled()  # a refusal in the middle of an initialisation leaves nothing switched off
