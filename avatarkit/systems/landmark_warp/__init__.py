"""The classical engine: it moves the source's own pixels to where the driver's landmarks say, and needs no weights."""

from avatarkit.systems.registry import EngineInfo, System

SYSTEM = System(
    engines=(
        EngineInfo(
            "warp",
            "moves the source's own pixels; needs no weights",
            "avatarkit.systems.landmark_warp.engine:open_warp",
        ),
    )
)
