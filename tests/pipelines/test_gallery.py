"""The gallery's page: what is in it, from a batch or from any folder; nothing of it comes from outside."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatarkit.cli.app import run as command
from avatarkit.errors import InputError
from avatarkit.media.image import write_image
from avatarkit.pipelines.batch.gallery import Item, Side, page_of, write_gallery

from .conftest import Run


def data_of(page: str) -> dict[str, Any]:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert match is not None
    return dict(json.loads(match[1]))


def picture(path: Path, level: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, np.full((64, 64, 3), level, np.uint8))
    return path


def test_names_cannot_break_out_of_the_page() -> None:
    evil = '</script><script>alert("1")</script>'
    page = page_of([Side(evil)], [Side("d")], [Item(evil, "d", engine=evil, video="a.mp4", reason="")])
    assert evil not in page
    assert data_of(page)["sources"][0]["name"] == evil
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_page_of_a_batch(tmp_path: Path) -> None:
    out = tmp_path / "out"
    source, driver = picture(tmp_path / "in" / "s é.png", 10), picture(tmp_path / "in" / "d.png", 20)
    picture(out / "s--d.png", 30)
    rows = [
        {"state": "again", "pair": "s--d.png", "source": str(source), "driver": str(driver)},
        {"state": "refused", "pair": "s--d.png", "source": str(source), "driver": str(driver), "kind": "E"},
        {"state": "done", "pair": "s--d.png", "source": str(source), "driver": str(driver), "engine": "warp 1"},
        {
            "state": "refused", "pair": "s--e.mp4", "source": str(source), "driver": "gone/e.mp4",
            "kind": "InputError", "reason": "no <face>",
        },
    ]  # fmt: skip
    (out / "batch.jsonl").write_text("\n".join(map(json.dumps, rows)) + '\n{"state": "do')
    page = write_gallery(out).read_text(encoding="utf-8")
    data = data_of(page)
    assert [one["name"] for one in data["sources"]] == ["s é"]
    assert data["sources"][0]["link"] == "../in/s%20%C3%A9.png"
    assert [one["name"] for one in data["drivers"]] == ["d", "e"]
    assert data["drivers"][1] == {"name": "e", "link": "", "poster": ""}
    (made,), (refused,) = data["cells"][0]
    assert (made["v"], made["e"], data["engines"]) == ("s--d.png", 0, ["warp 1"])
    assert (out / made["p"]).exists()
    assert refused == {"r": "InputError: no <face>"}
    assert "1 result, 1 refused" in page


def test_any_folders_of_results_can_be_compared(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "old").mkdir()
    run(tmp_path / "old" / "ann--hello.mp4", size=64)
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    picture(tmp_path / "new" / "ann--still.png", 9)
    picture(tmp_path / "new" / "noise.png", 9)
    assert command(["gallery", str(tmp_path)]) == 0
    assert "index.html: open it" in capsys.readouterr().out
    data = data_of((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert data["engines"] == ["new: unknown", "new: warp 0.1.0", "old: warp 0.1.0"]
    assert [one["name"] for one in data["drivers"]] == ["hello", "still"]
    assert {one["v"] for one in data["cells"][0][0]} == {"new/ann--hello.mp4", "old/ann--hello.mp4"}


def test_rows_and_columns_are_in_order(tmp_path: Path) -> None:
    for name in ("b--x10", "B2--x9", "a--x10", "b--x9"):
        picture(tmp_path / f"{name}.png", 9)
    data = data_of(write_gallery(tmp_path).read_text(encoding="utf-8"))
    assert [side["name"] for side in data["sources"]] == ["a", "b", "B2"]
    assert [side["name"] for side in data["drivers"]] == ["x9", "x10"]
    assert [[len(cell) for cell in row] for row in data["cells"]] == [[0, 1], [1, 1], [1, 0]]


def test_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no results"):
        write_gallery(tmp_path)
    assert command(["gallery", str(tmp_path / "none")]) == 3
