"""A refinement over the warp engine: it learns what geometry cannot know of teeth, lids and hidden sides."""

from pathlib import Path

from avatarkit.systems.registry import EngineInfo, StageInfo, System

SUFFIX = ".avatar"


def is_avatar(path: Path) -> bool:
    """Whether a file is named as an avatar."""
    return path.suffix.lower() == SUFFIX


SYSTEM = System(
    stages=(
        StageInfo(
            "refined-warp/refine",
            "Train a refinement of the warp engine on videos of many people; it corrects any source.",
            "avatarkit.systems.refined_warp.stage:REFINE",
            ("large-512", "small-256", "tiny-64"),
            "small-256",
        ),
    ),
    engines=(
        EngineInfo(
            "refined-warp",
            "the warp engine, its frames corrected by a trained refinement",
            "avatarkit.systems.refined_warp.engine:open_refined",
            checkpoints=("refined-warp/refine",),
        ),
        EngineInfo(
            "avatar",
            "draws a personal avatar (.avatar) of avatarkit personalize",
            "avatarkit.systems.avatar:open_avatar",
            checkpoints=("avatar",),
        ),
    ),
    avatar="avatarkit.systems.refined_warp.engine:own_engine",
)
