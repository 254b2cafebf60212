"""One person's portrait: what its steps see, that they help on held-out frames, and what is kept of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_samples import drawn, stacked
from safetensors.torch import load, save

from avatarkit.checkpoint import Checkpoint, Meta, write_checkpoint
from avatarkit.errors import InputError
from avatarkit.motion.transfer import DriveFrame
from avatarkit.nets.inference import open_inference
from avatarkit.nets.plain import to_plain
from avatarkit.systems.avatar import open_avatar
from avatarkit.systems.avatar_file import Avatar, StoredNet, write_avatar
from avatarkit.systems.metaportrait.engine import PortraitEngine
from avatarkit.systems.metaportrait.load import unspectral
from avatarkit.systems.metaportrait.portrait import Portrait
from avatarkit.systems.metaportrait.stages import adapt as module
from avatarkit.systems.metaportrait.stages.adapt import Adapted, adapt, inner_settings, own_portrait, pixels_alone
from avatarkit.systems.metaportrait.stages.config import META, PORTRAIT, TINY, FlowTrain, MetaTrain
from avatarkit.systems.metaportrait.stages.frames import Frames
from avatarkit.systems.options import EngineOptions
from tests.memory import cost

from .test_engine import SIZE, frame, square

INNER = replace(META[TINY], inner_lr=3e-3)
Change = Callable[[dict[str, torch.Tensor], dict[str, Any]], None]


def frames(*moments: int) -> Frames:
    return stacked([drawn(0, moment, SIZE) for moment in moments])


def adapted(portrait: Portrait, config: MetaTrain = INNER, most: int = 16, seed: int = 0) -> Adapted:
    left = iter([True] * most)
    learned, held_out = frames(2, 4, 6, 8, 10, 12), frames(3, 7, 11)
    return adapt(
        portrait, frames(0), learned, held_out, config, None, seed=seed, go_on=lambda: next(left, False)
    )


def test_held_out_frames_gain_and_the_given_portrait_stays(portrait: Portrait) -> None:
    plain = unspectral(portrait)
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    result = adapted(plain)
    assert result.steps == 16
    assert result.after < 0.85 * result.before
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(value, before[name], atol=0, rtol=0)
    first, again, other = (adapted(plain, most=2, seed=seed).after for seed in (0, 0, 1))
    assert first == again != other


def test_no_steps_and_harmful_ones_leave_it(portrait: Portrait, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY", 2)
    plain = unspectral(portrait)
    for result, steps in ((adapted(plain, most=0), 0), (adapted(plain, replace(INNER, inner_lr=1e5), 1000), 10)):
        assert (result.steps, result.after) == (steps, result.before)
        for name, value in result.portrait.state_dict().items():
            torch.testing.assert_close(value, plain.state_dict()[name], atol=0, rtol=0)


def test_a_step_sees_the_source_and_other_frames_each_with_its_own_lines(
    portrait: Portrait, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Mapping[str, torch.Tensor], Mapping[str, torch.Tensor]]] = []

    def watched(net: Portrait, source: Frames, driver: Frames, *more: Any) -> torch.Tensor:
        seen.append((source, driver))
        return real(net, source, driver, *more)

    real = module.inner_loss
    monkeypatch.setattr(module, "inner_loss", watched)
    adapted(unspectral(portrait), most=6)
    moments = set()
    for source, driver in seen:
        assert (len(source["image"]), len(driver["image"])) == (1, INNER.inner_batch)
        for shown, known in ((source, (0,)), (driver, (2, 4, 6, 8, 10, 12))):
            for row, points in enumerate(shown["landmarks"]):
                (moment,) = (one for one in known if torch.equal(drawn(0, one, SIZE)["landmarks"], points))
                wanted = drawn(0, moment, SIZE)
                torch.testing.assert_close(shown["lines"][row], wanted["lines"][0] / 255)
                torch.testing.assert_close(shown["image"][row], wanted["image"] / 255)
                moments.add(moment)
    assert len(moments) > 4


def checkpoint(folder: Path, stage: str, config: object, portrait: Portrait) -> Checkpoint:
    nets = {"portrait": {"config": to_plain(portrait.config), "parameters": 1}}
    meta = Meta(stage, "mine", 7, 1, asdict(config), nets, {}, {}, {})  # type: ignore[call-overload]
    return write_checkpoint(folder / stage, meta, {"portrait": dict(portrait.state_dict())}, ({}, {}))


def test_inner_steps_are_the_checkpoints(tmp_path: Path, portrait: Portrait) -> None:
    known = replace(META[TINY], inner_steps=5, inner="sgd", inner_lr=0.5)
    assert inner_settings(checkpoint(tmp_path, "metaportrait/meta", known, portrait)) == known
    joint = replace(PORTRAIT[TINY], flow_rate=0.3)
    made = inner_settings(checkpoint(tmp_path, "metaportrait/portrait", joint, portrait))
    assert made == MetaTrain(loss=joint.loss, flow_rate=0.3)
    assert not pixels_alone(MetaTrain()).loss.vgg19
    for stage, config, said in (
        ("metaportrait/flow", FlowTrain(), "is a checkpoint of train metaportrait/flow; a person's portrait starts"),
        ("metaportrait/meta", replace(known, inner_lr=-1.0), "is damaged, or of another version"),
        ("metaportrait/meta", FlowTrain(), "is damaged, or of another version"),
    ):
        with pytest.raises(InputError, match=said):
            inner_settings(checkpoint(tmp_path, stage, config, portrait))


@pytest.fixture
def written(tmp_path: Path, portrait: Portrait) -> Path:
    """An avatar's file, its portrait moved away from where new ones are."""
    with torch.no_grad():
        for parameter in portrait.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    seen = square(0, 0)
    big = np.repeat(np.repeat(seen.picture, 2, 0), 2, 1)
    own = StoredNet.of("metaportrait", own_portrait(module.adaptable(unspectral(portrait)), frames(0)))
    path = tmp_path / "me.avatar"
    write_avatar(path, Avatar(big, np.ones(big.shape[:2], np.float32), 2 * seen.landmarks, own, {"consent": "yes"}))
    return path


def test_the_file_draws_as_the_portrait_did_and_knows_nobody_else(written: Path, portrait: Portrait) -> None:
    engines = [
        PortraitEngine(portrait, None, open_inference("cpu", "fp32", False), "test"),
        open_avatar(EngineOptions(exported=written, device="cpu")),
    ]
    results = []
    for engine in engines:
        assert isinstance(engine, PortraitEngine)
        engine.prepare_square(square(0, 0))
        results.append(engine.drive([frame(5)])[0].frame.astype(int))
    assert np.abs(results[0] - results[1]).max() <= 1
    assert engines[1].name == "metaportrait avatar me.avatar"
    names = [name for name in load(written.read_bytes()) if "identity." in name and "norm" not in name]
    assert names == ["net.identity.z_id"]
    moved: DriveFrame = frame(9)
    assert np.abs(engines[1].drive([moved])[0].frame.astype(int) - results[1]).max() > 1


def other_lines(tensors: dict[str, torch.Tensor], about: dict[str, Any]) -> None:
    about["config"]["flow"]["lines"]["sha256"] = "0" * 64


def other_tracker(tensors: dict[str, torch.Tensor], about: dict[str, Any]) -> None:
    about["config"]["flow"]["lines"]["landmarks"] = "mine-669"


def large(tensors: dict[str, torch.Tensor], about: dict[str, Any]) -> None:
    about["config"] |= {"width": 4096, "hidden": 4096}


def huge(tensors: dict[str, torch.Tensor], about: dict[str, Any]) -> None:
    about["config"]["hidden"] = 1 << 40


def large_recogniser(tensors: dict[str, torch.Tensor], about: dict[str, Any]) -> None:
    """No tensor of the file would vouch for it; what is left over is refused."""
    about["config"]["identity"]["net"] |= {"width": 4096, "blocks": [60] * 4}
    tensors["net.identity.net.more"] = torch.zeros(1)


def no_number(tensors: dict[str, torch.Tensor], about: dict[str, Any]) -> None:
    tensors["net.identity.z_id"][0, 0] = float("nan")


def longer(tensors: dict[str, torch.Tensor], about: dict[str, Any]) -> None:
    tensors["net.identity.z_id"] = torch.zeros(2, 16)


def no_vector(tensors: dict[str, torch.Tensor], about: dict[str, Any]) -> None:
    del tensors["net.identity.z_id"]


def other_kind(tensors: dict[str, torch.Tensor], about: dict[str, Any]) -> None:
    about["system"] = "refined-warp"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_lines, "other edges or colours"), (other_tracker, "another tracker"), (large, "state dict"),
        (huge, "no size of a network"), (large_recogniser, "keys too many"), (no_number, "no numbers"),
        (longer, r"z_id is float32 \(2, 16\)"), (no_vector, "z_id"), (other_kind, "config: lacks"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused_in_a_line(written: Path, change: Change, said: str) -> None:
    data = written.read_bytes()
    length = int.from_bytes(data[:8], "little")
    about = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["avatarkit"])
    tensors = load(data)
    change(tensors, about)
    written.write_bytes(save(tensors, {"avatarkit": json.dumps(about)}))

    def refused() -> None:
        with pytest.raises(InputError, match=said) as error:
            open_avatar(EngineOptions(exported=written, device="cpu"))
        assert "\n" not in str(error.value)
        assert str(written) in str(error.value)

    found = cost(refused)
    assert found.memory_bytes < 100_000_000, found
