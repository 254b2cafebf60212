"""Two lists beside the shards: which clips are selected, and who was removed for good."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avatarkit.atomic import write_json
from avatarkit.data.clip import ClipInfo, Rejected
from avatarkit.errors import InputError
from avatarkit.reading import check_id, read_json

SELECTION, REMOVED = "selection.json", "removed.json"
MOST_BYTES = 1 << 29
"""Of a list of ids: a few million of them."""
_SELECTION_FORMAT, _REMOVED_FORMAT, _VERSION = "avatarkit-selection", "avatarkit-removed", 1


@dataclass(frozen=True)
class Selection:
    """The clips that training uses, and the rule that chose them."""

    clips: frozenset[str]
    rule: dict[str, Any]


@dataclass(frozen=True)
class Removed:
    """People, originals and clips that were taken out of a dataset and must not come back."""

    people: frozenset[str] = frozenset()
    videos: frozenset[str] = frozenset()
    clips: frozenset[str] = frozenset()

    def covers(self, clip: ClipInfo | Rejected) -> bool:
        """Whether a clip, or the record of a rejected one, is to be removed."""
        return clip.identity in self.people or clip.video in self.videos or clip.clip_id in self.clips

    def joined(self, other: Removed) -> Removed:
        """Both together."""
        return Removed(self.people | other.people, self.videos | other.videos, self.clips | other.clips)


def write_selection(dataset: Path, clips: Iterable[str], rule: Mapping[str, Any]) -> None:
    """Write which clips are selected, by their ids; `rule` says how they were chosen, in plain values."""
    content = {"format": _SELECTION_FORMAT, "version": _VERSION, "rule": dict(rule), "clips": sorted(set(clips))}
    write_json(dataset / SELECTION, content)


def read_selection(dataset: Path) -> Selection | None:
    """The selection; None where there is none, which selects every clip. Raises InputError where it is damaged."""
    values = _read(dataset / SELECTION, _SELECTION_FORMAT)
    if values is None:
        return None
    clips, rule = values.get("clips"), values.get("rule")
    if not _ids(clips) or not isinstance(rule, dict):
        raise InputError(f"{dataset / SELECTION}: is damaged; run `avatarkit data reselect` again")
    return Selection(frozenset(clips or ()), rule)


def read_rule(dataset: Path) -> dict[str, Any]:
    """The rule of a selection alone, which is quick; InputError where there is none, or it is damaged."""
    rule = (_read(dataset / SELECTION, _SELECTION_FORMAT) or {}).get("rule")
    if not isinstance(rule, dict):
        raise InputError(f"{dataset / SELECTION}: is damaged; run `avatarkit data reselect` again")
    return rule


def write_removed(dataset: Path, removed: Removed) -> None:
    """Write who was removed."""
    lists = {name: sorted(getattr(removed, name)) for name in ("people", "videos", "clips")}
    write_json(dataset / REMOVED, {"format": _REMOVED_FORMAT, "version": _VERSION, **lists})


def read_removed(dataset: Path) -> Removed:
    """Who was removed from a dataset: nobody where there is no such file. Raises InputError where it is damaged."""
    values = _read(dataset / REMOVED, _REMOVED_FORMAT)
    if values is None:
        return Removed()
    lists = [values.get(name) for name in ("people", "videos", "clips")]
    if not all(map(_ids, lists)):
        raise InputError(f"{dataset / REMOVED}: is damaged; put it back from a copy before anything is prepared")
    return Removed(*(frozenset(names or ()) for names in lists))


def _read(path: Path, kind: str) -> dict[str, Any] | None:
    try:
        values = read_json(path, MOST_BYTES)
    except FileNotFoundError:
        return None
    if (values.get("format"), values.get("version")) != (kind, _VERSION):
        raise InputError(f"{path}: is not {kind} {_VERSION}; another version of the program wrote it")
    return values


def _ids(value: Any) -> bool:
    try:
        return isinstance(value, list) and all(check_id(name) for name in value)
    except InputError:
        return False
