"""A clip: one person in consecutive frames of one video, or a single photo; and the record of one that was refused."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, get_args

from numpy.typing import NDArray

from avatarkit.errors import InputError
from avatarkit.reading import check_id, check_table, check_text, check_whole

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
Stage = Literal["plan", "fetch", "track", "crop", "annotate", "score"]
STAGES: tuple[Stage, ...] = get_args(Stage)
FRAME_RATE = 25
"""Frames a second of every clip; a photo has one frame."""

_REASON = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_RATE = re.compile(r"[0-9]{1,9}(/[1-9][0-9]{0,8})?")


@dataclass(frozen=True)
class ClipInfo:
    """What is known of a clip as a whole.

    clip_id: unique in the dataset. identity, video, utterance: whose face, which original, which part of it.
    source: address or file name. native_rate: the original's frames a second, "30000/1001" (a photo's is "0").
    start_s: of the first frame in the original. frames: their number. head_px: median side of the head in the
    original. bitrate_kbps: of the original's video. effective_px: side at which the crop holds as much detail as it
    does. sharpness, score: means over frames; NaN where not measured. yaw_deg: median of its absolute value.
    age_checked: whether somebody's list says that the person is not a child. extra: titles, addresses.
    """

    clip_id: str
    identity: str
    video: str
    utterance: str
    split: Split
    source: str
    licence: str
    author: str
    native_rate: str
    start_s: float
    frames: int
    head_px: float
    bitrate_kbps: float
    effective_px: float
    sharpness: float
    score: float
    yaw_deg: float
    age_checked: bool = False
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Length in seconds; 0 for a photo."""
        return self.frames / FRAME_RATE if self.frames > 1 else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values; a number that is not finite becomes None."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> ClipInfo:
        """The clip of `to_json`'s values.

        Raises:
            ValueError: a field is missing, unknown or of another type.
        """
        clip = ClipInfo(**_typed(ClipInfo, values))
        _check_ids(clip)
        if not _RATE.fullmatch(clip.native_rate):
            raise ValueError(f"field native_rate is {clip.native_rate[:40]!r}")
        return clip


@dataclass(frozen=True)
class ClipData:
    """A clip with its frames: encoded pictures, mattes (8-bit grey PNG each), and one row per frame and column."""

    info: ClipInfo
    images: list[bytes]
    mattes: list[bytes]
    columns: dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Rejected:
    """A clip, video or photo that did not become part of the dataset, and why: `reason` is a short code."""

    clip_id: str
    video: str
    identity: str
    split: Split
    stage: Stage
    reason: str
    detail: str

    def __post_init__(self) -> None:
        if not _REASON.fullmatch(self.reason):
            raise ValueError(f"reason {self.reason!r} of {self.clip_id} is not a code such as head-too-small")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Rejected:
        """The record of `to_json`'s values; raises ValueError where they are no such thing."""
        record = Rejected(**_typed(Rejected, values))
        _check_ids(record)
        return record


def _check_ids(record: ClipInfo | Rejected) -> None:
    try:
        for name in ("clip_id", "video", "identity"):
            check_id(getattr(record, name), name)
        if isinstance(record, ClipInfo) and record.utterance:
            check_id(record.utterance, "utterance")
    except InputError as error:
        raise ValueError(str(error)) from error


def _is(check: Callable[..., Any], value: object) -> bool:
    try:
        check(value, "")
    except ValueError:
        return False
    return True


_CHECKS: dict[str, Any] = {
    "str": lambda v: _is(check_text, v),
    "int": lambda v: _is(check_whole, v),
    "float": lambda v: v is None or (isinstance(v, int | float) and not isinstance(v, bool)),
    "bool": lambda v: isinstance(v, bool),
    "Split": lambda v: v in SPLITS,
    "Stage": lambda v: v in STAGES,
    "dict[str, str]": lambda v: _is(partial(check_table, of=check_text), v),
}


def _typed(kind: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise ValueError(f"expected a table of fields, found {type(values).__name__}")
    fields = dataclasses.fields(kind)
    names = {f.name for f in fields}
    if unknown := sorted(set(values) - names):
        raise ValueError(f"unknown field {unknown[0]}")
    result = {}
    for f in fields:
        if f.name not in values:
            raise ValueError(f"no field {f.name}")
        value = values[f.name]
        if not _CHECKS[str(f.type)](value):
            raise ValueError(f"field {f.name} is {repr(value)[:80]}")
        result[f.name] = (math.nan if value is None else float(value)) if f.type == "float" else value
    return result
