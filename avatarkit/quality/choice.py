"""The measures of picture quality by name; `auto` takes the best that can run here."""

from __future__ import annotations

from avatarkit.quality.protocol import QualityModel
from avatarkit.weights.choice import Candidate, Choice, choose, names

__all__ = ["QUALITY_MODELS", "open_quality"]


def _hyperiqa() -> QualityModel:
    from avatarkit.devices import choose_device
    from avatarkit.quality.hyperiqa import HyperIQA

    return HyperIQA.from_registry(choose_device())


def _sharpness() -> QualityModel:
    from avatarkit.quality.sharpness import SharpnessScore

    return SharpnessScore()


_CANDIDATES: tuple[Candidate[QualityModel], ...] = (
    Candidate("hyperiqa", _hyperiqa, "hyperiqa", "scores that agree with people's, by HyperIQA"),
    Candidate("sharpness", _sharpness),
)

QUALITY_MODELS = names(_CANDIDATES)
"""What `--iqa` may be set to."""


def open_quality(name: str = "auto") -> Choice[QualityModel]:
    """A measure by name: auto, hyperiqa, sharpness; see `weights.choice.choose`."""
    return choose("--iqa", name, _CANDIDATES)
