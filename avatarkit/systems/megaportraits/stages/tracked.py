"""How well mouth, lids and pose arrive in drawn pictures, as a face tracker sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from avatarkit.errors import DependencyError
from avatarkit.systems.megaportraits.stages.pose import angle_deg, split

__all__ = ["tracked_figures"]

TRACKED_PX = 256
"""Smaller pictures are enlarged to this side: trackers see too little of a mouth of five pixels."""


def tracked_figures(
    drawn: Mapping[str, Tensor], sources: Mapping[str, Tensor], drivers: Sequence[Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    """Errors per sample, (B,), against the drivers' stored columns; nothing where no tracker can run.

    Each name of `drawn` goes before: *mouth_opening_error, *lid_opening_error in the columns' units, with copy_ before
    it what the source left as it is would give; *pose_error_deg; *face_seen, 1 or 0. An error is NaN where no face is
    seen.

    Args:
        drawn: pictures (B, 3, S, S) by name. sources: frames that were driven. drivers: frames, one set for each name.
    """
    from avatarkit.face.open import open_tracker
    from avatarkit.head.coordinates import eye_opening, head_frame, mouth_opening

    try:
        tracker = open_tracker()
    except DependencyError:
        return {}
    result: dict[str, Tensor] = {}
    with closing(tracker):
        for (name, pictures), driver in zip(drawn.items(), drivers, strict=True):
            rotation = split(driver["head"].float().cpu())[0]
            wanted = {"mouth": driver["mouth_opening"], "lid": driver["eye_opening"]}
            own = {"mouth": sources["mouth_opening"], "lid": sources["eye_opening"]}
            seen: dict[str, list[Tensor]] = {"mouth": [], "lid": [], "pose": [], "seen": []}
            for number, picture in enumerate(_enlarged(pictures)):
                faces = tracker.detect(picture, least_px=TRACKED_PX / 4)
                points = max(faces, key=lambda face: np.ptp(face.landmarks[:, 0])).landmarks if faces else None
                nothing = torch.tensor(float("nan"))
                seen["seen"].append(torch.tensor(float(points is not None)))
                seen["mouth"].append(nothing if points is None else torch.tensor(mouth_opening(points[:, :2])))
                lids = (nothing, nothing) if points is None else torch.from_numpy(eye_opening(points[:, :2]))
                seen["lid"].append(torch.stack(list(lids)))
                turn = nothing if points is None else _angle(head_frame(points).rotation, rotation[number])
                seen["pose"].append(turn)
            for part in ("mouth", "lid"):
                target = wanted[part].float().cpu()
                errors = {"": torch.stack(seen[part]).float() - target, "copy_": own[part].float().cpu() - target}
                for before, error in errors.items():
                    result[f"{before}{name}{part}_opening_error"] = error.abs().reshape(len(error), -1).mean(dim=1)
            result[f"{name}pose_error_deg"] = torch.stack(seen["pose"])
            result[f"{name}face_seen"] = torch.stack(seen["seen"])
    return result


def _angle(turn: NDArray[np.float64], wanted_33: Tensor) -> Tensor:
    return angle_deg(torch.from_numpy(turn).float()[None], wanted_33[None])[0]


def _enlarged(pictures: Tensor) -> list[NDArray[np.uint8]]:
    side = max(TRACKED_PX, pictures.shape[-1])
    large = F.interpolate(pictures.float(), size=(side, side), mode="bicubic", align_corners=False)
    levels = (large.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return [np.ascontiguousarray(picture) for picture in levels]
