"""Other people's networks in a reenactment: what runs by itself, what is refused, and what the report says."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from avatarkit.background.modnet_net import MODNet
from avatarkit.errors import UsageError
from avatarkit.pipelines.reenact import reenact
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.runtime import NullProgress
from avatarkit.weights import cache, lock
from avatarkit.weights.errors import MissingWeights


class Grey(torch.nn.Module):
    """LaMa's signature; paints the hole grey."""

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return image * (1 - mask) + 0.5 * mask


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of weights."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("AVATARKIT_WEIGHTS", str(folder))
    return folder


@pytest.fixture
def put(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """put(name): random weights of that network are in the cache, and the registry knows their hash."""

    def make(name: str) -> None:
        weight = lock.get(name)
        path = cache.path_of(weight)
        if name == "modnet":
            torch.save(MODNet().state_dict(), path)
        else:
            torch.jit.script(Grey()).save(str(path))
        known = dataclasses.replace(
            weight, size_bytes=path.stat().st_size, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), md5=None
        )
        table = {**lock.weights(), name: known}
        monkeypatch.setattr(lock, "weights", lambda: table)

    return make


@pytest.fixture
def config(photo: Path, grace_hopper_path: Path, tmp_path: Path) -> ReenactConfig:
    return ReenactConfig(source=grace_hopper_path, driver=photo, output=tmp_path / "out.png", size=128)


def test_without_weights_the_report_names_the_commands(config: ReenactConfig, folder: Path) -> None:
    report = reenact(config, NullProgress())
    source = report.to_json()["source"]
    assert (source["matting"], source["inpainting"]) == ("mediapipe", "opencv")
    assert [line.split(": ")[1] for line in source["better"]] == [
        "avatarkit weights fetch selfie-multiclass",
        "avatarkit weights fetch big-lama",
    ]
    assert sum("could be better" in line for line in report.summary_lines()) == 2


def test_with_weights_they_run_by_themselves(config: ReenactConfig, put: Callable[[str], None]) -> None:
    put("modnet")
    put("big-lama")
    report = reenact(config, NullProgress())
    source = report.to_json()["source"]
    assert (source["matting"], source["inpainting"]) == ("modnet", "lama")
    assert ["selfie-multiclass" in line for line in source["better"]] == [True]
    assert "matte modnet" in "\n".join(report.summary_lines())


def test_what_is_named_is_what_runs(config: ReenactConfig, put: Callable[[str], None]) -> None:
    put("modnet")
    put("big-lama")
    named = dataclasses.replace(config, matting="mediapipe", inpaint="opencv", tracker="mediapipe")
    source = reenact(named, NullProgress()).to_json()["source"]
    assert (source["matting"], source["inpainting"], source["better"]) == ("mediapipe", "opencv", [])


def test_missing_weights_of_a_named_network_stop_before_any_work(config: ReenactConfig, folder: Path) -> None:
    with pytest.raises(MissingWeights, match=r"avatarkit weights fetch modnet"):
        reenact(dataclasses.replace(config, matting="modnet"), NullProgress())
    with pytest.raises(MissingWeights, match=r"avatarkit weights fetch big-lama"):
        reenact(dataclasses.replace(config, inpaint="lama"), NullProgress())
    assert not config.output.exists()


@pytest.mark.parametrize(
    ("option", "value"), [("matting", "best"), ("inpaint", "best"), ("tracker", "best")]
)
def test_what_cannot_be_used_is_refused(config: ReenactConfig, folder: Path, option: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"--{option} {value}"):
        reenact(dataclasses.replace(config, **{option: value}), NullProgress())


def test_a_colour_behind_the_head_needs_no_plate(config: ReenactConfig) -> None:
    source = reenact(dataclasses.replace(config, background="#203040"), NullProgress()).to_json()["source"]
    assert (source["matting"], source["inpainting"]) == ("mediapipe", "none")
    assert not any("big-lama" in line for line in source["better"])
