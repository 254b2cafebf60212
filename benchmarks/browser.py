"""Headless Chromium, driven over its own protocol: pages are opened, played with and looked at."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def visited(
    chromium: str, make: Callable[[Path], Path], look: Callable[[Browser, Path], dict[str, Any]]
) -> tuple[dict[str, Any], bool]:
    """Make a page in a folder, look at it and print its figures; also whether it made no complaint.

    "page_kB", "console_errors" and "outside_requests" join what `look` gives. Without a browser the program ends by 2.
    """
    if shutil.which(chromium) is None:
        print(f"{chromium}: not here; install Chromium or name it by --chromium", file=sys.stderr)
        raise SystemExit(2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "page"
        folder.mkdir()
        page = make(folder)
        browser = Browser(chromium, Path(name) / "profile")
        try:
            result = look(browser, page)
        finally:
            browser.close()
        errors, outside = browser.complaints(), browser.outside(folder)
        result |= {"page_kB": page.stat().st_size // 1000, "console_errors": len(errors)}
        result["outside_requests"] = len(outside)
    for key, value in result.items():
        print(f"{key:18} {value}")
    for item in [*errors, *outside][:5]:
        print(json.dumps(item)[:300])
    return result, not errors and not outside


class Browser:
    """Chromium's own protocol over a pair of pipes; nothing else is needed."""

    def __init__(self, binary: str, profile: Path) -> None:
        ours_out, theirs_in = os.pipe()
        theirs_out, ours_in = os.pipe()
        # Chromium reads its commands from descriptor 3 and answers on 4.
        words = "--headless=new --no-sandbox --disable-gpu --remote-debugging-pipe --window-size=1400,900"
        shell = f"exec {binary} {words} --user-data-dir={profile} --autoplay-policy=no-user-gesture-required"
        shell += f" about:blank 3<&{theirs_out} 4>&{theirs_in}"
        self.process = subprocess.Popen(
            ["bash", "-c", shell], pass_fds=(theirs_out, theirs_in), stderr=subprocess.DEVNULL
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._out, self._in, self._number, self._rest = ours_out, ours_in, 0, b""
        self.events: list[dict[str, Any]] = []
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(item["targetId"] for item in targets if item["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to a command; events that come before it are kept."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if getattr(self, "session", None):
            message["sessionId"] = self.session
        os.write(self._in, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(answer["error"])
                return dict(answer["result"])
            self.events.append(answer)

    def value(self, expression: str) -> Any:
        """What an expression of the page's language comes to."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait(self, expression: str, limit_s: float = 20.0) -> float:
        """Wait until an expression is true."""
        start_s = time.perf_counter()
        while not self.value(expression):
            if time.perf_counter() - start_s > limit_s:
                raise TimeoutError(expression)
            time.sleep(0.02)
        return time.perf_counter() - start_s

    def shot(self, path: Path) -> None:
        """A picture of the page."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def complaints(self) -> list[dict[str, Any]]:
        """Exceptions, errors and warnings of the console so far; needs the domains Runtime and Log."""
        return [
            item
            for item in self.events
            if item.get("method") == "Runtime.exceptionThrown"
            or (item.get("method") == "Log.entryAdded" and item["params"]["entry"]["level"] in ("error", "warning"))
        ]

    def outside(self, folder: Path) -> list[str]:
        """Addresses outside of a folder that were asked for so far; needs the domain Network."""
        sent = [item["params"] for item in self.events if item.get("method") == "Network.requestWillBeSent"]
        asked = [params["request"]["url"] for params in sent]
        return [url for url in asked if not url.startswith((folder.as_uri(), "data:"))]

    def close(self) -> None:
        """End the browser."""
        self.process.terminate()
        self.process.wait(20)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            block = os.read(self._out, 1 << 20)
            if not block:
                raise RuntimeError("the browser has ended")
            self._rest += block
        text, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(text))
