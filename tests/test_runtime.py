"""Figures of a run: memory, time, versions, hashes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from avatarkit import __version__, runtime
from avatarkit.errors import InputError
from tests.memory import can_be_set_back

MIB = 1 << 20


def printed(code: str) -> int:
    """The number that a program of its own prints."""
    root = Path(runtime.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_counted() -> None:
    assert [runtime.counted(n, "frames") for n in (0, 1, 2)] == ["0 frames", "1 frame", "2 frames"]
    assert runtime.counted(1, "people") == "1 person"


def test_progress_can_be_ignored() -> None:
    progress: runtime.Progress = runtime.NullProgress()
    progress.stage("render", None)
    progress.advance()
    progress.notice("two faces")


def test_stage_times_add_up_and_survive_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 1.0, 10.0, 12.5, 20.0, 20.25])
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
    timer = runtime.StageTimer()
    with timer.stage("decode"):
        pass
    with timer.stage("warp"):
        pass
    with pytest.raises(ValueError, match="x"), timer.stage("decode"):
        raise ValueError("x")
    assert timer.seconds == {"decode": 1.25, "warp": 2.5}


def test_versions_name_what_is_installed() -> None:
    found = runtime.versions()
    assert found["avatarkit"] == __version__
    assert found["python"] == "{}.{}.{}".format(*sys.version_info[:3])
    assert found["numpy"] == np.__version__
    assert set(found) <= {"avatarkit", "python", *runtime.PACKAGES}


def test_sha256_of_known_bytes(tmp_path: Path) -> None:
    path = tmp_path / "näme with 'quotes'.bin"
    path.write_bytes(b"abc")
    assert runtime.sha256_file(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    path.write_bytes(b"a" * 1_000_000)
    assert runtime.sha256_file(path) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"


@pytest.mark.parametrize("name", ["missing.bin", "."])
def test_sha256_of_nothing_is_an_input_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^cannot read .*: (No such file|Is a directory)"):
        runtime.sha256_file(tmp_path / name)


def test_cpu_threads_is_positive() -> None:
    assert runtime.cpu_threads() >= 1


@pytest.mark.parametrize(
    ("text", "processors"), [("200000 100000\n", 2), ("150000 100000", 2), ("max 100000", None), ("", None)]
)
def test_container_quota(text: str, processors: int | None, tmp_path: Path) -> None:
    path = tmp_path / "cpu.max"
    path.write_text(text)
    assert runtime._container_quota(path) == processors


def test_container_quota_without_a_file(tmp_path: Path) -> None:
    assert runtime._container_quota(tmp_path / "cpu.max") is None


def test_cpu_threads_honours_the_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_container_quota", lambda path: 1)
    assert runtime.cpu_threads() == 1


def test_peak_memory_is_kept_after_the_memory_is_freed() -> None:
    # In a process of its own: above the peak of a whole suite there may be gigabytes to fill.
    code = """if True:
        from avatarkit.runtime import peak_memory_bytes
        before = peak_memory_bytes()
        block = bytearray(before + 64 * 2**20)
        block[::4096] = b"x" * len(block[::4096])
        del block
        print(peak_memory_bytes() - before)
    """
    assert printed(code) > 60 * MIB


def test_peak_memory_is_not_inherited_from_a_bigger_parent() -> None:
    block = bytearray(b"x" * 300 * MIB)
    found = printed("from avatarkit.runtime import peak_memory_bytes; print(peak_memory_bytes())")
    assert len(block) > 10 * MIB
    assert 0 < found < 100 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="children are measured through /proc")
def test_memory_meter_counts_children_alive() -> None:
    # In a process of its own: a suite's may have children that end meanwhile.
    code = (
        "import subprocess, time; from avatarkit.runtime import MemoryMeter, peak_memory_bytes\n"
        "dd = ['dd', 'if=/dev/zero', 'bs=200M', 'count=1']\n"
        "own, until = peak_memory_bytes(), time.monotonic() + 60\n"
        "with (\n"
        "    MemoryMeter(interval_s=0.01) as meter,\n"
        "    subprocess.Popen(dd, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child,\n"
        "):\n"
        "    child.stdout.read(1)  # its buffer is full now, and it waits to write the rest\n"
        "    while meter.peak_bytes < own + (200 << 20) and time.monotonic() < until: time.sleep(0.05)\n"
        "    child.kill()\n"
        "print(meter.peak_bytes - own)"
    )
    assert 200 * MIB <= printed(code) < 250 * MIB


@pytest.mark.skipif(not can_be_set_back(), reason="the system's record of the peak cannot begin anew here")
def test_memory_meter_looks_for_a_later_peak_after_what_was_released() -> None:
    with runtime.MemoryMeter(interval_s=10.0) as meter:
        # Small pieces with one kept above them: freed, they stay this process' until they are given back.
        pieces = [bytes(64 << 10) + bytes([n % 256]) for n in range(3200)]
        last = bytes(64 << 10) + b"x"
        peak = runtime.peak_memory_bytes()
        pieces.clear()
        meter.release()
        assert runtime.peak_memory_bytes() < peak - 150 * MIB
    assert meter.peak_bytes >= peak
    assert last


@pytest.mark.skipif(sys.platform != "linux", reason="children are measured through /proc")
def test_memory_meter_counts_what_forked_children_have_of_their_own() -> None:
    code = (
        "import os, time; from avatarkit.runtime import MemoryMeter, peak_memory_bytes\n"
        "shared = bytearray(b'x' * (200 << 20)); own = peak_memory_bytes()\n"
        "until = time.monotonic() + 60\n"
        "with MemoryMeter(interval_s=0.01) as meter:\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        block = bytearray(100 << 20); block[::4096] = b'x' * 25600; time.sleep(90)\n"
        "        os._exit(0)\n"
        "    while meter.peak_bytes < own + (100 << 20) and time.monotonic() < until: time.sleep(0.05)\n"
        "    time.sleep(0.5); os.kill(child, 9); os.waitpid(child, 0)\n"
        "print(meter.peak_bytes - own)"
    )
    assert 100 * MIB <= printed(code) < 150 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="children are measured through /proc")
def test_a_child_that_appears_meanwhile_is_not_taken_for_another_program(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = iter([[], [os.getpid()]])  # a process of this program that is there from the second listing on
    own = runtime.peak_memory_bytes()
    monkeypatch.setattr(runtime, "_child_pids", lambda: next(seen))
    assert runtime.peak_memory_bytes() < 1.5 * own


def test_without_proc_the_usage_of_the_system_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_high_water_bytes", lambda pid: None)
    assert runtime.peak_memory_bytes() > MIB
