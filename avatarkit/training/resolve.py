"""How a configuration comes about: preset < YAML file < `--set key=value`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from avatarkit.errors import InputError, UsageError
from avatarkit.reading import DEEPEST_JSON, read_bytes
from avatarkit.training.config import TrainConfig, check

Config = TypeVar("Config", bound=TrainConfig)
LARGEST_YAML = 1 << 20
_RESOLVER = r"\$\{[^}]*:"
CHOSEN_ELSEWHERE = {"stage": "it is the command's name", "preset": "choose it with --preset"}


def resolve(base: Config, file: Path | None = None, sets: Sequence[str] = ()) -> Config:
    """A preset, changed by a YAML file and then by "key=value" texts.

    Raises:
        UsageError: an unknown key (with the nearest one), or a value that the key cannot take.
        InputError: the file cannot be read or is not YAML.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    merged = OmegaConf.structured(base)
    layers = [(_read_yaml(file), str(file))] if file is not None else []
    layers += [(_read_set(text), f"--set {text}") for text in sets]
    for layer, where in layers:
        _check_keys(layer, base, where)
        try:
            merged = OmegaConf.merge(merged, layer)
        except (OmegaConfBaseException, TypeError) as error:
            raise UsageError(f"{where}: {_first_line(error)}") from error
    # References such as ${batch} are followed once all layers are there.
    try:
        result = OmegaConf.to_object(merged)
    except (OmegaConfBaseException, RecursionError) as error:
        key = getattr(error, "full_key", None) or "the configuration"
        raise UsageError(f"{key}: cannot be worked out: {_first_line(error)}") from error
    assert isinstance(result, type(base))
    check(result)
    return result


def from_mapping(kind: type[Config], values: Mapping[str, Any], where: str) -> Config:
    """A configuration that was saved with `asdict`; UsageError as `resolve`."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    _check_keys(values, kind(), where, all_keys=True)
    try:
        result = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(kind), dict(values)))
    except (OmegaConfBaseException, TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{where}: {_first_line(error)}") from error
    assert isinstance(result, kind)
    return result


def keys(config: TrainConfig) -> list[str]:
    """All keys that can be set, with dots."""
    return [key for key in flat(asdict(config)) if key not in CHOSEN_ELSEWHERE]


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, keys joined with dots."""
    return dict(_flat_items(values, prefix))


def _flat_items(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat_items(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _check_keys(layer: Mapping[str, Any], base: TrainConfig, where: str, *, all_keys: bool = False) -> None:
    known = list(flat(asdict(base)))
    sections = {item.name for item in fields(base) if is_dataclass(getattr(base, item.name))}
    # A saved configuration refers to nothing, and none to what is outside of it, such as ${oc.env:HOME}.
    refused = r"\$\{" if all_keys else _RESOLVER
    for key, value in flat(layer).items():
        if re.search(refused, repr(value)):
            raise UsageError(f"{where}: {key} refers to something else; give its plain value")
        if value == "???":
            raise UsageError(f"{where}: {key} is left open; give a value")
        if key in CHOSEN_ELSEWHERE and not all_keys:
            raise UsageError(f"{where}: {key} cannot be set here: {CHOSEN_ELSEWHERE[key]}")
        if key in sections:
            inside = ", ".join(name for name in known if name.startswith(f"{key}."))
            raise UsageError(f"{where}: {key} is a group of keys: {inside}")
        if key not in known:
            leaves = {name.rpartition(".")[2]: name for name in known}
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.4) or [
                leaves[leaf] for leaf in difflib.get_close_matches(key.rpartition(".")[2], list(leaves), n=1)
            ]
            hint = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(known)}"
            raise UsageError(f"{where}: there is no key {key}; {hint}")


def _read_set(text: str) -> dict[str, Any]:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    key, equals, _ = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {text}: expected key=value, such as --set optim.lr=1e-4")
    try:
        result = OmegaConf.to_container(OmegaConf.from_dotlist([text]))
    except (OmegaConfBaseException, YAMLError, ValueError) as error:
        raise UsageError(f"--set {text[:80]}: {_first_line(error)}") from error
    assert isinstance(result, dict)
    return {str(name): value for name, value in result.items()}


def _read_yaml(path: Path) -> dict[str, Any]:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import AliasEvent, CollectionEndEvent, CollectionStartEvent, YAMLError, parse

    try:
        text = read_bytes(path, LARGEST_YAML, links=True).decode()
        depth = 0
        for event in parse(text):  # as far as it is sound: PyYAML takes minutes for tables in tables
            if isinstance(event, AliasEvent):
                raise InputError(f"{path}: names a part by * to repeat it, which is not read; write each value out")
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if depth > DEEPEST_JSON:
                raise InputError(f"{path}: has tables in tables, more than {DEEPEST_JSON} deep")
        result = OmegaConf.to_container(OmegaConf.create(text))
    except FileNotFoundError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: cannot be read: is not text") from error
    except (OmegaConfBaseException, YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(result, dict):
        raise InputError(f"{path}: holds no keys; write lines such as batch: 8")
    return {str(name): value for name, value in result.items()}
