"""Plans of anyone's videos: keys, people, limits."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prepare_kit import job_of, write_videos

from avatarkit.data.plan import PlannedItem, PlannedTrack
from avatarkit.data.voxceleb import Problem
from avatarkit.errors import InputError
from avatarkit.pipelines.prepare.config import PrepareJob
from avatarkit.pipelines.prepare.files import VIDEO_SUFFIXES, find
from avatarkit.pipelines.prepare.planning import make_plan, tell_problems
from avatarkit.pipelines.prepare.sources.draft import Draft
from avatarkit.pipelines.prepare.sources.keys import keys_of
from avatarkit.pipelines.prepare.sources.videos import Videos
from avatarkit.reading import check_id
from avatarkit.runtime import NullProgress


def keys(*names: str) -> list[str]:
    return keys_of([PurePosixPath(name) for name in names])


def test_plain_names_stay() -> None:
    assert keys("c0001.mp4", "ann/c0001.mp4", "b.c.mov") == ["c0001", "ann-c0001", "b.c"]


def test_other_names_get_a_hash_of_their_path() -> None:
    first, second, third = keys("my clip.mp4", "my_clip.mp4", "MY_CLIP.mov")
    assert first.startswith("my_clip-")
    assert len({first, second, third}) == 3
    assert second != "my_clip"
    assert keys("../evil.mp4")[0].startswith("evil-")


@given(st.lists(st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1), unique=True))
def test_keys_are_unique_and_safe(names: list[str]) -> None:
    paths = [PurePosixPath("folder") / f"{name}x.mp4" for name in names]
    found = keys_of(paths)
    assert len({key.lower() for key in found}) == len(paths)
    for key in found:
        check_id(key)


def test_files_folders_and_repeats(tmp_path: Path) -> None:
    write_videos(tmp_path / "in" / "ann", ["ok 1"] * 2)
    (tmp_path / "in" / "notes.txt").touch()
    (tmp_path / "in" / ".hidden.mp4").touch()
    single = tmp_path / "clip.bin"
    single.write_text("ok 1")
    paths = (tmp_path / "in", single, tmp_path / "in" / "ann" / "v000.mp4")
    job = PrepareJob(Videos(paths), tmp_path / "out")
    plan = make_plan(job, {})
    originals = {item.key: item.original for item in plan.items()}
    assert sorted(originals) == ["ann-v000", "ann-v001", "clip"]
    assert originals["clip"] is not None
    assert (originals["clip"].root, originals["clip"].path) == (1, "")


def test_same_names_in_two_folders(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_videos(tmp_path / name, ["ok 1"])
    job = PrepareJob(Videos((tmp_path / "a", tmp_path / "b")), tmp_path / "out")
    assert sorted(item.key for item in make_plan(job, {}).items()) == ["0-v000", "1-v000"]


def test_person_per_file_or_folder(tmp_path: Path) -> None:
    write_videos(tmp_path / "in" / "Ann B", ["ok 1"] * 2)
    write_videos(tmp_path / "in", ["ok 1"])
    job = job_of(tmp_path / "in", tmp_path / "out")
    people = {item.key: item.tracks[0].identity for item in make_plan(job, {}).items()}
    assert all(key == identity for key, identity in people.items())
    by_folder = make_plan(replace(job, source=replace(job.source, identity_from="folder")), {})
    people = {item.key: item.tracks[0].identity for item in by_folder.items()}
    assert people["v000"] == "v000"
    assert len(set(people.values())) == 2


def test_limit_draws_the_same_ones_by_the_seed(tmp_path: Path) -> None:
    job = job_of(write_videos(tmp_path / "in", ["ok 1"] * 30), tmp_path / "out", limit=5)

    def drawn(job: PrepareJob) -> set[str]:
        return {item.key for item in make_plan(job, {}).items()}

    assert len(drawn(job)) == 5
    assert drawn(job) == drawn(job)
    assert drawn(job) < drawn(replace(job, limit=9))
    assert drawn(replace(job, split=replace(job.split, seed=1))) != drawn(job)


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none: no such file or folder"):
        make_plan(PrepareJob(Videos((tmp_path / "none",)), tmp_path / "out"), {})
    with pytest.raises(InputError, match="give one video or folder at least"):
        make_plan(PrepareJob(Videos(), tmp_path / "out"), {})
    with pytest.raises(InputError, match="there is no video to prepare"):
        make_plan(PrepareJob(Videos((tmp_path,)), tmp_path / "out"), {})


def test_a_person_in_two_splits_is_no_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracks = {key: (PlannedTrack(person, "", 9),) for key, person in (("a", "ann"), ("b", "bob"), ("c", "ann"))}
    items = [(split, PlannedItem(key, tracks[key]), 1) for split, key in (("train", "a"), ("val", "b"), ("val", "c"))]
    monkeypatch.setattr(Videos, "draft", lambda self, job, progress: Draft(items))
    with pytest.raises(InputError, match="ann is in train and in val"):
        make_plan(PrepareJob(Videos(), tmp_path), {})


def test_problems_are_named_once_and_the_rest_counted() -> None:
    heard: list[str] = []
    progress = NullProgress()
    progress.notice = heard.append  # type: ignore[method-assign]
    tell_problems([Problem(f"{n}.mp4", 0, "is a link that leads nowhere; left out") for n in range(13)], progress)
    assert heard[0] == "0.mp4: is a link that leads nowhere; left out"
    assert heard[10:] == ["3 more such lines and files are listed in plan.json"]


def test_name_that_is_not_utf8_is_left_out_and_reported(tmp_path: Path) -> None:
    for name in (b"plain.mp4", b"\xff\xfe.mp4", "größe.mp4".encode()):
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(b"x")
    problems: list[Problem] = []
    assert find(tmp_path, VIDEO_SUFFIXES, problems) == ["größe.mp4", "plain.mp4"]
    assert [str(one) for one in problems] == ["\\udcff\\udcfe.mp4: its name is not UTF-8; left out: rename it"]
