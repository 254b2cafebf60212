"""The benchmark on tiny media: every part has figures of its own, and results that are written whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from avatarkit.cli.app import run
from avatarkit.errors import UsageError
from avatarkit.pipelines.bench import run as bench_module
from avatarkit.pipelines.bench.parts import BenchConfig, Speed
from avatarkit.pipelines.bench.run import bench


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from avatarkit.motion.script import Script
    from avatarkit.pipelines.demo import make_driver
    from avatarkit.runtime import NullProgress

    path = tmp_path_factory.mktemp("bench") / "driver.mp4"
    make_driver(path, size=256, script=Script(duration_s=0.6), progress=NullProgress())
    return path


def test_media_tracking_and_engines_are_measured(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    words = ["bench", "media", "tracking", "engines", "--driver", str(clip), "--size", "128", "--repeats", "1"]
    assert run([*words, "-o", str(out), "-q"]) == 0
    given = json.loads(out.read_text())
    assert [(item["part"], item["unit"]) for item in given["speeds"]] == [
        ("media", "frames"), ("media", "frames"), ("tracking", "frames"), ("engines", "frames"), ("engines", "frames"),
    ]  # fmt: skip
    for item in given["speeds"]:
        assert item["per_s"] > 0
        assert item["ratio"] == pytest.approx(item["bare_per_s"] / item["per_s"])
    table = out.with_suffix(".md").read_text()
    assert table.count(" x |") == 5
    assert "threads" in table


def test_what_cannot_be_measured_is_said(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = BenchConfig(clip, clip)
    with pytest.raises(UsageError, match="bench paint: use media, tracking"):
        bench(config, ["paint"])
    with pytest.raises(UsageError, match="bench loader: give --dataset"):
        bench(config, ["loader"])
    with pytest.raises(UsageError, match=r"ends in \.json"):
        bench(config, output=tmp_path / "bench.txt")
    speed = Speed("media", "decode", "frames", 50.0, "ffmpeg", 100.0)
    assert speed.ratio == 2

    def one(config: Any, work: Path) -> Any:
        yield speed

    monkeypatch.setattr(bench_module, "PARTS", {"media": one, "loader": one})
    report = bench(config)
    assert report.speeds == (speed,)
    assert report.left_out == {"loader": "needs --dataset"}
    assert "2.00 x the time of ffmpeg" in report.summary_lines()[0]
