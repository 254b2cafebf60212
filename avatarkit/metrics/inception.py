"""Features for FID: Inception's of 2015 as torch-fidelity runs it, bit for bit as the first FID did.

Reference: M. Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium",
NeurIPS 2017; A. Obukhov et al., "High-fidelity performance metrics for generative models in PyTorch", 2020.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import DependencyError
from avatarkit.runtime import sha256_file
from avatarkit.weights.load import load_state_dict, require

__all__ = ["FEATURES_LENGTH", "FEWEST_PICTURES", "WEIGHTS", "InceptionFeatures"]

WEIGHTS = "inception-fid"
FEATURES_LENGTH = 2048
FEWEST_PICTURES = 2048
"""Fewer pictures than a feature has numbers leave its covariance without full rank, and FID says little."""
_BATCH = 8


class InceptionFeatures:
    """The last pooled features, 2048 numbers a picture.

    Attributes:
        name: for reports. weights_sha256: of the file.
    """

    name = "inception-2015-12-05"

    def __init__(self, net: Any, weights_sha256: str | None = None) -> None:
        """Take torch-fidelity's network."""
        self._net, self.weights_sha256 = net, weights_sha256

    @classmethod
    def from_registry(cls) -> InceptionFeatures:
        """Load it from the cache.

        Raises:
            MissingWeights, DamagedWeights: they say how to get the file.
            DependencyError: torch-fidelity is not installed.
        """
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except ImportError as error:
            raise DependencyError("FID: torch-fidelity is not installed; pip install 'avatarkit[evaluate]'") from error
        import torch

        # torch-fidelity would unpickle whatever the file holds: it gets a copy that only tensors went into.
        checked = io.BytesIO()
        torch.save(dict(load_state_dict(WEIGHTS)), checked)
        checked.seek(0)
        net = FeatureExtractorInceptionV3("inception", [str(FEATURES_LENGTH)], feature_extractor_weights_path=checked)
        return cls(net.eval(), sha256_file(require(WEIGHTS)))

    def __call__(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Features (N, 2048) of RGB pictures, each (H, W, 3) uint8; each is resized to 299 px as TensorFlow does."""
        import torch

        rows = []
        for start in range(0, len(pictures), _BATCH):
            some = np.stack(pictures[start : start + _BATCH])
            with torch.no_grad():
                rows.append(self._net(torch.from_numpy(some).permute(0, 3, 1, 2))[0].numpy())
        return np.concatenate(rows).astype(np.float32) if rows else np.zeros((0, FEATURES_LENGTH), np.float32)
