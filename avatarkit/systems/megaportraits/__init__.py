"""MegaPortraits: One-shot Megapixel Neural Head Avatars (Drobyshev et al., ACM MM 2022)."""

from avatarkit.systems.registry import EngineInfo, StageInfo, System

_PRESETS = ("paper-512", "paper-256", "small-256", "tiny-64")
_RECIPES = "avatarkit.systems.megaportraits.stages.recipes"
_BASE = "Checkpoint or run of train base."
_GAZE = "Checkpoint or run of train gaze, for the gaze loss."
_POSE = "Checkpoint or run of train pose: its head poses in place of the tracker's, in training and in drawing."


def _stage(name: str, text: str, **more: dict[str, str] | dict[str, tuple[str, str]]) -> StageInfo:
    return StageInfo(name, text, f"{_RECIPES}:{name.upper()}", _PRESETS, "small-256", **more)  # type: ignore[arg-type]


SYSTEM = System(
    stages=(
        _stage(
            "base",
            "Train the base model on videos; the same command again goes on where it was left.",
            checkpoints={"gaze": _GAZE, "pose": _POSE},
        ),
        _stage(
            "enhancer",
            "Train the enhancer, which doubles the base model's size, on photos.",
            checkpoints={"base": _BASE},
        ),
        _stage(
            "student",
            "Train the fast student, which draws a fixed list of avatars, from a base model and perhaps an enhancer.",
            checkpoints={"base": _BASE, "enhancer": "Checkpoint or run of train enhancer.", "gaze": _GAZE},
            options={"avatars": ("N|IDS", "So many people, or clip ids with commas between; 100, or all, without it.")},
        ),
        _stage("gaze", "Distil the gaze and blink net from the iris and eyelid annotations of videos."),
        _stage("pose", "Distil the head-pose net from the head transforms of videos."),
    ),
    engines=(
        EngineInfo(
            "megaportraits",
            "draws the source with a trained base model, and an enhancer",
            "avatarkit.systems.megaportraits.engine:open_base",
            ("base", "enhancer"),
            pixels=True,
        ),
        EngineInfo(
            "student",
            "draws one of the avatars that a trained student knows",
            "avatarkit.systems.megaportraits.engine:open_student",
            ("student", "onnx"),
            pixels=True,
            source=False,
        ),
    ),
)
