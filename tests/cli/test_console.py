"""What reaches the terminal, on which stream, and in how many lines."""

from __future__ import annotations

import io
import json

import pytest

from avatarkit.cli.console import Console, OutputClosedError
from avatarkit.cli.progress import LineDisplay, LiveDisplay, Unit
from avatarkit.runtime import Progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """Seconds that pass when told."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def lines() -> list[str]:
    return []


def test_console_is_a_progress() -> None:
    progress: Progress = Console()
    assert progress is not None


def test_lines_come_by_time_and_by_share(lines: list[str]) -> None:
    clock = Clock()
    display = LineDisplay(lines.append, clock)
    display.stage("render", 100)
    for clock.now_s in range(1, 21):  # 5 frames a second: 10 % every two seconds
        display.advance(5)
    display.close(done=True)
    assert lines[0] == "render: 10 of 100 frames, 10 %, 5.0 frames/s, 18 s left"
    assert lines[-2] == "render: 90 of 100 frames, 90 %, 5.0 frames/s, 2.0 s left"
    assert lines[-1] == "render: 100 frames in 20 s, 5.0 frames/s"
    assert len(lines) == 10


def test_stage_is_shown_in_its_own_unit(lines: list[str]) -> None:
    clock = Clock()
    display = LineDisplay(lines.append, clock)
    display.stage("look at videos", 8, "videos")
    clock.now_s = 5.0
    display.advance(1)
    clock.now_s = 10.0
    display.advance(7)
    display.stage("render", 2)
    clock.now_s = 12.0
    display.advance(2)
    display.close(done=True)
    assert lines == [
        "look at videos: 1 of 8 videos, 12 %, 0.2 videos/s, 35 s left",
        "look at videos: 8 videos in 10 s, 0.8 videos/s",
        "render: 2 frames in 2.0 s, 1.0 frames/s",
    ]


@pytest.mark.parametrize(
    ("unit", "count", "amount", "rate"),
    [
        ("frames", 1, "1 frame", "1.0 frames/s"),
        ("photos", 0, "0 photos", "0.0 photos/s"),
        ("bytes", 57_462_000, "57.5 MB", "57.5 MB/s"),
        ("bytes", 1_000_000, "1.0 MB", "1.0 MB/s"),
    ],
)
def test_units_are_plurals_but_for_one_and_bytes_are_megabytes(
    unit: str, count: int, amount: str, rate: str
) -> None:
    assert (Unit(unit).amount(count), Unit(unit).rate(count)) == (amount, rate)


def test_slow_stage_of_unknown_length_gives_a_line_every_five_seconds(lines: list[str]) -> None:
    clock = Clock()
    display = LineDisplay(lines.append, clock)
    display.stage("decode", None)
    for clock.now_s in range(1, 13):
        display.advance(2)
    display.close(done=True)
    assert lines == [
        "decode: 10 frames, 2.0 frames/s",
        "decode: 20 frames, 2.0 frames/s",
        "decode: 24 frames in 12 s, 2.0 frames/s",
    ]


def test_fast_stages_give_one_line_each(lines: list[str]) -> None:
    clock = Clock()
    display = LineDisplay(lines.append, clock)
    display.stage("prepare", None)
    clock.now_s = 0.5
    display.stage("render", 3)
    for _ in range(3):
        display.advance(1)
    clock.now_s = 1.0
    display.close(done=True)
    assert lines == ["prepare: 0.5 s", "render: 3 frames in 0.5 s, 6.0 frames/s"]


def test_broken_off_stage_is_not_reported_as_done(lines: list[str]) -> None:
    display = LineDisplay(lines.append, Clock())
    display.stage("render", 3)
    display.close(done=False)
    assert lines == []


def test_progress_and_notices_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with Console() as console:
        console.notice("before")
        console.stage("render", 1)
        console.advance()
        console.notice("two faces in [red]x[/red].png: the largest is used")
        console.summary(["wrote [bold]x[/bold].mp4"])
    out, err = capsys.readouterr()
    assert out == "wrote [bold]x[/bold].mp4\n"
    assert err.startswith(
        "note: before\nnote: two faces in [red]x[/red].png: the largest is used\nrender: 1 frame in"
    )


def test_quiet_leaves_only_errors_and_asked_for_results(capsys: pytest.CaptureFixture[str]) -> None:
    with Console(quiet=True) as console:
        console.stage("render", 1)
        console.advance()
        console.notice("x")
        console.summary(["x"])
        console.json({"a": 1})
        console.error("bad")
    out, err = capsys.readouterr()
    assert (json.loads(out), err) == ({"a": 1}, "error: bad\n")


@pytest.mark.parametrize("name", ["a" * 500, "[bold]b[/bold]", "two\nlines\r", "\x1b[2Jclear", "東京 Zoë"])
def test_an_error_is_one_line_whatever_the_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Console().error(f"{name}: no face found")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "\x1b" not in err
    assert err.startswith("error: ")
    assert err.endswith(": no face found\n")
    assert len(err) >= len(name) + len("error: : no face found\n")


def test_terminal_shows_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with Console() as console:
        console.stage("track [red]", 20)
        for _ in range(20):
            console.advance()
        console.stage("net", 2_000_000, "bytes")
        console.advance(2_000_000)
        console.stage("write", None)
        console.notice("[bold]a\nb" + "x" * 200)
    shown = terminal.getvalue()
    assert "track [red]" in shown
    assert "20/20 frames" in shown
    assert "2.0/2.0 MB" in shown
    assert "frames/s" in shown
    assert "note: [bold]a\\nb" + "x" * 200 + "\n" in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # the cursor comes back


def interrupted_stage() -> None:
    with Console() as console:
        console.stage("track", 20)
        raise KeyboardInterrupt


def test_terminal_is_put_right_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with pytest.raises(KeyboardInterrupt):
        interrupted_stage()
    assert terminal.getvalue().endswith("\x1b[?25h")


def test_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "dumb")
    with Console() as console:
        console.stage("track", 20)
    assert "\x1b" not in terminal.getvalue()


def test_bar_without_a_stage_ignores_frames() -> None:
    display = LiveDisplay(Terminal())
    display.advance(1)
    display.close(done=True)


def test_table_and_sparklines(capsys: pytest.CaptureFixture[str]) -> None:
    Console().table([("frames", "10"), ("rate", "30000/1001")])
    Console().sparklines({"yaw_deg": [-1.0, 6.0], "gaze_x": [float("nan")]})
    assert capsys.readouterr().out.splitlines() == [
        "frames  10",
        "rate    30000/1001",
        "yaw_deg  ▁█  -1.00 to 6.00",
        "gaze_x       -",
    ]


def test_closed_stdout_has_its_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", Closed())
    with pytest.raises(OutputClosedError):
        Console().table([("a", "b")])


def test_closed_stderr_does_not_stop_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Closed())
    Console().notice("x")
