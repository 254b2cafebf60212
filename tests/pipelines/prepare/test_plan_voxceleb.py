"""Plans of VoxCeleb2-shaped trees, and runs on them with originals from a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from prepare_kit import VIDEO_IDS, Notices, voxceleb_job, voxceleb_tree, write_utterance

from avatarkit.data.dataset import Dataset
from avatarkit.data.ledger import read_table
from avatarkit.data.plan import Plan
from avatarkit.errors import InputError
from avatarkit.pipelines.prepare.planning import make_plan
from avatarkit.pipelines.prepare.run import prepare


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Metadata in txt, and a folder of three of the four originals."""
    voxceleb_tree(tmp_path / "txt")
    (tmp_path / "originals" / "more").mkdir(parents=True)
    for number, (folder, video) in enumerate(zip(("", "more", ""), VIDEO_IDS, strict=False)):
        (tmp_path / "originals" / folder / f"{video}.mp4").write_text("ok 1" + " " * number)
    return tmp_path


def plan_of(root: Path, **sources: object) -> Plan:
    job = voxceleb_job(root, root / "out", originals=root / "originals", **sources)
    return make_plan(job, {})


def test_tracks_of_a_video_lie_together(tree: Path) -> None:
    plan = plan_of(tree)
    items = {item.key: item for item in plan.items()}
    assert list(items) == list(VIDEO_IDS[:3])
    assert [(one.identity, one.utterance, one.frames) for one in items[VIDEO_IDS[0]].tracks] == [
        ("id00001", "00001", 30), ("id00001", "00002", 250),
    ]  # fmt: skip
    assert [one.identity for one in items[VIDEO_IDS[1]].tracks] == ["id00001", "id00002"]
    original = items[VIDEO_IDS[1]].original
    assert original is not None
    assert (original.path, original.bytes) == (f"more/{VIDEO_IDS[1]}.mp4", 5)


def test_text_without_its_video_is_dropped_with_a_reason(tree: Path) -> None:
    rejected = list(plan_of(tree).rejected())
    assert [(one.clip_id, one.stage, one.reason) for one in rejected] == [
        (f"id00003-{VIDEO_IDS[3]}-00001", "plan", "no-original")
    ]


def test_people_of_two_splits_in_one_video_are_kept_apart(tree: Path) -> None:
    table = tree / "meta.csv"
    table.write_text("VoxCeleb2 ID ,Set \nid00001 ,dev \nid00002 ,test \n")
    plan = plan_of(tree, meta_csv=table)
    where = {(shard.split, item.key) for shard in plan.shards for item in shard.items}
    assert where == {
        ("train", VIDEO_IDS[0]), ("train", VIDEO_IDS[1]), ("test", VIDEO_IDS[1]), ("test", VIDEO_IDS[2]),
    }  # fmt: skip
    people = {shard.split: {t.identity for item in shard.items for t in item.tracks} for shard in plan.shards}
    assert people == {"train": {"id00001"}, "test": {"id00002"}}
    assert [str(problem) for problem in plan.problems] == ["id00003: is not in the table of people; taken as dev"]


def test_malformed_files_are_dropped_and_lines_told(tree: Path) -> None:
    write_utterance(tree / "txt", "id00001", VIDEO_IDS[0], "00003", extra="130 x")
    (tree / "txt" / "id00001" / VIDEO_IDS[0] / "00004.txt").write_text("nonsense")
    moved = write_utterance(tree / "txt", "id00009", VIDEO_IDS[0], "00001")
    moved.rename(tree / "txt" / "id00001" / VIDEO_IDS[0] / "00005.txt")
    plan = plan_of(tree)
    here = f"id00001/{VIDEO_IDS[0]}"
    assert [str(problem) for problem in plan.problems] == [
        f"{here}/00003.txt:38: 2 cells, expected FRAME X Y W H",
        f"{here}/00004.txt:1: expected the header line 'Identity', found 'nonsense'",
        f"{here}/00005.txt:1: says id00009, but lies in the folder of id00001",
    ]
    dropped = {one.clip_id: one.reason for one in plan.rejected()}
    assert dropped[f"id00001-{VIDEO_IDS[0]}-00004"] == dropped[f"id00001-{VIDEO_IDS[0]}-00005"] == "malformed"
    first = next(item for item in plan.items() if item.key == VIDEO_IDS[0])
    assert [track.utterance for track in first.tracks] == ["00001", "00002", "00003"]


def test_links_to_originals_are_followed(tree: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.mp4"
    elsewhere.write_text("ok 1" + " " * 3)
    (tree / "originals" / f"{VIDEO_IDS[3]}.mp4").symlink_to(elsewhere)
    (tree / "originals" / "again").mkdir()
    (tree / "originals" / "again" / f"{VIDEO_IDS[0]}.webm").symlink_to(f"../{VIDEO_IDS[0]}.mp4")
    (tree / "originals" / "again" / "round").symlink_to("..")
    plan = plan_of(tree)
    assert [item.key for item in plan.items()] == list(VIDEO_IDS[:4])
    assert sorted(str(problem) for problem in plan.problems) == [
        f"again/{VIDEO_IDS[0]}.webm: is the same video as {VIDEO_IDS[0]}.mp4; left out",
        "again/round: a link to a folder that it lies in; left out",
    ]


def test_plan_does_not_depend_on_where_things_lie(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    moved = tmp_path_factory.mktemp("moved") / "tree"
    first = plan_of(tree)
    tree.rename(moved)
    assert plan_of(moved) == first


def test_nothing_to_prepare_is_an_error_that_says_why(tree: Path) -> None:
    for path in (tree / "originals").rglob("*.mp4"):
        path.unlink()
    with pytest.raises(InputError, match=r"there is no video to prepare; 4 were left out, the first: no file named"):
        plan_of(tree)


def test_run_with_a_folder_of_originals(tree: Path) -> None:
    job = voxceleb_job(tree, tree / "out", originals=tree / "originals")
    report = prepare(job)
    assert report.planned == 6
    assert report.rejected == {("plan", "no-original"): 1}
    dataset = Dataset.open(tree / "out")
    clips = {clip.clip_id: clip for clip in dataset.clips(selected=False)}
    assert f"id00001-{VIDEO_IDS[0]}-00002" in clips
    clip = clips[f"id00002-{VIDEO_IDS[1]}-00001"]
    assert (clip.identity, clip.video, clip.utterance) == ("id00002", VIDEO_IDS[1], "00001")
    assert clip.source == f"https://www.youtube.com/watch?v={VIDEO_IDS[1]}"
    assert (tree / "out" / "attribution.csv").read_text().splitlines()[0] == (
        "clip,author,title,licence,licence_url,source"
    )
    assert all((tree / "originals").rglob("*.mp4"))


def test_metadata_that_changed_is_refused(tree: Path) -> None:
    job = voxceleb_job(tree, tree / "out", originals=tree / "originals")
    (tree / "originals" / f"{VIDEO_IDS[2]}.mp4").write_text("full")
    with pytest.raises(Exception, match="no room"):
        prepare(job)
    for path in (tree / "out" / "shards").glob("*"):
        path.unlink()
    write_utterance(tree / "txt", "id00001", VIDEO_IDS[0], "00001", frames=31)
    (tree / "originals" / f"{VIDEO_IDS[2]}.mp4").write_text("ok 1  ")
    progress = Notices()
    prepare(job, progress)
    reasons = {row["sample"]: row["reason"] for row in read_table(tree / "out" / "ledger.sqlite", "samples")}
    assert reasons[f"id00001-{VIDEO_IDS[0]}-00001"] == reasons[f"id00001-{VIDEO_IDS[0]}-00002"] == "metadata-changed"
    assert reasons[f"id00002-{VIDEO_IDS[2]}-00001"] == "original-changed"
    assert reasons[f"id00002-{VIDEO_IDS[1]}-00001"] == ""
