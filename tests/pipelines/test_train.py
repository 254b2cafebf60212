"""`avatarkit train` from datasets on disk to checkpoints, and all that it refuses before the first step."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from synthetic_dataset import write_dataset
from toy_stage import tensors_of

from avatarkit.checkpoint import open_checkpoint
from avatarkit.cli.app import run
from avatarkit.data.marks import Removed, write_selection
from avatarkit.data.remove import remove
from avatarkit.data.select import SelectionRule, reselect
from avatarkit.errors import AvatarkitError, DependencyError, InputError, OutputError, UsageError
from avatarkit.pipelines.train.plan import plan
from avatarkit.pipelines.train.run import TrainJob, train
from avatarkit.systems.megaportraits.config import PRESETS
from avatarkit.systems.megaportraits.count import count_preset
from avatarkit.systems.megaportraits.stages.pose import PoseStage
from avatarkit.training.failures import TrainingError
from avatarkit.training.logs import read_log

Refused = Callable[[type[AvatarkitError], str, TrainJob], None]
OF_STAGE: dict[str, dict[str, Any]] = {
    "student": {"options": {"avatars": "2"}, "sets": ("loss.gaze=1",), "parents": {"enhancer": Path("run")}}
}
SETS = ("batch=2", "log_every=1", "pictures_every=0", "validate_every=0", "checkpoint_every=0")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder / "videos")
    write_dataset(folder / "photos", "photos", size=128)
    return folder


@pytest.fixture(scope="module")
def base_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "base"
    train(job("base", data / "videos", out))
    return out


@pytest.fixture(scope="module")
def gaze_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "gaze"
    train(job("gaze", data / "videos", out))
    return out


def job(stage: str, data: Path | None, out: Path | None, **changes: object) -> TrainJob:
    values = {"preset": "tiny-64", "sets": SETS, "steps": 1, "device": "cpu", "workers": 0, **changes}
    return TrainJob(stage, data, out, **values)  # type: ignore[arg-type]


def test_base_from_shards(base_run: Path) -> None:
    found = open_checkpoint(base_run)
    assert (found.meta.stage, found.meta.step, found.meta.images, found.meta.preset) == ("base", 1, 2, "tiny-64")
    assert found.meta.config["loss"]["vgg19"] == 0
    assert found.meta.nets["base"]["parameters"] > 0
    assert len(found.meta.dataset["sha256"]) == 64
    assert {"avatarkit", "torch"} <= set(found.meta.code)
    assert read_log(base_run)[0]["kind"] == "train"
    assert (base_run / "config.yaml").is_file()


def test_enhancer_and_student_build_on_it(data: Path, base_run: Path, tmp_path: Path, refused: Refused) -> None:
    parents = {"base": base_run}
    train(job("enhancer", data / "photos", tmp_path / "enhancer", parents=parents))
    enhanced = {"base": base_run, "enhancer": tmp_path / "enhancer"}
    report = train(job("student", data / "videos", tmp_path / "student", parents=enhanced, options={"avatars": "2"}))
    found = open_checkpoint(tmp_path / "student")
    assert found.meta.config["avatars"] == ["train-0", "train-1"]
    assert found.meta.parents == {
        "base": open_checkpoint(base_run).sha256,
        "enhancer": open_checkpoint(tmp_path / "enhancer").sha256,
    }
    assert any("checkpoint:" in line for line in report.summary_lines())
    # An enhancer of another base model's pictures does not fit.
    other = edited(base_run, tmp_path / "other", lambda values: values["code"].update(torch="0"))
    parents = {**enhanced, "base": other}
    wrong = job("student", data / "videos", tmp_path / "none", parents=parents, options={"avatars": "2"})
    refused(InputError, "--enhancer .* was trained on another checkpoint than --base", wrong)


def test_a_gaze_checkpoint_serves_the_gaze_loss(data: Path, gaze_run: Path, tmp_path: Path) -> None:
    assert open_checkpoint(gaze_run).meta.stage == "gaze"
    sets = (*SETS, "loss.gaze=1")
    train(job("base", data / "videos", tmp_path / "base", sets=sets, parents={"gaze": gaze_run}))
    assert read_log(tmp_path / "base")[0]["gaze"] > 0


def test_the_same_command_goes_on(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = train(job("pose", data / "videos", out, steps=3, max_minutes=0))
    assert (first.ended.reason, first.ended.step) == ("out of time", 1)
    second = train(job("pose", data / "videos", out, steps=3))
    assert (second.ended.reason, second.ended.step, second.ended.steps_here) == ("finished", 3, 2)
    third = train(job("pose", data / "videos", out, steps=3))
    assert third.ended.steps_here == 0
    train(job("pose", data / "videos", tmp_path / "straight", steps=3))
    one, other = (open_checkpoint(path).tensors("pose") for path in (out, tmp_path / "straight"))
    assert [key for key in one if not torch.equal(one[key], other[key])] == []


def test_config_yaml_is_itself_a_config(data: Path, gaze_run: Path, tmp_path: Path) -> None:
    again = job("gaze", data / "videos", tmp_path / "again", config_file=gaze_run / "config.yaml", sets=(), steps=None)
    train(again)
    assert open_checkpoint(tmp_path / "again").meta.config == open_checkpoint(gaze_run).meta.config


def words(wanted: TrainJob) -> list[str]:
    """The command line of a job."""
    options = {"--data": wanted.data, "--output": wanted.out, "--preset": wanted.preset}
    options |= {f"--{name}": value for name, value in wanted.options.items()}
    options |= {"--device": wanted.device, "--workers": wanted.workers, "--steps": wanted.steps}
    options |= {f"--{name}": path for name, path in wanted.parents.items()}
    pairs = [(name, value) for name, value in options.items() if value is not None]
    pairs += [("--set", text) for text in wanted.sets]
    return ["train", wanted.stage, *(str(word) for pair in pairs for word in pair)]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run a job by its command line and look at its exit code and its only line."""

    def check(kind: type[AvatarkitError], message: str, wanted: TrainJob) -> None:
        assert run(words(wanted)) == kind.exit_code
        (line,) = [text for text in capsys.readouterr().err.splitlines() if not text.startswith("note: ")]
        assert re.search(f"^error: .*{message}", line), line

    return check


def test_data_that_a_stage_cannot_use(data: Path, base_run: Path, tmp_path: Path, refused: Refused) -> None:
    out = tmp_path / "run"
    refused(UsageError, "give --data DIR and --output RUN", job("base", None, out))
    refused(InputError, "no such dataset", job("base", tmp_path / "none", out))
    (tmp_path / "empty").mkdir()
    refused(InputError, "is not a dataset", job("base", tmp_path / "empty", out))
    refused(InputError, "dataset of photos, but train base needs videos", job("base", data / "photos", out))
    wrong = job("enhancer", data / "videos", out, parents={"base": base_run})
    refused(InputError, "dataset of videos, but train enhancer needs photos", wrong)
    write_dataset(tmp_path / "alone", people=1)
    refused(InputError, "clips of one person only", job("base", tmp_path / "alone", out))
    write_dataset(tmp_path / "photo", "photos", people=1, size=128)
    one_photo = job("enhancer", tmp_path / "photo", out, parents={"base": base_run})
    refused(InputError, "photos of one person only", one_photo)
    write_dataset(tmp_path / "small", size=32)
    refused(InputError, "have 32 px, but train base --preset tiny-64 needs 64 px", job("base", tmp_path / "small", out))
    write_dataset(tmp_path / "nobody", people=0)
    refused(InputError, "no clip of split train", job("base", tmp_path / "nobody", out))
    refused(UsageError, "--preset tiny: .*did you mean tiny-64", job("base", data / "videos", out, preset="tiny"))
    misspelt = job("base", data / "videos", out, sets=("loss.pixle=1",))
    refused(UsageError, r"loss\.pixle; did you mean loss\.pixel", misspelt)
    assert not out.exists()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_frame_is_one_line(workers: int, tmp_path: Path, refused: Refused) -> None:
    folder = write_dataset(tmp_path / "data", people=2, damaged="train-1")
    wanted = job("pose", folder, tmp_path / "run", steps=20, workers=workers)
    refused(InputError, r"train-00000\.h5: frame \d+ is 32 x 32, the dataset's size is 64; run `avatarkit data", wanted)


def test_out_of_memory_is_one_line(
    data: Path, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hungry(stage: PoseStage, batch: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(PoseStage, "forward", hungry)
    told = "out of memory with 2 samples at once: try .*--set accumulation=2"
    refused(TrainingError, told, job("pose", data / "videos", tmp_path / "run"))


def edited(run: Path, copy: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of a run whose newest checkpoint has another meta.json."""
    shutil.copytree(run, copy)
    meta = open_checkpoint(copy).folder / "meta.json"
    values = json.loads(meta.read_text())
    change(values)
    meta.write_text(json.dumps(values))
    return copy


def test_parents_that_do_not_fit(data: Path, base_run: Path, tmp_path: Path, refused: Refused) -> None:
    videos, out = data / "videos", tmp_path / "run"
    refused(UsageError, "train student: needs --base CHECKPOINT", job("student", videos, out))
    wrong = job("student", videos, out, parents={"base": base_run, "enhancer": base_run})
    refused(InputError, "--enhancer .* is a checkpoint of train base, not of train enhancer", wrong)
    for number, (change, message) in enumerate(
        (
            (lambda values: values["nets"]["base"]["config"].update(size=128), "net base .* size is 128, not 64"),
            (lambda values: values.update(version=99), "checkpoint of version 99"),
            (lambda values: values.update(nets=[1]), "is damaged: nets is no dict"),
        )
    ):
        copy = edited(base_run, tmp_path / f"other-{number}", change)
        refused(InputError, message, job("student", videos, out, parents={"base": copy}))
    given = {"base": base_run}
    for avatars, message in (
        ("train-9", "--avatars: the training split has no clip train-9"),
        ("50", "--avatars 50: the training split has 3 people"),
        ("0", "--avatars 0: give a number from 1"),
        ("\u00b2", "--avatars: the training split has no clip"),
    ):
        refused(UsageError, message, job("student", videos, out, parents=given, options={"avatars": avatars}))
    assert not out.exists()


def test_a_gaze_checkpoint_that_was_edited(data: Path, gaze_run: Path, tmp_path: Path, refused: Refused) -> None:
    for number, nets in enumerate(({}, {"gaze": {"config": {"eye_size": "wide"}}})):
        copy = edited(gaze_run, tmp_path / f"gaze-{number}", lambda values, nets=nets: values.update(nets=nets))
        wanted = job("base", data / "videos", tmp_path / "run", sets=(*SETS, "loss.gaze=1"), parents={"gaze": copy})
        refused(InputError, "is damaged: the gaze net's eye_size is", wanted)


def test_runs_that_cannot_be_continued(data: Path, base_run: Path, tmp_path: Path, refused: Refused) -> None:
    videos = data / "videos"
    changed = job("base", videos, base_run, sets=(*SETS, "optim.lr=1e-3"))
    refused(UsageError, r"cannot go on with other settings: optim.lr was 0.0005 and is now 0.001", changed)
    refused(UsageError, "holds a run of train base", job("pose", videos, base_run))
    write_dataset(tmp_path / "more", people=4)
    more = job("base", tmp_path / "more", base_run)
    refused(UsageError, r"trained on another dataset .*\(3 clips then, 4 now\)", more)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("x")
    refused(OutputError, "holds files, but no training", job("base", videos, tmp_path / "thesis"))
    (tmp_path / "file").write_text("x")
    refused(OutputError, "is a file; give a folder", job("base", videos, tmp_path / "file"))
    copy = edited(base_run, tmp_path / "copy", lambda values: values["config"].update(batch="many"))
    refused(InputError, "could not be converted to Integer.*the checkpoint is damaged", job("base", videos, copy))


def test_a_changed_selection_is_noticed(tmp_path: Path, refused: Refused) -> None:
    folder, out = write_dataset(tmp_path / "data"), tmp_path / "run"
    reselect(folder, SelectionRule(min_sharpness=0.5))
    train(job("pose", folder, out))
    write_selection(folder, ["train-0", "train-1", "val-0"], {})
    told = r"selection has changed \(3 clips then, 2 now\); .*\(avatarkit data reselect --min-sharpness 0.5\)"
    refused(UsageError, told, job("pose", folder, out, steps=2))
    # Other validation clips alone change nothing of what is learnt.
    write_selection(folder, ["train-0", "train-1", "train-2"], {})
    assert train(job("pose", folder, out, steps=2)).ended.step == 2
    remove(folder, Removed(clips=frozenset({"val-0"})))
    refused(UsageError, r"has changed since, as by avatarkit data remove", job("pose", folder, out, steps=3))


def test_missing_weights_say_how_to_do_without(
    data: Path, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVATARKIT_WEIGHTS", str(tmp_path / "weights"))
    wanted = job("base", data / "videos", tmp_path / "run", sets=(*SETS, "loss.vgg19=1"))
    refused(DependencyError, r"vgg19.*--set loss\.vgg19=0", wanted)
    refused(UsageError, r"--gaze CHECKPOINT.*--set loss\.gaze=0", replace(wanted, sets=(*SETS, "loss.gaze=1")))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("stage", ["base", "enhancer", "student"])
def test_dry_run_needs_nothing(stage: str) -> None:
    found = plan(job(stage, None, None, steps=None, **OF_STAGE.get(stage, {})))
    text = "\n".join(" ".join(row) for table in found.tables() for row in table)
    assert len(found.nets) >= 1
    assert "seed 0" in text
    assert found.memory.activations > 0
    assert found.memory.weights > 0
    assert "learning rate at 0%" in text
    rows = {row.name: row for row in found.nets}
    if stage == "student":
        # Two avatars: volume of 8 x 4 x 16 x 16, e_s of 64, grid of 4 x 16 x 16 x 3, in single precision.
        config = PRESETS["tiny-64"].base
        cells = config.local.depth * config.side**2
        assert found.memory.once == 2 * 4 * (cells * (config.local.channels + 3) + config.code)
        assert "encoded avatars" in text
        parts = {count.net: count.flops for count in count_preset(PRESETS["tiny-64"])}
        each_frame = ("E_mtn, expression", "W, driver", "P + G_2D", "G_enh")
        assert rows["teacher (frozen)"].gflop == pytest.approx(sum(parts[name] for name in each_frame) / 1e9)
        assert rows["teacher (frozen)"].parameters > 1.65e6 + 0.33e6  # the enhancer's, too
        assert rows["perceptual (frozen)"].gflop > 0  # the gaze net


def test_two_ways_to_say_how_far(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["--data", str(data / "videos"), "--output", str(tmp_path / "run"), "--preset", "tiny-64"]
    assert run(["train", "base", *common, "--steps", "1", "--images", "2"]) == 2
    assert run(["train", "base", *common, "--max-minutes", "nan"]) == 2
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == ["error"] * 2
    assert run(["train", "pose", "--dry-run", "--preset", "tiny-64"]) == 0
    assert "pose" in capsys.readouterr().out


def start(command: list[str], log: Path, steps: int) -> subprocess.Popen[str]:
    """The command as a process of its own group, when it has logged so many steps in all."""
    process = subprocess.Popen(
        [sys.executable, "-m", "avatarkit", *command], start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    while process.poll() is None and (not log.is_file() or log.read_text().count("\n") < steps):
        time.sleep(0.02)
    return process


def test_a_killed_command_and_a_terminated_one_go_on_bit_for_bit(data: Path, tmp_path: Path) -> None:
    """The signals go to all processes of the command, as schedulers send them."""
    # A rate that does not depend on how many steps there are, so that a run may end at any of them.
    sets = ("batch=2", "log_every=1", "pictures_every=0", "validate_every=0", "checkpoint_every=2", "optim.lr_end=1e-3")
    wanted = job("pose", data / "videos", tmp_path / "run", sets=sets, steps=100_000, workers=1)
    log = tmp_path / "run" / "log.jsonl"
    killed = start(words(wanted), log, 4)  # the newest checkpoint may still be on its way
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=300)
    left = open_checkpoint(tmp_path / "run").meta.step
    assert 2 <= left < 1000
    terminated = start(words(wanted), log, log.read_text().count("\n") + 2)
    os.killpg(terminated.pid, signal.SIGTERM)
    out, errors = terminated.communicate(timeout=300)
    assert terminated.returncode == 128 + signal.SIGTERM, errors
    assert f"goes on from step {left}" in errors
    assert "asked to stop" in out
    step = open_checkpoint(tmp_path / "run").meta.step
    assert step >= left + 2
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        train(replace(wanted, out=tmp_path / "straight", steps=step, workers=0))
    finally:
        torch.set_num_threads(threads)
    one, other = tensors_of(tmp_path / "straight"), tensors_of(tmp_path / "run")
    assert one.keys() == other.keys()
    assert [key for key in one if not torch.equal(one[key], other[key])] == []
