"""How fast MODNet mattes on this machine; its speed does not depend on its weights, so they may be random."""

from __future__ import annotations

import time

import numpy as np
from tables import Bar, Row, Verdict

COLUMNS = ("part", "frames_per_s", "note")
SIDE_PX = 512


def matte_rows(repeats: int) -> list[Row]:
    """Frames a second of MODNet at 512 px, whole calls from uint8 to matte."""
    import torch

    from avatarkit.background.modnet import MODNetMatting
    from avatarkit.background.modnet_net import MODNet

    torch.manual_seed(0)
    matting = MODNetMatting(MODNet())
    picture = np.random.default_rng(0).integers(0, 256, (SIDE_PX, SIDE_PX, 3), np.uint8)
    matting.matte(picture)
    seconds = []
    for _ in range(max(3, 3 * repeats)):
        began = time.perf_counter()
        matting.matte(picture)
        seconds.append(time.perf_counter() - began)
    note = f"{torch.get_num_threads()} threads, torch {torch.__version__}, median of {len(seconds)}"
    return [{"part": "MODNet", "frames_per_s": 1 / float(np.median(seconds)), "note": note}]


def matte_verdicts(rows: list[Row]) -> list[Verdict]:
    """The bar of the matte's speed."""
    return [Verdict(Bar("MODNet at 512 px, frames/s", ">=", 2), float(rows[0]["frames_per_s"]))]  # type: ignore[arg-type]
