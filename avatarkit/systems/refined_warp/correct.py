"""A drawn frame corrected by a refinement: the steps of `batch.refine`, at the frame's own size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from avatarkit.devices import bfloat16_is_faster
from avatarkit.geometry.rotation import to_vector
from avatarkit.motion.transfer import DriveFrame, Posture
from avatarkit.systems.refined_warp.guides import guide
from avatarkit.systems.refined_warp.network import DARKEST, Refinement
from avatarkit.systems.refined_warp.patches import NAMES, Patch, patches
from avatarkit.systems.refined_warp.samples import PICTURE

__all__ = ["Corrector"]

Picture = NDArray[np.uint8]
Map = NDArray[np.float32]
_DETAIL_SIGMA = 0.7
"""Of the blur whose rest is detail, in pixels of the stored face; the binomial of `network.detail` has as much."""
_LEAST_SHIFT_PX = 0.02


class Corrector:
    """Applies a refinement to frames; several threads may use it.

    Args:
        net: ready for inference. extra: for nets that see the source, its parts by `NAMES`, uint8 (h, w, 3).
    """

    def __init__(self, net: Refinement, extra: dict[str, Picture] | None = None) -> None:
        self._net, self._extra = net, extra
        self._half = bfloat16_is_faster()  # as the nets of avatars are trained
        config = net.config
        self._sizes = dict(zip(NAMES, ((config.face,) * 2, (config.mouth,) * 2, config.eye, config.eye), strict=True))

    def correct(self, frame: Picture, alpha: Picture, shown: DriveFrame, posture: Posture | None = None) -> None:
        """Correct a frame (H, W, 3) in place.

        Args:
            alpha: (H, W), the frame's own. shown: the motion that it shows. posture: of the shown head, calmer than it,
                see `DriveFrame.calm`: what is smooth must not tremble with a tracker. Mouth and eyes
                are corrected where they are shown; all nets are told its rotation.
        """
        if torch.get_num_threads() > 1:
            # Several threads draw, a frame each: threads within a frame would wait for one another. It holds for the
            # calling thread alone.
            torch.set_num_threads(1)
        own = dict(zip(NAMES, patches(shown.landmarks, shown.pose), strict=True))
        window = own["face"].bounds(frame.shape[1], frame.shape[0])
        if window is None:
            return
        calm = shown
        if posture is not None:
            turned = replace(shown.pose, rotation=posture.rotation)
            calm = replace(shown, pose=turned, landmarks=shown.pose.apply(posture.shape))
        pose = torch.from_numpy(to_vector(calm.pose.rotation).astype(np.float32))[None]
        eyes = ["right_eye", "left_eye"]
        with torch.inference_mode():
            pose = self._net.pose(pose)
            face = self._inputs(["face"], own, frame, alpha, calm)
            with self._precision():
                shift, gain = (answer[0].float().numpy() for answer in self._net.face(face, pose))
            frame[window] = _face(frame, window, own["face"], shift, gain, self._net.config.face)
            mouth, both = (self._inputs(names, own, frame, alpha, shown) for names in (["mouth"], eyes))
            with self._precision():
                changes = [*self._net.mouth(mouth, pose), *self._net.eye(both, pose.expand(2, -1))]
        for name, change in zip(["mouth", *eyes], changes, strict=True):
            _change(frame, own[name], change.float().numpy())

    def _precision(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self._half)

    def _inputs(
        self, names: Sequence[str], own: dict[str, Patch], frame: Picture, alpha: Picture, shown: DriveFrame
    ) -> torch.Tensor:
        import cv2

        width, height = self._sizes[names[0]]
        views = np.empty((len(names), height, width, 6 if self._extra is None else 9), np.uint8)
        order = [number for channel in range(views.shape[3]) for number in (channel, channel)]
        for name, view in zip(names, views, strict=True):
            parts = [own[name].cut(frame, (width, height))]
            parts.append(guide(name, own[name], shown.landmarks, alpha, (width, height)))
            if self._extra is not None:
                parts.append(self._extra[name])
            cv2.mixChannels(parts, [view], order)
        return torch.from_numpy(views).permute(0, 3, 1, 2).float().div_(255.0)


def _face(frame: Picture, window: tuple[slice, slice], patch: Patch, shift: Map, gain: Map, side: int) -> Picture:
    """The face's part of a frame, shifted, its detail strengthened; maps are (C, h, w)."""
    import cv2

    part = _moved(frame, window, patch, shift, nodes=8)
    sigma = _DETAIL_SIGMA * max(patch.width_px / (PICTURE * side), 0.5)
    fine = cv2.subtract(part, cv2.GaussianBlur(part, (0, 0), sigma), dtype=cv2.CV_32F)
    # The gain three times over: a picture's products are fast where both have all channels.
    change = cv2.multiply(_spread(gain[[0, 0, 0]], patch, window), fine)
    return np.asarray(cv2.add(part, change, dtype=cv2.CV_8U), np.uint8)


def _moved(frame: Picture, window: tuple[slice, slice], patch: Patch, ways: Map, nodes: int) -> Picture:
    """A window of a frame, each pixel taken from as far beside it as `ways` (2, h, w) says, in halves of the patch."""
    import cv2

    # In pixels of the frame.
    ways = np.einsum("ij,jhw->ihw", patch.matrix[:, :2].astype(np.float32), ways)
    part = frame[window]
    if float(np.abs(ways).max()) <= _LEAST_SHIFT_PX:
        return part
    rows, columns = part.shape[:2]
    columns_at, rows_at = (_spread(way[None], patch, window, nodes) for way in ways)
    columns_at += np.arange(window[1].start, window[1].start + columns, dtype=np.float32)
    rows_at += np.arange(window[0].start, window[0].start + rows, dtype=np.float32)[:, None]
    # Linear resampling blurs most half-way between pixels, so that the skin would lose detail, and shimmer.
    moved = cv2.remap(frame, columns_at, rows_at, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


def _change(frame: Picture, patch: Patch, answer: Map) -> None:
    """Change a part of a frame, in place, by the answer of its net (3 or 6, h, w), see `MouthNet`."""
    import cv2

    window = patch.bounds(frame.shape[1], frame.shape[0])
    if window is None:
        return
    change, part = _spread(answer[:3], patch, window), frame[window]
    if len(answer) == 3:
        frame[window] = cv2.add(part, change * np.float32(255.0), dtype=cv2.CV_8U)
        return
    light = cv2.scaleAdd(change, 255.0 * DARKEST, cv2.multiply(change, part, dtype=cv2.CV_32F))
    frame[window] = cv2.add(part, light, dtype=cv2.CV_8U)
    lips, stays = _moved(frame, window, patch, answer[3:5], nodes=4), _spread(answer[5:], patch, window)
    frame[window] = cv2.blendLinear(frame[window], lips, stays, 1.0 - stays)


def _spread(values: Map, patch: Patch, window: tuple[slice, slice], nodes: int = 4) -> Map:
    """A map (C, h, w) of a patch at the pixels of a window of the frame, (H, W, C) or (H, W); 0 beyond the patch.

    A map that is much coarser than the frame is turned at `nodes` places to each of its own, or more, and enlarged from
    there, which takes a third of the time; the more nodes, the closer to the map's own bilinear interpolation.
    """
    import cv2

    values = np.ascontiguousarray(values.transpose(1, 2, 0))
    rows, columns = (side.stop - side.start for side in window)
    step = max(1, int(patch.width_px / values.shape[1]) // nodes)
    inverse = np.linalg.inv(np.vstack([patch.grid((values.shape[1], values.shape[0])), [0.0, 0.0, 1.0]]))
    # With a node to spare on either side; nodes stand in the middle of `step` pixels.
    first = np.array([window[1].start, window[0].start]) - 0.5 * step - 0.5
    inverse[:, 2] = inverse @ [*first, 1.0]
    inverse[:, :2] *= step
    size = (-(-columns // step) + 2, -(-rows // step) + 2)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    spread = cv2.warpAffine(values, inverse[:2], size, flags=flags, borderMode=cv2.BORDER_CONSTANT)
    if step > 1:
        spread = cv2.resize(spread, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR)
    return np.asarray(spread, np.float32)[step : step + rows, step : step + columns]
