"""The registry: every line leads somewhere, and a new system is one folder and one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit.errors import UsageError
from avatarkit.systems import registry

TOY = '''
"""A system of one number: the mean colour of drivers."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from avatarkit.data.samples import SampleSpec
from avatarkit.nets.count import NetCount, parameters_of
from avatarkit.systems.registry import StageInfo, System
from avatarkit.training.config import TrainConfig
from avatarkit.training.recipe import Ingredients, Recipe
from avatarkit.training.stage import Stage

SYSTEM = System(stages=(StageInfo("toy/mean", "Learn a mean colour.", "toy_system:MEAN", ("tiny",), "tiny"),))


@dataclass(frozen=True)
class NetConfig:
    channels: int = 3


class Net(torch.nn.Module):
    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.colour = torch.nn.Parameter(torch.zeros(config.channels))


@dataclass(frozen=True)
class Loss:
    l1: float = 1.0


@dataclass(frozen=True)
class MeanTrain(TrainConfig):
    loss: Loss = field(default_factory=Loss)

    @property
    def weights(self) -> dict[str, float]:
        return {"l1": self.loss.l1}


class MeanStage(Stage):
    def forward(self, batch):
        assert batch["driver"]["image"].dim() == 5, "a window of drivers"
        wanted = batch["driver"]["image"].float().mean(dim=(1, 3, 4)) / 255
        return {"terms": {"l1": (self.nets["net"].colour - wanted).abs().mean()}, "fakes": {}}

    def parameter_groups(self):
        return [{"params": list(self.nets.parameters()), "weight_decay": 0.0, "lr_scale": 2.0}]

    def take_step(self, steps):
        """Two passes on samples of their own, one update."""
        optimiser = steps.optimisers["nets"]
        optimiser.zero_grad()
        losses = [self(steps.next_batch())["terms"]["l1"] for _ in range(2)]
        steps.backward(sum(losses) / 2)
        optimiser.step()
        return {"l1": sum(losses).detach() / 2}

    def pictures(self, batch, nets):
        return {}

    def measure(self, batch, nets):
        return {}


TINY = MeanTrain(
    steps=3, batch=2, precision="fp32", ema=0.0, pictures_every=0, checkpoint_every=0, validate_every=0,
    milestone_every=0, log_every=1,
)


def build(config: MeanTrain, given: Ingredients) -> Stage:
    return MeanStage({"net": Net(NetConfig())})


MEAN = Recipe(
    stage="toy/mean",
    presets={"tiny": TINY},
    sample=SampleSpec(window=3, other=False),
    net_configs=lambda preset: {"net": NetConfig()},
    size_px=lambda preset: 16,
    count=lambda preset: [NetCount("toy", parameters_of(Net(NetConfig())), 0, "frame")],
    build=build,
)
'''


@pytest.mark.parametrize("name", list(registry.stages()))
def test_each_stage_has_a_recipe_with_its_presets_and_checkpoints(name: str) -> None:
    info, recipe = registry.stage(name), registry.recipe(name)
    assert recipe.stage == name
    assert tuple(recipe.presets) == info.presets
    assert set(recipe.parents) == set(info.checkpoints)
    for preset in info.presets:
        assert recipe.preset(preset).preset == preset
        assert set(recipe.net_configs(preset))


@pytest.mark.parametrize("name", list(registry.engines()))
def test_each_engine_can_be_opened(name: str) -> None:
    assert callable(registry.loaded(registry.engines()[name].open))


@given(st.text(max_size=8))
def test_unknown_stages_are_refused_with_the_nearest_one(text: str) -> None:
    if text not in registry.stages():
        with pytest.raises(UsageError, match="there is no such stage"):
            registry.stage(text)
    with pytest.raises(UsageError, match="did you mean student"):
        registry.stage("studnet")


def test_a_new_system_is_one_folder_and_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import typer
    from drawn_clips import four_people

    from avatarkit.checkpoint import open_checkpoint
    from avatarkit.cli.train import add_commands

    (tmp_path / "toy_system.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "SYSTEMS", {**registry.SYSTEMS, "toy": "toy_system:SYSTEM"})
    four_people(tmp_path / "data")
    app = typer.Typer()
    add_commands(app)
    words = ["toy/mean", "--data", str(tmp_path / "data"), "--output", str(tmp_path / "run"), "--device", "cpu"]
    try:
        app([*words, "--workers", "0"], standalone_mode=False)
        saved = open_checkpoint(tmp_path / "run")
        assert (saved.meta.stage, saved.meta.step) == ("toy/mean", 3)
        assert saved.meta.nets["net"]["config"] == {"channels": 3}
        # Adam's first steps have the learning rate's size: 2e-4 and its fall, twice as large by the group's scale.
        assert 6e-4 < float(saved.tensors("net")["colour"].min()) < 1.2e-3
        app([*words, "--dry-run"], standalone_mode=False)
        assert "toy" in capsys.readouterr().out
    finally:
        sys.modules.pop("toy_system", None)
