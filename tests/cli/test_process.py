"""The command as a process: signals, a reader that leaves, locales."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

SETUP = """
import sys, types
from types import SimpleNamespace
def replace(name, **members):
    module = types.ModuleType("avatarkit.pipelines." + name)
    vars(module).update(members)
    sys.modules[module.__name__] = module
"""


def start(body: str, cwd: Path, *arguments: str) -> subprocess.Popen[str]:
    """Run the command in a process of its own, with a stand-in pipeline defined by `body`."""
    code = SETUP + textwrap.dedent(body) + "\nfrom avatarkit.cli.app import main\nmain()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_clean_up(number: signal.Signals, tmp_path: Path, repo_root: Path) -> None:
    body = f"""
    import time, pathlib
    from avatarkit.cli import signals
    signals.GRACE_S = 60.0  # a busy machine takes long to clean up
    def reenact(config, progress):
        pending = pathlib.Path({str(tmp_path / "pending")!r})
        pending.touch()
        try:
            print("ready", flush=True)
            time.sleep(60)
        finally:
            pending.unlink()
    replace("reenact", ReenactConfig=SimpleNamespace, reenact=reenact)
    """
    process = start(body, repo_root, "reenact", "a", "b", "-o", "c")
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    assert (tmp_path / "pending").exists()
    process.send_signal(number)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, out, err) == (128 + number, "", "interrupted: nothing was written\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["swallowed", "native"])
def test_clean_up_that_does_not_come_is_done_from_outside(how: str, tmp_path: Path, repo_root: Path) -> None:
    """A library swallows the exception, or native code holds the main thread."""
    body = f"""
    import ctypes, subprocess, sys, time, pathlib
    from avatarkit.media.output import pending_output
    def reenact(config, progress):
        with pending_output({str(tmp_path / "out.mp4")!r}, overwrite=False):
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
            print(child.pid, flush=True)
            while {how!r} == "swallowed":
                try:
                    time.sleep(60)
                except KeyboardInterrupt:
                    pass
            ctypes.CDLL(None).poll(None, 0, 60_000)
            ctypes.CDLL(None).poll(None, 0, 60_000)
    replace("reenact", ReenactConfig=SimpleNamespace, reenact=reenact)
    """
    process = start(body, repo_root, "reenact", "a", "b", "-o", "c")
    assert process.stdout
    child = int(process.stdout.readline())
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=300)
    assert time.monotonic() - began < 45
    assert (process.returncode, out, err) == (143, "", "interrupted: nothing was written\n")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_threads_that_still_draw_do_not_abort_the_end(repo_root: Path) -> None:
    """Native code that a daemon thread runs at the end comes back into an interpreter that is gone."""
    body = """
    import threading, time
    import cv2, numpy as np
    def draw():
        picture = np.zeros((2000, 2000, 3), np.uint8)
        while True:
            cv2.GaussianBlur(picture, (31, 31), 5)
    def reenact(config, progress):
        for _ in range(3):
            threading.Thread(target=draw, daemon=True).start()
        print("ready", flush=True)
        time.sleep(60)
    replace("reenact", ReenactConfig=SimpleNamespace, reenact=reenact)
    """
    process = start(body, repo_root, "reenact", "a", "b", "-o", "c")
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=300) == ("", "interrupted: nothing was written\n")
    assert process.returncode == 143


def test_closed_reader_is_no_error(repo_root: Path) -> None:
    body = """
    overview = SimpleNamespace(rows=lambda: [("x" * 999, "y")] * 999, series={})
    replace("motion", show_motion=lambda path: overview, plot_motion=None)
    """
    process = start(body, repo_root, "motion", "show", "f")
    assert process.stdout
    process.stdout.close()
    assert process.wait(timeout=300) == 141
    assert process.stderr
    assert process.stderr.read() == ""
    process.stderr.close()


@pytest.mark.parametrize("arguments", [["--help"], ["reenact", "--help"], ["weights", "--help"]])
def test_help_into_a_closed_pipe_is_no_error(repo_root: Path, arguments: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    words = [sys.executable, "-m", "avatarkit", *arguments]
    done = subprocess.run(words, cwd=repo_root, stdout=write, stderr=subprocess.PIPE, timeout=300, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_any_name_can_be_printed_in_any_locale(repo_root: Path) -> None:
    body = """
    report = SimpleNamespace(summary_lines=lambda: ["wrote 東京.mp4"])
    replace("reenact", ReenactConfig=SimpleNamespace, reenact=lambda config, progress: report)
    """
    code = SETUP + textwrap.dedent(body) + "\nfrom avatarkit.cli.app import main\nmain()"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-c", code, "reenact", "a", "b", "-o", "c"], cwd=repo_root, env=environment,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "wrote \\u6771\\u4eac.mp4\n"), done.stderr


@pytest.mark.parametrize(("debug", "noise"), [("", ""), ("1", "native noise\n")])
def test_native_logs_stay_off_the_terminal(
    debug: str, noise: str, repo_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVATARKIT_DEBUG", debug)
    body = """
    def reenact(config, progress):
        import os, warnings
        os.write(2, b"native noise\\n")
        progress.notice("two faces")
        return SimpleNamespace(summary_lines=lambda: ["done"])
    replace("reenact", ReenactConfig=SimpleNamespace, reenact=reenact)
    """
    process = start(body, repo_root, "reenact", "a", "b", "-o", "c")
    out, err = process.communicate(timeout=300)
    assert (process.returncode, out, err) == (0, "done\n", f"{noise}note: two faces\n")


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_streams_are_no_error(closed: str, repo_root: Path) -> None:
    command = f"exec {shlex.quote(sys.executable)} -m avatarkit --version {closed}"
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=repo_root, capture_output=True, timeout=300, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_folder_that_is_gone_is_no_internal_error(repo_root: Path, tmp_path: Path) -> None:
    body = """
    import os, pathlib
    def reenact(config, progress):
        pathlib.Path("x").absolute()
    replace("reenact", ReenactConfig=SimpleNamespace, reenact=reenact)
    os.rmdir(os.getcwd())
    """
    (tmp_path / "gone").mkdir()
    process = start(f"import sys; sys.path.insert(0, {str(repo_root)!r})\n" + textwrap.dedent(body), tmp_path / "gone",
                    "reenact", "a", "b", "-o", "c")  # fmt: skip
    _, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (
        3, "error: the folder in which this was started is gone; change to another one\n"
    )  # fmt: skip


@pytest.mark.parametrize("how", ["in a destructor", "as another error"])
def test_requests_that_libraries_swallow_still_count(how: str, repo_root: Path) -> None:
    body = f"""
    import os, signal
    from avatarkit.errors import DependencyError
    class Dying:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(1000):
                pass
    def reenact(config, progress):
        import time
        if {how!r} == "in a destructor":
            dying = Dying()
            del dying
            time.sleep(240)
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(240)
        except KeyboardInterrupt as error:
            raise DependencyError("cannot be imported") from error
    replace("reenact", ReenactConfig=SimpleNamespace, reenact=reenact)
    """
    process = start(body, repo_root, "reenact", "a", "b", "-o", "c")
    assert process.communicate(timeout=120) == ("", "interrupted: nothing was written\n")
    assert process.returncode == 143


def test_ctrl_c_before_the_program_is_loaded_shows_no_traceback(repo_root: Path) -> None:
    code = "import builtins, os, runpy, signal\nreal = builtins.__import__\n" + textwrap.dedent("""
    def interrupted(name, *rest, **more):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)
        return real(name, *rest, **more)
    builtins.__import__ = interrupted
    runpy.run_module("avatarkit", run_name="__main__")
    """)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repo_root, capture_output=True, timeout=300, check=False
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_request_after_the_end_changes_nothing(number: signal.Signals, tmp_path: Path, repo_root: Path) -> None:
    """While Python takes itself apart, which can last: the output stands, and the exit code says so."""
    body = f"""
    import os, time
    from avatarkit.cli import app
    real = app.Interrupts.__exit__
    def ended(self, *about):
        real(self, *about)
        os.kill(os.getpid(), {int(number)})
        time.sleep(0.2)
    app.Interrupts.__exit__ = ended
    report = SimpleNamespace(summary_lines=lambda: [])
    replace("reenact", ReenactConfig=SimpleNamespace, reenact=lambda config, progress: report)
    """
    process = start(body, repo_root, "reenact", "a", "b", "-o", "c", "-q")
    assert (process.communicate(timeout=300), process.returncode) == (("", ""), 0)


def test_limit_on_file_sizes_names_the_file(tmp_path: Path, repo_root: Path) -> None:
    code = textwrap.dedent(f"""
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    from avatarkit.media.output import pending_output
    from avatarkit.errors import OutputError
    try:
        with pending_output({str(tmp_path / "o.bin")!r}, overwrite=False) as path:
            path.write_bytes(bytes(2000))
    except OutputError as error:
        print(error)
    """)
    done = subprocess.run([sys.executable, "-c", code], cwd=repo_root, capture_output=True, text=True, check=False)
    assert done.stdout == f"{tmp_path}/o.bin: cannot be written: File too large\n", done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lines", [1, 10, 25])
def test_a_reader_who_leaves_in_the_middle_of_the_help(repo_root: Path, lines: int) -> None:
    """However much the pipe took before: never an internal error."""
    words = [sys.executable, "-m", "avatarkit", "--help"]
    process = subprocess.Popen(words, cwd=repo_root, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout
    assert process.stderr
    for _ in range(lines):
        process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=300) in (0, 141)
    process.stderr.close()
