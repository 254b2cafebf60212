"""An avatar's file: what goes in comes out; what cannot be meant is refused in one line."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from avatarkit.errors import InputError, OutputError
from avatarkit.systems.avatar import open_avatar
from avatarkit.systems.avatar_file import Avatar, StoredNet, read_about, read_avatar, write_avatar
from avatarkit.systems.options import EngineOptions
from avatarkit.systems.protocol import SeenTeeth, SourceLayers
from tests.memory import cost

from .conftest import random_net


@pytest.fixture(scope="module")
def avatar(source: SourceLayers) -> Avatar:
    about = {"consent": "confirmed", "footage": [{"name": "me.mp4", "sha256": "00"}]}
    net = StoredNet.of("refined-warp", random_net())
    teeth = SeenTeeth((210.0, 180.5, 170.0), 0.05)
    return Avatar(source.picture, source.alpha, source.landmarks.astype(np.float32), net, about, teeth)


@pytest.fixture(scope="module")
def written(avatar: Avatar, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("avatars") / "me.avatar"
    write_avatar(path, avatar)
    return path


def test_round_trip(avatar: Avatar, written: Path) -> None:
    result = read_avatar(written)
    np.testing.assert_array_equal(result.picture, avatar.picture)
    assert np.abs(result.alpha - avatar.alpha).max() <= 0.5 / 255.0 + 1e-6
    np.testing.assert_array_equal(result.landmarks, avatar.landmarks)
    assert (result.net.system, result.net.config) == (avatar.net.system, avatar.net.config)
    assert set(result.net.weights) == set(avatar.net.weights)
    for name, tensor in avatar.net.weights.items():
        torch.testing.assert_close(result.net.weights[name], tensor, atol=0, rtol=0)
    assert dict(result.about) == dict(avatar.about) == read_about(written)
    assert result.teeth == avatar.teeth


def test_teeth_may_be_unknown(avatar: Avatar, tmp_path: Path) -> None:
    write_avatar(tmp_path / "me.avatar", replace(avatar, teeth=None))
    assert read_avatar(tmp_path / "me.avatar").teeth is None


def test_the_same_avatar_gives_the_same_bytes(avatar: Avatar, written: Path, tmp_path: Path) -> None:
    write_avatar(tmp_path / "again.avatar", avatar)
    assert (tmp_path / "again.avatar").read_bytes() == written.read_bytes()


def test_a_place_that_cannot_be_written(avatar: Avatar, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_avatar(tmp_path / "no" / "me.avatar", avatar)


def changed(data: bytes, change: Callable[[dict[str, torch.Tensor], dict[str, object]], None]) -> bytes:
    """The file with other tensors or another description."""
    length = int.from_bytes(data[:8], "little")
    about = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["avatarkit"])
    tensors = load(data)
    change(tensors, about)
    return save(tensors, {"avatarkit": json.dumps(about)})


def no_number(tensors: dict[str, torch.Tensor], about: dict[str, object]) -> None:
    tensors["net.eye.colours.bias"][0] = float("nan")


def other_shape(tensors: dict[str, torch.Tensor], about: dict[str, object]) -> None:
    tensors["net.eye.colours.bias"] = torch.zeros(3)


def other_layers(tensors: dict[str, torch.Tensor], about: dict[str, object]) -> None:
    tensors["net.more"] = torch.zeros(3)


def no_face(tensors: dict[str, torch.Tensor], about: dict[str, object]) -> None:
    tensors["landmarks"] = torch.zeros(478, 3)


def other_matte(tensors: dict[str, torch.Tensor], about: dict[str, object]) -> None:
    tensors["alpha"] = torch.zeros(3, 3, dtype=torch.uint8)


def no_picture(tensors: dict[str, torch.Tensor], about: dict[str, object]) -> None:
    del tensors["picture"]


def newer(tensors: dict[str, torch.Tensor], about: dict[str, object]) -> None:
    about["version"] = 99


def foreign(tensors: dict[str, torch.Tensor], about: dict[str, object]) -> None:
    about["format"] = "other"


def huge_sizes(tensors: dict[str, torch.Tensor], about: dict[str, object]) -> None:
    about["config"] = {"face": 1 << 40, "mouth": 64, "eye": [48, 32], "widths": [8, 8, 8], "extra": 0}


def large_sizes(tensors: dict[str, torch.Tensor], about: dict[str, object]) -> None:
    about["config"] = {"face": 4096, "mouth": 64, "eye": [48, 32], "widths": [8, 8, 8], "extra": 0}


def other_type(tensors: dict[str, torch.Tensor], about: dict[str, object]) -> None:
    tensors["net.eye.colours.bias"] = tensors["net.eye.colours.bias"].int()


def other_system(tensors: dict[str, torch.Tensor], about: dict[str, object]) -> None:
    about["system"] = "megaportraits"


def another_portrait(tensors: dict[str, torch.Tensor], about: dict[str, object]) -> None:
    about["system"] = "metaportrait"


def no_system(tensors: dict[str, torch.Tensor], about: dict[str, object]) -> None:
    about["system"] = ["refined-warp"]


def glowing_teeth(tensors: dict[str, torch.Tensor], about: dict[str, object]) -> None:
    about["teeth"] = {"colour": [300.0, 200.0, 200.0], "edge": 0.03}


def teeth_nowhere(tensors: dict[str, torch.Tensor], about: dict[str, object]) -> None:
    about["teeth"] = {"colour": [200.0, 200.0, 200.0], "edge": float("nan")}


def teeth_without_edge(tensors: dict[str, torch.Tensor], about: dict[str, object]) -> None:
    about["teeth"] = {"colour": [200.0, 200.0, 200.0]}


def teeth_unsaid(tensors: dict[str, torch.Tensor], about: dict[str, object]) -> None:
    del about["teeth"]


def unnamed_system(tensors: dict[str, torch.Tensor], about: dict[str, object]) -> None:
    del about["system"]


def wider(tensors: dict[str, torch.Tensor], about: dict[str, object]) -> None:
    """A gigabyte of weights, if it were laid out with memory."""
    about["config"] = {"face": 64, "mouth": 64, "eye": [48, 32], "widths": [512, 512, 512], "extra": 0}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (no_number, "no numbers"), (other_shape, r"bias is float32 \(3,\), not"), (other_layers, "1 keys too many"),
        (other_type, "int32"), (wider, "is not net net's state dict"),
        (no_face, "no face"), (other_matte, "matte"), (no_picture, "picture"), (newer, "version 99"),
        (foreign, "no avatar"), (huge_sizes, "no size of a network"), (large_sizes, "patches of"),
        (other_system, "is drawn by 'megaportraits'"), (another_portrait, "config: "), (no_system, "damaged"),
        (unnamed_system, "damaged"), (glowing_teeth, "no colour, or no place"), (teeth_nowhere, "damaged|no colour"),
        (teeth_without_edge, "lacks edge"), (teeth_unsaid, "damaged"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(
    written: Path, tmp_path: Path, change: Callable[[dict[str, torch.Tensor], dict[str, object]], None], said: str
) -> None:
    path = tmp_path / "bad.avatar"
    path.write_bytes(changed(written.read_bytes(), change))

    def refused() -> None:
        with pytest.raises(InputError, match=said) as error:
            open_avatar(EngineOptions(exported=path))
        assert "\n" not in str(error.value)
        assert str(path) in str(error.value)

    found = cost(refused)
    assert found.memory_bytes < 100_000_000, found


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"", lambda data: data[:200], lambda data: data[:-50], lambda data: b"\xff" * 8 + data[8:],
        lambda data: struct.pack("<Q", 1 << 62) + data[8:], lambda data: b"not a file of ours at all" * 40,
    ],
)  # fmt: skip
def test_damaged_files_are_refused(written: Path, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "bad.avatar"
    path.write_bytes(damage(written.read_bytes()))
    with pytest.raises(InputError):
        read_avatar(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.avatar"):
        with pytest.raises(InputError):
            read_avatar(path)
