"""Originals below folders: links followed, loops refused, nothing passed over without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from avatarkit.data.plan import Original
from avatarkit.data.voxceleb import Problem
from avatarkit.errors import InputError
from avatarkit.pipelines.prepare.files import PHOTO_SUFFIXES, VIDEO_SUFFIXES, find, original_path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder of links to files and folders elsewhere."""
    store, root = tmp_path / "store", tmp_path / "in"
    (store / "more").mkdir(parents=True)
    root.mkdir()
    for name in ("a.mp4", "more/b.mov", "more/c.txt"):
        (store / name).write_text(name)
    (root / "one.mp4").symlink_to(store / "a.mp4")
    (root / "twice").symlink_to(store / "more")
    (root / "all").symlink_to(store)
    (root / "own").mkdir()
    (root / "own" / "up").symlink_to("..")
    (root / "itself.mp4").symlink_to("itself.mp4")
    (root / "nowhere.mp4").symlink_to(tmp_path / "gone.mp4")
    return root


def test_links_are_followed_and_loops_named(tree: Path) -> None:
    problems: list[Problem] = []
    assert find(tree, VIDEO_SUFFIXES, problems) == ["all/a.mp4", "all/more/b.mov", "one.mp4"]
    assert sorted(map(str, problems)) == [
        "itself.mp4: is a link that leads nowhere; left out",
        "nowhere.mp4: is a link that leads nowhere; left out",
        "own/up: a link to a folder that it lies in; left out",
        "twice: the same folder as all/more; left out",
    ]
    assert original_path(Original(0, "all/a.mp4", 5, "0" * 32), (tree,)).read_text() == "a.mp4"
    with pytest.raises(InputError, match="original"):
        original_path(Original(0, "../store/a.mp4", 5, "0" * 32), (tree,))


def test_many_links_to_links_end(tmp_path: Path) -> None:
    for number in range(40):
        folder = tmp_path / f"f{number}"
        folder.mkdir()
        for name in "ab":
            (folder / name).symlink_to(tmp_path / f"f{number + 1}")
    (tmp_path / "f40").mkdir()
    (tmp_path / "f40" / "v.mp4").touch()
    assert find(tmp_path / "f0", VIDEO_SUFFIXES, []) == ["/".join("a" * 40) + "/v.mp4"]


def test_pictures_of_every_kind(tmp_path: Path) -> None:
    for name in ("a.avif", "b.gif", "c.JPG", "d.bmp", "e.jxl", "f.heic", "g.json"):
        (tmp_path / name).touch()
    problems: list[Problem] = []
    assert find(tmp_path, PHOTO_SUFFIXES, problems) == ["a.avif", "b.gif", "c.JPG", "d.bmp"]
    assert [str(problem) for problem in problems] == [
        "e.jxl: is a JPEG XL picture, which cannot be read; convert it to PNG or JPEG",
        "f.heic: is a HEIC picture, which cannot be read; convert it to PNG or JPEG",
    ]
    assert find(tmp_path, VIDEO_SUFFIXES, []) == ["b.gif"]
