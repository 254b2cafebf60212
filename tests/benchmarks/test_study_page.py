"""The study's page in a real browser: it asks, keeps, goes on, and its file is read. Skipped without Chromium."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser

from avatarkit.media.ffmpeg import ffmpeg_binary
from avatarkit.pipelines.study.build import StudyConfig, build
from avatarkit.pipelines.study.read import read

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
READY = "!document.getElementById('choose-left').disabled"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    opened = Browser(str(CHROMIUM), tmp_path / "profile")
    for domain in ("Page", "Runtime", "Log", "Network"):
        opened.call(f"{domain}.enable")
    yield opened
    opened.close()


def results(folder: Path) -> Path:
    words = ["-f", "lavfi", "-i", "testsrc2=d=1:s=64x64:r=25", "-c:v", "libvpx", str(folder / "v.webm")]
    subprocess.run([ffmpeg_binary(), "-y", "-loglevel", "error", *words], check=True)
    clips = []
    for method in ("warp", "mine"):
        for driver in ("d1", "d2"):
            names = [folder / f"{name}.webm" for name in (driver, f"{method}-{driver}")]
            for path in names:
                shutil.copyfile(folder / "v.webm", path)
            clips.append({"method": method, "name": driver, "source": "s", "driver": str(names[0]),
                          "output": str(names[1])})  # fmt: skip
    path = folder / "results.json"
    path.write_text(json.dumps({"format": "avatarkit-evaluation", "version": 2, "clips": clips}))
    return path


def visit(browser: Browser, page: str) -> None:
    """Open a page. The document before it may still answer for a while, with an address that is the same."""
    browser.value("window.before = true")
    browser.call("Page.navigate", url=page)
    browser.wait("!window.before && document.readyState === 'complete'")


def test_a_person_answers_closes_and_goes_on(browser: Browser, tmp_path: Path) -> None:
    build(StudyConfig(results(tmp_path), tmp_path / "out", ("motion",), controls=2))
    key = {item["name"]: item for item in json.loads((tmp_path / "out" / "key.json").read_text())["items"]}
    page = (tmp_path / "out" / "study" / "index.html").as_uri()
    visit(browser, page)
    assert browser.value("document.getElementById('count').textContent") == "4"
    browser.value("document.getElementById('begin').click()")
    for number in range(4):
        if number == 2:  # closed, and opened again
            visit(browser, page)
            assert browser.value("document.getElementById('count').textContent") == "2"
            browser.value("document.getElementById('begin').click()")
        browser.wait(READY)
        browser.wait("[...document.querySelectorAll('#ask video')].every((one) => one.currentTime > 0)")
        assert browser.value("document.getElementById('place').textContent") == f"{number + 1} of 4"
        if number % 2:
            browser.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight", code="ArrowRight")
        else:
            browser.value("document.getElementById('choose-left').click()")
    browser.wait("!document.getElementById('end').hidden")
    text = browser.value("fetch(document.getElementById('save').href).then((answer) => answer.text())")
    (tmp_path / "answers.json").write_text(text)
    given = json.loads(text)["answers"]
    assert {answer["item"] for answer in given} == set(key)
    for number, answer in enumerate(given):
        assert (answer["choice"] == answer["left"]) == (number % 2 == 0)
    outside = [
        event for event in browser.events
        if event.get("method") == "Network.requestWillBeSent"
        and not event["params"]["request"]["url"].startswith(("file:", "blob:", "data:"))
    ]  # fmt: skip
    assert not outside
    assert not [event for event in browser.events if event.get("method") == "Runtime.exceptionThrown"]
    from avatarkit.pipelines.study.read import Rules

    result = read(tmp_path / "out" / "key.json", [tmp_path / "answers.json"], Rules(controls=0, seconds=0))
    assert sum(item.answers for item in result.preferences) == 2
