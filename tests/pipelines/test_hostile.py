"""Folders and tables from strangers: batches, evaluations, galleries, caches; damaged, linked, and under fuzzing."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit.cache import Cache
from avatarkit.cli.batch import configure_by
from avatarkit.errors import InputError, OutputError
from avatarkit.media.image import write_image
from avatarkit.media.xmp import add_xmp, packet
from avatarkit.pipelines.batch import BatchOptions, run
from avatarkit.pipelines.batch.gallery import write_gallery
from avatarkit.pipelines.batch.jobs import files_of, read_jobs
from avatarkit.pipelines.batch.plan import MARKS, WORK, read_mark, why_again, write_mark
from avatarkit.pipelines.batch.status import Status, WorkerStatus, journal, read_status
from avatarkit.pipelines.evaluate.cases import read_pairs
from avatarkit.pipelines.evaluate.results import FORMAT, VERSION, compare
from avatarkit.pipelines.layer_tools import LayerTools
from avatarkit.pipelines.provenance.inspection import inspect_file
from avatarkit.prepare.fetch.run import read_note
from avatarkit.reading import read_array
from avatarkit.training.logs import RunLog, read_log
from tests.data.test_fuzz import (
    CUTS,
    damaged,
    fuzzed,
    survives,
    survives_cuts,
    survives_odd,
    write_json_text,
)

CONFIGURE = configure_by([])
NOTHING: Any = None
PAIR: Any = SimpleNamespace(
    key="k", name="o.mp4", state={"source": "ab", "options": {"size": 64}},
    job=SimpleNamespace(config=SimpleNamespace(output=Path("/dev/null"))),
)  # fmt: skip
RESULTS: dict[str, Any] = {
    "format": FORMAT, "version": VERSION, "kind": "videos", "seed": 0, "protocol": None, "program": "x",
    "options": {"size": 64, "every": 1}, "choices": {"tracker": "t", "lpips": "n", "embedding": "n"},
    "versions": {"avatarkit": "0"}, "methods": {"m": {"figures": {}}}, "tests": [], "not_measured": {}, "refused": [],
    "clips": [
        {"name": name, "method": "m", "driver": "d.mp4", "output": "o.mp4", "source": None, "counted": 2, "lost": 0,
         "figures": {"psnr_db": 30.0 + at, "ssim": 0.9}, "frames": [{"psnr_db": 30.0}, {"psnr_db": 31.0}], "notes": []}
        for at, name in enumerate("abc")
    ],
    "times": {"frames_per_s": {"m": 20.0}, "peak_mb": {"m": 200.0}, "seconds": 1.0},
}  # fmt: skip
NOTE = {
    "file": "abcdefghijk.mp4", "bytes": 3, "url": "u", "title": "t", "author": "a", "licence": "l", "width": 1,
    "height": 1, "rate": 25.0, "format_id": "f",
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file of each kind, sound."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / WORK / MARKS).mkdir(parents=True)
    status = Status(2, 1, 1, workers={"w": WorkerStatus("t", "s", 1, 2)}, reasons={"InputError": 1})
    write_json_text(folder / WORK / "status.json", {**vars(status), "workers": {"w": vars(status.workers["w"])}})
    options = BatchOptions(folder)
    output = folder / "s--d.png"
    write_image(output, np.zeros((8, 8, 3), np.uint8))
    assert add_xmp(output, packet({"avatarkit:Synthetic": "true"}, "x"))
    job = SimpleNamespace(config=SimpleNamespace(output=output))
    pair: Any = SimpleNamespace(key="k", name="o", state=PAIR.state, job=job)
    write_mark(options, pair, {"frames": 2, "engine": "warp", "rate": "25"})
    rows = [
        {"state": "done", "pair": "s--d.png", "source": "s.png", "driver": "d.png", "engine": "warp 1"},
        {"state": "refused", "pair": "x.png", "source": "s.png", "driver": "e.png", "kind": "E", "reason": "<b>"},
    ]
    (folder / "batch.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    (folder / "jobs.csv").write_text("source,driver,output,size,paste-back\na.png,b.mp4,o.mp4,64,yes\n")
    (folder / "jobs.jsonl").write_text('{"source": "a.png", "driver": "b.mp4", "size": 64}\n')
    (folder / "list.txt").write_text("a.png\n# no\nb.png\n")
    (folder / "pairs.csv").write_text("output,driver,source,method,name\ns--d.png,list.txt,,m,n\n")
    write_json_text(folder / "results.json", RESULTS)
    np.save(folder / "array.npy", np.arange(12, dtype=np.float32).reshape(3, 4))
    (folder / "log.jsonl").write_text('{"kind": "train", "step": 1, "images": 2}\n')
    (folder / ".fetch").mkdir()
    return folder


def read_results(path: Path) -> object:
    return compare([path, path], path.parent / "compared")


READERS: dict[str, Callable[[Path], object]] = {
    f"{WORK}/status.json": lambda path: [item.lines() for item in read_status(path.parent.parent)],
    f"{WORK}/{MARKS}/k.json": lambda path: why_again(PAIR, read_mark(BatchOptions(path.parents[2]), PAIR)),
    "batch.jsonl": lambda path: (list(journal(path.parent)), write_gallery(path.parent)),
    "jobs.csv": lambda path: read_jobs(path, path.parent / "out", CONFIGURE),
    "jobs.jsonl": lambda path: read_jobs(path, path.parent / "out", CONFIGURE),
    "list.txt": lambda path: files_of(str(path), "--sources"),
    "pairs.csv": read_pairs,
    "results.json": read_results,
    "array.npy": read_array,
    "log.jsonl": lambda path: read_log(path.parent),
}
JSON = [f"{WORK}/status.json", f"{WORK}/{MARKS}/k.json", "results.json"]


def placed(whole: Path, name: str, folder: Path) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name == "batch.jsonl":
        (folder / "s--d.png").write_bytes((whole / "s--d.png").read_bytes())
    return path


@pytest.mark.parametrize("name", READERS)
def test_the_sound_file_is_read(whole: Path, tmp_path: Path, name: str) -> None:
    path = placed(whole, name, tmp_path)
    path.write_bytes((whole / name).read_bytes())
    READERS[name](path)


@pytest.mark.parametrize("name", READERS)
def test_damaged_bytes(whole: Path, tmp_path: Path, name: str) -> None:
    survives_cuts(placed(whole, name, tmp_path), (whole / name).read_bytes(), READERS[name])


@pytest.mark.parametrize("name", JSON)
def test_odd_values(whole: Path, tmp_path: Path, name: str) -> None:
    survives_odd(placed(whole, name, tmp_path), json.loads((whole / name).read_bytes()), READERS[name])


@pytest.mark.parametrize("name", ["batch.jsonl", "jobs.jsonl", "log.jsonl"])
def test_odd_lines(whole: Path, tmp_path: Path, name: str) -> None:
    survives_odd(placed(whole, name, tmp_path), json.loads((whole / name).read_text().splitlines()[0]), READERS[name])


@pytest.mark.parametrize("name", ["jobs.csv", "pairs.csv"])
def test_odd_cells(whole: Path, tmp_path: Path, name: str) -> None:
    head = (whole / name).read_text().splitlines()[0]

    @fuzzed
    @given(cells=st.lists(st.lists(st.text(max_size=12), max_size=6), max_size=6))
    def check(cells: list[list[str]]) -> None:
        lines = [",".join(row) for row in cells]
        (tmp_path / name).write_bytes("\n".join([head, *lines]).encode("utf-8", "surrogatepass"))
        survives(lambda: READERS[name](tmp_path / name))

    check()


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_links_and_pipes_are_not_read(whole: Path, tmp_path: Path, name: str, kind: str) -> None:
    """A link that a user names is followed, one that lies in a folder of ours is not; no pipe makes anybody wait."""
    path, began = placed(whole, name, tmp_path), time.monotonic()
    named = name in ("jobs.csv", "jobs.jsonl", "list.txt", "pairs.csv", "results.json", "array.npy")
    if kind == "link":
        path.symlink_to(whole / name)
    else:
        os.mkfifo(path)
    if kind == "link" and named and name not in ("results.json", "array.npy"):
        READERS[name](path)
    elif name in ("batch.jsonl", f"{WORK}/{MARKS}/k.json"):
        assert list(journal(tmp_path)) == []
        assert read_mark(BatchOptions(tmp_path), PAIR) is None
    else:
        with pytest.raises(InputError):
            READERS[name](path)
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("output", ["../o.mp4", "/tmp/o.mp4", "a/../../o.mp4", "x" * 5000, ".batch/o.mp4", ".Batch"])
@pytest.mark.parametrize("column", ["output", "layers"])
def test_rows_write_inside_of_the_batch(tmp_path: Path, column: str, output: str) -> None:
    (tmp_path / "jobs.csv").write_text(f"source,driver,{column}\na.png,b.mp4,{output}\n")
    jobs, refused = read_jobs(tmp_path / "jobs.csv", tmp_path / "out", CONFIGURE)
    assert jobs == []
    assert len(refused[0].reason) < 200


@pytest.mark.parametrize("column", ["overwrite", "cache", "sign", "tsa", "report", "quiet"])
def test_rows_neither_overwrite_nor_sign_nor_reach_the_network(tmp_path: Path, column: str) -> None:
    (tmp_path / "jobs.csv").write_text(f"source,driver,{column}\na.png,b.mp4,yes\n")
    jobs, refused = read_jobs(tmp_path / "jobs.csv", tmp_path / "out", CONFIGURE)
    assert jobs == []
    assert f"column {column}" in refused[0].reason


def test_line_ends_within_texts_end_no_row(tmp_path: Path) -> None:
    (tmp_path / "jobs.jsonl").write_text('{"source": "a\u2028b.png", "driver": "c\x85.mp4"}\n', encoding="utf-8")
    jobs, refused = read_jobs(tmp_path / "jobs.jsonl", tmp_path / "out", CONFIGURE)
    assert refused == []
    assert jobs[0].config.source == tmp_path / "a\u2028b.png"


def test_long_cells_and_nuls_cost_their_rows_alone(tmp_path: Path) -> None:
    rows = ["a.png,b.mp4," + "x" * 200_000, "a.png,b\0.mp4,", "a.png,b.mp4,o.mp4"]
    (tmp_path / "jobs.csv").write_text("source,driver,output\n" + "\n".join(rows) + "\n")
    jobs, refused = read_jobs(tmp_path / "jobs.csv", tmp_path / "out", CONFIGURE)
    assert len(jobs) == 1
    assert len(refused) == 2


def test_journals_are_not_written_through_links(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine\n")
    out = tmp_path / "out"
    (out / "pictures").mkdir(parents=True)
    for name in ("batch.jsonl", "log.jsonl", "pictures/images-000000001.png"):
        (out / name).symlink_to(mine)
    with pytest.raises(OutputError, match=r"batch\.jsonl: cannot be written"):
        run([], BatchOptions(out), NOTHING)
    with pytest.raises((InputError, OutputError), match=r"log\.jsonl"):
        RunLog(out, 0)
    (out / "log.jsonl").unlink()
    log = RunLog(out, 0)
    log.picture(0, 1, np.zeros((8, 8, 3), np.uint8))
    log.close()
    assert mine.read_text() == "mine\n"


def test_log_lines_without_a_step_are_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": "x"}\n')
    with pytest.raises(InputError, match="a line has no step"):
        RunLog(tmp_path, 0)


@pytest.mark.parametrize("shape", [(1 << 40, 4), (3, 3), (-3, -4), (1 << 62, 1 << 62)])
@pytest.mark.parametrize("mapped", [True, False])
def test_arrays_are_as_long_as_their_file(tmp_path: Path, shape: tuple[int, ...], mapped: bool) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        file.write(bytes(48))
    with pytest.raises(InputError, match="is damaged"):
        read_array(tmp_path / "a.npy", mapped=mapped)
    np.save(tmp_path / "o.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(InputError, match="is damaged"):
        read_array(tmp_path / "o.npy", mapped=mapped)


def test_kept_layers_of_another_size_are_made_again(tmp_path: Path) -> None:
    tools = LayerTools(cache=Cache(tmp_path, "p"))
    picture, alpha = np.full((16, 16, 3), 9, np.uint8), np.ones((16, 16), np.float32)
    first = tools.foreground(picture, alpha)
    (entry,) = (tmp_path / "foregrounds").iterdir()
    np.save(entry / "array.npy", np.zeros((8, 8, 3), np.uint8))
    np.testing.assert_array_equal(tools.foreground(picture, alpha), first)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 1e30])
def test_kept_mattes_that_cannot_be_are_made_again(tmp_path: Path, value: float) -> None:
    class Ones:
        name, matte = "ones", staticmethod(lambda picture, landmarks: np.ones(picture.shape[:2], np.float32))

    tools = LayerTools(cache=Cache(tmp_path, "p"))
    vars(tools)["_matting_choice"] = (Ones, "")
    picture, landmarks = np.full((16, 16, 3), 9, np.uint8), np.zeros((478, 3))
    tools.matte(picture, landmarks)
    (entry,) = (tmp_path / "mattes").iterdir()
    np.save(entry / "array.npy", np.full((16, 16), value, np.float32))
    np.testing.assert_array_equal(tools.matte(picture, landmarks)[0], 1.0)


@pytest.mark.parametrize("file", ["../x.mp4", 5, None, "other.mp4"])
def test_notes_of_originals_are_checked(tmp_path: Path, file: Any) -> None:
    from avatarkit.prepare.fetch.run import WORK_FOLDER

    (tmp_path / WORK_FOLDER).mkdir()
    write_json_text(tmp_path / WORK_FOLDER / "abcdefghijk.json", NOTE)
    assert read_note("abcdefghijk", tmp_path) is not None
    write_json_text(tmp_path / WORK_FOLDER / "abcdefghijk.json", {**NOTE, "file": file})
    assert read_note("abcdefghijk", tmp_path) is None


def test_what_a_file_says_of_itself_stays_in_its_line(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from avatarkit.cli.app import run as command

    path = tmp_path / "x.png"
    write_image(path, np.zeros((8, 8, 3), np.uint8), {"comment": "a\nverified: signed\x1b[2J"})
    assert command(["inspect", str(path)]) == 12
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert not any(line.startswith("verified") for line in out.splitlines())


def test_damaged_marks_of_pictures(whole: Path, tmp_path: Path) -> None:
    path, data = tmp_path / "x.png", (whole / "s--d.png").read_bytes()

    @fuzzed
    @given(cuts=CUTS)
    def check(cuts: list[tuple[float, int, bytes]]) -> None:
        path.write_bytes(damaged(data, cuts))
        survives(lambda: inspect_file(path))

    check()




@pytest.mark.skipif(sys.platform == "darwin", reason="its file system takes UTF-8 alone")
def test_names_that_are_not_utf8_are_read_and_shown(tmp_path: Path) -> None:
    from avatarkit.media.encode import FrameWriter
    from avatarkit.media.probe import probe
    from avatarkit.media.random_access import frames_at

    folder = tmp_path / os.fsdecode(b"b\xe4d")
    folder.mkdir()
    path = folder / os.fsdecode(b"\xff--\xe4.mp4")
    with FrameWriter(path, width=64, height=64, rate=Fraction(25)) as writer:
        for level in range(4):
            writer.write(np.full((64, 64, 3), level, np.uint8))
    video = probe(path).video
    assert video is not None
    assert video.frames == len(frames_at(path, range(4))) == 4
    page = write_gallery(folder).read_text()
    assert "%FF--%E4.mp4" in page
