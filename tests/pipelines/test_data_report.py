"""The dataset report: figures of a set whose figures are known, and a page that is safe, whole and the same twice."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import re
import sqlite3
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatarkit.data.clip import ClipData, ClipInfo, Rejected
from avatarkit.data.columns import FRAME_COLUMNS
from avatarkit.data.ledger import Ledger
from avatarkit.data.manifest import write_manifest
from avatarkit.data.marks import Removed, write_removed, write_selection
from avatarkit.data.pictures import encode_image, encode_matte
from avatarkit.data.plan import Dropped, Plan
from avatarkit.data.plan_file import write_plan
from avatarkit.data.shard import seal_shard
from avatarkit.data.voxceleb import Problem
from avatarkit.data.writer import ShardWriter
from avatarkit.errors import InputError, OutputError
from avatarkit.pipelines.data_report import report as data_report

EVIL = "<script>alert('x')</script>&\"<img src=http://127.0.0.1/x>"


def info(name: str, split: str, person: str, frames: int, score: float, **changes: Any) -> ClipInfo:
    """A clip with plain figures."""
    values: dict[str, Any] = {
        "clip_id": name, "identity": person, "video": f"v-{person}", "utterance": "00001", "split": split,
        "source": "https://example.org/x", "licence": "", "author": EVIL, "native_rate": "25", "start_s": 0.0,
        "frames": frames, "head_px": 400.0 + 10 * score, "bitrate_kbps": 1500.0, "effective_px": 300.0,
        "sharpness": 0.5, "score": score, "yaw_deg": 12.0, "extra": {"title": EVIL},
    }  # fmt: skip
    return ClipInfo(**{**values, **changes})


def rejected(name: str, stage: Any, reason: str, detail: str = "said so", video: str = "") -> Rejected:
    return Rejected(name, video or f"video-{name}", "someone", "train", stage, reason, detail)


def clip(about: ClipInfo, pictures: list[np.ndarray]) -> ClipData:
    """A clip whose frames go through `pictures` again and again."""
    encoded = [encode_image(picture, "jpeg", 80) for picture in pictures]
    matte = encode_matte(np.full(pictures[0].shape[:2], 255, np.uint8))
    count = about.frames
    columns = {name: np.zeros((count, *column.shape), column.dtype) for name, column in FRAME_COLUMNS.items()}
    return ClipData(about, [encoded[n % len(encoded)] for n in range(count)], [matte] * count, columns)


def make_dataset(
    folder: Path,
    clips: list[ClipData],
    refused: list[Rejected],
    kept: set[str] | None,
    config: dict[str, Any],
    kind: Any = "videos",
    size: int = 64,
) -> Path:
    """A finished dataset with one shard per split."""
    (folder / "shards").mkdir(parents=True)
    stats = []
    for split in ("train", "val", "test"):
        mine = [one for one in clips if one.info.split == split]
        if mine:
            part = folder / "shards" / f".{split}.part"
            with ShardWriter(part, {"kind": kind}) as writer:
                for one in mine:
                    writer.append(one)
            here = [one for one in refused if one.split == split]
            stats.append(seal_shard(folder, f"{split}-00000", part, [one.info for one in mine], here))
    hashes = {"plan_hash": "a" * 64, "config_hash": "b" * 64}
    tools = {"tracker": "mediapipe", "scorer": "hyperiqa"}
    write_manifest(folder, stats, kind=kind, size=size, **hashes, config=config, tools=tools)
    if kept is not None:
        write_selection(folder, kept, {"keep_top": 0.5, "scorer": "hyperiqa"})
    return folder


REFUSED = [
    rejected("p1", "plan", "box-outside"),
    rejected("f1", "fetch", "private", "ERROR: [youtube] abc: Private video. " + EVIL, video="one"),
    rejected("f2", "fetch", "private", "Private video", video="one"),
    rejected("f3", "fetch", "private", "Private video", video="two"),
    rejected("f4", "fetch", "rate-limit", "try again later", video="three"),
    rejected("t1", "track", "no-face"),
    rejected("c1", "crop", "head-too-small"),
    rejected("c2", "crop", "head-too-small"),
    rejected("c3", "crop", "drift"),
]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Four clips of three people, three of them selected; nine candidates were refused."""
    red, green = np.zeros((2, 64, 64, 3), np.uint8)
    red[:, :, 0], green[:, :, 1] = 255, 255
    clips = [
        clip(info("a/1", "train", "anna", 50, 70.0), [red, green]),
        clip(info("a/2", "train", "anna", 25, 60.0), [red]),
        clip(info("b/1", "train", "bert", 25, 20.0), [green]),
        clip(info("c/1", "val", "carl", 100, math.nan, yaw_deg=40.0), [green]),
    ]
    config = {"size": 64, "min_head_px": 512, "note": EVIL, "nested": {"keep_top": 0.5, "list": [1, 2]}}
    return make_dataset(tmp_path / "the set", clips, REFUSED, {"a/1", "a/2", "c/1"}, config)


class Page(HTMLParser):
    """Collects tags with their attributes, and checks that they nest."""

    VOID = ("meta", "img", "br", "line", "rect")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self._open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_figures(dataset: Path) -> None:
    found = data_report.report(dataset)
    figures = found.content
    assert json.loads(found.json_path.read_text()) == figures
    assert figures["totals"] == {
        "planned": 13, "stored": 4, "kept": 3, "refused": 9, "people": 2, "videos": 2, "frames": 175, "hours": 0.0019,
    }  # fmt: skip
    assert [(row["stage"], row["entered"], row["left"]) for row in figures["funnel"]] == [
        ("plan", 13, 12), ("fetch", 12, 8), ("track", 8, 7), ("crop", 7, 4), ("annotate", 4, 4), ("score", 4, 4),
        ("select", 4, 3),
    ]  # fmt: skip
    crop = figures["funnel"][3]["reasons"]
    assert [(reason["reason"], reason["count"]) for reason in crop] == [("head-too-small", 2), ("drift", 1)]
    assert crop[0]["examples"][0] == {"id": "c1", "video": "video-c1", "detail": "said so"}
    train, val, test = figures["splits"]
    assert (train["clips"], train["kept"], train["people"], train["frames"]) == (3, 2, 1, 75)
    assert (val["clips"], val["kept"], val["people"], val["frames"]) == (1, 1, 1, 100)
    assert (test["clips"], test["kept"], test["people"]) == (0, 0, 0)
    assert figures["people"]["seconds"]["median"] == pytest.approx(3.5)
    assert figures["histograms"]["score"]["missing"] == 1
    assert figures["histograms"]["score"]["kept"]["median"] == 65.0
    assert figures["histograms"]["yaw_deg"]["stored"]["highest"] == 40.0
    assert figures["dataset"]["lowest_kept_score"] == {"train": 60.0}
    assert figures["configuration"]["min_head_px"] == 512


def test_a_person_in_two_splits_is_told(tmp_path: Path) -> None:
    picture = np.full((64, 64, 3), 90, np.uint8)
    clips = [clip(info(f"{split}/1", split, "anna", 2, 5.0), [picture]) for split in ("train", "test")]
    found = data_report.report(make_dataset(tmp_path / "leak", clips, [], None, {}))
    assert found.content["people"]["in_two_splits"] == {"count": 1, "examples": ["anna"]}
    assert "1 person is in two splits, such as anna" in found.html_path.read_text(encoding="utf-8")


def test_the_plan_tells_what_it_left_out(dataset: Path) -> None:
    dropped = (
        Dropped("vid", "train", (("anna", "00001"), ("anna", "00002")), "no-original", "no file"),
        Dropped("gone", "val", (("zoe", "00001"),), "no-original", "no file"),
    )
    plan = Plan("voxceleb2", {}, {}, (), dropped, (Problem("txt/<b>.txt", 7, "four numbers expected"),))
    write_plan(dataset, plan)
    write_removed(dataset, Removed(people=frozenset({"zoe"})))
    found = data_report.report(dataset)
    first = found.content["funnel"][0]
    assert (first["entered"], first["left"]) == (15, 12)
    assert [(one["reason"], one["count"]) for one in first["reasons"]] == [("no-original", 2), ("box-outside", 1)]
    assert "zoe" not in found.json_path.read_text()
    assert found.content["problems"] == {"count": 1, "examples": ["txt/<b>.txt:7: four numbers expected"]}
    assert "txt/&lt;b&gt;.txt:7" in found.html_path.read_text()


def test_failures_count_videos_not_clips(dataset: Path) -> None:
    rows = data_report.report(dataset).content["failures"]
    assert [(row["class"], row["videos"], row["tried_again"]) for row in rows] == [
        ("private", 2, False), ("rate-limit", 1, True),
    ]  # fmt: skip
    assert [example["video"] for example in rows[0]["examples"]] == ["one", "two"]


def test_summary(dataset: Path, tmp_path: Path) -> None:
    found = data_report.report(dataset, tmp_path / "page.html")
    first, second, third = found.summary_lines()
    assert first == "the set: 3 clips selected of 4 stored, 2 people, 0.002 h of video"
    assert second == "refused 9 of 13: 3 fetch: private, 2 crop: head-too-small, 1 crop: drift"
    assert third == f"page: {tmp_path / 'page.html'}, figures: {tmp_path / 'page.json'}"


def test_the_page_is_whole_and_runs_nothing(dataset: Path) -> None:
    text = data_report.report(dataset).html_path.read_text(encoding="utf-8")
    page = Page(text)
    names = [tag for tag, _ in page.tags]
    assert "script" not in names
    assert "link" not in names
    assert names.count("img") == 4
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes), tag
        source = attributes.get("src")
        assert source is None or source.startswith("data:image/jpeg;base64,")
        assert (attributes.get("href") or "#").startswith("#")
    assert "url(" not in text
    assert "default-src 'none'" in text
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {attributes["href"] for tag, attributes in page.tags if tag == "a"}
    assert links <= {f"#{name}" for name in ids}
    charts = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(charts) == 7
    for chart in charts:
        assert chart["role"] == "img"
        assert set(str(chart["aria-labelledby"]).split()) <= set(ids)
    assert EVIL in "".join(page.words), "shown as text"
    for unit in ("[px]", "[kbit/s]", "[°]", "[s]", "clips"):
        assert any(unit in word for word in page.words), unit


def test_pictures_show_the_middle_frame_of_the_right_clips(dataset: Path) -> None:
    text = data_report.report(dataset).html_path.read_text(encoding="utf-8")
    shown = re.findall(r'base64,([^"]+)" alt="Frame of ([^"]+)"', text)
    assert [name for _, name in shown] == ["a/1", "a/2", "c/1", "b/1"], "best first, no score last, then not selected"
    from avatarkit.data.pictures import decode_image

    colours = {}
    for data, name in shown:
        picture = decode_image(base64.b64decode(data), name)
        assert picture.shape == (144, 144, 3)
        colours[name] = "red" if picture[..., 0].mean() > 200 else "green"
    assert colours == {"a/1": "green" if (50 // 2) % 2 else "red", "a/2": "red", "b/1": "green", "c/1": "green"}
    assert "below 60" in text


def test_the_same_dataset_gives_the_same_bytes(dataset: Path, tmp_path: Path) -> None:
    pages = []
    for number_ in range(2):
        out = tmp_path / str(number_) / "report.html"
        out.parent.mkdir()
        found = data_report.report(dataset, out)
        pages.append((out.read_bytes(), found.json_path.read_bytes()))
    assert pages[0] == pages[1]
    assert str(tmp_path).encode() not in pages[0][0]
    assert not list(tmp_path.rglob("*.part"))


def test_throughput_is_shown_where_there_is_a_ledger(dataset: Path) -> None:
    assert data_report.report(dataset).content["throughput"] is None
    with Ledger(dataset / "ledger.sqlite"):
        pass
    base = sqlite3.connect(dataset / "ledger.sqlite")
    base.execute("INSERT INTO videos (video, shard, process_s, frames) VALUES ('a', 's', 90.0, 4000)")
    base.execute("INSERT INTO runs (engine, workers, started_s, outcome) VALUES ('<local>', 2, 1700000000.0, 'failed')")
    base.commit()
    base.close()
    text = data_report.report(dataset).html_path.read_text(encoding="utf-8")
    Page(text)
    assert "Process 1.5 min." in text
    assert "2023-11-14 22:13" in text
    assert "&lt;local&gt;" in text


def test_photos(tmp_path: Path) -> None:
    picture = np.full((64, 64, 3), 90, np.uint8)
    clips = [clip(info(f"{n:05d}", "train", f"{n:05d}", 1, float(n), native_rate="0"), [picture]) for n in range(5)]
    found = data_report.report(make_dataset(tmp_path / "faces", clips, [], None, {}, kind="photos"))
    assert "bitrate_kbps" not in found.content["histograms"]
    assert (found.content["totals"]["kept"], found.content["dataset"]["selection"]) == (5, {})
    text = found.html_path.read_text(encoding="utf-8")
    assert "Seconds per person" not in text
    assert "photos selected of 5 stored" in text


def test_nothing_was_kept(tmp_path: Path) -> None:
    picture = np.full((64, 64, 3), 90, np.uint8)
    one = clip(info("a", "train", "anna", 2, math.nan, head_px=math.nan), [picture])
    found = data_report.report(make_dataset(tmp_path / "none", [one], [], set(), {}))
    assert found.content["totals"]["kept"] == 0
    assert found.content["histograms"]["head_px"]["stored"]["count"] == 0
    Page(found.html_path.read_text(encoding="utf-8"))


def test_big_sets_give_small_pages(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (6, 256, 256, 3), dtype=np.uint8)
    clips = [clip(info(f"c{n:04d}", "train", f"p{n % 50}", 1, float(n)), [noise[n % 6]]) for n in range(200)]
    refused = [rejected(f"r{n:05d}", "crop", f"reason-{n % 7}", "long " * 200) for n in range(3000)]
    kept = {one.info.clip_id for one in clips[100:]}
    found = data_report.report(make_dataset(tmp_path / "big", clips, refused, kept, {}, size=256))
    text = found.html_path.read_text(encoding="utf-8")
    assert len(text.encode()) < 2_000_000
    shown = re.findall(r'alt="Frame of ([^"]+)"', text)
    assert len(shown) == 48
    assert (shown[0], shown[23], shown[24], shown[47]) == ("c0199", "c0100", "c0099", "c0000")
    assert len(found.json_path.read_bytes()) < 50_000


def test_bad_places(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"ends with \.html"):
        data_report.report(dataset, tmp_path / "report.pdf")
    with pytest.raises(OutputError, match="cannot be written"):
        data_report.report(dataset, tmp_path / "missing" / "report.html")
    with pytest.raises(InputError):
        data_report.report(tmp_path / "nowhere")
    (dataset / "manifest.json").unlink()
    with pytest.raises(InputError):
        data_report.report(dataset)


def test_reports_are_values(dataset: Path) -> None:
    found = data_report.report(dataset)
    assert found.to_json() is found.content
    assert dataclasses.is_dataclass(found)


@pytest.mark.parametrize("name", ["manifest.html", "selection.html", "plan.html"])
def test_nothing_of_the_dataset_is_replaced(dataset: Path, name: str) -> None:
    before = {path.name: path.read_bytes() for path in dataset.iterdir() if path.is_file()}
    with pytest.raises(OutputError, match="is part of the dataset"):
        data_report.report(dataset, dataset / name)
    assert {path.name: path.read_bytes() for path in dataset.iterdir() if path.is_file()} == before


def test_page_of_somebody_else_is_not_replaced(dataset: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<title>mine</title>")
    with pytest.raises(OutputError, match="is no report of a dataset"):
        data_report.report(dataset, page)
    assert page.read_text() == "<title>mine</title>"
    data_report.report(dataset, tmp_path / "own.html")
    data_report.report(dataset, tmp_path / "own.html")
