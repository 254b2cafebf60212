"""Opens the page of an evaluation of 200 clips by two methods in headless Chromium, plays, sorts and looks at it.

    python benchmarks/evaluate_page.py [--chromium chromium] [--clips 200] [--shots DIR]

Prints milliseconds until the page is loaded and until the first case shows its picture, what sorting takes, console
errors, and requests that leave the folder. Exit code 1 where a bar is missed.
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
from avatarkit.media.image import write_image
from avatarkit.pipelines.evaluate import tables
from avatarkit.pipelines.evaluate.page import page

BAR_MS = 2000.0
FRAMES = 250
METHODS = ("warp", "trained")
LOADED = "document.readyState === 'complete'"
SHOWN = """(() => { const one = document.querySelector('.case:not([hidden]) img');
  return one && one.complete && one.naturalWidth > 0; })()"""


def make_page(folder: Path, clips: int) -> Path:
    """A page with made-up figures, eight small videos and pictures of their own for all."""
    draw = np.random.default_rng(0)
    for number in range(8):
        source = f"testsrc2=d=2:s=128x128:r=25,hue=h={number * 45}"
        words = ["-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", str(folder / f"v{number}.mp4")]
        subprocess.run([ffmpeg_binary(), "-y", "-loglevel", "error", *words], check=True)
        write_image(folder / f"s{number}.png", draw.integers(0, 256, (64, 64, 3), np.uint8))
    rows = []
    for method in METHODS:
        for number in range(clips):
            psnr = draw.normal(24, 2, FRAMES)
            frames = [{"face_psnr_db": float(value), "mouth_apart": 0.01} for value in psnr]
            figures = {"psnr_db": float(psnr.mean()), "ssim": float(draw.uniform(0.6, 0.9)), "akd": 0.05, "jitter": 1.1}
            rows.append({
                "name": f"clip {number:03d}", "method": method, "driver": str(folder / f"v{number % 8}.mp4"),
                "output": str(folder / f"v{(number + 1) % 8}.mp4"), "source": str(folder / f"s{number % 8}.png"),
                "figures": figures, "frames": frames, "counted": FRAMES, "lost": 0, "notes": [],
            })  # fmt: skip
    results: dict[str, Any] = {
        "kind": "self", "protocol": None, "options": {"size": 512, "every": 1}, "methods": tables.summary(rows, 0),
        "tests": tables.tests(rows), "not_measured": {}, "clips": rows, "refused": [], "versions": {"avatarkit": "0"},
        "choices": {"tracker": "drawn", "lpips": "not here", "embedding": "not here"},
        "times": {"frames_per_s": dict.fromkeys(METHODS, 20.0), "peak_mb": dict.fromkeys(METHODS, 500)},
    }  # fmt: skip
    path = folder / "index.html"
    path.write_text(page(results, folder), encoding="utf-8")
    return path


def look(browser: Browser, path: Path, shots: Path | None) -> dict[str, Any]:
    """Figures of a visit."""
    for domain in ("Page", "Runtime", "Log", "Network"):
        browser.call(f"{domain}.enable")
    start_s = time.perf_counter()
    browser.call("Page.navigate", url=path.as_uri())
    browser.wait(LOADED)
    result: dict[str, Any] = {"loaded_ms": round(1000 * (time.perf_counter() - start_s))}
    _shot(browser, shots, "top")
    browser.value("document.querySelector('.case').scrollIntoView()")
    browser.wait(SHOWN)
    result["shown_ms"] = round(1000 * (time.perf_counter() - start_s))
    result["cases"] = browser.value("document.querySelectorAll('.case').length")
    result["media_asked_for"] = browser.value("document.querySelectorAll('.case [src]').length")
    browser.value("document.querySelector('.case .play').click()")
    browser.wait("[...document.querySelectorAll('.case video')].filter((one) => one.currentTime > 0.3).length >= 2")
    browser.value("document.querySelector('.case .play').click()")
    browser.value("document.querySelector('.case .map').click()")
    _shot(browser, shots, "case")
    sort = "(() => { const from = performance.now(), one = document.getElementById('order'); one.selectedIndex = 1;"
    sort += " one.dispatchEvent(new Event('change')); document.body.offsetHeight; return performance.now() - from; })()"
    result["sorting_ms"] = round(browser.value(sort))
    first = "document.querySelector('.case:not([hidden])')"
    worst = f"JSON.parse({first}.dataset.values).ssim"
    every = "[...document.querySelectorAll('.case')].map((one) => JSON.parse(one.dataset.values).ssim)"
    result["worst_first"] = browser.value(f"{worst} === Math.min(...{every})")
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    _shot(browser, shots, "dark")
    size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.call("Emulation.setDeviceMetricsOverride", **size)
    _shot(browser, shots, "narrow")
    shown = "[...document.querySelectorAll('.case:not([hidden])')].slice(0, 9)"
    wide = f"{shown}.some((one) => one.scrollWidth > innerWidth)"
    result["wider_than_screen"] = browser.value(wide)
    return result


def _shot(browser: Browser, shots: Path | None, name: str) -> None:
    if shots:
        time.sleep(0.5)
        browser.shot(shots / f"{name}.png")


def main() -> int:
    """Make, visit, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chromium", default="chromium")
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--shots", type=Path)
    options = parser.parse_args()
    result, quiet = visited(
        options.chromium,
        lambda folder: make_page(folder, options.clips),
        lambda browser, page: look(browser, page, options.shots),
    )
    slow = max(result["loaded_ms"], result["shown_ms"]) > BAR_MS
    return int(not quiet or slow or not result["worst_first"] or result["wider_than_screen"])


if __name__ == "__main__":
    sys.exit(main())
