"""Engines with checkpoints through the whole command: same frames, rate and sound; what is refused; layers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from avatarkit.background.spec import parse_background
from avatarkit.checkpoint import Checkpoint, Meta, write_checkpoint
from avatarkit.errors import AvatarkitError, InputError, UsageError
from avatarkit.media.decode import FrameReader
from avatarkit.media.image import read_image, write_image
from avatarkit.media.probe import probe
from avatarkit.motion.config import MotionConfig
from avatarkit.nets.plain import to_plain
from avatarkit.pipelines.batch import BatchOptions, Job
from avatarkit.pipelines.batch.plan import make_plan
from avatarkit.pipelines.driver import DriverPart
from avatarkit.pipelines.export import export
from avatarkit.pipelines.program import open_cache
from avatarkit.pipelines.provenance.inspection import inspect_file
from avatarkit.pipelines.ready import get_ready, make_ready
from avatarkit.pipelines.reenact import reenact
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.pipelines.report import ReenactReport
from avatarkit.pipelines.source import Source
from avatarkit.pipelines.studio import Studio
from avatarkit.runtime import NullProgress, StageTimer
from avatarkit.systems.avatar_file import Avatar, StoredNet, write_avatar
from avatarkit.systems.megaportraits import build
from avatarkit.systems.megaportraits.config import PRESETS
from avatarkit.systems.metaportrait import build as meta_build
from avatarkit.systems.metaportrait.config import PRESETS as META_PRESETS
from avatarkit.systems.refined_warp.network import Refinement, RefinementConfig

Run = Callable[..., ReenactReport]
TINY, META_TINY = PRESETS["tiny-64"], META_PRESETS["tiny-64"]



@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    """Untrained tiny networks, as training writes them."""
    folder = tmp_path_factory.mktemp("checkpoints")

    def write(stage: str, net: object, parents: dict[str, str], **config: object) -> Checkpoint:
        name = str(config.pop("named", stage))
        nets = {name: {"config": to_plain(net.config), "parameters": 1}}  # type: ignore[attr-defined]
        meta = Meta(stage, "tiny-64", 1, 1, dict(config), nets, parents, {}, {})
        return write_checkpoint(folder / stage, meta, {name: dict(net.state_dict())}, ({}, {}))  # type: ignore[attr-defined]

    base = write("base", build.build_base(TINY.base, 0), {})
    enhancer = write("enhancer", build.build_enhancer(TINY.enhancer, 0), {"base": base.sha256})
    student = write("student", build.build_student(TINY.student, 2, 0), {}, avatars=["ann", "bob"])
    portrait = meta_build.build_portrait(META_TINY.portrait, 0)
    meta = write("metaportrait/meta", portrait, {}, named="portrait")
    windows = meta_build.build_enhancer(replace(META_TINY.enhancer, windows=True), 0)
    temporal = write("metaportrait/temporal", windows, {}, named="enhancer")
    return {"base": base, "enhancer": enhancer, "student": student, "meta": meta, "temporal": temporal}


@pytest.fixture
def run(tmp_path: Path, grace_hopper_path: Path, driver: Path, checkpoints: dict[str, Checkpoint]) -> Run:
    def start(*stages: str, out: str = "out.mp4", **options: object) -> ReenactReport:
        given = tuple(checkpoints[stage].folder for stage in stages)
        values = {"source": grace_hopper_path, "driver": driver, "output": tmp_path / out, "device": "cpu"}
        values["checkpoint"] = given
        return reenact(ReenactConfig(**{**values, **options}), NullProgress())  # type: ignore[arg-type]

    return start


@pytest.fixture(scope="module")
def avatar(
    tmp_path_factory: pytest.TempPathFactory, grace_hopper: np.ndarray, hopper_landmarks: np.ndarray
) -> Path:
    """A personal avatar of the portrait, its corrections random."""
    torch.manual_seed(0)
    net = Refinement(RefinementConfig(face=64, mouth=64, eye=(48, 32), widths=(8, 8, 8)))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape))
    low, high = hopper_landmarks[:, :2].min(0), hopper_landmarks[:, :2].max(0)
    y, x = np.mgrid[0 : grace_hopper.shape[0], 0 : grace_hopper.shape[1]]
    away = [(place - (a + b) / 2) / (b - a) for place, a, b in zip((x, y), low, high, strict=True)]
    alpha = np.clip(12 * (1 - np.hypot(*away)), 0, 1).astype(np.float32)
    path = tmp_path_factory.mktemp("avatars") / "me.avatar"
    stored, about = StoredNet.of("refined-warp", net), {"consent": "confirmed"}
    write_avatar(path, Avatar(grace_hopper, alpha, hopper_landmarks.astype(np.float32), stored, about))
    return path


class Result(NamedTuple):
    """A video: what it says of itself, its plate, its frames, where all its mattes are empty, and the drawn side."""

    facts: dict[str, object]
    plate: np.ndarray
    frames: np.ndarray
    behind: np.ndarray
    drawn_px: int | None


def result(run: Run, folder: Path, stages: tuple[str, ...], **options: object) -> Result:
    content = run(*stages, output=folder / "out.mp4", size=64, crf=4, layers=folder / "layers", **options).content
    info = probe(folder / "out.mp4")
    assert info.video is not None
    assert info.audio is not None
    facts = {**content["output"], "duration": info.video.duration, "sound": info.audio.duration}
    facts = {key: facts[key] for key in ("frames", "rate", "audio", "duration", "sound")}
    frames, mattes = (np.array(list(FrameReader(folder / name))) for name in ("out.mp4", "layers/matte.mov"))
    assert len(mattes) == len(frames)
    assert sorted(path.name for path in (folder / "layers").iterdir()) == ["foreground.mov", "matte.mov", "plate.png"]
    foreground = probe(folder / "layers" / "foreground.mov").video
    assert foreground is not None
    assert foreground.codec == "prores"
    plate = read_image(folder / "layers" / "plate.png")
    return Result(facts, plate, frames, mattes.max(axis=(0, 3)) < 4, content["drawn_px"])


@pytest.fixture(scope="module")
def known() -> dict[str, Result]:
    """What has been drawn already."""
    return {}


@pytest.mark.parametrize(
    "name", ["base", "enhanced", "student", "exported", "portrait", "windows", "avatar", "avatar, wider"]
)
def test_each_engine_keeps_frames_rate_sound_and_background(
    run: Run, tmp_path: Path, checkpoints: dict[str, Checkpoint], avatar: Path, known: dict[str, Result], name: str
) -> None:
    """Those of the warp engine in the same framing, the background pixel for pixel where neither draws anyone."""
    engines: dict[str, tuple[tuple[str, ...], dict[str, object]]] = {
        "warp": ((), {"framing": "head"}),
        "base": (("base",), {}),
        "enhanced": (("base", "enhancer"), {}),
        "student": (("student",), {"avatar": "ann"}),
        "exported": ((), {"checkpoint": (tmp_path / "ann.onnx",)}),
        "portrait": (("meta",), {}),
        "windows": (("meta", "temporal"), {}),
        "avatar": ((), {"source": avatar, "framing": "head"}),
        "avatar, wider": ((), {"source": avatar}),
        "warp, wider": ((), {"source": avatar, "engine": "warp"}),
        "warp, avatar": ((), {"source": avatar, "engine": "warp", "framing": "head"}),
    }
    if name == "exported":
        export(checkpoints["student"].folder, tmp_path / "ann.onnx", ("ann",))
    beside = {"avatar": "warp, avatar", "avatar, wider": "warp, wider"}.get(name, "warp")
    for other in (beside, name):
        if other not in known:
            stages, options = engines[other]
            known[other] = result(run, tmp_path / other, stages, **options)
    found, same = known[name], known[beside]
    assert found.facts == same.facts
    assert found.facts["frames"] == 25
    np.testing.assert_array_equal(found.plate, same.plate)
    behind = found.behind & same.behind
    if name not in ("portrait", "windows"):  # untrained, they draw what the matting takes for a person all over
        assert behind.sum() > 500
        assert np.abs(found.frames.astype(int) - same.frames)[:, behind].mean() < 1  # the codec's
    assert found.drawn_px == {"enhanced": 128, "windows": 128}.get(name, None if beside != "warp" else 64)


def test_paste_back_has_one_background_whatever_draws(
    grace_hopper_path: Path, driver: Path, checkpoints: dict[str, Checkpoint], tmp_path: Path
) -> None:
    """Networks draw less of the picture than the warp engine; the plate behind them is a part of the same one."""
    small = np.ascontiguousarray(read_image(grace_hopper_path)[::2, ::2])
    write_image(tmp_path / "small.png", small)
    part = DriverPart(0.0, 0.3)
    config = ReenactConfig(tmp_path / "small.png", driver, tmp_path / "o.mp4", paste_back=True, part=part, device="cpu")
    whole = []
    with Studio(keep=2) as studio:
        for stages in ((), ("base",)):
            given = replace(config, checkpoint=tuple(checkpoints[stage].folder for stage in stages))
            pair = make_ready(given, parse_background("plate"), studio, NullProgress(), StageTimer())
            assert isinstance(pair.source, Source)
            assert pair.source.background is not None
            crop = pair.source.crop
            assert pair.source.layer_size == crop.shown == pair.source.background.shape[1::-1]
            whole.append(small.copy())
            whole[-1][crop.window] = pair.source.background
    np.testing.assert_array_equal(whole[0][crop.window], whole[1][crop.window])
    assert (whole[1] != small).any()


def test_the_summary_says_what_was_drawn_and_what_enlarged(run: Run) -> None:
    lines = run("base", size=128).summary_lines()
    assert "drawn at 64 x 64 px, enlarged to 128 px" in lines
    assert any(line.startswith("engine megaportraits base tiny-64 step 1") for line in lines)


def test_the_plate_is_that_of_the_source_and_stands_still(run: Run, tmp_path: Path) -> None:
    run("base", out="frames", codec="png", layers=tmp_path / "layers")
    frames = [read_image(path) for path in sorted((tmp_path / "frames").iterdir())]
    mattes = [read_image(path)[..., 0] for path in sorted((tmp_path / "layers" / "matte").iterdir())]
    plate = read_image(tmp_path / "layers" / "plate.png")
    assert len(frames) == len(mattes)
    behind = np.max(mattes, axis=0) == 0
    assert behind.any()
    for frame in frames:
        np.testing.assert_array_equal(frame[behind], plate[behind])


def test_a_turntable_needs_no_driver(run: Run, tmp_path: Path) -> None:
    for stages, name in (((), "warp"), (("base",), "base")):
        report = run(*stages, driver=None, turntable=15.0, out=f"{name}.mp4", size=64).content
        assert report["output"]["frames"] == 100
        frames = list(FrameReader(tmp_path / f"{name}.mp4"))
        assert len(frames) == 100


def test_a_student_needs_no_source_and_takes_the_plate_of_one(run: Run, tmp_path: Path) -> None:
    run("student", source=None, avatar="bob", out="alone", codec="png")
    run("student", avatar="bob", out="over", codec="png")
    alone, over = (read_image(sorted((tmp_path / name).iterdir())[0]) for name in ("alone", "over"))
    assert alone.shape == over.shape == (64, 64, 3)
    assert np.abs(alone.astype(int) - over).max() > 0


def test_a_driver_is_tracked_once_for_networks_too(
    checkpoints: dict[str, Checkpoint], grace_hopper_path: Path, driver: Path, tmp_path: Path
) -> None:
    config = ReenactConfig(
        source=grace_hopper_path, driver=driver, output=tmp_path / "a.mp4", size=64, device="cpu",
        checkpoint=(checkpoints["base"].folder,),
    )  # fmt: skip
    reenact(config, NullProgress())
    with Studio(open_cache(tmp_path / "cache")) as studio:
        for part in ("source", "driver"):
            get_ready(part, config, studio, NullProgress())
        assert studio.made == {"portrait": 1, "driver": 1}
    with Studio(open_cache(tmp_path / "cache")) as studio:
        reenact(replace(config, output=tmp_path / "b.mp4"), NullProgress(), studio)
        assert not studio.made
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_outputs_name_their_weights_and_batches_know_them_by_content(
    run: Run, tmp_path: Path, checkpoints: dict[str, Checkpoint], grace_hopper_path: Path, driver: Path
) -> None:
    base = checkpoints["base"]
    for name, behind, kind in (("plate", "plate", "compositeWithTrained"), ("green", "#0f0", "trained")):
        run("base", out=f"{name}.mp4", background=behind)
        marks = inspect_file(tmp_path / f"{name}.mp4").xmp
        assert marks["avatarkit:Checkpoint"] == base.sha256
        assert marks["Iptc4xmpExt:DigitalSourceType"].endswith(f"/{kind}AlgorithmicMedia")
    older, newer = (tmp_path / "run" / "checkpoints" / f"step-{number:09d}" for number in (1, 2))
    shutil.copytree(base.folder, older)
    job = Job(ReenactConfig(grace_hopper_path, driver, tmp_path / "o.mp4", checkpoint=(tmp_path / "run",)))
    (pair,) = make_plan([job], [], BatchOptions(tmp_path / "out")).todo
    assert pair.job.config.checkpoint == (older,)
    assert pair.state["checkpoints"] == {"base": base.sha256}
    shutil.copytree(base.folder, newer)
    meta = newer / "meta.json"
    meta.write_text(meta.read_text(encoding="utf-8").replace('"step": 1', '"step": 2'), encoding="utf-8")
    (later,) = make_plan([job], [], BatchOptions(tmp_path / "out")).todo
    assert later.job.config.checkpoint == (newer,)
    assert {key for key in pair.state if pair.state[key] != later.state[key]} == {"checkpoints"}


def test_an_exported_student_draws_the_same_video(
    run: Run, tmp_path: Path, checkpoints: dict[str, Checkpoint]
) -> None:
    path = tmp_path / "avatar.onnx"
    lines = export(checkpoints["student"].folder, path, ("bob",)).summary_lines()
    assert "no way to add an identity" in lines[1]
    run("student", source=None, avatar="bob", out="torch", codec="png")
    run(source=None, checkpoint=(path,), engine="student", out="onnx", codec="png")
    for one, other in zip(sorted((tmp_path / "torch").iterdir()), sorted((tmp_path / "onnx").iterdir()), strict=True):
        assert np.abs(read_image(one).astype(int) - read_image(other)).max() <= 1


def test_what_is_cut_out_frame_by_frame_is_steadied(run: Run, tmp_path: Path) -> None:
    """The same as --stabilize 1; what the warp engine draws, and whole frames, as with 0."""
    for name, stages, more, strength in (
        ("cut", ("base",), {}, 1.0),
        ("whole", ("base",), {"background": "keep"}, 0.0),
        ("warped", (), {"size": 64}, 0.0),
    ):
        for out, given in ((name, {}), (f"{name}-said", {"stabilize": strength})):
            run(*stages, out=out, codec="png", **more, **given)
        for item, other in zip(*(sorted((tmp_path / n).iterdir()) for n in (name, f"{name}-said")), strict=True):
            np.testing.assert_array_equal(read_image(item), read_image(other))


@pytest.mark.parametrize("motion", ["relative", "absolute"])
@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_steadied_and_not(run: Run, motion: str, strength: float) -> None:
    assert run("base", motion=MotionConfig(mode=motion), stabilize=strength).content["output"]["frames"] > 0


def test_what_cannot_be_is_refused_in_a_line(
    run: Run, tmp_path: Path, checkpoints: dict[str, Checkpoint], driver: Path, motion_file: Path
) -> None:
    older = tmp_path / "older"
    shutil.copytree(checkpoints["base"].folder, older)
    meta = older / "meta.json"
    meta.write_text(meta.read_text(encoding="utf-8").replace('"version": 1', '"version": 0'), encoding="utf-8")
    turned = MotionConfig(yaw_deg=10.0)
    refused: list[tuple[type[AvatarkitError], str, tuple[str, ...], dict[str, object]]] = [
        (InputError, "is a checkpoint of base, and --engine student", ("base",), {"engine": "student"}),
        (InputError, "--engine warp takes none", ("base",), {"engine": "warp"}),
        (UsageError, "no engine draws with checkpoints of enhancer", ("enhancer",), {}),
        (UsageError, "another one of train base", ("base", "base"), {}),
        (UsageError, "needs --checkpoint BASE", (), {"engine": "megaportraits"}),
        (UsageError, "--engine nothing: use auto, warp", (), {"engine": "nothing"}),
        (UsageError, "avatars are a student's", ("base",), {"avatar": "ann"}),
        (UsageError, "there is no such avatar; .* ann", ("student",), {"avatar": "anna"}),
        (UsageError, "--avatar: --engine warp has no networks", (), {"avatar": "ann"}),
        (UsageError, "leave out the options of motion", ("student",), {"avatar": "ann", "motion": turned}),
        (UsageError, "one expression for the whole face", ("base",), {"motion": MotionConfig(region="mouth")}),
        (InputError, "is a motion file and holds no pictures", ("base",), {"driver": motion_file}),
        (UsageError, "give a portrait and a driver", ("base",), {"source": None}),
        (UsageError, "leave out", (), {"turntable": 15.0}),
        (UsageError, "--framing portrait: this engine draws the head's square", ("base",), {"framing": "portrait"}),
        (UsageError, "--crop-scale: the head's square has its own place", ("base",), {"crop_scale": 2.0}),
        (UsageError, "--head-room: the head's square has its own place", (), {"framing": "head", "head_room": 0.1}),
        (UsageError, "--framing: --paste-back shows", (), {"framing": "head", "paste_back": True}),
        (UsageError, "--framing face: use one of auto, portrait, head", (), {"framing": "face"}),
        (InputError, "reads version 1", (), {"checkpoint": (older,)}),
        (InputError, "no such file", (), {"checkpoint": (tmp_path / "none.onnx",)}),
    ]
    for kind, said, stages, options in refused:
        with pytest.raises(kind, match=said) as caught:
            run(*stages, **options)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.mp4").exists()


def test_a_head_that_cannot_be_framed(run: Run, tmp_path: Path, grace_hopper_path: Path) -> None:
    picture = read_image(grace_hopper_path)
    cut = tmp_path / "cut.png"
    height, width = picture.shape[:2]
    write_image(cut, picture[: round(0.55 * height), : round(0.45 * width)], {})
    with pytest.raises(InputError, match=r"cannot be framed|no face|too small|px high"):
        run("base", source=cut)


def test_a_motion_file_moves_the_pose_alone(run: Run, motion_file: Path) -> None:
    report = run("base", driver=motion_file, motion=replace(MotionConfig(), region="pose"))
    assert report.content["output"]["frames"] > 0
