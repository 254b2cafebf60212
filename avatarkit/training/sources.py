"""What a training reads: samples of a dataset, with what it needs to know about the dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from avatarkit.data.samples import DataKind
from avatarkit.training.feed import Samples

Frame = Mapping[str, Any]
"""One frame: "image" uint8 (3, S, S), "matte" uint8 (1, S, S), "landmarks" (478, 3) px, "head" (4, 4), ..."""


def _no_frame(clip_id: str) -> Frame:
    raise KeyError(clip_id)


@dataclass(frozen=True)
class TrainData:
    """Samples and their origin.

    kind: "videos" give pairs, "photos" single pictures with a "partner". size: of the pictures in pixels.
    sha256: of what is trained on: the dataset's content and the clips that its selection leaves.
    val: None where the dataset has no such split. clips: (clip id, identity) of the training split, in the order of
    the samples' "clip" numbers. first_frame: the first frame of a clip, by clip id.
    origin: more about the dataset in plain values, for checkpoints; a changed one is told by them.
    """

    kind: DataKind
    size: int
    sha256: str
    train: Samples
    val: Samples | None = None
    clips: Sequence[tuple[str, str]] = ()
    first_frame: Callable[[str], Frame] = _no_frame
    origin: Mapping[str, Any] = field(default_factory=dict)

    def described(self) -> dict[str, Any]:
        """What checkpoints keep of it."""
        return {"sha256": self.sha256, "kind": self.kind, "size": self.size, **self.origin}
