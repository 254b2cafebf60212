"""Configurations of networks as plain values that survive JSON, and back: how a checkpoint rebuilds its nets."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any, TypeVar

from avatarkit.errors import InputError, UsageError

__all__ = ["from_plain", "to_plain"]

Config = TypeVar("Config")
LARGEST = 1 << 12
"""Of whole numbers in a configuration: sizes, widths, counts of blocks. Published networks stay below half of it."""
LONGEST = 64
"""Of a list in a configuration."""
LONGEST_TEXT = 100


def to_plain(config: Any) -> dict[str, Any]:
    """A configuration (a dataclass) as nested mappings, lists, numbers and texts."""
    values = _plain(asdict(config))
    assert isinstance(values, dict)
    return values


def from_plain(kind: type[Config], values: object, where: str) -> Config:
    """The configuration that `to_plain` was given.

    Args:
        kind: a dataclass whose fields are bools, numbers, texts, tuples of them, or such dataclasses.
        values: each of its fields must be there, and nothing else; a part that is None by default may be absent, as it
            is in checkpoints older than the part. where: how errors name them.

    Raises:
        InputError: a key that is missing, unknown, or of another type; or values that the dataclass refuses.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: is no configuration; the checkpoint is damaged, or of another version")
    hints = typing.get_type_hints(kind)
    names = {item.name for item in fields(kind)}  # type: ignore[arg-type]
    required = {item.name for item in fields(kind) if item.default is not None}  # type: ignore[arg-type]
    for what, keys in (("lacks", required - set(values)), ("has an unknown", set(values) - names)):
        if keys:
            raise InputError(
                f"{where}: {what} {sorted(map(str, keys))[0][:80]}; the checkpoint is damaged, or of another version"
                " of avatarkit"
            )
    given = {name: _value(hints[name], values.get(name), f"{where}.{name}") for name in names}
    try:
        return kind(**given)
    except UsageError as error:
        raise InputError(f"{where}: cannot be built: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _value(hint: Any, value: Any, where: str) -> Any:
    if is_dataclass(hint):
        return from_plain(hint, value, where)  # type: ignore[arg-type]
    inner = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        lengths = None if inner[-1] is Ellipsis else len(inner)
        if isinstance(value, list) and len(value) <= LONGEST and lengths in (None, len(value)):
            return tuple(_value(inner[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    elif isinstance(hint, types.UnionType):
        if value is None and type(None) in inner:
            return None
        return _value(next(kind for kind in inner if kind is not type(None)), value, where)
    elif type(value) is int and not 0 <= value <= LARGEST:
        raise InputError(f"{where}: {value} is no size of a network; the checkpoint is damaged")
    # True is an int to Python, and 1 is a float's value after JSON.
    elif (type(value) is hint and len(str(value)) <= LONGEST_TEXT) or (hint is float and type(value) is int):
        return value
    raise InputError(
        f"{where}: {repr(value)[:80]} is of another type or too long; the checkpoint is damaged, or of another version"
    )
