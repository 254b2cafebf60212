"""Places and archives of ours in folders of strangers: nothing behind a link, nothing of others replaced, no bombs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from avatarkit.cache import Cache
from avatarkit.errors import InputError, OutputError
from avatarkit.media.image import write_image
from avatarkit.pipelines.batch import BatchOptions
from avatarkit.pipelines.batch.gallery import write_gallery
from avatarkit.pipelines.batch.plan import MARKS, WORK, write_mark
from avatarkit.pipelines.batch.worker import write_poster
from avatarkit.pipelines.evaluate.results import compare
from avatarkit.pipelines.evaluate.run import EvaluateConfig, evaluate
from avatarkit.pipelines.evaluate.worker import read_features, write_features
from avatarkit.pipelines.pages import check_own
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.pipelines.studio import Studio
from avatarkit.reading import read_arrays
from avatarkit.runtime import NullProgress
from tests.memory import cost

from .test_hostile import PAIR, RESULTS

BLACK = np.zeros((8, 8, 3), np.uint8)


def results(folder: Path) -> Path:
    """A folder with one picture that a batch could have made, and a table for an evaluation of it."""
    write_image(folder / "s--d.png", BLACK)
    (folder / "pairs.csv").write_text("output,driver\ns--d.png,s--d.png\n")
    return folder / "pairs.csv"


@pytest.mark.parametrize(
    "names", [(WORK,), (WORK, "posters"), (WORK, MARKS), (".evaluate",), (".evaluate", "measured")]
)
def test_folders_of_ours_do_not_lead_elsewhere(tmp_path: Path, names: tuple[str, ...]) -> None:
    other, out = tmp_path / "other", tmp_path / "out"
    other.mkdir()
    link = out.joinpath(*names)
    link.parent.mkdir(parents=True)
    link.symlink_to(other)
    pairs = results(out)
    if names[0] == WORK:
        with suppress(OutputError):
            write_gallery(out)
        poster = out / WORK / "posters" / "x.jpg"
        with pytest.raises(OSError, match="is a link"):
            write_mark(BatchOptions(out), PAIR, {}) if MARKS in names else write_poster(poster, BLACK)
    else:
        with pytest.raises(OutputError, match="is a link"):
            evaluate(EvaluateConfig("videos", out, pairs=pairs))
    assert list(other.iterdir()) == []


@pytest.mark.parametrize("name", ["index.html", "results.csv", "results.json"])
def test_pages_and_tables_of_others_are_not_replaced(tmp_path: Path, name: str) -> None:
    pairs, others = results(tmp_path), tmp_path / "other" / "results.json"
    others.parent.mkdir()
    others.write_text(json.dumps(RESULTS))
    (tmp_path / name).write_text("mine")
    for act in (
        lambda: evaluate(EvaluateConfig("videos", tmp_path, pairs=pairs)),
        lambda: compare([others], tmp_path),
        lambda: write_gallery(tmp_path) if name == "index.html" else check_own(tmp_path / name, "mark", "x"),
    ):
        with pytest.raises(OutputError, match=rf"{name}: exists and is"):
            act()
    assert (tmp_path / name).read_text() == "mine"
    (tmp_path / name).unlink()
    assert write_gallery(tmp_path) == write_gallery(tmp_path)


def test_results_of_a_thousand_methods_take_no_minutes(tmp_path: Path) -> None:
    clips = [{**RESULTS["clips"][0], "method": f"m{number}"} for number in range(1000)]
    (tmp_path / "results.json").write_text(json.dumps({**RESULTS, "clips": clips}))
    with pytest.raises(InputError, match="1000 methods"):
        compare([tmp_path / "results.json"], tmp_path / "out")


def test_results_of_nothing_are_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "driver.mp4").write_text("#EXTM3U\n")
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("output,driver\ndriver.mp4,driver.mp4\n")
    with pytest.raises(InputError, match=r"nothing could be measured: .* is a playlist"):
        evaluate(EvaluateConfig("videos", tmp_path / "out", pairs=pairs))


def bomb(path: Path) -> None:
    """64 MB of zeros in 64 kB, as numpy's compressed archives hold them."""
    with path.open("wb") as file:
        np.savez_compressed(file, output=np.zeros((2048, 4096)), driver=np.zeros((0, 4096)))


def declared(path: Path, shape: list[int], dtype: str = "F32") -> None:
    """48 bytes that are said to be more, or something else."""
    entry = {"dtype": dtype, "shape": shape, "data_offsets": [0, 48]}
    text = json.dumps(dict.fromkeys(("output", "driver"), entry)).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(48))


@pytest.mark.parametrize(
    "write",
    [
        bomb, lambda path: declared(path, [1 << 40, 2048]), lambda path: declared(path, [3, 4]),
        lambda path: declared(path, [1 << 62, 1 << 62]), lambda path: declared(path, [48], "F8_E4M3"),
        lambda path: path.write_bytes((1 << 62).to_bytes(8, "little") + bytes(48)), lambda path: None,
        lambda path: path.write_bytes(b"\x10" + bytes(7) + b"[" * 16), lambda path: os.truncate(path, 3 << 30),
    ],
)  # fmt: skip
def test_archives_are_as_large_as_their_file(tmp_path: Path, write: Callable[[Path], None]) -> None:
    path = tmp_path / "a.safetensors"
    path.touch()
    write(path)

    def read() -> None:
        with pytest.raises(InputError, match=r"is damaged|more than"):
            read_arrays(path, 1 << 30)
        assert read_features(path) is None

    found = cost(read)
    assert (found.seconds < 5, found.memory_bytes < 40_000_000) == (True, True), found


ODD_ABOUT: list[dict[str, Any]] = [
    {"part": "ab"}, {"part": [1]}, {"part": [-9, 5]}, {"part": [0, 1 << 60]}, {"warnings": "x"}, {"warnings": [5]},
]  # fmt: skip
ODD_LANDMARKS: list[Callable[[NDArray[np.float32]], NDArray[Any]]] = [
    lambda points: points * 0, lambda points: points * np.float32(1e30), lambda points: points > 0,
    lambda points: points.astype(np.float64), lambda points: points + np.float32(1e6), lambda points: points[:9],
]  # fmt: skip


def test_kept_inputs_that_cannot_be_are_made_again(photo: Path, tmp_path: Path) -> None:
    config = ReenactConfig(photo, photo, tmp_path / "o.png", size=128)
    folder = tmp_path / "c"
    with Studio(Cache(folder, "p")) as studio:
        motion, portrait = studio.driver(config, NullProgress()).motion, studio.portrait(config)
        (driver,), (source,) = (folder / "drivers").iterdir(), (folder / "portraits").iterdir()
        for number, change in enumerate(ODD_ABOUT):
            about = json.loads((driver / "about.json").read_text())
            (driver / "about.json").write_text(json.dumps({**about, **change}))
            np.testing.assert_array_equal(studio.driver(config, NullProgress()).motion.rotation, motion.rotation)
            assert studio.made["driver"] == number + 2, change
        for number, odd in enumerate(ODD_LANDMARKS):
            np.save(source / "landmarks.npy", odd(np.load(source / "landmarks.npy")))
            np.testing.assert_array_equal(studio.portrait(config).landmarks, portrait.landmarks)
            assert studio.made["portrait"] == number + 2, number


def test_kept_features_are_numbers(tmp_path: Path) -> None:
    rows = np.ones((3, 2048), np.float32)
    write_features(tmp_path / "a", rows, rows[:2])
    assert [len(part) for part in read_features(tmp_path / "a") or ()] == [3, 2]
    rows[1, 1] = np.nan
    write_features(tmp_path / "a", rows, rows[:2])
    assert read_features(tmp_path / "a") is None
