"""Engines of checkpoints: what they draw, what they refuse, and the exported student."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from avatarkit.checkpoint import Checkpoint, Meta, write_checkpoint
from avatarkit.errors import DependencyError, InputError, UsageError
from avatarkit.head.square import Square
from avatarkit.motion.transfer import DriveFrame
from avatarkit.nets.convs import Style, fold_weights
from avatarkit.nets.inference import open_inference
from avatarkit.nets.plain import to_plain
from avatarkit.nets.resnet import ResNetConfig
from avatarkit.systems.megaportraits.base import Base
from avatarkit.systems.megaportraits.build import build_base, build_enhancer, build_student
from avatarkit.systems.megaportraits.config import PRESETS, BaseConfig, EnhancerConfig, PoseConfig, StudentConfig
from avatarkit.systems.megaportraits.engine import BaseEngine, open_base, open_student
from avatarkit.systems.megaportraits.equivalent import Deep, FourPixels, RepeatedRows, rearranged
from avatarkit.systems.megaportraits.export import (
    OPERATORS,
    OPSET,
    _Drawing,
    _translated,
    export_student,
    open_exported,
)
from avatarkit.systems.megaportraits.stages.drive import Teacher
from avatarkit.systems.options import EngineOptions

CPU = EngineOptions(device="cpu")


def square(size: int, seed: int) -> Square:
    draw = np.random.default_rng(seed)
    points = (size / 4 + draw.random((478, 3)) * size / 2).astype(np.float32)
    place = np.array([size / 2 + seed, size / 2, 0.0], np.float32)
    picture = draw.integers(0, 256, (size, size, 3), dtype=np.uint8)
    matte = draw.integers(0, 256, (size, size), dtype=np.uint8)
    return Square(picture, points, np.eye(3, dtype=np.float32), place, size / 4.2, seed, matte)


def frame(*driver: tuple[Square, float], pose: Square | None = None, **more: object) -> DriveFrame:
    seen = pose or driver[0][0]
    return DriveFrame(seen.pose, seen.landmarks.astype(np.float64), np.ones(2), 0, driver, **more)  # type: ignore[arg-type]


def written(
    run: Path, stage: str, net: torch.nn.Module, parents: dict[str, str] | None = None, **config: object
) -> Checkpoint:
    nets = {stage: {"config": to_plain(net.config), "parameters": 1}}
    meta = Meta(stage, "mine", 7, 1, dict(config), nets, parents or {}, {}, {})
    return write_checkpoint(run, meta, {stage: dict(net.state_dict())}, ({}, {}))


@pytest.fixture
def engine(base: Base) -> BaseEngine:
    with torch.no_grad():  # new nets hardly heed the code
        for parameter in base.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    engine = BaseEngine(base, None, open_inference("cpu", "fp32", False), "test")
    engine.prepare_square(square(base.config.size, 1))
    return engine


def tensors(one: Square) -> dict[str, torch.Tensor]:
    return {
        "image": torch.from_numpy(one.picture).permute(2, 0, 1)[None] / 255,
        "matte": torch.from_numpy(one.matte)[None, None] / 255,
        "head": torch.from_numpy(one.head)[None],
    }


def test_absolute_motion_draws_what_training_draws(engine: BaseEngine, base: Base) -> None:
    size = base.config.size
    source, driver = square(size, 1), square(size, 2)
    wanted = Teacher(base).drive(tensors(source), tensors(driver))[0].permute(1, 2, 0) * 255
    ((drawn, alpha),) = engine.drive([frame((driver, 1.0))])
    assert alpha is None
    assert np.abs(drawn - wanted.numpy()).max() < 0.51


def test_a_pose_net_sees_the_heads_as_in_training(base_config: BaseConfig) -> None:
    net = PoseConfig(16, ResNetConfig(width=8, blocks=(1, 1), stem_pool=False), Style(groups=4, spectral=False))
    base = build_base(replace(base_config, pose_net=net), 0)
    assert base.pose_net is not None
    with torch.no_grad():  # new nets see every head alike
        base.pose_net.head.linear.weight.normal_(std=0.5, generator=torch.Generator().manual_seed(2))
    source, driver = square(base_config.size, 1), square(base_config.size, 2)
    seen = [base.pose(one["image"], one["head"]) for one in map(tensors, (source, driver))]
    engine = BaseEngine(copy.deepcopy(base), None, open_inference("cpu", "fp32", False), "test")
    engine.prepare_square(source)
    # The driver's pose, and the source's own: drawn with what the net sees in each.
    for one, shown in ((driver, frame((driver, 1.0), posed=driver)), (source, frame((source, 1.0)))):
        wanted = Teacher(base).drive(tensors(source), tensors(one))[0].permute(1, 2, 0) * 255
        assert np.abs(engine.drive([shown])[0].frame - wanted.numpy()).max() < 0.51
    # A turn that is asked for comes on top of it.
    turn = np.diag([-1.0, 1.0, -1.0])
    asked = replace(driver.pose, rotation=turn @ driver.pose.rotation, translation=np.zeros(3))
    heads: list[torch.Tensor] = []
    engine._draw = lambda source, head, z: (heads.append(head), torch.zeros(len(z), 3, 8, 8))[1]
    engine.drive([replace(frame((driver, 1.0), posed=driver), pose=asked)])
    wanted = torch.from_numpy(turn).float() @ seen[1][0, :3, :3]
    torch.testing.assert_close(heads[0][0, :3, :3], wanted, atol=1e-4, rtol=1e-4)
    for one, head in zip((source, driver), seen, strict=True):
        assert (head - tensors(one)["head"]).abs().max() > 0.05


def test_relative_motion_of_a_still_driver_leaves_the_source(engine: BaseEngine, base: Base) -> None:
    size = base.config.size
    own, driver = square(size, 1), square(size, 2)
    still = engine.drive([frame((driver, 1.0), pose=own, neutral=driver)])[0].frame
    alone = engine.drive([frame(pose=own, weight=0.0)])[0].frame
    moved = engine.drive([frame((driver, 1.0), pose=own)])[0].frame
    assert np.abs(still.astype(int) - alone).max() <= 1
    assert np.abs(moved.astype(int) - alone).max() > 1


def test_frames_of_a_batch_are_drawn_as_alone(engine: BaseEngine, base: Base) -> None:
    size = base.config.size
    a, b, c = (square(size, seed) for seed in (2, 3, 4))
    frames = [frame((a, 1.0)), frame((b, 0.5), (c, 0.5)), frame((c, 1.0), neutral=a), frame(pose=b, weight=0.0)]
    together = engine.drive(frames)
    for one, drawn in zip(frames, together, strict=True):
        assert np.abs(engine.drive([one])[0].frame.astype(int) - drawn.frame).max() <= 1


def test_the_enhancer_doubles_the_size(base: Base, enhancer_config: EnhancerConfig) -> None:
    size = base.config.size
    enhancer = build_enhancer(replace(enhancer_config, size=size), 0)
    engine = BaseEngine(base, enhancer, open_inference("cpu", "auto", False), "test")
    engine.prepare_square(square(size, 1))
    assert engine.needs.drawn_px == 2 * size
    assert engine.drive([frame((square(size, 2), 1.0))])[0].frame.shape == (2 * size, 2 * size, 3)


def test_checkpoints_that_do_not_belong_together(tmp_path: Path, base: Base, enhancer_config: EnhancerConfig) -> None:
    opened = written(tmp_path / "a", "base", base)
    enhancer = build_enhancer(replace(enhancer_config, size=base.config.size), 0)
    stranger = written(tmp_path / "b", "enhancer", enhancer, {"base": "f" * 64})
    with pytest.raises(InputError, match=f"ffffffffffff, and .* is {opened.sha256[:12]}"):
        open_base(replace(CPU, checkpoints={"base": opened, "enhancer": stranger}))
    own = written(tmp_path / "c", "enhancer", enhancer, {"base": opened.sha256})
    assert open_base(replace(CPU, checkpoints={"base": opened, "enhancer": own})).needs.drawn_px == 2 * base.config.size
    with pytest.raises(UsageError, match="needs --checkpoint BASE"):
        open_base(CPU)
    with pytest.raises(DependencyError, match="fp16: the CPU has none"):
        open_base(replace(CPU, checkpoints={"base": opened}, precision="fp16"))


@pytest.fixture
def student(tmp_path: Path, student_config: StudentConfig) -> Checkpoint:
    return written(tmp_path / "student", "student", build_student(student_config, 3, 1), avatars=["ann", "bob", "eve"])


def test_a_student_draws_the_avatar_asked_for(student: Checkpoint, student_config: StudentConfig) -> None:
    driver = square(student_config.size, 2)
    drawn = {}
    for number, name in enumerate(("ann", "bob")):
        engine = open_student(replace(CPU, checkpoints={"student": student}, avatar=name))
        (drawn[name],) = engine.drive([frame((driver, 1.0))])
        net = build_student(student_config, 3, 1).eval()
        with torch.no_grad():
            wanted = net(tensors(driver)["image"], torch.tensor([number]))[0].permute(1, 2, 0) * 255
        assert np.abs(drawn[name].frame - wanted.numpy()).max() < 0.51
    assert np.abs(drawn["ann"].frame.astype(int) - drawn["bob"].frame).max() > 1


def test_unknown_avatars_are_named_with_the_nearest(student: Checkpoint) -> None:
    with pytest.raises(UsageError, match=r"--avatar anne: there is no such avatar; .* ann"):
        open_student(replace(CPU, checkpoints={"student": student}, avatar="anne"))
    with pytest.raises(UsageError, match=r"give --avatar NAME; .* ann, bob, eve"):
        open_student(replace(CPU, checkpoints={"student": student}))


@pytest.mark.parametrize("names", [["bob"], ["eve", "ann"], []])
def test_an_exported_student_draws_the_same(
    tmp_path: Path, student: Checkpoint, student_config: StudentConfig, names: list[str]
) -> None:
    data, held = export_student(student, names)
    path = tmp_path / "avatar.onnx"
    path.write_bytes(data)
    assert list(held) == (names or ["ann", "bob", "eve"])
    pictures = [square(student_config.size, seed).picture for seed in (1, 2)]
    for name in held:
        number = ["ann", "bob", "eve"].index(name)
        exported = open_exported(path, replace(CPU, avatar=name))
        batch = np.stack(pictures).transpose(0, 3, 1, 2).astype(np.float32) / 255
        inputs = {"driver": batch, **exported._avatar}
        (found,) = exported._session.run(None, inputs)
        with torch.no_grad():
            wanted = build_student(student_config, 3, 1).eval()(torch.from_numpy(batch), torch.tensor([number] * 2))
        difference = np.abs(found - wanted.numpy())
        assert difference.max() <= 1e-3
        assert difference.mean() <= 1e-5
        assert [picture.shape for picture in exported.frames(pictures)] == [(student_config.size,) * 2 + (3,)] * 2


def test_rearranged_layers_draw_the_same(student_config: StudentConfig, draw: torch.Generator) -> None:
    """Each of them somewhere; borders too, which see what lies outside as zero."""
    net = fold_weights(build_student(replace(student_config, widths=(16, 8, 24)), 1, 0))
    driver = torch.rand(2, 3, 32, 32, generator=draw)
    modulations = net.modulations(torch.zeros(2, dtype=torch.int64))
    wanted = net.draw(driver, modulations)
    assert {RepeatedRows, Deep, FourPixels} <= {type(module) for module in rearranged(net).modules()}
    assert (net.draw(driver, modulations) - wanted).abs().max() < 1e-5


@pytest.mark.parametrize("preset", ["small-256", "tiny-64"])
def test_the_operators_of_every_preset_are_known(preset: str) -> None:
    """Files with others are refused: the larger presets' encoder has a pooling that the small test nets lack."""
    import onnx

    sizes = PRESETS[preset].student
    for numbers in ([0], [0, 1]):
        net = fold_weights(build_student(replace(sizes, widths=(8,) * len(sizes.widths)), 2, 0))
        model = onnx.load_from_string(_translated(_Drawing(net, numbers), sizes.size, several=len(numbers) > 1))
        assert {node.op_type for node in model.graph.node} <= OPERATORS


def test_nobody_can_be_added_to_an_exported_file(student: Checkpoint) -> None:
    """No identity tensor, and none of the convolutions that would turn one into modulations."""
    import onnx

    model = onnx.load_from_string(export_student(student, ["bob"])[0])
    assert [(item.domain, item.version) for item in model.opset_import if not item.domain] == [("", OPSET)]
    assert [item.name for item in model.graph.input] == ["driver"]
    net = build_student(load_config(student), 3, 1)
    identities = {tuple(block.spade1.identity.shape) for block in net.blocks}  # type: ignore[union-attr]
    held = [tuple(item.dims) for item in model.graph.initializer]
    assert not identities & set(held)
    spades = [name for name, _ in net.named_modules() if ".spade" in name and name.endswith(("scale", "shift"))]
    convolutions = sum(node.op_type == "Conv" for node in model.graph.node)
    everything = sum(isinstance(module, torch.nn.Conv2d) for module in net.modules())
    assert convolutions == everything - len(spades)
    about = {item.key: item.value for item in model.metadata_props}
    assert json.loads(about["avatars"]) == ["bob"]


def load_config(student: Checkpoint) -> StudentConfig:
    from avatarkit.systems.megaportraits.load import net_config

    found = net_config(student, "student")
    assert isinstance(found, StudentConfig)
    return found


def test_other_files_are_no_exports(tmp_path: Path, student: Checkpoint) -> None:
    import onnx

    path = tmp_path / "x.onnx"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="cannot be read"):
        open_exported(path, CPU)
    data = export_student(student, ["ann"])[0]
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(1 << 16))

    def elsewhere(model: Any) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=secret.name)

    def looping(model: Any) -> None:
        model.graph.node.add(op_type="Loop").attribute.add(name="body", type=onnx.AttributeProto.GRAPH)

    def foreign(model: Any) -> None:
        model.graph.node[0].domain = "com.microsoft"

    def nested(model: Any) -> None:
        model.graph.node[0].attribute.add(name="x", type=onnx.AttributeProto.GRAPH).g.name = "inner"

    def endless(model: Any) -> None:
        next(item for item in model.metadata_props if item.key == "size").value = "9" * 400

    for change, what in (
        (elsewhere, "its tensors lie in other files"), (looping, "uses 'Loop'"), (foreign, "no exported student"),
        (nested, "more than one plain graph"), (endless, "size is 999999999"),
    ):  # fmt: skip
        model = onnx.load_from_string(data)
        change(model)
        path.write_bytes(model.SerializeToString())
        with pytest.raises(InputError, match=what):
            open_exported(path, CPU)
    path.write_bytes(data)
    with pytest.raises(UsageError, match="leave out --precision"):
        open_exported(path, replace(CPU, precision="bf16"))
    with pytest.raises(UsageError, match="no such avatar"):
        open_exported(path, replace(CPU, avatar="bob"))
