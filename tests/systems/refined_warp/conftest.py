"""A small refinement, and moments of a portrait to learn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import pytest
import torch

from avatarkit.face import landmarks as lm
from avatarkit.systems.landmark_warp.engine import WarpEngine
from avatarkit.systems.protocol import Drawn, SourceLayers
from avatarkit.systems.refined_warp.batch import Batch
from avatarkit.systems.refined_warp.network import Refinement, RefinementConfig
from avatarkit.systems.refined_warp.patches import patches
from avatarkit.systems.refined_warp.samples import Sample, sample, warped

from ..conftest import Move

SMALL = RefinementConfig(face=64, mouth=64, eye=(48, 32), widths=(8, 8, 8))


def batch_of(samples: Sequence[Sample]) -> Batch:
    """Samples as a batch."""
    parts = {
        name: torch.from_numpy(np.stack([one.parts[name] for one in samples])).permute(0, 3, 1, 2)
        for name in samples[0].parts
    }
    matrices = torch.from_numpy(np.stack([one.matrices for one in samples]))
    return Batch(parts, matrices, torch.from_numpy(np.stack([one.pose for one in samples])))


def random_net(seed: int = 0, strength: float = 0.02) -> Refinement:
    """A small refinement whose answers are not zero, and the same for the four pixels that one feature stands for."""
    torch.manual_seed(seed)
    net = Refinement(SMALL)
    for part in (net.face.shift, net.face.gain, net.mouth.tone, net.mouth.lips, net.eye.colours):
        torch.nn.init.normal_(part.weight, std=strength)
    colours = net.eye.colours.weight.data
    colours[:] = colours[::4].repeat_interleave(4, dim=0)
    return net.eval().requires_grad_(False)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other take fifty times as long on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def warp(source: SourceLayers) -> WarpEngine:
    """The warp engine, ready to draw the portrait."""
    engine = WarpEngine()
    engine.prepare(source)
    return engine


@pytest.fixture(scope="session")
def samples(warp: WarpEngine, move: Move) -> list[Sample]:
    """Four moments; their truth is the warp's frame with darker mouth and eyes."""
    result = []
    for options in ({"mouth": 0.1}, {"yaw_deg": 8.0, "lids": 0.5}, {"mouth": 0.2, "roll_deg": 6.0}, {"gaze": 2.0}):
        shown = warp.eased(move(**options))
        frame, alpha = warped(warp, shown, shown)
        places = patches(shown.landmarks, shown.pose)
        truth = frame.copy()
        dark = np.zeros(frame.shape[:2], np.uint8)
        for ring in (lm.ring(lm.INNER_LIP_UPPER, lm.INNER_LIP_LOWER), *map(lm.ring, lm.UPPER_LIDS, lm.LOWER_LIDS)):
            cv2.fillPoly(dark, [np.round(shown.landmarks[list(ring), :2]).astype(np.int32)], [1.0])
        truth[dark > 0] //= 2
        result.append(sample(SMALL, Drawn(frame, alpha), shown, truth, places))
    return result
