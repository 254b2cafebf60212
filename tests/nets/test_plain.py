"""Configurations of networks as plain values: back as they were, and nothing else accepted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from avatarkit.errors import InputError
from avatarkit.nets.plain import from_plain, to_plain
from avatarkit.systems.megaportraits.config import PRESETS, BaseConfig
from avatarkit.systems.metaportrait.config import PRESETS as METAPORTRAITS

METAPORTRAIT = METAPORTRAITS["tiny-64"]
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
        ({"style": {**to_plain(PRESETS["tiny-64"].base.style), "groups": 0}}, "0 groups"),
    ],
)
def test_other_values_are_refused(change: dict[str, Any], said: str) -> None:
    values = {**to_plain(PRESETS["tiny-64"].base), **change}
    with pytest.raises(InputError, match=said):
        from_plain(BaseConfig, values, "x")


TINY = PRESETS["tiny-64"]
SIZED = {
    "size": (TINY.base, TINY.enhancer, TINY.student, TINY.pose, METAPORTRAIT.portrait.flow, METAPORTRAIT.enhancer),
    "face_size": (TINY.base,), "eye_size": (TINY.gaze,), "crop_px": (METAPORTRAIT.own_identity,),
}  # fmt: skip


@pytest.mark.parametrize(("name", "config"), [(name, config) for name, configs in SIZED.items() for config in configs])
def test_sizes_that_no_tensor_shows_are_refused(name: str, config: Any) -> None:
    for side in (0, 1, 4096):
        with pytest.raises(InputError, match=r"px: use|power of two|cannot draw") as refusal:
            from_plain(type(config), {**to_plain(config), name: side}, "x")
        assert len(str(refusal.value)) < 200


def test_missing_keys_are_refused() -> None:
    values = to_plain(PRESETS["tiny-64"].base)
    del values["local"]["depth"]
    with pytest.raises(InputError, match=r"x\.local: lacks depth"):
        from_plain(BaseConfig, values, "x")


def test_checkpoints_may_be_older_than_an_optional_part() -> None:
    values = to_plain(PRESETS["tiny-64"].base)
    del values["pose_net"]
    assert from_plain(BaseConfig, values, "x") == PRESETS["tiny-64"].base
