"""Kill -9 at any moment, then the same command: the bytes of an uninterrupted run, and nobody is left behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from prepare_kit import contents, job_of, start, write_videos

from avatarkit.data.ledger import read_table
from avatarkit.pipelines.prepare.run import prepare

WORKERS, KILLS = 2, 6


def children_of(pid: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(folder.name))
    return found


def alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(condition: object, limit_s: float = 120.0) -> bool:
    end_s = time.monotonic() + limit_s
    while time.monotonic() < end_s:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes by /proc")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of videos, one of which always crashes, and the result of an uninterrupted run."""
    root = tmp_path_factory.mktemp("whole")
    folder = write_videos(root / "in", ["slow 0.1"] * 9 + ["crash", "reject", "partial"] + ["slow 0.1"] * 9)
    prepare(job_of(folder, root / "out", run={"workers": WORKERS}))
    return folder, root / "out"


@needs_proc
def test_any_kill_point_resumes_to_the_same_bytes(whole: tuple[Path, Path], tmp_path: Path) -> None:
    folder, expected = whole
    out, draw, struck = tmp_path / "out", random.Random(7), 0
    for _ in range(KILLS):
        process = start(folder, out, WORKERS)
        # Of the work and not of the imports: from the moment on at which there is something to lose.
        wait_until(lambda: (out / ".work").exists() or process.poll() is not None)  # noqa: B023
        time.sleep(draw.uniform(0.0, 1.2))
        workers = children_of(process.pid)
        struck += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert wait_until(lambda: not any(map(alive, workers))), "workers outlive their parent"  # noqa: B023
    assert struck
    process = start(folder, out, WORKERS)
    assert process.wait(300) == 0, process.stderr and process.stderr.read()
    assert contents(out) == contents(expected)
    shards = read_table(out / "ledger.sqlite", "shards")
    tries = sum(int(str(row["attempts"])) for row in shards)
    # The video that always crashes costs its shard two tries, in as many runs as were killed in between.
    assert tries <= len(shards) + KILLS * WORKERS + 2
    crashes = [row for row in read_table(out / "ledger.sqlite", "videos") if row["crashes"]]
    assert [(row["video"], row["crashes"]) for row in crashes] == [("v009", 2)]


@needs_proc
def test_whole_group_killed_blames_no_video(tmp_path: Path) -> None:
    folder, out = write_videos(tmp_path / "in", ["slow 300"]), tmp_path / "out"
    process = start(folder, out, 1)
    assert wait_until(lambda: begun(out))
    for pid in [process.pid, *children_of(process.pid)]:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    assert [row["crashes"] for row in read_table(out / "ledger.sqlite", "videos")] == [0]


@needs_proc
def test_worker_dies_with_its_parent_also_while_busy(tmp_path: Path) -> None:
    folder, out = write_videos(tmp_path / "in", ["slow 300"]), tmp_path / "out"
    process = start(folder, out, 1)
    assert wait_until(lambda: begun(out))
    workers = children_of(process.pid)
    process.kill()
    process.wait()
    assert workers
    assert wait_until(lambda: not any(map(alive, workers)), 30)


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_request_to_end_is_heeded_and_leaves_nobody(tmp_path: Path, number: int) -> None:
    folder, out = write_videos(tmp_path / "in", ["ok 1", "slow 300"]), tmp_path / "out"
    process = start_command(folder, out)
    assert wait_until(lambda: begun(out, 2))
    workers = children_of(process.pid)
    # Ctrl-C reaches the whole group; a decoder that it ended would look like a video that is cut off.
    assert any(os.getpgid(pid) == pid for pid in workers)
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert errors.splitlines()[-1] == (
        "error: interrupted: 1 of 2 shards are sealed; the same command goes on from there"
    )
    assert workers
    # Python's own helper process takes a moment longer than the workers.
    assert wait_until(lambda: not any(map(alive, workers)), 30)
    assert [row["outcome"] for row in read_table(out / "ledger.sqlite", "runs")] == ["interrupted"]
    assert [row["crashes"] for row in read_table(out / "ledger.sqlite", "videos")] == [0, 0]


@needs_proc
def test_worker_ended_by_hand_is_replaced(tmp_path: Path) -> None:
    folder, out = write_videos(tmp_path / "in", [f"wait {tmp_path / 'go'}"]), tmp_path / "out"
    process = start(folder, out, 1)
    assert wait_until(lambda: begun(out))
    for pid in children_of(process.pid):
        os.kill(pid, signal.SIGTERM)
    (tmp_path / "go").touch()
    assert process.wait(300) == 0, process.stderr and process.stderr.read()
    assert [(row["attempts"], row["crashes"]) for row in read_table(out / "ledger.sqlite", "videos")] == [(2, 0)]


def begun(out: Path, count: int = 1) -> bool:
    if not (out / "ledger.sqlite").exists():
        return False
    return sum(bool(row["attempts"]) for row in read_table(out / "ledger.sqlite", "videos")) >= count


def start_command(folder: Path, out: Path) -> subprocess.Popen[str]:
    """The driver behind the command line's own signal handling."""
    return start(folder, out, 1, DRIVER_AS_COMMAND="1")
