"""A Ray cluster of two nodes on this machine: one is lost in the middle, and the shards are the same."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from prepare_kit import HERE, Notices, contents, job_of, write_videos

from avatarkit.data.ledger import read_table
from avatarkit.errors import DependencyError
from avatarkit.pipelines.prepare.report import PrepareReport
from avatarkit.pipelines.prepare.run import prepare
from avatarkit.work import on_ray


def test_missing_ray_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(on_ray.importlib, "import_module", missing)
    with pytest.raises(DependencyError, match=r"Ray is not installed; pip install 'avatarkit\[ray\]'"):
        on_ray.run_on_ray([], None, None)  # type: ignore[arg-type]


@pytest.mark.usefixtures("short_path_for_ray")
def test_lost_node_costs_tries_and_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    folder = write_videos(tmp_path / "in", ["crash", *["slow 0.5"] * 5])
    prepare(job_of(folder, tmp_path / "local", run={"workers": 2}))
    for name, value in (("PYTHONPATH", str(HERE)), ("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    # Ray looks at its nodes every three seconds and counts to five; a test need not wait so long for a loss.
    watch = {"health_check_period_ms": 500, "health_check_timeout_ms": 3000, "health_check_failure_threshold": 4}
    head = {"num_cpus": 1, "include_dashboard": False, "_system_config": watch}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        second = cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False)
        job = job_of(folder, tmp_path / "ray", run={"runner": "ray"})
        progress = Notices()
        results: list[object] = []
        run = threading.Thread(target=lambda: results.append(prepare(job, progress)))
        run.start()
        # What a node saw goes down with it, so the crash has to have come home before one is lost.
        end_s = time.monotonic() + 60
        while not any("refused" in note for note in progress.notices) and time.monotonic() < end_s:
            time.sleep(0.05)
        cluster.remove_node(second, allow_graceful=False)
        run.join(400)
        assert not run.is_alive()
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert isinstance(results[0], PrepareReport)
    assert results[0].finished
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
    rows = read_table(job.out / "ledger.sqlite", "videos")
    assert {row["video"]: row["crashes"] for row in rows if row["crashes"]} == {"v000": 2}
    assert any("v000: the worker ended with code 9; it is refused as crashed" in note for note in progress.notices)
