from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from avatarkit.errors import UsageError
from avatarkit.systems.megaportraits.build import build_student
from avatarkit.systems.megaportraits.config import PRESETS, StudentConfig
from avatarkit.systems.megaportraits.student import Student


@pytest.fixture
def student(student_config: StudentConfig) -> Student:
    return build_student(student_config, avatars=3, seed=0)


def test_output_depends_on_avatar_and_driver(student: Student, draw: torch.Generator) -> None:
    driver = torch.rand(1, 3, 32, 32, generator=draw).expand(2, -1, -1, -1)
    drawn = student(driver, torch.tensor([0, 2]))
    assert drawn.shape == (2, 3, 32, 32)
    assert 0 <= drawn.min() < drawn.max() <= 1
    assert (drawn[0] - drawn[1]).abs().mean() > 1e-3
    moved = student(driver.flip(-1), torch.tensor([0, 2]))
    assert (moved - drawn).abs().mean() > 1e-3


def test_each_sample_gets_its_own_avatar(student: Student, draw: torch.Generator) -> None:
    driver = torch.rand(2, 3, 32, 32, generator=draw)
    both = student(driver, torch.tensor([2, 1]))
    alone = student(driver[1:], torch.tensor([1]))
    assert torch.allclose(both[1:], alone, atol=1e-5)


def test_modulations_serve_many_frames(student: Student, draw: torch.Generator) -> None:
    avatar = torch.tensor([1])
    kept = student.modulations(avatar)
    for _ in range(2):
        driver = torch.rand(1, 3, 32, 32, generator=draw)
        assert torch.allclose(student.draw(driver, kept), student(driver, avatar), atol=1e-6)


def test_only_the_avatar_that_was_drawn_learns(student: Student, draw: torch.Generator) -> None:
    drawn = student(torch.rand(2, 3, 32, 32, generator=draw), torch.tensor([1, 1]))
    (drawn * torch.randn(drawn.shape, generator=draw)).sum().backward()
    for name, parameter in student.named_parameters():
        assert parameter.grad is not None
        if name.endswith(".identity"):
            used = parameter.grad.flatten(1).abs().sum(1) > 0
            assert used.tolist() == [False, True, False], name
        else:
            assert parameter.grad.abs().sum() > 0, name


def test_identity_tensors_are_stored_small(student_config: StudentConfig) -> None:
    student = build_student(replace(student_config, identity_side=4), avatars=2, seed=0)
    sides = {tuple(p.shape[-2:]) for name, p in student.named_parameters() if name.endswith(".identity")}
    assert sides == {(4, 4)}
    assert student(torch.rand(1, 3, 32, 32), torch.tensor([0])).shape == (1, 3, 32, 32)


@pytest.mark.parametrize("name", list(PRESETS))
def test_presets_draw_at_their_size(name: str) -> None:
    config = PRESETS[name].student
    with torch.device("meta"):
        net, driver = build_student(config, avatars=2, seed=0), torch.empty(1, 3, config.size, config.size)
        drawn = net(driver, torch.empty(1, dtype=torch.int64))
    assert drawn.shape == driver.shape
    largest = max(p.shape[-1] for key, p in net.named_parameters() if key.endswith(".identity"))
    assert largest == config.identity_side <= 64


def test_bad_input_is_refused(student: Student, student_config: StudentConfig) -> None:
    with pytest.raises(UsageError, match="driver of 16 x 16 px: this student takes 32 x 32"):
        student(torch.rand(1, 3, 16, 16), torch.tensor([0]))
    with pytest.raises(UsageError, match="at least one"):
        build_student(student_config, avatars=0, seed=0)
    with pytest.raises(UsageError, match="1 blocks cannot draw 32 px"):
        build_student(replace(student_config, widths=(8,)), avatars=1, seed=0)
