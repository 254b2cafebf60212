"""A recogniser of our own: faces of one person should give one direction (CosFace over the dataset's people)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avatarkit.losses.regions import cosface
from avatarkit.nets.identity import Identity
from avatarkit.systems.metaportrait.stages.config import IdentityTrain
from avatarkit.systems.metaportrait.stages.frames import look
from avatarkit.training.sources import TrainData
from avatarkit.training.stage import Batch, Columns, Outcome, Stage

MOST_PEOPLE = 1_000
"""Of the data, in whose vectors what is common is looked for."""
_AT_ONCE = 16


class IdentityStage(Stage):
    """Trains a recogniser, with a direction for each person of the data.

    Args:
        config: of the training. identity: the net. people: identity of each clip of the data, by clip number.
    """

    labels: Tensor

    def __init__(self, config: IdentityTrain, identity: Identity, people: Sequence[str]) -> None:
        known = sorted(set(people))
        directions = nn.Linear(identity.config.code, len(known), bias=False)
        with torch.no_grad():
            # One-hot rows and noise by a rule: no generator is asked.
            rows = torch.arange(directions.weight.numel(), dtype=torch.float32).view_as(directions.weight)
            directions.weight.copy_(torch.sin(rows * 12.9898 + 1.0))
        super().__init__({"identity": identity, "directions": directions})
        self._config = config
        self.register_buffer("labels", torch.tensor([known.index(name) for name in people]), persistent=False)

    def forward(self, batch: Batch) -> Outcome:
        """CosFace of sources and drivers."""
        config = self._config
        shown = look(batch, config.seed if config.augment else None)
        frames = [shown[name] for name in ("source", "driver")]
        vectors = [self.nets["identity"](one["image"], one["landmarks"]) for one in frames]
        weight = self.nets["directions"].weight
        cosines = torch.cat(vectors) @ F.normalize(weight.float(), dim=1).T  # type: ignore[arg-type]
        labels = self.labels[batch["clip"]].repeat(2)
        return {"terms": {"cosface": cosface(cosines, labels, config.scale, config.margin)}, "fakes": {}}

    def pictures(self, batch: Batch, nets: nn.ModuleDict) -> Columns:
        """What it sees of both frames."""
        shown = look(batch, None)
        identity = nets["identity"]
        assert isinstance(identity, Identity)
        return {name: identity.chips(one["image"], one["landmarks"]) for name, one in shown.items()}

    def measure(self, batch: Batch, nets: nn.ModuleDict) -> dict[str, Tensor]:
        """Cosines of two frames of one clip, and of frames of neighbouring samples."""
        shown = look(batch, None)
        first, second = (nets["identity"](one["image"], one["landmarks"]) for one in shown.values())
        return {"same_cosine": (first * second).sum(1), "next_cosine": (first * second.roll(1, 0)).sum(1)}


@torch.no_grad()
def leave_out_shared(identity: Identity, data: TrainData) -> None:
    """Have a recogniser leave out what the people of the data have in common, by a frame of each."""
    clips = {person: clip for clip, person in reversed(data.clips)}
    people = sorted(clips)[:: -(-len(clips) // MOST_PEOPLE)]
    identity.shared.zero_()
    vectors = []
    for first in range(0, len(people), _AT_ONCE):
        frames = [data.first_frame(clips[person]) for person in people[first : first + _AT_ONCE]]
        image, landmarks = (torch.stack([frame[name] for frame in frames]) for name in ("image", "landmarks"))
        vectors.append(identity(image.float() / 255, landmarks))
    identity.leave_out(torch.cat(vectors))
