import math
import sys
from pathlib import Path

import child
import numpy as np
import pytest
import run
from media_set import BenchmarkError, label, media_set
from motion_figures import motion_verdicts, self_verdicts
from sync import sound_lag
from tables import Bar, Verdict, markdown, median_verdict, verdict_table


def test_bars_hold_at_their_value_and_never_for_nan():
    assert Bar("rot_err_deg", "<=", 2.5).holds(2.5)
    assert not Bar("rot_err_deg", "<=", 2.5).holds(2.51)
    assert Bar("r_eye", ">=", 0.7).holds(0.7)
    assert not Bar("r_eye", ">=", 0.7).holds(math.nan)
    assert Verdict(Bar("r_eye", ">=", 0.7), None).word == "not measured"


def test_nulls_are_left_out_of_the_median_and_counted():
    rows = [{"r_eye": 0.5}, {"r_eye": None}, {"r_eye": 0.9}, {"r_eye": 0.8}]
    verdict = median_verdict(rows, Bar("r_eye", ">=", 0.7))
    assert (verdict.figure, verdict.word, verdict.note) == (0.8, "pass", "median of 3; 1 null left out")


def test_tables_are_markdown():
    assert markdown([{"a": 1.23456, "b": "x|y"}, {"a": None}], ["a", "b"]).splitlines() == [
        "| a | b |",
        "|---|---|",
        "| 1.235 | x\\|y |",
        "| - | - |",
    ]
    assert "| lost | 0.05 | <= 0.02 | FAIL |  |" in verdict_table([Verdict(Bar("lost", "<=", 0.02), 0.05)])


def test_an_output_that_cannot_be_scored_counts_as_lost_and_a_refusal_does_not():
    rows = [
        {"outcome": "unscored", "lost": 1.0},
        {"outcome": "scored", "lost": 0.0, "r_eye": 0.9},
        {"outcome": "refused", "note": "error: no face"},
    ]
    verdicts = {verdict.bar.name: verdict for verdict in motion_verdicts(rows)}
    assert verdicts["lost"].figure == 0.5
    assert verdicts["r_eye"].figure == 0.9
    assert verdicts["runs that fail without a clear reason"].word == "pass"


def test_self_figures_use_both_ways_to_a_ratio():
    moved, still, ratios = (0.01, 0.02, 0.09), (0.1, 0.1, 0.3), (0.1, 0.2, 0.3)
    rows = [
        {"outcome": "scored", "nme": m, "nme_static": s, "ratio": r, "gain_db": 4.0}
        for m, s, r in zip(moved, still, ratios, strict=True)
    ]
    verdicts = self_verdicts(rows)
    assert [verdict.figure for verdict in verdicts[:3]] == pytest.approx([0.2, 0.2, 4.0])


@pytest.mark.parametrize("shift", [-320, 0, 160])
def test_a_shift_of_the_sound_is_found_to_the_sample(shift):
    noise = np.random.default_rng(7).normal(size=20000).astype(np.float32)
    before, after = noise[1000:17000], noise[1000 - shift : 17000 - shift]
    lag_s, likeness = sound_lag(before, after)
    assert lag_s == shift / 16000
    assert likeness > 0.97


def test_silence_has_no_lag():
    assert sound_lag(np.zeros(100, np.float32), np.ones(100, np.float32)) == (0.0, 0.0)


def test_media_are_chosen_by_the_beginning_of_their_names(tmp_path):
    for name in ("drivers/d01-x.mp4", "drivers/d02-y.mp4", "drivers/notes.txt", "portraits/p05-1.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    chosen = media_set(tmp_path, None, "p05")
    assert [label(path) for path in (*chosen.drivers, *chosen.portraits)] == ["d01", "d02", "p05"]
    with pytest.raises(BenchmarkError, match="no file begins with d07"):
        media_set(tmp_path, "d07", "p05")


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory of a tree needs /proc")
def test_memory_of_a_childs_child_is_seen():
    inner = "import time; kept = bytearray(64_000_000); time.sleep(2)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    done = child.run([sys.executable, "-c", outer], watch_memory=True)
    assert done.code == 0
    assert 64_000_000 < done.peak_bytes < 200_000_000


def test_an_error_line_is_the_message():
    done = child.Finished(3, "", "note: x\nerror: no face in it\n", 0.1, 0)
    assert done.message == "error: no face in it"


def test_a_benchmark_without_its_inputs_says_what_it_needs(capsys):
    assert run.main(["motion"]) == 2
    assert "--scorer" in capsys.readouterr().err
