"""The lock file of weights: what each file is called, where it is published, and how it is recognised."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from typing import Any, Literal, get_args

from avatarkit.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Job = Literal["reenact", "prepare-data", "train", "evaluate"]
Kind = Literal["state-dict", "torchscript", "bundle", "tflite", "dlib"]

_LISTS = ("urls", "used_by", "probe_keys")


@dataclass(frozen=True)
class WeightFile:
    """One published weight file.

    Args:
        name: how avatarkit calls it.
        file: its name in the cache, as published.
        purpose: what it does, in a few words.
        kind: "state-dict" (tensors by key), "torchscript" (code and tensors) "bundle" (MediaPipe's zip)
            or "tflite" (one network of MediaPipe's), "dlib" (its own serialisation).
        licence: SPDX name where there is one.
        licence_url: where the licence is stated.
        permissive: whether commercial use is allowed without asking.
        citation: the work to cite.
        used_by: the jobs that can use it.
        urls: download addresses in the order to try; may be empty.
        size_bytes: exact size; None when it was not published.
        sha256: all 64 hexadecimal digits, lower case; None when not published.
        sha256_prefix: its first digits, where only those were published.
        md5: 32 hexadecimal digits, where that was published.
        how_to_get: what to do by hand; needed where there are no urls.
        probe_keys: keys that every right state dict has; a guard for files without a published hash.
    """

    name: str
    file: str
    purpose: str
    kind: Kind
    licence: str
    licence_url: str
    permissive: bool
    citation: str
    used_by: tuple[str, ...]
    urls: tuple[str, ...] = ()
    size_bytes: int | None = None
    sha256: str | None = None
    sha256_prefix: str | None = None
    md5: str | None = None
    how_to_get: str = ""
    probe_keys: tuple[str, ...] = ()

    @property
    def published_hash(self) -> str | None:
        """The hash that others vouch for, as "sha256 0123..."; None where there is none."""
        if self.sha256:
            return f"sha256 {self.sha256}"
        if self.sha256_prefix:
            return f"sha256 starting with {self.sha256_prefix}"
        return f"md5 {self.md5}" if self.md5 else None

    @property
    def size(self) -> str:
        """The size to read: "205.7 MB", or "size not published"."""
        return "size not published" if self.size_bytes is None else megabytes(self.size_bytes)

    @property
    def source(self) -> str:
        """Where the file comes from: its first address, or the way to it in words."""
        return self.urls[0] if self.urls else self.how_to_get


def megabytes(count: int) -> str:
    """Bytes as "25.9 MB" (10^6 bytes); small files as "512 bytes"."""
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count} bytes"


@cache
def weights() -> dict[str, WeightFile]:
    """All known weight files by name, in the order of the lock file."""
    return parse(resources.files(__package__).joinpath("weights.toml").read_text(encoding="utf-8"))


def get(name: str) -> WeightFile:
    """The weight file of this name.

    Raises:
        UsageError: there is none; the message suggests the nearest name.
    """
    known = weights()
    if name not in known:
        raise UsageError(f"no weights are called {name}{_nearest(name, known)}; see avatarkit weights list")
    return known[name]


def for_job(job: str) -> tuple[WeightFile, ...]:
    """The weight files that a job can use.

    Raises:
        UsageError: no such job.
    """
    if job not in get_args(Job):
        raise UsageError(f"no job is called {job}{_nearest(job, get_args(Job))}: {', '.join(get_args(Job))}")
    return tuple(weight for weight in weights().values() if job in weight.used_by)


def parse(text: str) -> dict[str, WeightFile]:
    """Read the text of a lock file: one table per name, with the fields of WeightFile.

    Raises:
        ValueError: an unknown or missing field, or a value that cannot be right; the message names it.
    """
    return {name: _entry(name, table) for name, table in tomllib.loads(text).items()}


def _entry(name: str, table: dict[str, Any]) -> WeightFile:
    known = [field.name for field in fields(WeightFile) if field.name != "name"]
    for key in table:
        if key not in known:
            raise ValueError(f"{name}: unknown field {key}{_nearest(key, known)}")
    values: dict[str, Any] = {key: tuple(value) if key in _LISTS else value for key, value in table.items()}
    try:
        weight = WeightFile(name=name, **values)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from error
    _check(weight)
    return weight


def _check(weight: WeightFile) -> None:
    hexadecimal = set("0123456789abcdef")
    for digits, length in ((weight.sha256, 64), (weight.md5, 32)):
        if digits is not None and (len(digits) != length or not set(digits) <= hexadecimal):
            raise ValueError(f"{weight.name}: {digits} is not a hash of {length} hexadecimal digits")
    if weight.sha256_prefix is not None and not set(weight.sha256_prefix) <= hexadecimal:
        raise ValueError(f"{weight.name}: {weight.sha256_prefix} is not the start of a hash")
    if weight.kind not in get_args(Kind):
        raise ValueError(f"{weight.name}: unknown kind {weight.kind}{_nearest(weight.kind, get_args(Kind))}")
    for job in weight.used_by:
        if job not in get_args(Job):
            raise ValueError(f"{weight.name}: unknown job {job}{_nearest(job, get_args(Job))}")
    if not weight.urls and not weight.how_to_get:
        raise ValueError(f"{weight.name}: needs urls or how_to_get")
    if "/" in weight.file or weight.file.startswith("."):
        raise ValueError(f"{weight.name}: {weight.file} is not a plain file name")
    if weight.file == "pins.json":
        raise ValueError(f"{weight.name}: {weight.file} is taken by the record of pins")


def _nearest(name: str, known: Iterable[str]) -> str:
    result = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {result[0]}?)" if result else ""
