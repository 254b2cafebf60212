"""`avatarkit weights`, from the command line to the server and back."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from avatarkit.cli.app import run
from avatarkit.cli.progress import LineDisplay
from avatarkit.weights.lock import WeightFile

BODY = bytes(range(256)) * 2048
Weight = Callable[..., WeightFile]


@pytest.fixture(autouse=True)
def known(server, weight: Weight, registry) -> None:
    """`net` for reenact, `strict` (non-commercial) for reenact and train, `hand` (no address) for train."""
    server.serve()
    strict = {"permissive": False, "licence": "research only", "used_by": ("reenact", "train")}
    by_hand = {"urls": (), "how_to_get": "ask the author", "used_by": ("train",)}
    registry(
        weight(),
        weight(name="strict", file="strict.pth", **strict),
        weight(name="hand", file="hand.pth", **by_hand),
    )


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[[str], tuple[int, str, str]]:
    """call("fetch net"): exit code, stdout, stderr."""

    def invoke(words: str) -> tuple[int, str, str]:
        code = run(["weights", *words.split()])
        return (code, *capsys.readouterr())

    return invoke


def test_list(call) -> None:
    code, out, _ = call("list")
    lines = out.splitlines()
    assert (code, len(lines)) == (0, 4)
    assert lines[0].split() == ["name", "state", "size", "licence", "used", "by", "purpose"]
    assert lines[1].split() == ["net", "missing", "0.5", "MB", "MIT", "reenact", "tests"]
    call("fetch net")
    assert call("list")[1].splitlines()[1].split()[:2] == ["net", "present"]


def test_list_as_json(call, folder: Path) -> None:
    report = json.loads(call("list --json")[1])
    assert report["folder"] == str(folder)
    first = report["files"][0]
    assert (first["name"], first["state"], first["path"]) == ("net", "missing", str(folder / "net.pth"))


def test_fetch(call, folder: Path) -> None:
    code, out, err = call("fetch net")
    assert (code, out.split()) == (0, ["net", "present", str(folder / "net.pth")])
    assert err.startswith("net: 0.5 MB in ")
    assert call("fetch net --quiet") == (0, "", "")


def test_fetch_for_a_job(call, folder: Path) -> None:
    code, out, _ = call("fetch --for reenact")
    assert (code, [line.split()[0] for line in out.splitlines()]) == (0, ["net", "strict"])


def test_permissive_only(call, folder: Path) -> None:
    code, _, err = call("fetch strict --permissive-only")
    assert code == 2
    assert err.startswith(
        "error: --permissive-only refuses strict (research only, https://example.org/licence)"
    )
    code, out, err = call("fetch --for reenact --permissive-only")
    assert (code, out.split()[0], "strict" in out) == (0, "net", False)
    assert "note: strict left out: its licence is research only" in err


def test_one_failure_does_not_keep_the_others_away(call, folder: Path) -> None:
    code, _, err = call("fetch hand net")
    assert code == 5
    assert err.splitlines()[-1].startswith(
        "error: hand is not here: hand.pth (0.5 MB); ask the author, then run"
    )
    assert (folder / "net.pth").read_bytes() == BODY


def test_several_failures_are_all_told(call, server) -> None:
    server.files.clear()
    code, _, err = call("fetch --for train")
    assert code == 5
    notes, error = err.splitlines()[:-1], err.splitlines()[-1]
    assert error == "error: 2 of 2 files could not be had: strict, hand; see the notes, or fetch one alone"
    assert [note.split()[1] for note in notes] == ["strict", "hand"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("fetch", 2, "give the names of weights or --for JOB"),
        ("fetch net --for train", 2, "give the names of weights or --for JOB"),
        ("fetch --for dancing", 2, "'dancing' is not one of"),
        ("fetch nett", 2, "no weights are called nett (did you mean net?)"),
        ("verify nett", 2, "no weights are called nett (did you mean net?)"),
        ("path nett", 2, "no weights are called nett (did you mean net?)"),
        ("import x.pth --as nett", 2, "no weights are called nett (did you mean net?)"),
        ("import x.pth --as net", 3, "x.pth: no such file"),
        ("import x.pth", 2, "Missing option '--as'"),
        ("path net", 5, "net is not here: net.pth (0.5 MB) from http"),
        ("verify net", 5, "net is not here"),
        ("fetch net --offline", 5, "net is not here and the network is off"),
    ],
)
def test_errors_are_one_line(words: str, code: int, message: str, call) -> None:
    found, out, err = call(words)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert message in err


def test_path(call, folder: Path) -> None:
    call("fetch net")
    assert call("path net") == (0, f"{folder / 'net.pth'}\n", "")


def test_verify(call, folder: Path, weight: Weight) -> None:
    assert call("verify")[:2] == (0, "no weights are here\n")
    call("fetch net")
    code, out, _ = call("verify")
    assert (code, out.split()) == (0, ["net", "present", "sha256", weight().sha256])
    (folder / "net.pth").write_bytes(BODY[::-1])
    code, out, err = call("verify net")
    assert (code, out.split()[:2]) == (5, ["net", "damaged"])
    assert err.startswith("error: damaged: net; ")
    assert json.loads(call("verify --json")[1])["files"][0]["state"] == "damaged"


def test_import(call, tmp_path: Path, folder: Path) -> None:
    (tmp_path / "got.bin").write_bytes(BODY)
    assert call(f"import {tmp_path / 'got.bin'} --as hand") == (0, f"{folder / 'hand.pth'}\n", "")
    assert call("path hand")[0] == 0


def test_pinned_is_shown(call, registry, weight: Weight, server, state_dict_file: Path) -> None:
    registry(weight(sha256=None, size_bytes=None))
    server.serve(body=state_dict_file.read_bytes())
    assert call("fetch net")[1].split()[:2] == ["net", "pinned"]
    assert call("list")[1].splitlines()[1].split()[:2] == ["net", "pinned"]
    out = call("verify")[1]
    assert ", pinned 20" in out
    assert server.url("/net.pth") in out


def test_licences(call) -> None:
    code, out, _ = call("licences")
    lines = out.splitlines()
    assert (code, lines[0].split()[:2], len(lines)) == (0, ["name", "licence"], 4)
    assert "research only" in lines[2]
    assert [entry["permissive"] for entry in json.loads(call("licences --json")[1])] == [True, False, True]


def test_torch_is_not_loaded_for_hashed_files(call) -> None:
    import subprocess

    code = (
        "import sys\nfrom avatarkit.cli.app import run\n"
        "code = run(['weights', 'list']) or run(['weights', 'verify'])\n"
        "raise SystemExit(code or 'torch' in sys.modules or 'numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


def test_lines_of_progress() -> None:
    lines: list[str] = []
    now = [0.0]
    display = LineDisplay(lines.append, lambda: now[0])
    display.stage("vgg19", 574_673_361, "bytes")
    now[0] = 2.0
    display.advance(100_000_000)
    now[0] = 12.0
    display.advance(474_673_361)
    display.stage("unknown", None, "bytes")
    now[0] = 18.0
    display.advance(6_000_000)
    display.close(done=True)
    assert lines == [
        "vgg19: 100.0 of 574.7 MB, 17 %, 50.0 MB/s, 9.5 s left",
        "vgg19: 574.7 MB in 12 s, 47.9 MB/s",
        "unknown: 6.0 MB, 1.0 MB/s",
        "unknown: 6.0 MB in 6.0 s, 1.0 MB/s",
    ]
