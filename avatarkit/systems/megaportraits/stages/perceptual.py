"""The losses that look through frozen nets: VGG16, VGG19, VGGFace, and our own gaze net."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from avatarkit.checkpoint import Checkpoint
from avatarkit.errors import InputError, UsageError
from avatarkit.losses.perceptual import perceptual
from avatarkit.nets.features.open import FEATURE_NETS, open_features
from avatarkit.nets.features.vgg import SMALLEST_PX, VGGFeatures
from avatarkit.systems.megaportraits.gaze_features import GazeFeatures
from avatarkit.systems.megaportraits.losses import EYE_CROP_PX, gaze_loss

SCALES = 4
"""Pictures of the pyramid, each half the size of the one before, as far as the size allows ("several", choice)."""
LARGEST_EYE_PX = 1024


class Perceptual(nn.Module):
    """Terms by name, each the L1 of one net's features; nets whose loss has no weight are not there."""

    def __init__(self, nets: Mapping[str, VGGFeatures], eye_px: int = EYE_CROP_PX) -> None:
        """Take the nets by loss; eye_px: side of the eye crops that the gaze net was trained on, pixels."""
        super().__init__()
        self.nets = nn.ModuleDict(dict(nets))
        self._eye_px = eye_px

    def forward(
        self, predicted: Tensor, target: Tensor, matte: Tensor, landmarks: Tensor, weights: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Losses of a prediction.

        Args:
            predicted, target: (B, 3, S, S) RGB in [0, 1]. matte: (B, 1, S, S), what counts.
            landmarks: (B, 478, 3) of the target, in its pixels. weights: (B, 1, S, S), how much each place counts.
        """
        terms: dict[str, Tensor] = {}
        for name, net in self.nets.items():
            assert isinstance(net, VGGFeatures)
            if isinstance(net, GazeFeatures):
                terms[name] = gaze_loss(net, predicted, target, landmarks, matte, crop_px=self._eye_px)
            else:
                scales = _scales(target.shape[-1])
                terms[name] = perceptual(net, predicted, target, matte, weights=weights, scales=scales)
        return terms


def open_perceptual(weights: Mapping[str, float], gaze: Checkpoint | None) -> Perceptual:
    """The nets of all losses with a weight, on the CPU.

    Args:
        weights: of the losses, by name. gaze: a checkpoint of `train gaze`, which the gaze loss needs.

    Raises:
        MissingWeights, DamagedWeights: a net's weights are not here; the message says how to get them, and
            how to train without. UsageError: the gaze loss has no checkpoint. InputError: it is damaged.
    """
    result: dict[str, VGGFeatures] = {
        name: open_features(name, without=f"--set loss.{name}=0") for name in FEATURE_NETS if weights.get(name)
    }
    eye_px = EYE_CROP_PX
    if weights.get("gaze"):
        if gaze is None:
            raise UsageError(
                "the gaze loss needs our gaze net: give --gaze CHECKPOINT (made by avatarkit train gaze),"
                " or train without it: --set loss.gaze=0"
            )
        name = "gaze.ema" if gaze.has("gaze.ema") else "gaze"
        eye_px = gaze.meta.nets.get("gaze", {}).get("config", {}).get("eye_size")
        if not isinstance(eye_px, int) or not SMALLEST_PX <= eye_px <= LARGEST_EYE_PX:
            raise InputError(f"{gaze.folder}: is damaged: the gaze net's eye_size is {eye_px}; use another checkpoint")
        result["gaze"] = GazeFeatures.of_net(gaze.tensors(name), gaze.folder)
    return Perceptual(result, eye_px)


def _scales(size: int) -> int:
    return next(count for count in range(SCALES, 0, -1) if size >> (count - 1) >= SMALLEST_PX or count == 1)
