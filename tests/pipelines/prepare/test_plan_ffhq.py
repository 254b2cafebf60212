"""Plans of FFHQ-shaped folders: which file is which form of which photo, and who is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from prepare_kit import FAKE

from avatarkit.data.dataset import Dataset
from avatarkit.data.plan import Plan
from avatarkit.pipelines.prepare.config import PrepareJob, RunOptions
from avatarkit.pipelines.prepare.jobs import JobMaker
from avatarkit.pipelines.prepare.planning import make_plan
from avatarkit.pipelines.prepare.run import prepare
from avatarkit.pipelines.prepare.sources.ffhq import FFHQ
from avatarkit.prepare.job import PhotoJob


def record(number: int, category: str = "training") -> dict[str, Any]:
    forms = {}
    for name, folder, size in (("image", "images1024x1024", 100), ("in_the_wild", "in-the-wild-images", 200)):
        points = [[float(size + at), 1.0] for at in range(68)]
        path = f"{folder}/00000/{number:05d}.png"
        forms[name] = {"file_path": path, "file_size": size + number, "face_landmarks": points}
    about = {"photo_url": f"https://x/{number}", "author": f"Author {number}", "license": "CC BY", "license_url": "l"}
    return {"category": category, "metadata": about, **forms}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six records, the last for validation."""
    records = {str(number): record(number, "validation" if number == 5 else "training") for number in range(6)}
    (tmp_path / "ffhq.json").write_text(json.dumps(records))
    (tmp_path / "images").mkdir()
    return tmp_path


def photo(root: Path, name: str, size: int) -> None:
    path = root / "images" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"ok {path.stem[-1]}".ljust(size))


def job_of(root: Path, **sources: Any) -> PrepareJob:
    values = {"images": root / "images", "json": root / "ffhq.json", **sources}
    return PrepareJob(FFHQ(**values), root / "out", run=RunOptions(processor=FAKE))


def plan_of(root: Path, **sources: Any) -> Plan:
    return make_plan(job_of(root, **sources), {})


def test_forms_are_told_by_folder_and_by_size(root: Path) -> None:
    photo(root, "in-the-wild-images/00000/00000.png", 7)
    photo(root, "images1024x1024/00000/00001.jpg", 7)
    photo(root, "00000/00002.png", 202)
    photo(root, "00003.png", 103)
    photo(root, "00004.png", 5)
    plan = plan_of(root)
    assert {item.key: item.form for item in plan.items()} == {
        "00000": "wild", "00001": "aligned", "00002": "wild", "00003": "aligned",
    }  # fmt: skip
    assert {one.video: one.reason for one in plan.rejected()} == {
        "00004": "not-the-published-file", "00005": "no-original",
    }  # fmt: skip


def test_category_decides_the_split_and_the_job_has_everything(root: Path) -> None:
    for number in range(6):
        photo(root, f"00000/{number:05d}.png", 200 + number)
    plan = plan_of(root)
    assert [(shard.split, [item.key for item in shard.items]) for shard in plan.shards if shard.split == "val"] == [
        ("val", ["00005"])
    ]
    item = next(item for item in plan.items() if item.key == "00003")
    job = JobMaker.of(job_of(root)).job(item, "train")
    assert isinstance(job, PhotoJob)
    assert job.landmarks68 is not None
    assert job.landmarks68[2].tolist() == [202.0, 1.0]
    assert (job.author, job.licence, job.source, job.identity) == ("Author 3", "CC BY", "https://x/3", "00003")
    assert job.extra == {"photo_url": "https://x/3", "licence_url": "l"}
    assert (job.age, job.face_count) == (None, None)


def test_crowds_and_children_are_left_out(root: Path) -> None:
    faces = {0: [30.0], 1: [30.0, 40.0], 2: [17.5], 3: [], 4: "broken"}
    (root / "features").mkdir()
    for number in range(6):
        photo(root, f"{number:05d}.png", 200 + number)
    for number, ages in faces.items():
        values = ages if isinstance(ages, str) else [{"faceAttributes": {"age": age}} for age in ages]
        (root / "features" / f"{number:05d}.json").write_text(json.dumps(values))
    plan = plan_of(root, features=root / "features")
    assert {one.video: one.reason for one in plan.rejected()} == {"00001": "several-people", "00002": "child"}
    notes = {item.key: dict(item.notes) for item in plan.items()}
    assert notes == {"00000": {"age": "30.0", "faces": "1"}, "00003": {}, "00004": {}, "00005": {}}
    assert [problem.file for problem in plan.problems] == ["00004.json"]
    job = JobMaker.of(job_of(root)).job(next(plan.items()), "train")
    assert isinstance(job, PhotoJob)
    assert (job.age, job.face_count) == (30.0, 1)


def test_photos_without_a_json_have_names_of_their_own(root: Path) -> None:
    photo(root, "a/portrait one.jpg", 10)
    photo(root, "b/00007.png", 10)
    photo(root, "notes.txt", 10)
    plan = plan_of(root, json=None)
    assert sorted(item.key for item in plan.items()) == ["00007", "a-portrait_one-58dfe87f"]
    report = prepare(job_of(root, json=None))
    assert report.finished
    assert report.clips == 2
    assert Dataset.open(root / "out").manifest.kind == "photos"


def test_attribution_is_kept_for_every_photo(root: Path) -> None:
    for number in range(3):
        photo(root, f"{number:05d}.png", 200 + number)
    prepare(job_of(root))
    assert (root / "out" / "attribution.csv").read_text().splitlines() == [
        "clip,author,title,licence,licence_url,source",
        *(f"0000{number},Author {number},,CC BY,l,https://x/{number}" for number in range(3)),
    ]


def test_record_that_changed_is_refused(root: Path) -> None:
    photo(root, "00000.png", 200)
    plan = plan_of(root)
    (root / "ffhq.json").write_text((root / "ffhq.json").read_text().replace("Author 0", "Somebody"))
    from avatarkit.pipelines.prepare.config import Refused

    with pytest.raises(Refused) as caught:
        JobMaker.of(job_of(root)).job(next(plan.items()), "train")
    assert caught.value.reason == "metadata-changed"
