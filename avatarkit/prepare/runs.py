"""One wanted face through a video, frame by frame: inside given boxes, or wherever the largest face is."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from avatarkit.data.clip import ClipData, Rejected
from avatarkit.face.boxes import Box
from avatarkit.face.cuts import Change
from avatarkit.prepare.config import PrepareConfig
from avatarkit.prepare.follow import FaceFollower, share_inside
from avatarkit.prepare.job import Track
from avatarkit.prepare.piece import Piece, PieceLabel
from avatarkit.prepare.tools import Tools
from avatarkit.runtime import counted

__all__ = ["BoxRun", "FreeRun", "Run"]

Frame = NDArray[np.uint8]
Results = list[ClipData | Rejected]

# Frames without the face after which a clip ends: half a second. Shorter gaps leave frames out.
_LONGEST_GAP = 12
# A cut this near to a given track's ends is a matter of rounding between frame rates: the track is trimmed.
_EDGE = 3
# Less of a given box inside the picture than this, and the box belongs to another picture.
_LEAST_BOX_INSIDE = 0.5


class Run(Protocol):
    """What `process_video` does with each frame."""

    @property
    def first(self) -> int:
        """The first frame number that is of interest."""
        ...

    @property
    def done(self) -> bool:
        """Whether later frames are of no interest."""
        ...

    def step(self, number: int, frame: Frame, change: Change) -> Results:
        """Take the next frame, at 25 a second; gives the clips that this ends."""
        ...

    def finish(self, problem: str, reason: str) -> Results:
        """The video has ended: by itself, or for the problem and with the reason given."""
        ...


class BoxRun:
    """A given track, such as an utterance of VoxCeleb: one clip, or the reason against it."""

    def __init__(self, track: Track, label: PieceLabel, config: PrepareConfig, tools: Tools) -> None:
        assert track.frames is not None
        assert track.boxes is not None
        self._rows = {int(number): box for number, box in zip(track.frames, track.boxes, strict=True)}
        self.first, self._last = int(track.frames[0]), int(track.frames[-1])
        self.done = False
        self._label, self._config, self._tools = label, config, tools
        self._follower = FaceFollower(tools.tracker)
        self._piece = self._new_piece()
        self._missing: list[str] = []

    def step(self, number: int, frame: Frame, change: Change) -> Results:
        """See `Run.step`."""
        if self.done or number < self.first:
            return []
        if change.cut and number > self.first:
            if number > self._last - _EDGE:
                return self._end()
            if number > self.first + _EDGE:
                return self._reject("cut", f"a cut at {number / 25:.2f} s, inside of the track")
            self._follower.restart()
            self._piece, self._missing = self._new_piece(), []
        row = self._rows.get(number)
        rejected = self._take(number, frame, row, change.moved) if row is not None else []
        if rejected or self.done:
            return rejected
        full = self._piece.frames >= self._config.max_frames
        return self._end() if full or number >= self._last else []

    def finish(self, problem: str, reason: str) -> Results:
        """See `Run.finish`: what is whole of a truncated video is kept, with a note."""
        if self.done:
            return []
        if self._piece.frames >= self._config.min_frames:
            return self._end(problem)
        detail = problem or f"the video ends before frame {self._last} of the track, at 25 frames a second"
        return self._reject(reason if problem else "beyond-end", detail)

    def _new_piece(self) -> Piece:
        return Piece(self._label, self._config, self._tools)

    def _take(
        self, number: int, frame: Frame, row: NDArray[np.float64], moved: tuple[float, float]
    ) -> Results:
        height, width = frame.shape[:2]
        box = _in_pixels(row, width, height)
        if share_inside(box, width, height) < _LEAST_BOX_INSIDE:
            return self._reject("outside-frame", f"the box lies outside of the picture at frame {number}")
        seen = self._follower.step(frame, box, moved)
        if seen.face is not None:
            self._missing = []
            self._piece.add(number, frame, seen.face)
            hopeless = self._piece.hopeless()
            self.done = hopeless is not None
            return [hopeless] if hopeless else []
        self._missing.append(seen.cause)
        if len(self._missing) > _LONGEST_GAP:
            reason = Counter(self._missing).most_common(1)[0][0]
            detail = f"no usable face from {(number - _LONGEST_GAP) / 25:.2f} s on for {len(self._missing)} frames"
            return self._reject(reason, detail)
        return []

    def _end(self, note: str = "") -> Results:
        self.done = True
        if not self._piece.frames and self._missing:
            return self._reject(Counter(self._missing).most_common(1)[0][0], "no usable face in the whole track")
        return [self._piece.close(note)]

    def _reject(self, reason: str, detail: str) -> Results:
        self.done = True
        self._piece = self._new_piece()
        return [self._label.rejected("track", reason, detail)]


class FreeRun:
    """All shots of a video: of each the largest face, as one clip after another.

    Only one face at a time: nobody says who is who, and two people under one identity would spoil the pairs.
    """

    first = 0
    done = False

    def __init__(self, track: Track, label: PieceLabel, config: PrepareConfig, tools: Tools) -> None:
        self._config, self._tools, self._label = config, tools, label
        self._clip_id = track.clip_id
        self._follower = FaceFollower(tools.tracker)
        self._piece: Piece | None = None
        self._skipping = self._continued = False
        self._missing: Counter[str] = Counter()
        self._gap = self._count = 0

    def step(self, number: int, frame: Frame, change: Change) -> Results:
        """See `Run.step`."""
        results: Results = []
        if change.cut:
            results += self._close()
            self._follower.restart()
        seen = self._follower.step(frame, moved=change.moved)
        if seen.jumped:
            results += self._close()
        if seen.face is None:
            self._gap += 1
            self._missing[seen.cause] += 1
            if self._gap > _LONGEST_GAP:
                # Whoever is there begins another clip.
                self._follower.restart()
                results += self._close()
                self._gap = 0
            return results
        self._gap = 0
        if self._skipping:
            return results
        if self._piece is None:
            self._piece = Piece(self._next_label(), self._config, self._tools)
        self._piece.add(number, frame, seen.face)
        hopeless = self._piece.hopeless()
        if hopeless is not None:
            # The rest of the shot would be found too small again, piece by piece.
            self._piece, self._skipping = None, True
            return [*results, hopeless]
        if self._piece.frames >= self._config.max_frames:
            results += self._close()
            self._continued = True
        return results

    def finish(self, problem: str, reason: str) -> Results:
        """See `Run.finish`."""
        results = self._close(problem)
        if self._count or results:
            return results
        if problem:
            return [self._label.rejected("track", reason, problem)]
        cause = self._missing.most_common(1)[0][0] if self._missing else "no-face"
        frames = counted(sum(self._missing.values()), "frames")
        return [self._label.rejected("track", cause, f"no usable face in {frames}")]

    def _next_label(self) -> PieceLabel:
        self._count += 1
        number = f"{self._count - 1:02d}"
        return replace(self._label, clip_id=f"{self._clip_id}-{number}", utterance=number)

    def _close(self, note: str = "") -> Results:
        """End the piece in work; the short rest of a find that was cut at `max_frames` is no failure."""
        piece, continued = self._piece, self._continued
        self._piece, self._gap, self._skipping, self._continued = None, 0, False, False
        if piece is None:
            return []
        if continued and piece.frames < self._config.min_frames:
            self._count -= 1
            return []
        return [piece.close(note)]


def _in_pixels(row: NDArray[np.float64], width: int, height: int) -> Box:
    left, top, across, down = (float(value) for value in row)
    return left * width, top * height, (left + across) * width, (top + down) * height
