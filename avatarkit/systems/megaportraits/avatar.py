"""What engines of students share, be it torch or onnxruntime that runs them: one avatar, moved by drivers' squares."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import UsageError
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.protocol import Drawn, Needs, SourceLayers

Picture = NDArray[np.uint8]


class AvatarEngine:
    """Draws one avatar of a student, moved as the driver's square shows; it takes no source, and knows no other person.

    _label: avatar and checkpoint. _size: side of its frames. _at_once: frames that are drawn together.
    """

    _label: str
    _size: int
    _at_once: int

    @property
    def name(self) -> str:
        """Name, avatar and checkpoint, for reports."""
        return f"student {self._label}"

    @property
    def needs(self) -> Needs:
        """The driver's squares alone."""
        return Needs(self._size, source=False, drawn_px=self._size, at_once=self._at_once, alone=True)

    def prepare(self, source: SourceLayers) -> None:
        """Nothing: it knows its avatars."""

    def frames(self, pictures: Sequence[Picture]) -> list[Picture]:
        """The avatar as drivers' squares (S, S, 3) move it."""
        raise NotImplementedError

    def drive(self, frames: Sequence[DriveFrame]) -> list[Drawn]:
        """See `Engine.drive`."""
        drawn = self.frames([frame.driver[0][0].picture for frame in frames])
        return [Drawn(picture, None) for picture in drawn]

    def notices(self) -> tuple[str, ...]:
        """Nothing."""
        return ()


def chosen_avatar(names: Sequence[str], wanted: str | None, where: str) -> int:
    """The number of an avatar by name; the only one where none is asked for.

    Raises:
        UsageError: no such avatar, with the nearest names, or none named of several.
    """
    if wanted is None and len(names) == 1:
        return 0
    if wanted in names:
        return names.index(wanted)
    near = difflib.get_close_matches(wanted or "", names, n=3, cutoff=0.3)
    some = near or names[:3]
    shown = ", ".join(some) + (f", ... ({len(names)} in all)" if len(names) > len(some) else "")
    said = "give --avatar NAME" if wanted is None else f"--avatar {wanted}: there is no such avatar"
    raise UsageError(f"{said}; {where} {'has names such as' if near else 'holds'} {shown}")
