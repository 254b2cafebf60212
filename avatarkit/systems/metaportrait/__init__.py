"""MetaPortrait: identity-preserving talking head generation with fast personalized adaptation (CVPR 2023)."""

from avatarkit.systems.registry import EngineInfo, StageInfo, System

_PRESETS = ("paper-256", "small-256", "tiny-64")
_RECIPES = "avatarkit.systems.metaportrait.stages.recipes"
_PORTRAIT = "Checkpoint or run of train metaportrait/portrait."


def _stage(name: str, text: str, **checkpoints: str) -> StageInfo:
    recipe = f"{_RECIPES}:{name.upper()}"
    return StageInfo(f"metaportrait/{name}", text, recipe, _PRESETS, "small-256", checkpoints)


SYSTEM = System(
    stages=(
        _stage("flow", "Train motion code and flow on videos: the source, warped, should look like the driver."),
        _stage(
            "portrait",
            "Train all networks of a frame, from a trained flow.",
            flow="Checkpoint or run of train metaportrait/flow.",
            identity="Checkpoint or run of train metaportrait/identity; else the registry's face-embedding is used.",
        ),
        _stage("meta", "Train a portrait for quick adaptation to one person (Reptile).", portrait=_PORTRAIT),
        _stage("enhancer", "Train the enhancer, which doubles the size frame by frame.", portrait=_PORTRAIT),
        _stage(
            "temporal",
            "Train the enhancer's windows in time, which keep it from flickering.",
            portrait=_PORTRAIT,
            enhancer="Checkpoint or run of train metaportrait/enhancer.",
        ),
        _stage("identity", "Train a recogniser on the dataset's people, in place of the registry's."),
    ),
    engines=(
        EngineInfo(
            "metaportrait",
            "draws the source with a trained portrait from landmarks alone, and an enhancer",
            "avatarkit.systems.metaportrait.engine:open_portrait",
            tuple(f"metaportrait/{name}" for name in ("portrait", "meta", "enhancer", "temporal")),
            instead=("metaportrait/meta",),
        ),
    ),
    avatar="avatarkit.systems.metaportrait.engine:own_engine",
)
