"""Batches end to end: the bytes of single runs, resuming, kills, refusals, jobs files."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatarkit.cli.app import run as command
from avatarkit.cli.batch import configure_by
from avatarkit.errors import InputError, OutputError, UsageError
from avatarkit.media.image import write_image
from avatarkit.pipelines.batch import BatchOptions, Job, run
from avatarkit.pipelines.batch.jobs import drawn, files_of, grid, read_jobs
from avatarkit.pipelines.batch.run import BatchReport
from avatarkit.pipelines.batch.status import journal, read_status
from avatarkit.pipelines.reenact import reenact
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.runtime import NullProgress
from avatarkit.work.claims import claim
from avatarkit.work.slurm import ArrayReport

from .conftest import Notices

SIZE = ["--size", "64"]


@pytest.fixture(scope="module")
def inputs(
    tmp_path_factory: pytest.TempPathFactory, grace_hopper_path: Path, framed: Path, motion_file: Path, photo: Path
) -> Path:
    """Two portraits; a motion file and a photo as drivers."""
    folder = tmp_path_factory.mktemp("inputs")
    for name in ("s", "d"):
        (folder / name).mkdir()
    shutil.copy(grace_hopper_path, folder / "s" / "grace.jpg")
    shutil.copy(framed, folder / "s" / "wall.png")
    shutil.copy(motion_file, folder / "d" / "speech.motion")
    shutil.copy(photo, folder / "d" / "photo.png")
    return folder


@pytest.fixture(scope="module")
def singles(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What single runs give, by name."""
    folder = tmp_path_factory.mktemp("singles")
    for job in grid(files_of(f"{inputs}/s", "-"), files_of(f"{inputs}/d", "-"), folder, configure_by(SIZE)):
        reenact(job.config, NullProgress())
    return outputs(folder)


def outputs(folder: Path) -> dict[str, bytes]:
    """The outputs in a folder, by name; a left-over of an unfinished one is none."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".mp4", ".png")}


def batch_of(inputs: Path, out: Path, *words: str, workers: int = 2, progress: Any = None) -> BatchReport:
    jobs = grid(files_of(f"{inputs}/s", "-"), files_of(f"{inputs}/d", "-"), out, configure_by([*SIZE, *words]))
    report = run(jobs, BatchOptions(out, workers=workers), progress or NullProgress())
    assert isinstance(report, BatchReport)
    return report


def test_grid_has_the_bytes_of_single_runs_and_is_kept_the_second_time(
    inputs: Path, singles: dict[str, bytes], tmp_path: Path
) -> None:
    report = batch_of(inputs, tmp_path / "out")
    assert outputs(tmp_path / "out") == singles
    assert len(singles) == 4
    assert (report.done, report.kept, report.complete) == (4, 0, True)
    assert report.made == {"portrait": 2, "driver": 1}  # a motion file needs no tracking
    assert {row["state"] for row in journal(tmp_path / "out")} == {"done"}
    assert all(Path(row["source"]).is_absolute() for row in journal(tmp_path / "out"))
    (status,) = read_status(tmp_path / "out")
    assert (status.state, status.done, status.total, status.workers) == ("done", 4, 4, {})
    (tmp_path / "out" / "grace--photo.png").unlink()
    shutil.copy(tmp_path / "out" / "grace--speech.mp4", tmp_path / "out" / "wall--speech.mp4")
    progress = Notices()
    again = batch_of(inputs, tmp_path / "out", progress=progress, workers=1)
    assert (again.done, again.kept) == (2, 2)
    assert again.again == {"grace--photo.png": "its file is gone", "wall--speech.mp4": "its file was changed"}
    assert outputs(tmp_path / "out") == singles
    assert again.made == {}  # sources and drivers come from the cache
    assert any("is made again: its file is gone" in note for note in progress.notices)


def test_what_has_changed_is_made_again_and_said(inputs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    shutil.copytree(inputs, folder)
    (folder / "d" / "speech.motion").unlink()
    batch_of(folder, tmp_path / "out", workers=1)
    shutil.copy(folder / "s" / "wall.png", folder / "d" / "photo.png")
    assert set(batch_of(folder, tmp_path / "out", workers=1).again.values()) == {"driver has changed"}
    report = batch_of(folder, tmp_path / "out", "--strength", "0.5", workers=1)
    assert set(report.again.values()) == {"--motion has changed"}


def test_bad_inputs_cost_their_pairs_alone(inputs: Path, tmp_path: Path) -> None:
    rows = tmp_path / "jobs.csv"
    write_image(tmp_path / "noface.png", np.full((200, 200, 3), 90, np.uint8))
    for name in ("grace.jpg", "photo.png"):
        shutil.copy(next(inputs.glob(f"*/{name}")), tmp_path / name)
    lines = [
        "source,driver,output,strength,keep-scale",
        "grace.jpg,photo.png,a.png,0.5,",
        "missing.jpg,photo.png,b.png,,",
        "noface.png,photo.png,c.png,,",
        "noface.png,grace.jpg,c2.png,,",
        "grace.jpg,photo.png,a.png,,",
        "grace.jpg,photo.png,d.png,many,",
        "grace.jpg,photo.png,e.png,,perhaps",
        "grace.jpg,photo.png,f.png,,yes",
        "grace.jpg,,g.png,,",
        "grace.jpg,photo.png,h.mp4,,",
        'grace.jpg,photo.png,"i,j.png",1,no,more',
    ]
    rows.write_bytes("\n".join(lines).encode() + b"\ngr\xe4ce.jpg,photo.png,k.png,,\n")
    out = tmp_path / "out"
    jobs, refused = read_jobs(rows, out, configure_by(SIZE))
    report = run(jobs, BatchOptions(out), refused=refused)
    assert isinstance(report, BatchReport)
    assert set(outputs(out)) == {"a.png", "f.png"}
    found = {one.row: (one.kind, one.reason) for one in report.refusals}
    expected = {
        3: ("InputError", "no such file"),
        4: ("InputError", "no face"),
        5: ("InputError", "no face"),
        6: ("OutputError", "is the output of row 2, too"),
        7: ("UsageError", "strength"),
        8: ("UsageError", "perhaps is neither yes nor no"),
        10: ("InputError", "no driver"),
        11: ("UsageError", "is a picture"),
        12: ("InputError", "more cells than"),
        13: ("InputError", r"gr\xe4ce.jpg is not UTF-8"),
    }
    assert {row: kind for row, (kind, _) in found.items()} == {row: kind for row, (kind, _) in expected.items()}
    for row, (_, words) in expected.items():
        assert words in found[row][1], row
    assert {one.pair for one in report.refusals} >= {"b.png", "c.png", "a.png", "d.png"}
    noted = {row["row"] for row in journal(out) if row["state"] == "refused"}
    assert noted == set(expected)


def test_unknown_columns_name_the_nearest_option(inputs: Path, tmp_path: Path) -> None:
    rows = ['{"source": "a", "driver": "b", "strenght": 1}', "", "[1]", "nonsense", '{"source": "a"}']
    (tmp_path / "jobs.jsonl").write_text("\n".join(rows))
    jobs, refused = read_jobs(tmp_path / "jobs.jsonl", tmp_path, configure_by([]))
    assert jobs == []
    assert [(one.row, one.reason.split(";")[-1].strip()) for one in refused[:1]] == [(1, "strength is")]
    assert [one.row for one in refused] == [1, 3, 4, 5]
    (tmp_path / "jobs.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="first row must name the columns"):
        read_jobs(tmp_path / "jobs.csv", tmp_path, configure_by([]))
    (tmp_path / "jobs.csv").write_text("source;driver;background\n")
    with pytest.raises(InputError, match="holds no rows"):
        read_jobs(tmp_path / "jobs.csv", tmp_path, configure_by([]))
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "jobs.csv").write_text("source;driver;background\n\xe4.jpg;b,c.mp4;#fff\n", encoding=encoding)
        (job,), _ = read_jobs(tmp_path / "jobs.csv", tmp_path, configure_by([]))
        assert (job.config.source, job.config.driver) == (tmp_path / "\xe4.jpg", tmp_path / "b,c.mp4")
        assert job.config.background == "#fff"


def test_killed_run_goes_on_and_leaves_nothing(inputs: Path, singles: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [f"--sources={inputs}/s", f"--drivers={inputs}/d", "-o", str(out), "--workers", "2", *SIZE, "--no-gallery"]
    line = [sys.executable, str(Path(__file__).with_name("batch_driver.py")), *words]
    process = subprocess.Popen(line, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # Names of unfinished ones begin with a point, and may be gone before they are read.
    wait_for(lambda: any(path.suffix in (".mp4", ".png") for path in out.glob("[!.]*")), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    made = set(outputs(out))
    done = subprocess.run(line, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert outputs(out) == singles
    assert {path.name for path in out.iterdir()} == {*singles, ".batch", "batch.jsonl"}
    twice = [row["pair"] for row in journal(out) if row["state"] == "done"]
    assert len(twice) <= len(singles) + 2
    assert made


def test_interrupted_run_leaves_nothing_half_made(inputs: Path, tmp_path: Path) -> None:
    out, sources = tmp_path / "out", tmp_path / "s"
    sources.mkdir()
    for number in range(8):  # so many that the request does not come when all is done
        shutil.copy(inputs / "s" / "grace.jpg", sources / f"{number}.jpg")
    words = [f"--sources={sources}", f"--drivers={inputs}/d", "-o", str(out), "--workers", "2", "--size", "512"]
    line = [sys.executable, str(Path(__file__).with_name("batch_driver.py")), *words]
    process = subprocess.Popen(line, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: any(out.glob(".*-partial-*.mp4")), process)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(120) == 130
    assert not list(out.rglob("*-partial-*"))


def wait_for(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 300
    while not ready():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)


def test_foreign_outputs_are_not_touched_and_a_second_batch_waits(inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "grace--photo.png").write_text("dear to somebody")
    config = configure_by(SIZE)(inputs / "s" / "grace.jpg", inputs / "d" / "photo.png", out / "grace--photo.png", {})
    report = run([Job(config)], BatchOptions(out))
    assert isinstance(report, BatchReport)
    assert "exists already and is not of this batch" in report.refusals[0].reason
    assert (out / "grace--photo.png").read_text() == "dear to somebody"
    with claim(out / ".batch", "run"), pytest.raises(OutputError, match="another batch is at work"):
        run([Job(config)], BatchOptions(out))


def test_worker_that_dies_is_not_the_end(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker is ended from outside of any pair's fault: the pair is done all the same."""
    monkeypatch.setenv("AVATARKIT_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr("avatarkit.pipelines.batch.status.WRITE_EVERY_S", 0.0)  # a fast machine is done in less
    victims: list[int] = []

    def strike(status: Any) -> None:
        for entry in Path("/proc").iterdir() if status.workers and not victims else []:
            with contextlib.suppress(OSError, ValueError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                line = (entry / "cmdline").read_bytes()
                if parent == os.getpid() and b"spawn_main" in line:
                    victims.append(int(entry.name))
                    os.kill(int(entry.name), signal.SIGKILL)

    out = tmp_path / "out"
    config = configure_by(SIZE)(inputs / "s" / "grace.jpg", inputs / "d" / "speech.motion", out / "a.mp4", {})
    report = run([Job(config)], BatchOptions(out), show=strike)
    assert isinstance(report, BatchReport)
    assert (len(victims), report.complete) == (1, True)


def test_slurm_shares_the_pairs(inputs: Path, singles: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    jobs = grid(files_of(f"{inputs}/s", "-"), files_of(f"{inputs}/d", "-"), out, configure_by(SIZE))
    options = BatchOptions(out, runner="slurm")
    first = run(jobs, options, environment={}, command="avatarkit batch x")
    assert isinstance(first, ArrayReport)
    assert first.summary_lines()[1].startswith("sbatch --array=0-3 ")
    for number in (1, 0):
        report = run(jobs, options, environment={"SLURM_ARRAY_TASK_ID": str(number), "SLURM_ARRAY_TASK_COUNT": "2"})
        assert isinstance(report, BatchReport)
        assert (report.total, report.done) == (2, 2)
    assert outputs(out) == singles
    assert sum(status.done for status in read_status(out)) == 4


def test_files_of(inputs: Path, tmp_path: Path) -> None:
    assert [path.name for path in files_of(str(inputs / "s"), "--sources")] == ["grace.jpg", "wall.png"]
    assert [path.name for path in files_of(f"{inputs}/s/*.png", "--sources")] == ["wall.png"]
    (tmp_path / "list.txt").write_text("# two\nb.png\n\n../a.png\n")
    assert files_of(str(tmp_path / "list.txt"), "-") == [tmp_path / "b.png", tmp_path / ".." / "a.png"]
    with pytest.raises(InputError, match=r"--drivers .*nothing: no files"):
        files_of(str(tmp_path / "nothing"), "--drivers")


def test_zip_limit_shuffle_and_names(tmp_path: Path) -> None:
    a, b = [Path("a1.png"), Path("a2.png")], [Path("b1.mp4"), Path("b2.mp4")]
    configure = configure_by([])
    zipped = grid(a, b, tmp_path, configure, pairs="zip", name="{driver}_{source}")
    assert [job.config.output.name for job in zipped] == ["b1_a1.mp4", "b2_a2.mp4"]
    every = grid(a, b, tmp_path, configure)
    assert len(drawn(every, limit=3)) == 3
    mixed = drawn(every, shuffle=1)
    assert sorted(job.config.output for job in mixed) == sorted(job.config.output for job in every)
    assert mixed == drawn(every, shuffle=1)
    with pytest.raises(UsageError, match="2 sources and 1 drivers"):
        grid(a, b[:1], tmp_path, configure, pairs="zip")
    for pattern in ("{nobody}", "{source.x}", "{"):
        with pytest.raises(UsageError, match=r"use \{source\} and \{driver\}"):
            grid(a, b, tmp_path, configure, name=pattern)


def test_inputs_of_one_name_are_told_apart() -> None:
    sources = [Path(name) for name in ("a/me.png", "b/me.png", "you.png", "you.jpg")]
    jobs = grid(sources, [Path("d.mp4")], Path("out"), configure_by([]))
    names = ["a-me--d.mp4", "b-me--d.mp4", "you.png--d.mp4", "you.jpg--d.mp4"]
    assert [job.config.output.name for job in jobs] == names


def test_outputs_get_an_ending_that_holds_them(inputs: Path, tmp_path: Path) -> None:
    source, video, picture = inputs / "s" / "grace.jpg", inputs / "d" / "speech.motion", inputs / "d" / "photo.png"
    for words, name in (
        ([], "grace--speech.mp4"),
        (["--background", "transparent"], "grace--speech.mov"),
        (["--codec", "vp9"], "grace--speech.webm"),
        (["--codec", "png"], "grace--speech"),
        (["--preview"], "grace--speech.png"),
    ):
        jobs = grid([source], [video, picture], tmp_path, configure_by(words))
        assert [job.config.output.name for job in jobs] == [name, "grace--photo.png"]
    for option in ("--report", "--layers"):
        with pytest.raises(UsageError, match=f"{option}: names one .* for all pairs"):
            configure_by([option, "x"])
    (tmp_path / "jobs.csv").write_text(f"source,driver,layers,background\n{source},{video},a,transparent\n")
    (job,), _ = read_jobs(tmp_path / "jobs.csv", tmp_path / "out", configure_by([]))
    assert (job.config.output.name, job.config.layers) == ("grace--speech.mov", tmp_path / "out" / "a")


def test_command_line(inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = ["--sources", str(inputs / "s" / "grace.jpg"), "--drivers", str(inputs / "d")]
    words = ["batch", *both, "-o", str(tmp_path / "out")]
    assert command([*words, "--sise", "64"]) == 2
    assert "--sise" in capsys.readouterr().err
    assert command([*words, *SIZE, "--limit", "1", "--workers", "1", "--json", "-q"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["total"], report["done"], report["refused"]) == (1, 1, [])
    assert command(["batch", "-o", str(tmp_path / "out"), "--status"]) == 0
    assert capsys.readouterr().out.startswith("1 of 1 pairs made; done on ")
    assert command([*words, *SIZE, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "1 pair to make, 1 kept, 0 refused" in out
    assert "MB of outputs" in out
    (tmp_path / "jobs.csv").write_text(f"source,driver\n{tmp_path}/none.png,{tmp_path}/none.mp4\n")
    assert command(["batch", "--jobs", str(tmp_path / "jobs.csv"), "-o", str(tmp_path / "out2")]) == 3
    assert "no such file" in capsys.readouterr().out
    assert command(["batch", "-o", str(tmp_path / "nowhere"), "--status"]) == 3


def test_configuration_is_that_of_the_single_command(tmp_path: Path) -> None:
    configure = configure_by(["--size", "128", "--strength", "0.5"])
    config = configure(Path("a"), Path("b"), tmp_path / "o.mp4", {"size": "96"})
    assert isinstance(config, ReenactConfig)
    assert (config.size, config.motion.strength, config.crop_scale) == (96, 0.5, 2.4)
