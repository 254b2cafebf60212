"""Picture quality by HyperIQA, trained on the opinions people gave on photographs (KonIQ-10k).

Licence: code and weights MIT (https://github.com/SSL92/hyperIQA); the definition here is our own.
Input: RGB patches of 224 x 224, x / 255 less ImageNet's mean over its standard deviation. A frame's score is
the mean over a fixed grid of patches at the frame's own resolution; the authors take random ones.
Reference: S. Su et al., "Blindly Assess Image Quality in the Wild Guided by a Self-Adaptive Hyper Network",
CVPR 2020.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import UsageError
from avatarkit.quality.patches import cut_patches
from avatarkit.quality.protocol import check_frames
from avatarkit.weights.adapter import Adapter

if TYPE_CHECKING:
    from avatarkit.quality.hyperiqa_net import HyperIQANet

__all__ = ["HyperIQA"]

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class HyperIQA(Adapter):
    """Scores nominally 0 to 100, the higher the better, but unbounded.

    Loads the authors' checkpoints, with or without `module.` before their keys.

    Attributes:
        name: "hyperiqa".
        weights_sha256: hash of the weights' file; scores under two of them do not compare.
    """

    name = "hyperiqa"
    weights_name = "hyperiqa"

    def __init__(
        self,
        net: HyperIQANet,
        device: str = "cpu",
        batch_patches: int = 16,
    ) -> None:
        """Take a network.

        Args:
            net: moved to `device` and set to evaluation.
            device: where it runs.
            batch_patches: patches in one pass, about 50 MB each; they may come from several frames.

        Raises:
            UsageError: `batch_patches` is not positive.
        """
        if batch_patches < 1:
            raise UsageError(f"batch of {batch_patches} patches; give at least 1")
        self.batch_patches = batch_patches
        self._device = device
        self._net = net.to(device).eval()

    @classmethod
    def _load(cls, source: str | Path, path: Path, device: str) -> HyperIQA:
        from avatarkit.quality.hyperiqa_net import load_hyperiqa
        from avatarkit.weights.load import load_state_dict

        return cls(load_hyperiqa(load_state_dict(source), path), device)

    def score(self, frames_rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Rate frames; see `QualityModel.score`. Frames under 224 pixels are enlarged."""
        from avatarkit.quality.hyperiqa_net import PATCH_PX

        check_frames(frames_rgb)
        sums, counts = np.zeros(len(frames_rgb)), np.zeros(len(frames_rgb))
        waiting: list[NDArray[np.uint8]] = []
        owners: list[int] = []
        for index, frame in enumerate(frames_rgb):
            patches = cut_patches(frame, PATCH_PX)
            waiting += list(patches)
            owners += [index] * len(patches)
            is_last = index == len(frames_rgb) - 1
            while len(waiting) >= self.batch_patches or (is_last and waiting):
                batch, waiting = waiting[: self.batch_patches], waiting[self.batch_patches :]
                group, owners = owners[: self.batch_patches], owners[self.batch_patches :]
                np.add.at(sums, group, self._run(np.stack(batch)))
                np.add.at(counts, group, 1)
        return (sums / counts).astype(np.float32)

    def _run(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Rate patches, B x 224 x 224 x 3 uint8, in one pass."""
        import torch

        # Without these, a GPU may take another algorithm, or less precision, from one call to the next.
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            planes = torch.from_numpy(patches).to(self._device).permute(0, 3, 1, 2).float() / 255
            mean = torch.tensor(_MEAN, device=self._device)[:, None, None]
            std = torch.tensor(_STD, device=self._device)[:, None, None]
            scores: NDArray[np.float32] = self._net((planes - mean) / std)[0].cpu().numpy()
        return scores
