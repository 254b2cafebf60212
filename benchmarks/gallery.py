"""Opens a gallery of 40 x 40 pairs in headless Chromium, plays, looks closely, and watches what it asks for.

    python benchmarks/gallery.py [--chromium chromium] [--side 40] [--shots DIR]

Prints milliseconds until the page is loaded and until the posters on screen are drawn, the longest task of the page's
thread while it scrolls, console errors, and requests that leave the folder. Exit code 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from browser import Browser, visited

from avatarkit.media.ffmpeg import ffmpeg_binary
from avatarkit.pipelines.batch.gallery import Item, Side, page_of
from avatarkit.pipelines.batch.worker import write_poster

BAR_MS = 2000.0


def make_gallery(folder: Path, side: int) -> Path:
    """A page of side x side pairs with posters of their own and a few small videos; one pair in fifty is refused."""
    rng = np.random.default_rng(0)
    (folder / "posters").mkdir()
    for number in range(8):
        source = f"testsrc2=d=2:s=128x128:r=25,hue=h={number * 45}"
        words = ["-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", str(folder / f"v{number}.mp4")]
        subprocess.run([ffmpeg_binary(), "-y", "-loglevel", "error", *words], check=True)
    items = []
    for row in range(side):
        for column in range(side):
            number = row * side + column
            if number % 50 == 49:
                items.append(Item(f"source {row}", f"driver {column}", reason="InputError: no face <b>found</b>"))
                continue
            poster = np.repeat(np.repeat(rng.integers(0, 256, (12, 12, 3), np.uint8), 16, 0), 16, 1)
            write_poster(folder / "posters" / f"{number}.jpg", poster)
            for engine in ("warp 1", "warp 2")[: 1 + (number % 7 == 0)]:
                video = f"v{(number + len(engine)) % 8}.mp4"
                items.append(Item(f"source {row}", f"driver {column}", engine, video, f"posters/{number}.jpg"))
    rows = [Side(f"source {n}", f"posters/{n}.jpg", f"posters/{n}.jpg") for n in range(side)]
    columns = [Side(f"driver {n}", f"v{n % 8}.mp4", f"posters/{n}.jpg") for n in range(side)]
    (folder / "index.html").write_text(page_of(rows, columns, items), encoding="utf-8")
    return folder / "index.html"


LOADED = "document.readyState === 'complete'"
POSTERS = """(() => { const seen = [...document.querySelectorAll('.cell img')].filter((one) => {
  const box = one.getBoundingClientRect(); return box.bottom > 0 && box.top < innerHeight && box.left < innerWidth; });
  return seen.length > 20 && seen.every((one) => one.complete && one.naturalWidth > 0); })()"""
SCROLL = """new Promise((done) => { const main = document.querySelector('main'), gaps = [];
  let last = performance.now(), n = 0;
  const step = (now) => { gaps.push(now - last); last = now; main.scrollTop += 60; main.scrollLeft += 40;
    ++n < 90 ? requestAnimationFrame(step) : done(gaps.slice(5).sort((a, b) => a - b)); };
  requestAnimationFrame(step); })"""


def look(browser: Browser, page: Path, shots: Path | None) -> dict[str, Any]:
    """Figures of a visit."""
    for domain in ("Page", "Runtime", "Log", "Network"):
        browser.call(f"{domain}.enable")
    start_s = time.perf_counter()
    browser.call("Page.navigate", url=page.as_uri())
    browser.wait(LOADED)
    loaded_ms = 1000 * (time.perf_counter() - start_s)
    browser.wait(POSTERS)
    posters_ms = round(1000 * (time.perf_counter() - start_s))
    result: dict[str, Any] = {"loaded_ms": round(loaded_ms), "posters_ms": posters_ms}
    result["cells"] = browser.value("document.querySelectorAll('.cell').length")
    if shots:
        browser.shot(shots / "grid.png")
    box = browser.value("(({x, y}) => [x, y])(document.querySelector('.cell').getBoundingClientRect())")
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=box[0] + 30, y=box[1] + 30)
    browser.wait("[...document.querySelectorAll('.cell video')].some((one) => one.currentTime > 0.1)")
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=700, y=5)
    browser.wait("document.querySelectorAll('.cell video').length === 0")
    browser.value("document.querySelector('.side').click()")
    browser.wait("[...document.querySelectorAll('.cell video')].filter((one) => one.currentTime > 0.3).length > 5")
    time.sleep(1.0)
    times = "[...document.querySelectorAll('.cell video')].map((one) => one.currentTime)"
    apart = f"((t) => Math.max(...t) - Math.min(...t))({times})"
    result["apart_s"] = round(min(browser.value(apart) for _ in range(5)), 3)
    browser.value("document.querySelector('.side').click()")
    result["left_playing"] = browser.value("document.querySelectorAll('.cell video').length")
    gaps = browser.value(SCROLL)
    result["scroll_median_ms"], result["scroll_worst_ms"] = round(gaps[len(gaps) // 2], 1), round(gaps[-1], 1)
    result["pictures_made"] = browser.value("document.querySelectorAll('.cell img').length")
    browser.value("document.querySelector('main').scrollTo(0, 0); document.querySelector('.cell').click()")
    browser.wait("document.querySelectorAll('#view video').length === 3")
    browser.wait("[...document.querySelectorAll('#view video')].every((one) => one.currentTime > 0.1)")
    if shots:
        browser.shot(shots / "pair.png")
    key = {"key": "ArrowRight", "code": "ArrowRight"}
    browser.call("Input.dispatchKeyEvent", type="keyDown", **key)
    browser.wait("document.getElementById('title').textContent === 'source 0 by driver 1'")
    browser.value("document.getElementById('view').close()")
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    if shots:
        browser.shot(shots / "dark.png")
    result["wider_than_screen"] = touch(browser, shots)
    return result


def touch(browser: Browser, shots: Path | None) -> bool:
    """A visit by phone, which opens a pair; returns whether the page is wider than the screen."""
    size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.call("Emulation.setDeviceMetricsOverride", **size)
    browser.call("Emulation.setTouchEmulationEnabled", enabled=True)
    browser.wait(POSTERS.replace("> 20", "> 5"))
    if shots:
        browser.shot(shots / "narrow.png")
    box = browser.value("(({x, y}) => [x, y])(document.querySelectorAll('.cell')[1].getBoundingClientRect())")
    for kind, points in (("touchStart", [{"x": box[0] + 20, "y": box[1] + 20}]), ("touchEnd", [])):
        browser.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
    browser.wait("document.getElementById('view').open")
    browser.wait("[...document.querySelectorAll('#view video')].every((one) => one.currentTime > 0.1)")
    if shots:
        browser.shot(shots / "narrow-pair.png")
    return bool(browser.value("document.documentElement.scrollWidth > innerWidth"))


def main() -> int:
    """Make, visit, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chromium", default="chromium")
    parser.add_argument("--side", type=int, default=40)
    parser.add_argument("--shots", type=Path)
    options = parser.parse_args()
    result, quiet = visited(
        options.chromium,
        lambda folder: make_gallery(folder, options.side),
        lambda browser, page: look(browser, page, options.shots),
    )
    return int(not quiet or result["posters_ms"] > BAR_MS or result["left_playing"] > 0)


if __name__ == "__main__":
    sys.exit(main())
