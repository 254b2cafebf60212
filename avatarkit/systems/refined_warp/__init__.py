"""A refinement over the warp engine: it learns what geometry cannot know of teeth, lids and hidden sides."""

from pathlib import Path

from avatarkit.systems.registry import EngineInfo, System

SUFFIX = ".avatar"


def is_avatar(path: Path) -> bool:
    """Whether a file is named as an avatar."""
    return path.suffix.lower() == SUFFIX


SYSTEM = System(
    engines=(
        EngineInfo(
            "avatar",
            "draws a personal avatar (.avatar) of avatarkit personalize",
            "avatarkit.systems.refined_warp.engine:open_avatar",
            checkpoints=("avatar",),
        ),
    )
)
