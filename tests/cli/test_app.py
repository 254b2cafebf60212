"""Commands against stand-in pipelines: options in, exit codes and single lines out."""

from __future__ import annotations

import errno
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import typer

from avatarkit import __version__, errors
from avatarkit.cli.app import app, run
from avatarkit.face.types import FaceChoice
from avatarkit.motion.config import MotionConfig
from avatarkit.pipelines.driver import DriverPart

MEMORY = "error: there is not enough memory; end other programs, raise the limit (ulimit -v), or use a smaller --size"

SUMMARY = SimpleNamespace(summary_lines=lambda: ["wrote out.mp4"], to_json=dict)


@dataclass(frozen=True)
class FaceRow:
    index: int
    box: tuple[float, float, float, float]
    score: float
    inter_ocular_px: float
    yaw_deg: float


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Replace a pipeline module: pipeline("reenact", reenact=function)."""

    def replace(name: str, **members: Any) -> None:
        module = ModuleType(f"avatarkit.pipelines.{name}")
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, module.__name__, module)

    return replace


@pytest.fixture
def reenacted(pipeline: Any) -> list[SimpleNamespace]:
    """The configurations that `reenact` was called with."""
    calls: list[SimpleNamespace] = []

    def reenact(config: SimpleNamespace, progress: Any) -> SimpleNamespace:
        progress.stage("render", 2)
        progress.advance(2)
        calls.append(config)
        return SUMMARY

    pipeline("reenact", ReenactConfig=SimpleNamespace, reenact=reenact)
    return calls


def failing(pipeline: Any, error: BaseException) -> None:
    def reenact(config: object, progress: Any) -> None:
        progress.stage("render", 2)
        raise error

    pipeline("reenact", ReenactConfig=SimpleNamespace, reenact=reenact)


def test_help_without_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("reenact", "motion", "demo", "doctor", "--version"))


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"avatarkit {__version__}\n"


@pytest.mark.parametrize("command", ["reenact", "motion extract", "motion show", "demo", "doctor"])
def test_help_of_a_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command.split(), "--help"]) == 0
    assert f"Usage: avatarkit {command}" in capsys.readouterr().out


def test_everything_has_a_help_text() -> None:
    todo = [typer.main.get_command(app)]
    while todo:
        command = todo.pop()
        todo += getattr(command, "commands", {}).values()
        assert command.help, command.name
        assert [option.name for option in command.params if not getattr(option, "help", None)] == []


def test_every_option_is_documented(repo_root: Path) -> None:
    text = (repo_root / "docs" / "cli.md").read_text(encoding="utf-8")
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for command in [*commands.values(), *commands["motion"].commands.values()]:
        options = [name for option in command.params for name in option.opts if name.startswith("--")]
        assert [name for name in options if f"`{name}" not in text] == []


def test_defaults(reenacted: list[SimpleNamespace], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["reenact", "source.png", "driver.mp4", "-o", "out.mp4"]) == 0
    assert vars(reenacted[0]) == {
        "source": Path("source.png"),
        "driver": Path("driver.mp4"),
        "output": Path("out.mp4"),
        "motion": MotionConfig(),
        "face": FaceChoice(),
        "driver_face": FaceChoice(),
        "on_missing": "interpolate",
        "part": DriverPart(),
        "size": None,
        "framing": "auto",
        "crop_scale": 2.4,
        "crop_offset": (0.0, 0.0),
        "head_room": None,
        "background": "plate",
        "paste_back": False,
        "side_by_side": False,
        "preview": False,
        "engine": "auto",
        "checkpoint": (),
        "avatar": None,
        "device": "auto",
        "precision": "auto",
        "compile": False,
        "stabilize": None,
        "layers": None,
        "turntable": None,
        "matting": "auto",
        "inpaint": "auto",
        "tracker": "auto",
        "crf": None,
        "codec": "auto",
        "audio": None,
        "label": None,
        "sign": None,
        "tsa": None,
        "cache": None,
        "overwrite": False,
        "report": None,
    }
    out, err = capsys.readouterr()
    assert out == "wrote out.mp4\n"
    assert err.startswith("render: 2 frames in 0.0 s, ")


def test_all_options(reenacted: list[SimpleNamespace], capsys: pytest.CaptureFixture[str]) -> None:
    options = (
        "--motion absolute --close-mouth --region eyes --strength 1.5 --yaw-deg -10 --pitch-deg 5 --roll-deg 2.5 "
        "--keep-scale --reference-frame 12 --face 1 --driver-face-at 10,20.5 --on-missing hold --size 512 "
        "--start 1.5 --end 4 --crop-scale 3 --crop-offset -0.1,0.05 --head-room 0.1 --preview --audio a.wav "
        "--background #00ff00 --side-by-side --engine warp --matting modnet "
        "--inpaint lama --tracker mediapipe --crf 20 --codec vp9 "
        "--report r.json --overwrite --quiet"
    )
    assert run(["reenact", *options.split(), "--output", "o.mp4", "--", "-s.png", "dri ver's [1].mp4"]) == 0
    config = vars(reenacted[0])
    assert config["motion"] == MotionConfig(
        mode="absolute", region="eyes", strength=1.5, yaw_deg=-10, pitch_deg=5, roll_deg=2.5, keep_scale=True,
        close_mouth=True,
        reference_frame="12",
    )  # fmt: skip
    assert (config["source"], config["driver"]) == (Path("-s.png"), Path("dri ver's [1].mp4"))
    assert (config["face"], config["driver_face"]) == (FaceChoice(index=1), FaceChoice(at=(10.0, 20.5)))
    assert (config["on_missing"], config["size"], config["background"]) == ("hold", 512, "#00ff00")
    assert (config["part"], config["crop_scale"]) == (DriverPart(1.5, 4.0), 3.0)
    assert config["head_room"] == 0.1
    assert (config["crop_offset"], config["preview"], config["audio"]) == ((-0.1, 0.05), True, Path("a.wav"))
    assert (config["matting"], config["inpaint"], config["tracker"]) == ("modnet", "lama", "mediapipe")
    assert (config["crf"], config["codec"], config["report"]) == (20, "vp9", Path("r.json"))
    assert config["side_by_side"] is config["overwrite"] is True
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("reenact", "Missing argument 'source'; see avatarkit reenact --help"),
        ("reenact a b", "Missing option '--output'"),
        ("reenact a b -o c --motion sideways", "'sideways' is not one of"),
        ("reenact a b -o c --strength 2.5", "--strength"),
        ("reenact a b -o c --strength nan", "--strength"),
        ("reenact a b -o c --size big", "--size"),
        ("reenact a b -o c --sise 512", "No such option: --sise"),
        ("reenact a b -o c --face-at 3", "--face-at 3: expected two numbers in pixels"),
        ("reenact a b -o c --face 0 --face-at 3,4", "--face and --face-at both choose the face"),
        ("reenact a b -o c --reference-frame last", "expected auto, first or a frame number"),
        ("reenact a b -o c --size 512 --paste-back", "--size 512: --paste-back gives the picture its own size"),
        ("motion", "Missing command; see avatarkit motion --help"),
        ("reenactt", "Did you mean 'reenact'"),
        ("demo extra", "extra"),
    ],
)
def test_usage_errors_are_one_line(
    arguments: str, words: str, reenacted: list[SimpleNamespace], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("error: ")
    assert words in err
    assert reenacted == []


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (errors.UsageError("u"), 2, "error: u"),
        (errors.InputError("[x].png: no face found"), 3, "error: [x].png: no face found"),
        (errors.OutputError("o"), 4, "error: o"),
        (errors.DependencyError("d"), 5, "error: d"),
        (errors.AvatarkitError("i"), 70, "error: i"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/full/out.mp4"), 4,
            "error: /full/out.mp4: No space left on device; free some space or write elsewhere",
        ),
        (
            OSError(errno.EDQUOT, "Disk quota exceeded"), 4,
            "error: Disk quota exceeded; free some space or write elsewhere",
        ),
        (KeyboardInterrupt(), 130, "interrupted: nothing was written"),
        (
            ValueError("two\nlines"), 70,
            "error: internal error: ValueError: two lines (set AVATARKIT_DEBUG=1 for the traceback)",
        ),
        (
            BrokenPipeError(errno.EPIPE, "Broken pipe"), 70,
            "error: internal error: BrokenPipeError: [Errno 32] Broken pipe "
            "(set AVATARKIT_DEBUG=1 for the traceback)",
        ),
        (MemoryError(), 5, MEMORY),
        (ImportError("x.so: failed to map segment from shared object"), 5, MEMORY),
        (RuntimeError("can't start new thread"), 5, MEMORY),
        (OSError(27, "File too large"), 4, "error: File too large; raise the limit (ulimit -f), or write elsewhere"),
    ],
)  # fmt: skip
def test_failures_have_a_code_and_one_line(
    error: BaseException, code: int, line: str, pipeline: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(pipeline, error)
    assert run(["reenact", "a", "b", "-o", "c"]) == code
    assert capsys.readouterr() == ("", line + "\n")


def test_traceback_on_request(
    pipeline: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AVATARKIT_DEBUG", "1")
    failing(pipeline, ZeroDivisionError("x"))
    assert run(["reenact", "a", "b", "-o", "c"]) == 70
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_motion_extract(pipeline: Any, capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[tuple[Any, ...]] = []

    def extract_motion(driver: Path, output: Path, **options: Any) -> SimpleNamespace:
        options.pop("progress")
        calls.append((driver, output, options))
        return SUMMARY

    pipeline("motion", extract_motion=extract_motion)
    assert run(["motion", "extract", "d.mp4", "-o", "d.motion", "--face", "2", "--on-missing", "fail"]) == 0
    expected = {"face": FaceChoice(index=2), "on_missing": "fail", "overwrite": False, "tracker": "auto"}
    assert calls == [(Path("d.mp4"), Path("d.motion"), expected)]
    assert capsys.readouterr().out == "wrote out.mp4\n"


def test_motion_show_and_plot(pipeline: Any, capsys: pytest.CaptureFixture[str]) -> None:
    plots: list[tuple[Any, ...]] = []
    overview = SimpleNamespace(rows=lambda: [("frames", "3")], series={"yaw_deg": [0.0, 7.0]})
    pipeline(
        "motion",
        show_motion=lambda path: overview,
        plot_motion=lambda path, out, *, overwrite: plots.append((path, out, overwrite)),
    )
    assert run(["motion", "show", "d.motion"]) == 0
    assert capsys.readouterr().out == "frames  3\nyaw_deg  ▁█  0.00 to 7.00\n"
    assert run(["motion", "show", "d.motion", "--plot", "p.png"]) == 0
    assert plots == [(Path("d.motion"), Path("p.png"), False)]


def test_demo_says_where_the_results_are(pipeline: Any, capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[tuple[Path, dict[str, Any]]] = []

    def run_demo(out_dir: Path, *, progress: Any, **options: Any) -> SimpleNamespace:
        calls.append((out_dir, options))
        return SimpleNamespace(paths={"result": out_dir / "result.mp4", "driver": out_dir / "driver.mp4"})

    pipeline("demo", run_demo=run_demo)
    assert run(["demo", "--output", "here", "--size", "256"]) == 0
    assert calls == [(Path("here"), {"size": 256, "overwrite": False})]
    assert capsys.readouterr().out == "result  here/result.mp4\ndriver  here/driver.mp4\n"


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("missing", 5)])
def test_doctor(state: str, code: int, pipeline: Any, capsys: pytest.CaptureFixture[str]) -> None:
    report = SimpleNamespace(
        rows=lambda: [("ffmpeg", state, "7.0")],
        ok=state == "ok",
        blocked={"reenact": ["ffmpeg"], "train": ["torch", "omegaconf"]},
        to_json=lambda: {"ffmpeg": state},
    )
    pipeline("doctor.report", diagnose=lambda: report)
    assert run(["doctor"]) == code
    out, err = capsys.readouterr()
    assert out == f"ffmpeg  {state}  7.0\n"
    assert err == (
        "" if code == 0 else "error: reenact lacks ffmpeg; train lacks torch, omegaconf; see the list above\n"
    )
    assert run(["doctor", "--json"]) == code
    assert f'"ffmpeg": "{state}"' in capsys.readouterr().out


def test_doctor_lists_faces(pipeline: Any, capsys: pytest.CaptureFixture[str]) -> None:
    row = FaceRow(index=0, box=(1.0, 2.0, 30.0, 40.0), score=0.987, inter_ocular_px=12.3, yaw_deg=-4.6)
    pipeline("faces", list_faces=lambda image: [row] if image.name == "a.png" else [])
    assert run(["doctor", "--faces", "a.png"]) == 0
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split()[0] == "face"
    assert line.split() == ["0", "1,2,30,40", "0.99", "12", "-5"]
    assert run(["doctor", "--faces", "a.png", "--json"]) == 0
    assert '"inter_ocular_px": 12.3' in capsys.readouterr().out
    assert run(["doctor", "--faces", "b.png"]) == 3
