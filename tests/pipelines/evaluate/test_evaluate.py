"""Evaluations end to end on an animated public-domain photo: figures, resuming, tables, page, bad input."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatarkit.cli.app import run
from avatarkit.errors import InputError, UsageError
from avatarkit.pipelines.evaluate import tables
from avatarkit.pipelines.evaluate.cases import read_pairs
from avatarkit.pipelines.evaluate.figures import interval, paired_p
from avatarkit.pipelines.evaluate.protocols import PROTOCOLS
from avatarkit.pipelines.evaluate.results import read_results
from avatarkit.pipelines.evaluate.run import EvaluateConfig, Method, compare, evaluate
from avatarkit.runtime import NullProgress

SIZE = 256


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of the same photo, moving differently."""
    from avatarkit.motion.script import Script
    from avatarkit.pipelines.demo import make_driver

    folder = tmp_path_factory.mktemp("clips")
    for name, gaze in (("a", 0.5), ("b", 0.1)):
        script = Script(duration_s=0.8, gaze=gaze)
        make_driver(folder / f"{name}.mp4", size=SIZE, script=script, progress=NullProgress())
    return folder


@pytest.fixture(scope="module")
def own(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[EvaluateConfig, dict[str, Any]]:
    config = EvaluateConfig("self", tmp_path_factory.mktemp("own"), clips=str(clips), size=SIZE, every=4)
    return config, dict(evaluate(config).results)


def without_times(results: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in results.items() if key != "times"}


def test_self_reenactment_has_all_figures_and_files(own: tuple[EvaluateConfig, dict[str, Any]]) -> None:
    config, results = own
    assert [clip["name"] for clip in results["clips"]] == ["a", "b"]
    figures = results["methods"]["warp"]["figures"]
    assert {"psnr_db", "ssim", "l1", "face_psnr_db", "akd", "aed", "apd_deg"} <= set(figures)
    assert figures["face_psnr_db"]["mean"] > 22
    assert figures["ssim"]["low"] <= figures["ssim"]["mean"] <= figures["ssim"]["high"] <= 1
    assert figures["akd"]["mean"] < 0.05
    # Seen between successive frames, though every fourth alone is measured.
    assert {"flicker", "specks_excess_ppm", "iqa"} <= set(figures)
    assert 0.3 < figures["flicker"]["mean"] < 3
    # What has no weights here is not measured, with the command, and never zero.
    for name, command in results["not_measured"].items():
        assert name not in figures
        assert "avatarkit weights fetch" in command
    stored = json.loads((config.output / "results.json").read_text())
    assert without_times(stored) == json.loads(json.dumps(without_times(results)))
    for name in ("results.csv", "table.md", "table.tex", "index.html"):
        assert "warp" in (config.output / name).read_text()


def test_the_same_again_measures_nothing_and_is_the_same(
    own: tuple[EvaluateConfig, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, results = own
    monkeypatch.setattr("avatarkit.pipelines.evaluate.run.Pool", None)  # whoever measured would fail
    assert without_times(dict(evaluate(config).results)) == without_times(results)


def comparable(results: dict[str, Any]) -> dict[str, Any]:
    """Without times, and the folders that runs differ in."""
    kept = ("name", "method", "figures", "frames", "counted")
    return {**without_times(results), "clips": [{key: clip[key] for key in kept} for clip in results["clips"]]}


def test_an_array_of_jobs_and_two_workers_give_the_same(
    own: tuple[EvaluateConfig, dict[str, Any]], clips: Path, tmp_path: Path
) -> None:
    config, results = own
    shutil.copytree(clips, tmp_path / "clips")
    (tmp_path / "clips" / "c.mp4").write_bytes(b"no video")  # costs itself alone
    array = replace(config, clips=str(tmp_path / "clips"), output=tmp_path / "array", runner="slurm")
    advice = evaluate(array, environment={}).summary_lines()
    assert "3 cases planned" in advice[0]
    assert "sbatch --array=0-2" in advice[1]
    job = {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "2"}
    part: Any = evaluate(array, environment=job)
    assert [clip["name"] for clip in part.results["clips"]] == ["b"]
    assert not (array.output / "results.json").exists()
    # The rest, and b once more, by two workers.
    shutil.rmtree(array.output / ".evaluate" / "measured")
    summed: Any = evaluate(replace(array, runner="local", workers=2))
    assert [one["name"] for one in summed.results["refused"]] == ["c"]
    assert comparable({**summed.results, "refused": []}) == comparable(results)


def test_a_damaged_mark_is_measured_again(own: tuple[EvaluateConfig, dict[str, Any]]) -> None:
    config, results = own
    mark = next((config.output / ".evaluate" / "measured").iterdir())
    mark.write_text("{")
    assert without_times(dict(evaluate(config).results)) == without_times(results)


@pytest.fixture
def pairs(clips: Path, tmp_path: Path) -> Path:
    """A perfect copy, another clip in its place, a clip too few, and rows that are wrong."""
    shutil.copy(clips / "a.mp4", tmp_path / "copy.mp4")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    rows = [
        "output,driver,source,method,name",
        f"copy.mp4,{clips / 'a.mp4'},,copy,a",
        f"{clips / 'b.mp4'},{clips / 'a.mp4'},,other,a",
        f"missing.mp4,{clips / 'a.mp4'},,other,b",
        f"copy.mp4,{clips / 'a.mp4'},,copy,a",
        f"broken.mp4,{clips / 'a.mp4'},,copy,c",
        f",{clips / 'a.mp4'},,copy,d",
    ]
    path = tmp_path / "pairs.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_videos_of_any_program(pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(["evaluate", "videos", "--pairs", str(pairs), "-o", str(out), "--size", "256", "-q"]) == 7
    results = read_results(out / "results.json")
    copy, other = (results["methods"][name]["figures"] for name in ("copy", "other"))
    assert copy["aed"]["mean"] == copy["lost"]["mean"] == 0
    assert copy["apd_deg"]["mean"] < 1e-4
    assert copy["r_mouth"]["mean"] == pytest.approx(1)
    assert other["aed"]["mean"] > 0
    assert other["r_gaze_horizontal"]["mean"] < copy["r_gaze_horizontal"]["mean"]
    refused = {one["row"]: one["reason"] for one in results["refused"]}
    assert set(refused) == {4, 5, 6, 7}
    assert "no such file" in refused[4]
    assert "has a case a in row 2 already" in refused[5]
    assert "broken.mp4" in refused[6]
    assert "needs an output and a driver" in refused[7]


def test_results_measured_differently_are_not_compared(
    own: tuple[EvaluateConfig, dict[str, Any]], pairs: Path, tmp_path: Path
) -> None:
    path = own[0].output / "results.json"
    both = compare([path, path], tmp_path / "both").results
    name = own[0].output.name
    assert set(both["methods"]) == {f"{name}/warp", f"{name}-2/warp"}
    values = read_results(path)
    values["options"]["size"] = 512
    (tmp_path / "large.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match=r"options .* cannot be compared"):
        compare([path, tmp_path / "large.json"], tmp_path / "none")
    (tmp_path / "odd.json").write_text("{}")
    with pytest.raises(InputError, match="is not the results"):
        read_results(tmp_path / "odd.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [("driver,source\n", "has no column output"), ("\xff", "has no column output")],
)
def test_tables_that_cannot_be_read(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=message):
        read_pairs(tmp_path / "pairs.csv")


def test_rows_that_cannot_be_read_are_refused_alone(tmp_path: Path) -> None:
    """As in a jobs file, which is read by the same lines, with UTF-16 and semicolons of spreadsheets."""
    (tmp_path / "o.mp4").touch()
    long = b"x" * 200_000
    rows = b"output,driver,method\no.mp4,o.mp4," + long + b"\no\xff.mp4,o.mp4,m\no.mp4,o\0.mp4,m\no.mp4,o.mp4,m\n"
    (tmp_path / "pairs.csv").write_bytes(rows)
    cases, refused = read_pairs(tmp_path / "pairs.csv")
    assert [case.row for case in cases] == [5]
    assert [item.row for item in refused] == [2, 3, 4]
    (tmp_path / "pairs.csv").write_bytes("output;driver;method\no.mp4;o.mp4;m\n".encode("utf-16"))
    assert len(read_pairs(tmp_path / "pairs.csv")[0]) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol": "paper"}, "--protocol paper: use one of"),
        ({"protocol": "megaportraits-cross-512"}, "belongs to evaluate cross"),
        ({"size": 63}, "--size 63"),
        ({"framing": "face"}, "--framing face: use one of auto"),
        ({"fid": True}, "--fid: belongs to evaluate cross"),
        ({"methods": (Method("a", "warp"), Method("a", "warp"))}, "two are called a"),
    ],
)
def test_odd_options(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        EvaluateConfig("self", tmp_path, **changes)


def test_wrong_input_leaves_nothing_behind(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("output,driver\nmissing.mp4,missing.mp4\n")
    kept = tmp_path / "kept"
    kept.mkdir()
    for output in (tmp_path / "new", kept):
        with pytest.raises(InputError):
            evaluate(EvaluateConfig("videos", output, pairs=pairs))
        with pytest.raises(InputError):
            evaluate(EvaluateConfig("self", output, clips=str(pairs)))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["kept", "pairs.csv"]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_is_one_option(name: str, tmp_path: Path) -> None:
    known = PROTOCOLS[name]
    config = EvaluateConfig(known.kind, tmp_path, protocol=name)
    seen = config.measured
    assert (seen.size, seen.every, seen.fid, config.most) == (known.size, known.every, known.fid, known.limit)
    assert replace(config, limit=2).most == 2
    assert known.published or name == "megaportraits-self-256"
    lines = tables.published_lines({"protocol": asdict(known)})
    assert lines[0].startswith(f"Protocol {name}: ")
    assert len(lines) == 1 + len(known.published)


def test_engines_by_name_and_checkpoint() -> None:
    assert Method.read("warp") == Method("warp", "warp")
    paths = Path("run/a"), Path("run/b")
    assert Method.read("mine=megaportraits:run/a,run/b") == Method("mine", "megaportraits", paths)
    assert Method.read("student:x/y").name == "student-y"
    for text in ("", "=warp", "a="):
        with pytest.raises(UsageError, match="--engine"):
            Method.read(text)


def test_intervals_and_tests() -> None:
    values = np.random.default_rng(0).normal(5, 1, 40).tolist()
    seen = interval(values)
    assert seen.low < seen.mean < seen.high
    assert seen.high - seen.low == pytest.approx(2 * 1.96 / np.sqrt(40), rel=0.25)
    assert interval([2.0, 2.0]).low == interval([2.0, 2.0]).high == 2
    assert interval(values) == interval(values)
    better = [value + 0.5 for value in values]
    assert paired_p(values, better) < 1e-6  # type: ignore[operator]
    assert paired_p(values, values) is None


def test_tables_show_the_best_and_no_formulas() -> None:
    def clip(method: str, name: str, ssim: float) -> dict[str, Any]:
        return {"method": method, "name": name, "figures": {"ssim": ssim, "jitter": None}, "counted": 3, "lost": 0}

    clips = [clip("a_b", "=1+1", 0.9), clip("c", "=1+1", 0.8)]
    results = {
        "kind": "self", "options": {"size": 256, "every": 1}, "methods": tables.summary(clips, 0), "clips": clips,
        "not_measured": {}, "times": {"frames_per_s": {"a_b": 12.0}, "peak_mb": {}},
    }  # fmt: skip
    assert tables.best(results, "ssim") == "a_b"
    assert "| a_b | 1 | **0.900** | 12.0 |" in tables.markdown(results)
    assert r"a\_b & \textbf{0.900} & 12.0 \\" in tables.latex(results)
    assert "a_b,'=1+1,3,0,0.9," in tables.csv_text(results)
