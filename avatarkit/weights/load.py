"""Weights into memory: by name from the cache or from an explicit file, never before its hash has matched."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from avatarkit.errors import AvatarkitError, InputError
from avatarkit.weights import cache, lock
from avatarkit.weights.errors import DamagedWeights, MissingWeights, WeightError, WrongFile
from avatarkit.weights.identify import digests_of, mismatch
from avatarkit.weights.lock import WeightFile

if TYPE_CHECKING:
    import torch

Net = TypeVar("Net", bound="torch.nn.Module")

_CONTAINERS = ("state_dict", "model_state_dict", "params_ema", "params", "model")


def present(name: str) -> bool:
    """Whether the weights of this name are in the cache and undamaged; UsageError for an unknown name."""
    return cache.state(lock.get(name)) not in ("missing", "damaged")


def require(name: str) -> Path:
    """The weights' file in the cache.

    A file without a published hash that was put there by hand is looked into and pinned now.

    Raises:
        UsageError: unknown name.
        MissingWeights: it is not there; the message says which file, how big, from where, by which commands.
        DamagedWeights: it is there and has another hash than the published or pinned one.
    """
    return ensure(lock.get(name))


def ensure(weight: WeightFile) -> Path:
    """As `require`, for a weight file at hand."""
    state = cache.state(weight)
    if state == "missing":
        raise MissingWeights(cache.missing_text(weight))
    if state == "damaged":
        raise DamagedWeights(cache.damaged_text(weight))
    path = cache.path_of(weight)
    if state == "unpinned":
        check_contents(weight, path)
        cache.try_pin(weight, path)
    return path


def load_state_dict(
    name_or_path: str | Path, *, strip: Sequence[str] = ("module.",)
) -> dict[str, torch.Tensor]:
    """Read a state dict, tensors only (`weights_only=True`), onto the CPU.

    Args:
        name_or_path: a name of the registry or its path in the cache, whose hash is checked first, or another
            file (Path, or a str that is no name and is an existing file).
        strip: prefixes taken off, in this order, where every key has them.

    Returns:
        Tensors by key, in the file's order. A state dict inside a checkpoint ("state_dict", "params", ...) is
        taken out of it.

    Raises:
        UsageError: neither a name nor a file.
        MissingWeights, DamagedWeights: as `require`.
        InputError: the file cannot be read.
        WrongFile: the file holds no state dict, or objects other than tensors.
    """
    with closing(_open(name_or_path)) as handle:
        result = _state_dict(handle)
    for prefix in strip:
        if result and all(key.startswith(prefix) for key in result):
            result = {key[len(prefix) :]: value for key, value in result.items()}
    return result


def read_bytes(name_or_path: str | Path) -> bytes:
    """A weight file as it is, for formats that are neither torch's nor a zip.

    Raises:
        UsageError, MissingWeights, DamagedWeights, InputError: as `load_state_dict`.
    """
    with closing(_open(name_or_path)) as handle:
        return handle.read()


def load_torchscript(name_or_path: str | Path, device: str = "cpu") -> torch.jit.ScriptModule:
    """Load a TorchScript module for evaluation. It is code, so by name it loads only after its hash matched;
    another path is the caller's word for it.

    Raises:
        UsageError: neither a name nor a file.
        MissingWeights, DamagedWeights: as `require`.
        InputError: the file cannot be read.
        WrongFile: the file is not TorchScript.
    """
    import torch

    with closing(_open(name_or_path)) as handle:
        try:
            with warnings.catch_warnings():
                # LaMa is published in this form alone; that torch prefers another one is of no use to a user.
                for kind in (DeprecationWarning, FutureWarning):
                    warnings.filterwarnings("ignore", r".*torch\.jit", kind)
                module: torch.jit.ScriptModule = torch.jit.load(handle, device)  # type: ignore[no-untyped-call]
        except (RuntimeError, ValueError, EOFError) as error:
            raise WrongFile(f"{handle.name}: is not a TorchScript file") from error
    module.eval()
    return module


def check_keys(found: Mapping[str, Any], expected: Sequence[str], where: str | Path) -> None:
    """Raise WrongFile, listing what is missing or left over, unless a state dict has exactly these keys."""
    missing = [key for key in expected if key not in found]
    known = set(expected)
    extra = [key for key in found if key not in known]
    differences = (("missing", missing), ("too many", extra))
    parts = [f"{len(keys)} keys {word} ({_some(keys)})" for word, keys in differences if keys]
    if parts:
        raise WrongFile(f"{where}: is not the state dict that this network needs: {', '.join(parts)}")


def load_into(net: Net, state: Mapping[str, torch.Tensor], where: str | Path, what: str) -> Net:
    """Fill a network with a state dict that has exactly its keys and shapes, ready for evaluation.

    Args:
        net: the network; it is filled in place.
        state: tensors by key.
        where: how errors name the state dict.
        what: how errors name the network.

    Returns:
        `net`, in evaluation mode.

    Raises:
        WrongFile: keys missing or left over, or tensors of other shapes; the first few are listed.
    """
    check_keys(state, list(net.state_dict()), where)
    try:
        net.load_state_dict(dict(state))
    except RuntimeError as error:
        wrong = " ".join(str(error).splitlines()[1].split())
        raise WrongFile(f"{where}: is not {what}'s state dict: {wrong}") from error
    return net.eval()


def check_contents(weight: WeightFile, path: Path, *, called: str | Path | None = None) -> None:
    """Raise WrongFile if a file cannot be `weight` by what it holds; for files that no hash vouches for.

    Args:
        weight: what the file is said to be.
        path: the file.
        called: how messages name it; `path` by default.
    """
    called = called or path
    if weight.kind != "state-dict":
        if not zipfile.is_zipfile(path):
            raise WrongFile(f"{called}: is not {weight.name}: not a {weight.kind} file")
        return
    with path.open("rb") as handle:
        result = _state_dict(handle, called)
    missing = [key for key in weight.probe_keys if not any(_ends(have, key) for have in result)]
    if missing:
        raise WrongFile(f"{called}: is not {weight.name}: its state dict has no {_some(missing)}")


def _ends(have: str, key: str) -> bool:
    return have == key or have.endswith("." + key)


def _some(keys: Sequence[str]) -> str:
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")


def _open(name_or_path: str | Path) -> IO[bytes]:
    """The file, opened; one of the cache only after the hash of the very bytes to be read has matched."""
    weight = _weight_of(name_or_path)
    if weight is None:
        return _opened(Path(name_or_path), InputError)
    if weight.kind == "torchscript" and cache.state(weight) == "unpinned":
        # It is code, so being found in the folder is not enough.
        raise WeightError(f"{cache.path_of(weight)}: no hash vouches for it; {cache.import_text(weight)}")
    handle = _opened(ensure(weight), WeightError)
    wrong = mismatch(weight, digests_of(handle), cache.pinned(weight))
    if wrong:
        handle.close()
        raise DamagedWeights(cache.damaged_text(weight, wrong))
    handle.seek(0)
    return handle


def _weight_of(name_or_path: str | Path) -> WeightFile | None:
    """The weights meant by a name or by their own path in the cache; None for any other file."""
    # A name comes first: a file that happens to be called like it must not take its place unchecked.
    if isinstance(name_or_path, str) and name_or_path in lock.weights():
        return lock.get(name_or_path)
    path = Path(name_or_path).absolute()
    for weight in lock.weights().values():
        if path == cache.path_of(weight):
            return weight
    if isinstance(name_or_path, str) and not path.is_file():
        return lock.get(name_or_path)  # raises, with the nearest name
    return None


def _opened(path: Path, kind: type[AvatarkitError]) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise kind(f"{path}: cannot be read: {error.strerror}") from error


def _state_dict(handle: IO[bytes], called: str | Path | None = None) -> dict[str, torch.Tensor]:
    import torch

    called = called or handle.name
    try:
        result = torch.load(handle, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WrongFile(f"{called}: holds something else than tensors, or is no PyTorch file") from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise WrongFile(f"{called}: is not a PyTorch file, or is damaged") from error
    tensors = _tensors(result)
    if tensors is None and isinstance(result, Mapping):
        inner = [result[key] for key in _CONTAINERS if key in result]
        inner += [value for value in result.values() if isinstance(value, Mapping)]
        tensors = next((taken for taken in map(_tensors, inner) if taken is not None), None)
    if tensors is None:
        raise WrongFile(f"{called}: holds no state dict")
    return tensors


def _tensors(value: object) -> dict[str, torch.Tensor] | None:
    import torch

    if not isinstance(value, Mapping) or not value:
        return None
    if all(isinstance(key, str) and isinstance(item, torch.Tensor) for key, item in value.items()):
        return dict(value)
    return None
