"""Weights into memory: tensors only, and code only after its hash matched."""

from __future__ import annotations

import hashlib
import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from avatarkit.errors import InputError, UsageError
from avatarkit.weights import load
from avatarkit.weights.errors import DamagedWeights, MissingWeights, WrongFile
from avatarkit.weights.lock import WeightFile

Weight = Callable[..., WeightFile]


@pytest.fixture
def here(weight: Weight, registry, folder: Path) -> Callable[..., Path]:
    """here(path, **changes): the file is in the cache as `net`, with its own hash unless changed."""

    def put(path: Path, **changes: Any) -> Path:
        body = path.read_bytes()
        known = {"sha256": hashlib.sha256(body).hexdigest(), "size_bytes": len(body), **changes}
        registry(weight(**known))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "net.pth").write_bytes(body)
        return folder / "net.pth"

    return put


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[object], Path]:
    def save(value: object) -> Path:
        torch.save(value, tmp_path / "saved.pth")
        return tmp_path / "saved.pth"

    return save


class Doubler(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.pt"
    torch.jit.trace(Doubler(), torch.ones(1)).save(str(path))
    return path


def test_by_name(here, state_dict_file: Path) -> None:
    here(state_dict_file)
    assert load.present("net")
    found = load.load_state_dict("net")
    assert list(found) == ["first.weight", "first.bias"]
    assert found["first.weight"].shape == (2, 3)


def test_prefixes(state_dict_file: Path, saved) -> None:
    assert list(load.load_state_dict(state_dict_file, strip=())) == [
        "module.first.weight",
        "module.first.bias",
    ]
    tensor = torch.ones(1)
    mixed = saved({"module.a": tensor, "b": tensor})
    assert list(load.load_state_dict(mixed)) == ["module.a", "b"]
    twice = saved({"module.net.a": tensor, "module.net.b": tensor})
    assert list(load.load_state_dict(str(twice), strip=("module.", "net."))) == ["a", "b"]


@pytest.mark.parametrize("key", ["state_dict", "params", "hypernet"])
def test_inside_a_checkpoint(key: str, saved) -> None:
    assert list(load.load_state_dict(saved({"epoch": 3, key: {"a": torch.ones(1)}}))) == ["a"]


@pytest.mark.parametrize("value", [[1, 2], {"epoch": 3}, {}, torch.ones(2)])
def test_no_state_dict(value: object, saved) -> None:
    with pytest.raises(WrongFile, match="holds no state dict"):
        load.load_state_dict(saved(value))


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_objects_are_not_built(saved, tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    with pytest.raises(WrongFile, match="holds something else than tensors"):
        load.load_state_dict(saved({"a": torch.ones(1), "b": Trap(trap)}))
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Trap(trap)))
    with pytest.raises(WrongFile):
        load.load_state_dict(tmp_path / "plain.pkl")
    assert not trap.exists()


@pytest.mark.parametrize("body", [b"", b"<html></html>", b"PK\x03\x04 and no more", bytes(1000)])
def test_no_pytorch_file(body: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(body)
    with pytest.raises(WrongFile, match=r"x\.pth: "):
        load.load_state_dict(tmp_path / "x.pth")


def test_no_file(tmp_path: Path) -> None:
    for call in (load.load_state_dict, load.load_torchscript):
        for path in (tmp_path / "none.pth", tmp_path):
            with pytest.raises(InputError, match="cannot be read"):
                call(path)


def test_cut_file(state_dict_file: Path, tmp_path: Path) -> None:
    body = state_dict_file.read_bytes()
    (tmp_path / "x.pth").write_bytes(body[: len(body) // 2])
    with pytest.raises(WrongFile):
        load.load_state_dict(tmp_path / "x.pth")


def test_missing(weight: Weight, registry) -> None:
    registry(weight())
    assert not load.present("net")
    with pytest.raises(MissingWeights) as caught:
        load.load_state_dict("net")
    words = ("net.pth", "0.5 MB", "http://127", "`avatarkit weights fetch net`", "import FILE --as net")
    assert all(word in str(caught.value) for word in words)
    assert caught.value.exit_code == 5


def test_unknown_name_suggests_the_nearest() -> None:
    for call in (load.require, load.present, load.load_state_dict, load.load_torchscript):
        with pytest.raises(UsageError, match=r"no weights are called modnett \(did you mean modnet\?\)"):
            call("modnett")


def test_damaged_is_not_loaded(here, state_dict_file: Path) -> None:
    here(state_dict_file, sha256="0" * 64)
    assert not load.present("net")
    for call in (load.require, load.load_state_dict):
        with pytest.raises(DamagedWeights, match="`avatarkit weights fetch net` replaces it"):
            call("net")


def test_torchscript(here, script: Path) -> None:
    here(script, kind="torchscript")
    for source in ("net", script, str(script)):
        module = load.load_torchscript(source)
        assert module(torch.ones(1)).item() == 2
        assert not module.training


@pytest.mark.parametrize("kind", [DeprecationWarning, FutureWarning])
def test_torchscript_of_old_is_loaded_without_a_word(
    kind: type[Warning], script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = torch.jit.load

    def loud(*given: Any) -> torch.jit.ScriptModule:
        warnings.warn("`torch.jit.load` is deprecated", kind, stacklevel=2)
        return plain(*given)

    monkeypatch.setattr(torch.jit, "load", loud)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load.load_torchscript(script)(torch.ones(1)).item() == 2


def test_torchscript_is_not_read_before_its_hash_matched(
    here, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = here(script, kind="torchscript")
    assert load.present("net")
    # Same size, same time: only reading it tells.
    before = path.stat()
    body = path.read_bytes()
    path.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert load.present("net")
    monkeypatch.setattr(torch.jit, "load", pytest.fail)
    for source in ("net", path, str(path)):
        with pytest.raises(DamagedWeights):
            load.load_torchscript(source)


def test_not_torchscript(state_dict_file: Path, tmp_path: Path) -> None:
    (tmp_path / "page.pt").write_bytes(b"<html></html>")
    for path in (state_dict_file, tmp_path / "page.pt"):
        with pytest.raises(WrongFile, match="is not a TorchScript file"):
            load.load_torchscript(path)


def test_a_file_called_like_a_name_does_not_take_its_place(
    weight: Weight, registry, state_dict_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry(weight())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net").write_bytes(state_dict_file.read_bytes())
    with pytest.raises(MissingWeights):
        load.load_state_dict("net")


def test_keys() -> None:
    load.check_keys({"a": 1, "b": 2}, ["a", "b"], "x.pth")
    with pytest.raises(WrongFile, match=r"x\.pth: .*: 1 keys missing \(c\), 2 keys too many \(a, b\)"):
        load.check_keys({"a": 1, "b": 2}, ["c"], "x.pth")


def test_a_network_is_filled_and_evaluates() -> None:
    state = {"weight": torch.ones(1, 2), "bias": torch.zeros(1)}
    net = load.load_into(torch.nn.Linear(2, 1), state, "x.pth", "Line")
    assert not net.training
    assert net(torch.ones(1, 2)).item() == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bias": torch.zeros(3)}, r"x\.pth: is not Line's state dict: .*bias"),
        ({"other": torch.zeros(3)}, r"x\.pth: .* 1 keys too many \(other\)"),
    ],
)
def test_a_network_takes_its_own_state_alone(changes: dict[str, torch.Tensor], words: str) -> None:
    state = {"weight": torch.ones(1, 2), "bias": torch.zeros(1), **changes}
    with pytest.raises(WrongFile, match=words) as caught:
        load.load_into(torch.nn.Linear(2, 1), state, "x.pth", "Line")
    assert "\n" not in str(caught.value)
