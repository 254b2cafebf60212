"""`voxceleb2 --download` with nothing replaced: yt-dlp, a site on 127.0.0.1, a real video, the real tools."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prepare_kit import Notices, contents, write_utterance

from avatarkit.data.dataset import Dataset
from avatarkit.data.ledger import read_table
from avatarkit.data.split import SplitConfig
from avatarkit.pipelines.data import verify
from avatarkit.pipelines.data_report.report import report as data_report
from avatarkit.pipelines.prepare.config import PrepareJob, RunOptions
from avatarkit.pipelines.prepare.report import PrepareReport
from avatarkit.pipelines.prepare.run import prepare
from avatarkit.pipelines.prepare.sources.voxceleb import VoxCeleb2
from avatarkit.prepare.config import PrepareConfig
from avatarkit.prepare.fetch.config import FetchConfig

GOOD, PRIVATE, REMOVED, BROKEN, SMALL = "good0000000", "private0000", "removed0000", "brokenoff00", "toosmall000"
CUT_AT = 5000


def load_server() -> Any:
    """The module of the loopback site, which lies with the tests of fetching."""
    path = Path(__file__).parents[2] / "prepare" / "fetch_server.py"
    spec = importlib.util.spec_from_file_location("avatarkit_fetch_server", path)
    assert spec is not None
    assert spec.loader is not None
    if spec.name not in sys.modules:
        sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[spec.name])
    return sys.modules[spec.name]


@dataclass(frozen=True)
class Fetched:
    """A finished run: the site with all that it was asked, the job, its report, what the user was told."""

    site: Any
    job: PrepareJob
    report: PrepareReport
    notices: tuple[str, ...]


@pytest.fixture(scope="module")
def made(driver: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fetched]:
    """One run over a good video, three that cannot be had, and one that breaks off the first time."""
    server, root = load_server(), tmp_path_factory.mktemp("download")
    body = driver.read_bytes()
    whole = [server.Format(height=360, advertised=len(body))]
    for number, video in enumerate((GOOD, PRIVATE, REMOVED, BROKEN, SMALL)):
        at = "0.25 \t0.2 \t0.45"
        write_utterance(root / "txt", f"id{number:05d}", video, "00001", first=0, frames=18, at=at, height=0.6)
    fetch = FetchConfig(rate_per_hour=1e9, tries=1, pause_s=0.01, hold_s=0.01)
    config = PrepareConfig(
        size=128, min_head_px=60, min_effective_px=0, min_frames=10, iqa="sharpness", matting="mediapipe"
    )
    shared = server.Site(root)
    with pytest.MonkeyPatch.context() as patch, server.guarded(shared, patch, root) as site:
        patch.setenv("KIT_AUTHORITY", str(site.ca_file))
        site.videos = {
            GOOD: server.Video(formats=whole, body=body),
            PRIVATE: server.Video("LOGIN_REQUIRED", "Private video", "Sign in if you've been granted access"),
            REMOVED: server.Video("ERROR", "Video unavailable", "This video has been removed by the uploader"),
            BROKEN: server.Video(formats=whole, body=body, media=[f"cut:{CUT_AT}"]),
            SMALL: server.Video(formats=[server.Format(160, 48, advertised=len(body))], body=body),
        }
        job = PrepareJob(
            VoxCeleb2(metadata=root / "txt", download=True), root / "out", config, SplitConfig(0, 0, 0),
            fetch=FetchConfig(**{**vars(fetch), "proxy": site.address}),
            run=RunOptions(workers=1, processor="worker_kit:open_real"),
        )  # fmt: skip
        progress = Notices()
        report = prepare(job, progress)
        assert isinstance(report, PrepareReport)
        yield Fetched(site, job, report, tuple(progress.notices))
    shared.close()


def test_what_comes_becomes_verified_clips_with_their_authors(made: Fetched) -> None:
    assert (made.report.clips, made.report.finished) == (2, True)
    assert verify(made.job.out).problems == ()
    clips = {clip.video: clip for clip in Dataset.open(made.job.out).clips(selected=False)}
    assert sorted(clips) == [BROKEN, GOOD]
    clip = clips[GOOD]
    assert (clip.source, clip.author, clip.extra["title"]) == (
        f"https://www.youtube.com/watch?v={GOOD}", "An author", "A title")  # fmt: skip
    assert (clip.frames, clip.native_rate) == (18, "30000/1001")
    assert f"id00000-{GOOD}-00001,An author,A title" in (made.job.out / "attribution.csv").read_text()


def test_what_does_not_come_has_its_class_and_the_sites_words(made: Fetched) -> None:
    assert made.report.rejected == {
        ("fetch", "private"): 1, ("fetch", "removed"): 1, ("fetch", "too-small-advertised"): 1,
    }  # fmt: skip
    rows = {str(row["video"]): row for row in read_table(made.job.out / "ledger.sqlite", "samples")}
    assert {video: row["state"] for video, row in rows.items()} == {
        GOOD: "accepted", BROKEN: "accepted", PRIVATE: "rejected", REMOVED: "rejected", SMALL: "rejected",
    }  # fmt: skip
    assert "Private video" in str(rows[PRIVATE]["detail"])
    assert "removed by the uploader" in str(rows[REMOVED]["detail"])
    figures = data_report(made.job.out, made.job.out.with_name("report.html")).content
    classes = {row["class"]: row["videos"] for row in figures["failures"] if row["videos"]}
    assert classes == {"private": 1, "removed": 1, "too-small-advertised": 1}


def test_a_file_that_breaks_off_waits_and_is_continued(made: Fetched) -> None:
    assert [note for note in made.notices if BROKEN in note] == [
        f"train-00003: {BROKEN} could not be fetched (truncated); tried again at the end"
    ]
    events = [(row["kind"], row["video"]) for row in read_table(made.job.out / "ledger.sqlite", "events")]
    assert ("deferred", BROKEN) in events
    # Two whole files would have been two requests from the start; the second of these goes on in the middle.
    begins = [int(asked.split("=")[1].split("-")[0]) if asked else 0 for asked in made.site.media_requests()]
    assert sorted(begin > 0 for begin in begins) == [False, False, True]


def test_originals_are_gone_and_the_same_command_asks_for_nothing(made: Fetched) -> None:
    out = made.job.out
    assert not (out / "originals").exists()
    before, asked = contents(out), len(made.site.requests)
    samples = read_table(out / "ledger.sqlite", "samples")
    again = prepare(made.job)
    assert isinstance(again, PrepareReport)
    assert (again.clips, again.rejected) == (made.report.clips, made.report.rejected)
    assert len(made.site.requests) == asked
    assert contents(out) == before
    assert read_table(out / "ledger.sqlite", "samples") == samples
