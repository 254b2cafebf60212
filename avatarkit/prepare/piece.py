"""One clip while it is being made: frames go in, and either a clip or the reason against it comes out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatarkit.data.clip import ClipData, ClipInfo, Rejected, Split, Stage
from avatarkit.data.columns import columns_of
from avatarkit.data.pictures import encode_image, encode_matte, levels
from avatarkit.face.person import faces_in
from avatarkit.face.types import Face
from avatarkit.head.annotate import Row, annotation, yaw_deg
from avatarkit.head.coordinates import head_frame
from avatarkit.head.crops import Cropped, HeadCropper
from avatarkit.head.framing import wanted
from avatarkit.prepare.config import GRID_RATE, PrepareConfig
from avatarkit.prepare.follow import others
from avatarkit.prepare.tools import Tools
from avatarkit.quality.effective_resolution import effective_share
from avatarkit.runtime import counted

__all__ = ["Piece", "PieceLabel"]

SAMPLE_EVERY = 25
"""Every n-th frame is scored, measured for its effective resolution and searched for other people."""
# Someone else counts if this large beside the face, and if this share of the looks found someone.
_OTHER_SIZE, _OTHER_LOOKS = 0.4, 0.25
# After this many frames a head under this share of the least size will not grow to it.
_HOPELESS_FRAMES, _HOPELESS_SHARE = 25, 0.7
_REGION = 1.1


@dataclass(frozen=True)
class PieceLabel:
    """Whose clip it is: everything of `ClipInfo` that does not come from the frames."""

    clip_id: str
    identity: str
    video: str
    utterance: str
    split: Split
    source: str
    licence: str
    author: str
    native_rate: str
    bitrate_kbps: float
    extra: dict[str, str]

    def rejected(self, stage: Stage, reason: str, detail: str) -> Rejected:
        """The clip as a rejected one."""
        return Rejected(
            clip_id=self.clip_id, video=self.video, identity=self.identity, split=self.split,
            stage=stage, reason=reason, detail=detail,
        )  # fmt: skip


class Piece:
    """Crops, annotates and encodes frame by frame; holds encoded frames, and pixels for half a second only."""

    def __init__(self, label: PieceLabel, config: PrepareConfig, tools: Tools) -> None:
        self.label = label
        self.frames = 0
        self._config, self._tools = config, tools
        self._cropper = HeadCropper(config.size)
        self._rows: list[Row] = []
        self._images: list[bytes] = []
        self._mattes: list[bytes] = []
        self._head_px: list[float] = []
        self._shares: list[float] = []
        self._sharpness: list[float] = []
        self._looks = self._crowded = 0

    def add(self, number: int, frame: NDArray[np.uint8], face: Face) -> None:
        """Take the next frame (H, W, 3) that shows the face; `number` counts at 25 a second."""
        if self.frames % SAMPLE_EVERY == 0:
            self._look_around(frame, face)
        for cropped in self._cropper.push(number, frame, face):
            self._finish(cropped)
        self.frames += 1

    def hopeless(self) -> Rejected | None:
        """The rejection that is certain already: a head far too small, so that no more work is spent on it."""
        if len(self._head_px) < min(_HOPELESS_FRAMES, self._config.max_frames):
            return None
        if max(self._head_px) >= _HOPELESS_SHARE * self._config.least_head_px:
            return None
        return self._too_small()

    def close(self, note: str = "") -> ClipData | Rejected:
        """Finish the clip.

        Args:
            note: what was wrong with the video beyond these frames, kept as `extra["note"]`.
        """
        for cropped in self._cropper.flush():
            self._finish(cropped)
        return self._fault() or self._clip(note)

    def _look_around(self, frame: NDArray[np.uint8], face: Face) -> None:
        """Measure what needs the original's pixels: other people in the crop, and the effective resolution."""
        left, top, right, bottom = wanted(head_frame(face.landmarks)).corners
        result = faces_in(self._tools.tracker, frame, (left, top, right, bottom), beside=_OTHER_SIZE)
        self._looks += 1
        self._crowded += any(
            other.extent_px >= _OTHER_SIZE * face.extent_px
            and left <= other.centre[0] <= right
            and top <= other.centre[1] <= bottom
            for other in others(result, face)
        )
        half = _REGION * face.extent_px / 2.0
        x, y = face.centre
        region = frame[max(0, int(y - half)) : int(y + half) + 1, max(0, int(x - half)) : int(x + half) + 1]
        self._shares.append(effective_share(region))

    def _finish(self, cropped: Cropped) -> None:
        row = annotation(
            float(cropped.number / GRID_RATE), cropped.face.landmarks, cropped.head, cropped.crop, cropped.head_px
        )
        if len(self._rows) % SAMPLE_EVERY == 0:
            sharpness, quality = self._tools.rate(cropped.picture)
            self._sharpness.append(sharpness)
            row["score"] = quality
        matte = self._tools.matting.matte(cropped.picture, row["landmarks"])
        self._rows.append(row)
        self._images.append(encode_image(cropped.picture, self._config.image_format, self._config.image_quality))
        self._mattes.append(encode_matte(levels(matte)))
        self._head_px.append(cropped.head_px)

    def _fault(self) -> Rejected | None:
        """Why this is no clip; the first of several reasons."""
        config = self._config
        if self.frames < config.min_frames:
            detail = f"{counted(self.frames, 'frames')} with a face, and {config.min_frames} are needed"
            return self.label.rejected("track", "too-short", detail)
        if self._crowded >= max(1.0, _OTHER_LOOKS * self._looks):
            detail = f"other faces in {self._crowded} of {self._looks} frames looked at"
            return self.label.rejected("crop", "several-people", detail)
        if float(np.median(self._head_px)) < config.least_head_px:
            return self._too_small()
        effective = self._effective_px()
        if effective < config.least_effective_px:
            detail = (
                f"{effective:.0f} px of detail in a head of {np.median(self._head_px):.0f} px,"
                f" and {config.least_effective_px:.0f} are needed: blurred or enlarged"
            )
            return self.label.rejected("score", "low-effective-resolution", detail)
        return None

    def _too_small(self) -> Rejected:
        detail = f"head of {np.median(self._head_px):.0f} px, and {self._config.least_head_px:.0f} are needed"
        return self.label.rejected("crop", "too-small", detail)

    def _effective_px(self) -> float:
        return float(np.median(self._head_px)) * float(np.mean(self._shares))

    def _clip(self, note: str) -> ClipData:
        label = self.label
        scores = [row["score"] for row in self._rows if not math.isnan(row["score"])]
        info = ClipInfo(
            clip_id=label.clip_id,
            identity=label.identity,
            video=label.video,
            utterance=label.utterance,
            split=label.split,
            source=label.source,
            licence=label.licence,
            author=label.author,
            native_rate=label.native_rate,
            start_s=self._rows[0]["time_s"],
            frames=len(self._rows),
            head_px=float(np.median(self._head_px)),
            bitrate_kbps=label.bitrate_kbps,
            effective_px=self._effective_px(),
            sharpness=float(np.mean(self._sharpness)),
            score=float(np.mean(scores)) if scores else float("nan"),
            yaw_deg=yaw_deg(self._rows),
            age_checked=False,
            extra={**label.extra, **({"note": note} if note else {})},
        )
        return ClipData(info, self._images, self._mattes, columns_of(self._rows))
