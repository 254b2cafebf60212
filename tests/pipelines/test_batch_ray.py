"""A batch on a Ray cluster of two nodes on this machine, one of which is lost in the middle."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from avatarkit.cli.batch import configure_by
from avatarkit.pipelines.batch import BatchOptions, Job, run
from avatarkit.pipelines.batch.run import BatchReport
from avatarkit.pipelines.batch.status import journal
from avatarkit.pipelines.reenact import reenact
from avatarkit.runtime import NullProgress

PAIRS = 6


@pytest.mark.usefixtures("short_path_for_ray")
def test_lost_node_costs_no_pair(
    grace_hopper_path: Path, motion_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    shutil.copy(motion_file, tmp_path / "d.motion")
    out = tmp_path / "out"
    configs = [
        configure_by(["--size", "64", "--strength", str(0.5 + number / 10)])(
            grace_hopper_path, tmp_path / "d.motion", out / f"{number}.mp4", {}
        )
        for number in range(PAIRS)
    ]
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    monkeypatch.setattr(sys.modules["avatarkit.pipelines.batch.run"], "LOT", 2)
    watch = {"health_check_period_ms": 500, "health_check_timeout_ms": 3000, "health_check_failure_threshold": 4}
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "_system_config": watch}
    )
    results: list[object] = []
    try:
        second = cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False)
        options = BatchOptions(out, runner="ray")
        thread = threading.Thread(target=lambda: results.append(run([Job(one) for one in configs], options)))
        thread.start()
        end_s = time.monotonic() + 90
        while not list(out.glob("*.mp4")) and time.monotonic() < end_s:
            time.sleep(0.05)
        cluster.remove_node(second, allow_graceful=False)
        thread.join(400)
        assert not thread.is_alive()
    finally:
        ray.shutdown()
        cluster.shutdown()
    report = results[0]
    assert isinstance(report, BatchReport)
    assert report.complete
    done = Counter(row["pair"] for row in journal(out) if row["state"] == "done")
    assert set(done.values()) <= {1}
    (tmp_path / "single").mkdir()
    for number in (0, PAIRS - 1):
        single = configure_by(["--size", "64", "--strength", str(0.5 + number / 10)])(
            grace_hopper_path, tmp_path / "d.motion", tmp_path / "single" / f"{number}.mp4", {}
        )
        reenact(single, NullProgress())
        assert (tmp_path / "single" / f"{number}.mp4").read_bytes() == (out / f"{number}.mp4").read_bytes()
    assert sorted(path.name for path in out.glob("*.mp4")) == [f"{number}.mp4" for number in range(PAIRS)]
