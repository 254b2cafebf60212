"""`avatarkit prepare-data`: options in, a job out; errors as one line and a code."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from avatarkit.cli.app import run
from avatarkit.cli.parsing import byte_size
from avatarkit.errors import InputError, UsageError
from avatarkit.pipelines import prepare as prepare_package
from avatarkit.pipelines.prepare.config import PrepareJob
from avatarkit.runtime import cpu_threads

REPORT = SimpleNamespace(
    summary_lines=lambda: ["all is well"], to_json=lambda: {"well": True}, table=lambda: [("a", "b"), ("1", "2")]
)


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, PrepareJob]]:
    """The jobs that commands make, instead of carrying them out."""
    found: list[tuple[str, PrepareJob]] = []

    def prepare(job: PrepareJob, progress: Any, *, command: str) -> SimpleNamespace:
        if job.out.name == "bad":
            raise InputError("nothing was accepted")
        found.append((command, job))
        return REPORT

    def dry_run(job: PrepareJob, progress: Any) -> SimpleNamespace:
        found.append(("dry", job))
        return REPORT

    module = ModuleType("avatarkit.pipelines.prepare.run")
    vars(module).update(prepare=prepare, dry_run=dry_run)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(prepare_package, "run", module, raising=False)
    return found


@pytest.mark.parametrize("command", ["voxceleb2", "ffhq", "videos"])
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["prepare-data", command, "--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("--output", "--workers", "--runner", "--dry-run", "--limit", "--iqa", "--seed"))


def test_defaults_of_voxceleb2(jobs: list[tuple[str, PrepareJob]], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["prepare-data", "voxceleb2", "--metadata", "txt", "--originals", "videos", "--output", "o"]) == 0
    [(_, job)] = jobs
    assert (job.source.kind, job.out, job.source.metadata, job.source.originals) == (
        "voxceleb2", Path("o"), Path("txt"), Path("videos"),
    )  # fmt: skip
    assert (job.config.size, job.config.least_head_px, job.config.max_frames) == (512, 512, 250)
    assert job.rule.keep_top == 0.5
    assert job.run.workers == cpu_threads()
    assert job.run.disk_quota is None
    assert capsys.readouterr().out == "all is well\n"


def test_options_of_fetching(jobs: list[tuple[str, PrepareJob]]) -> None:
    options = ["--download", "--disk-quota", "1.5GB", "--keep-originals", "--rate-per-hour", "60", "--proxy", "http://p"]
    options += ["--max-height", "720", "--retry-failed", "--workers", "3", "--cookies", "c.txt"]
    assert run(["prepare-data", "voxceleb2", "--metadata", "txt", "--output", "o", *options]) == 0
    [(_, job)] = jobs
    assert (job.run.disk_quota, job.run.keep_originals, job.run.retry_failed, job.run.workers) == (
        1_500_000_000, True, True, 3,
    )  # fmt: skip
    fetch = job.fetch
    assert (fetch.rate_per_hour, fetch.proxy, fetch.max_height, fetch.cookies) == (60, "http://p", 720, Path("c.txt"))


def test_videos_and_their_runner(jobs: list[tuple[str, PrepareJob]], monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["prepare-data", "videos", "a b", "c.mp4", "-o", "o", "--runner", "slurm", "--identity-from", "folder"]
    monkeypatch.setattr(sys, "argv", ["avatarkit", *words])
    assert run(words) == 0
    [(command, job)] = jobs
    assert job.source.paths == (Path("a b"), Path("c.mp4"))
    assert (job.run.runner, job.source.identity_from, job.rule.keep_top) == ("slurm", "folder", 1.0)
    assert command.startswith("avatarkit prepare-data videos 'a b' c.mp4 ")


def test_ffhq(jobs: list[tuple[str, PrepareJob]]) -> None:
    words = ["--images", "i", "--metadata", "f.json", "--features", "fe", "--max-faces", "2", "--min-age", "21"]
    assert run(["prepare-data", "ffhq", *words, "--output", "o", "--limit", "9"]) == 0
    [(_, job)] = jobs
    assert (job.source.images, job.source.json, job.source.features) == (Path("i"), Path("f.json"), Path("fe"))
    assert (job.config.size, job.config.max_faces, job.config.min_age, job.limit) == (1024, 2, 21, 9)


def test_dry_run_and_json(jobs: list[tuple[str, PrepareJob]], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["prepare-data", "videos", "a", "--output", "o", "--dry-run"]) == 0
    assert capsys.readouterr().out == "a  b\n1  2\nall is well\n"
    assert run(["prepare-data", "videos", "a", "--output", "o", "--report-json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"well": True}
    assert next(command for command, _ in jobs) == "dry"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["voxceleb2", "--metadata", "t", "--output", "o"], 2, "give --originals DIR or --download, one of the two"),
        (["voxceleb2", "--metadata", "t", "--output", "o", "--download", "--originals", "d"], 2, "one of the two"),
        (["voxceleb2", "--metadata", "t", "--output", "o", "--download", "--disk-quota", "much"], 2, "expected a size"),
        (["videos", "a", "--output", "o", "--size", "513"], 2, "--size 513: use an even number"),
        (["videos", "a", "--output", "o", "--keep-top", "0"], 2, "--keep-top 0.0: use a share above 0"),
        (["videos", "a", "--output", "o", "--val-share", "0.7", "--test-share", "0.7"], 2, "together more than 1"),
        (["videos", "a"], 2, "--output"),
        (["videos", "a", "--output", "bad"], 3, "nothing was accepted"),
    ],
)
def test_errors_are_one_line_and_a_code(
    jobs: list[tuple[str, PrepareJob]], words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["prepare-data", *words]) == code
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert message in errors


@pytest.mark.parametrize(
    ("text", "size"), [("200GB", 200 * 10**9), ("1.5 tb", 1_500_000_000_000), ("500m", 5 * 10**8), ("7", 7), ("3B", 3)]
)
def test_sizes(text: str, size: int) -> None:
    assert byte_size(text, "--disk-quota") == size


@pytest.mark.parametrize("text", ["", "GB", "-5GB", "5XB", "5 GB more"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match=r"--disk-quota .*expected a size such as 200GB"):
        byte_size(text, "--disk-quota")
