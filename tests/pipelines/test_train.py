"""`avatarkit train` from datasets on disk to checkpoints, and all that it refuses before the first step."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from synthetic_dataset import write_dataset

from avatarkit.cli.app import run
from avatarkit.errors import AvatarkitError, DependencyError, InputError, OutputError, UsageError
from avatarkit.pipelines.train import TrainJob, train
from avatarkit.pipelines.train_plan import plan
from avatarkit.training.checkpoint import open_checkpoint
from avatarkit.training.logs import read_log

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


def test_enhancer_and_student_build_on_it(data: Path, base_run: Path, tmp_path: Path) -> None:
    parents = {"base": base_run}
    train(job("enhancer", data / "photos", tmp_path / "enhancer", parents=parents))
    enhanced = {"base": base_run, "enhancer": tmp_path / "enhancer"}
    report = train(job("student", data / "videos", tmp_path / "student", parents=enhanced, avatars="2"))
    found = open_checkpoint(tmp_path / "student")
    assert found.meta.config["avatars"] == ["train-0", "train-1"]
    assert found.meta.parents == {
        "base": open_checkpoint(base_run).sha256,
        "enhancer": open_checkpoint(tmp_path / "enhancer").sha256,
    }
    assert any("checkpoint:" in line for line in report.summary_lines())


@pytest.mark.parametrize("stage", ["gaze", "pose"])
def test_nets_of_the_drivers_signals(stage: str, data: Path, tmp_path: Path) -> None:
    report = train(job(stage, data / "videos", tmp_path / "run"))
    assert report.ended.reason == "finished"
    assert open_checkpoint(tmp_path / "run").meta.stage == stage


def test_a_gaze_checkpoint_serves_the_gaze_loss(data: Path, tmp_path: Path) -> None:
    train(job("gaze", data / "videos", tmp_path / "gaze"))
    sets = (*SETS, "loss.gaze=1")
    train(job("base", data / "videos", tmp_path / "base", sets=sets, parents={"gaze": tmp_path / "gaze"}))
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


def test_config_yaml_is_itself_a_config(data: Path, base_run: Path, tmp_path: Path) -> None:
    again = job("base", data / "videos", tmp_path / "again", config_file=base_run / "config.yaml", sets=(), steps=None)
    train(again)
    assert open_checkpoint(tmp_path / "again").meta.config == open_checkpoint(base_run).meta.config


def refused(kind: type[AvatarkitError], message: str, wanted: TrainJob) -> None:
    with pytest.raises(kind, match=message) as caught:
        train(wanted)
    assert "\n" not in str(caught.value)


def test_data_that_a_stage_cannot_use(data: Path, base_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    refused(UsageError, "give --data DIR and --out RUN", job("base", None, out))
    refused(InputError, "no such dataset", job("base", tmp_path / "none", out))
    (tmp_path / "empty").mkdir()
    refused(InputError, "is not a dataset", job("base", tmp_path / "empty", out))
    refused(InputError, "dataset of photos, but train base needs videos", job("base", data / "photos", out))
    wrong = job("enhancer", data / "videos", out, parents={"base": base_run})
    refused(InputError, "dataset of videos, but train enhancer needs photos", wrong)
    write_dataset(tmp_path / "alone", people=1)
    refused(InputError, "clips of one person only", job("base", tmp_path / "alone", out))
    write_dataset(tmp_path / "small", size=32)
    refused(InputError, "have 32 px, but train base --preset tiny-64 needs 64 px", job("base", tmp_path / "small", out))
    write_dataset(tmp_path / "nobody", people=0)
    refused(InputError, "no clip of split train", job("base", tmp_path / "nobody", out))
    assert not out.exists()


def test_parents_that_do_not_fit(data: Path, base_run: Path, tmp_path: Path) -> None:
    videos, out = data / "videos", tmp_path / "run"
    refused(UsageError, "train student: needs --base CHECKPOINT", job("student", videos, out))
    wrong = job("student", videos, out, parents={"base": base_run, "enhancer": base_run})
    refused(InputError, "--enhancer .* is a checkpoint of train base, not of train enhancer", wrong)
    copy = tmp_path / "other"
    shutil.copytree(base_run, copy)
    meta = open_checkpoint(copy).folder / "meta.json"
    values = json.loads(meta.read_text())
    values["nets"]["base"]["config"]["size"] = 128
    meta.write_text(json.dumps(values))
    refused(InputError, "net base .* size is 128, not 64", job("student", videos, out, parents={"base": copy}))
    values["version"] = 99
    meta.write_text(json.dumps(values))
    refused(InputError, "checkpoint of version 99", job("student", videos, out, parents={"base": copy}))
    named = job("student", videos, out, parents={"base": base_run}, avatars="train-9")
    refused(UsageError, "--avatars: the training split has no clip train-9", named)
    assert not out.exists()


def test_runs_that_cannot_be_continued(data: Path, base_run: Path, tmp_path: Path) -> None:
    videos = data / "videos"
    changed = job("base", videos, base_run, sets=(*SETS, "optim.lr=1e-3"))
    refused(UsageError, r"cannot go on with other settings: optim.lr was 0.0002 and is now 0.001", changed)
    refused(UsageError, "holds a run of train base", job("pose", videos, base_run))
    write_dataset(tmp_path / "more", people=4)
    refused(UsageError, "was trained on another dataset", job("base", tmp_path / "more", base_run))
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("x")
    refused(OutputError, "holds files, but no training", job("base", videos, tmp_path / "thesis"))
    (tmp_path / "file").write_text("x")
    refused(OutputError, "is a file; give a folder", job("base", videos, tmp_path / "file"))


def test_missing_weights_say_how_to_do_without(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVATARKIT_WEIGHTS", str(tmp_path / "weights"))
    wanted = job("base", data / "videos", tmp_path / "run", sets=(*SETS, "loss.vgg19=1"))
    refused(DependencyError, r"vgg19.*--set loss\.vgg19=0", wanted)
    refused(UsageError, r"--gaze CHECKPOINT.*--set loss\.gaze=0", replace(wanted, sets=(*SETS, "loss.gaze=1")))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("stage", ["base", "enhancer", "student", "gaze"])
def test_dry_run_needs_nothing(stage: str) -> None:
    found = plan(job(stage, None, None, steps=None))
    text = "\n".join(" ".join(row) for table in found.tables() for row in table)
    assert len(found.nets) >= 1
    assert "seed 0" in text
    assert found.memory.activations > 0
    assert found.memory.weights > 0
    assert "learning rate at 0%" in text


def test_command_line_says_it_in_one_line(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["--data", str(data / "videos"), "--out", str(tmp_path / "run"), "--preset"]
    assert run(["train", "base", *common, "tiny"]) == 2
    assert run(["train", "base", *common, "tiny-64", "--set", "loss.pixle=1"]) == 2
    assert run(["train", "base", *common, "tiny-64", "--steps", "1", "--images", "2"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert [line.split(":")[0] for line in lines] == ["error"] * 3
    assert "did you mean tiny-64" in lines[0]
    assert "did you mean loss.pixel" in lines[1]
    assert run(["train", "pose", "--dry-run", "--preset", "tiny-64"]) == 0
    assert "pose" in capsys.readouterr().out


def test_a_terminated_command_has_saved_and_goes_on(data: Path, tmp_path: Path) -> None:
    words = ["train", "pose", "--data", str(data / "videos"), "--out", str(tmp_path / "run"), "--preset", "tiny-64"]
    words += ["--device", "cpu", "--workers", "1", *(word for text in SETS for word in ("--set", text))]
    process = subprocess.Popen(
        [sys.executable, "-m", "avatarkit", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    log = tmp_path / "run" / "log.jsonl"
    while process.poll() is None and not (log.is_file() and log.stat().st_size):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "asked to stop" in out
    step = open_checkpoint(tmp_path / "run").meta.step
    assert step >= 1
