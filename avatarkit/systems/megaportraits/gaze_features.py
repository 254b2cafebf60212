"""The trunk of our gaze and blink net: a VGG16 on eye crops.

Licence: that of the training data; the weights come from `avatarkit train gaze`. Input: RGB in [0, 1], less ImageNet's
mean over its deviation.
Reference: Drobyshev et al., "MegaPortraits", ACM MM 2022, appendix: the gaze loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from avatarkit.nets.features.vgg import VGGFeatures, sequential_places
from avatarkit.weights.errors import WrongFile

__all__ = ["GazeFeatures"]

_CONVS = (2, 2, 3, 3, 3)


class GazeFeatures(VGGFeatures):
    """Feature maps of the gaze net's trunk.

    Attributes:
        name: "gaze".
        weights_sha256: hash of the checkpoint that they came from, where the caller sets it.
    """

    name = "gaze"

    def __init__(self, trunk: Mapping[str, Tensor] | nn.Module, where: str | Path = "gaze net") -> None:
        """Copy the convolutions of a trunk.

        Args:
            trunk: a VGG16 in the layout of torchvision's `features`, of any widths, or its state dict.
            where: how errors name it.

        Raises:
            WrongFile: it is none; the keys that are missing or left over are listed.
        """
        state = trunk.state_dict() if isinstance(trunk, nn.Module) else trunk
        places = sequential_places(_CONVS, "")
        firsts = [f"{places[f'conv{block}_1']}.bias" for block in range(1, 6)]
        absent = [key for key in firsts if key not in state]
        if absent:
            raise WrongFile(f"{where}: is not the trunk of a gaze net: it has no {', '.join(absent)}")
        super().__init__(_CONVS, [len(state[key]) for key in firsts])
        self.load(state, places, (), where)
        reference = state[firsts[0]]
        self.to(reference.device)

    @classmethod
    def of_net(cls, state: Mapping[str, Tensor], where: str | Path, prefix: str = "trunk.") -> GazeFeatures:
        """The features of a whole gaze net's state dict, such as a checkpoint's; WrongFile if it has no trunk."""
        taken = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
        return cls(taken, where)
