"""Configurations of networks as plain values: back as they were, and nothing else accepted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from avatarkit.errors import InputError
from avatarkit.nets.plain import from_plain, to_plain
from avatarkit.systems.megaportraits.config import PRESETS, BaseConfig

NETS = ("base", "enhancer", "student", "gaze", "pose", "base_discriminator")


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("preset", list(PRESETS))
def test_every_preset_comes_back_through_json(preset: str, name: str) -> None:
    config = getattr(PRESETS[preset], name)
    assert from_plain(type(config), json.loads(json.dumps(to_plain(config))), "x") == config


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sice": 3}, "x: has an unknown sice"),
        ({"size": None}, "x.size: None is of another type"),
        ({"size": 64.0}, "x.size: 64.0"),
        ({"use_head_pose": 1}, "x.use_head_pose: 1"),
        ({"g3d_widths": [1, 2]}, "x.g3d_widths"),
        ({"warp_widths": [1, "2"]}, r"x.warp_widths\[1\]: '2'"),
        ({"style": []}, "x.style: is no configuration"),
    ],
)
def test_other_values_are_refused(change: dict[str, Any], said: str) -> None:
    values = {**to_plain(PRESETS["tiny-64"].base), **change}
    with pytest.raises(InputError, match=said):
        from_plain(BaseConfig, values, "x")


def test_missing_keys_are_refused() -> None:
    values = to_plain(PRESETS["tiny-64"].base)
    del values["local"]["depth"]
    with pytest.raises(InputError, match=r"x\.local: lacks depth"):
        from_plain(BaseConfig, values, "x")


def test_checkpoints_may_be_older_than_an_optional_part() -> None:
    values = to_plain(PRESETS["tiny-64"].base)
    del values["pose_net"]
    assert from_plain(BaseConfig, values, "x") == PRESETS["tiny-64"].base
