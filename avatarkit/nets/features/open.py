"""Feature nets by name, for the losses of a training."""

from __future__ import annotations

from avatarkit.errors import UsageError
from avatarkit.nets.features.imagenet import VGG16, VGG19
from avatarkit.nets.features.vggface import VGGFace
from avatarkit.weights.errors import WeightError

__all__ = ["FEATURE_NETS", "open_features"]

FEATURE_NETS: dict[str, type[VGG16] | type[VGG19] | type[VGGFace]] = {
    "vgg16": VGG16, "vgg19": VGG19, "vggface": VGGFace,
}  # fmt: skip


def open_features(name: str, device: str = "cpu", *, without: str = "") -> VGG16 | VGG19 | VGGFace:
    """Load a feature net of the registry from the cache; nothing is downloaded.

    Args:
        name: "vgg16", "vgg19" or "vggface".
        device: where it runs.
        without: the option that trains without it, such as "--set loss.vgg19=0"; errors name it.

    Raises:
        UsageError: no such net.
        MissingWeights, DamagedWeights: the message says how to get them, and how to do without.
    """
    if name not in FEATURE_NETS:
        raise UsageError(f"no feature net is called {name}: use one of {', '.join(FEATURE_NETS)}")
    try:
        return FEATURE_NETS[name].from_registry(device)
    except WeightError as error:
        if not without:
            raise
        raise type(error)(f"{error}; to train without: {without}") from error
