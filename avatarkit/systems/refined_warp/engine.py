"""The engine of a personal avatar: the warp engine's frame, corrected by what was learned of the person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from avatarkit.errors import AvatarkitError, UsageError
from avatarkit.motion.transfer import DriveFrame, Posture
from avatarkit.nets.trained import config_of, trained
from avatarkit.systems.avatar_file import StoredNet
from avatarkit.systems.landmark_warp.engine import WarpEngine
from avatarkit.systems.options import EngineOptions
from avatarkit.systems.protocol import Drawn, Needs, SourceLayers
from avatarkit.systems.refined_warp.correct import Corrector
from avatarkit.systems.refined_warp.network import Refinement, RefinementConfig
from avatarkit.systems.refined_warp.samples import source_parts, warped

__all__ = ["NET", "STAGE", "RefinedEngine", "open_refined", "own_engine"]

STAGE, NET = "refined-warp/refine", "refine"


class RefinedEngine:
    """Draws a source as the warp engine does, then corrects face, mouth and eyes."""

    def __init__(self, net: Refinement, label: str) -> None:
        """Take a network that is ready for inference; `label` names it in reports."""
        self._warp = WarpEngine()
        self._net = net.to(memory_format=torch.channels_last)
        self._corrector: Corrector | None = None
        self._label = label

    @property
    def name(self) -> str:
        """Name and network, for reports."""
        return f"{self._label} over {self._warp.name}"

    @property
    def needs(self) -> Needs:
        """Motion alone."""
        return Needs(alpha=True, forks=True)

    def prepare(self, source: SourceLayers) -> None:
        """See `WarpEngine.prepare`; a network for any source also looks at the source's parts."""
        self._warp.prepare(source)
        self._corrector = Corrector(self._net, source_parts(self._net.config, source))

    def drive(self, frames: Sequence[DriveFrame]) -> list[Drawn]:
        """See `Engine.drive`."""
        return [self._draw(frame) for frame in frames]

    def notices(self) -> tuple[str, ...]:
        """See `WarpEngine.notices`."""
        return self._warp.notices()

    def _draw(self, motion: DriveFrame) -> Drawn:
        if self._corrector is None:
            raise AvatarkitError("RefinedEngine.prepare must be called before frames are drawn")
        shown = self._warp.eased(motion)
        drawn = warped(self._warp, motion, shown)
        assert drawn.alpha is not None
        self._corrector.correct(drawn.frame, drawn.alpha, shown, _calm(motion, shown))
        return drawn


def _calm(asked: DriveFrame, shown: DriveFrame) -> Posture | None:
    """The calm posture of a head that is shown turned otherwise than was asked."""
    if asked.calm is None:
        return None
    posture = asked.calm()
    return Posture(posture.rotation @ asked.pose.rotation.T @ shown.pose.rotation, posture.shape)


def open_refined(options: EngineOptions) -> RefinedEngine:
    """The engine of a checkpoint of train refined-warp/refine.

    Raises:
        UsageError: no checkpoint. InputError: one that does not hold a refinement for any source.
    """
    checkpoint = options.checkpoints.get(STAGE)
    if checkpoint is None:
        raise UsageError(f"--engine refined-warp: needs --checkpoint RUN, made by avatarkit train {STAGE}")
    net = trained(checkpoint, NET, config_of(checkpoint, NET, RefinementConfig), Refinement)
    return RefinedEngine(net.eval(), f"refined-warp {checkpoint.sha256[:12]}")


def own_engine(path: Path, net: StoredNet, options: EngineOptions) -> RefinedEngine:
    """The engine of an avatar's file. Raises InputError for a net that is damaged."""
    return RefinedEngine(net.built(RefinementConfig, Refinement, path), f"avatar {path.name}")
