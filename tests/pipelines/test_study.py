"""Studies: what people are shown, what the key knows, and how answers are summed up or left out."""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from avatarkit.cli.app import run
from avatarkit.errors import InputError, OutputError, UsageError
from avatarkit.pipelines.study.build import StudyConfig, build
from avatarkit.pipelines.study.read import read

METHODS = ("warp", "mine")


@cache
def pixel() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two methods, two sources, two drivers; the files hold a pixel and their own names."""
    (tmp_path / "files").mkdir()

    def file(name: str) -> str:
        path = tmp_path / "files" / name
        path.write_bytes(pixel() + name.encode())
        return str(path)

    clips = [
        {"method": method, "name": f"{source}--{driver}", "source": file(f"{source}.png"),
         "driver": file(f"{driver}.mp4"), "output": file(f"{method}-{source}-{driver}.mp4")}
        for method in METHODS for source in ("s1", "s2") for driver in ("d1", "d2")
    ]  # fmt: skip
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"format": "avatarkit-evaluation", "version": 2, "clips": clips}))
    return path


def built(results: Path, **changes: Any) -> tuple[Path, list[dict[str, Any]], dict[str, Any]]:
    """The study's folder, the items of its key, and what the page holds."""
    out = results.parent / "out"
    build(StudyConfig(results, out, **changes))
    page = (out / "study" / "index.html").read_text()
    content = page.split('type="application/json">')[1].split("</script>")[0]
    return out, json.loads((out / "key.json").read_text())["items"], json.loads(content)


def test_the_page_shows_what_the_key_says_and_names_no_method(results: Path) -> None:
    out, key, page = built(results)
    shown_text = json.dumps(page["items"])
    assert not any(word in shown_text for word in ("warp", "mine", "right", "wrong", "s1.png", "control"))
    assert [item["name"] for item in key] == [item["name"] for item in page["items"]]
    assert sum(not item["control"] for item in key) == 8  # four pairs, two questions
    assert sum(item["control"] for item in key) == 4
    assert len({tuple(item["methods"]) for item in key if not item["control"]}) == 2  # sides of both kinds
    for known, shown in zip(key, page["items"], strict=True):
        for part in ("about", "a", "b"):
            assert (out / "study" / shown[part]).read_bytes() == pixel() + Path(known[part]).name.encode()
        about, files = Path(known["about"]).stem, (Path(known["a"]).stem, Path(known["b"]).stem)
        assert about[0] == {"motion": "d", "identity": "s"}[known["question"]]
        if known["control"]:
            right = files[known["methods"].index("right")]
            wrong = files[known["methods"].index("wrong")]
            assert about in right
            assert about not in wrong
        else:
            assert all(
                name.startswith(method) and about in name for name, method in zip(files, known["methods"], strict=True)
            )


def test_the_same_seed_builds_the_same(results: Path) -> None:
    _, first, _ = built(results, items=3, seed=5)
    build(StudyConfig(results, results.parent / "again", items=3, seed=5))
    assert json.loads((results.parent / "again" / "key.json").read_text())["items"] == first
    assert sum(not item["control"] for item in first) == 3


def test_what_cannot_be_built(results: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--question beauty: use motion or identity"):
        StudyConfig(results, tmp_path / "out", ("beauty",))
    build(StudyConfig(results, tmp_path / "out"))
    with pytest.raises(OutputError, match="exists"):
        build(StudyConfig(results, tmp_path / "out"))
    (tmp_path / "files" / "s1.png").unlink()
    with pytest.raises(InputError, match=r"s1\.png: is gone"):
        build(StudyConfig(results, tmp_path / "other"))
    assert not (tmp_path / "other").exists()
    assert not list(tmp_path.glob(".study-*"))
    values = json.loads(results.read_text())
    values["clips"] = [clip for clip in values["clips"] if clip["method"] == "warp"]
    results.write_text(json.dumps(values))
    with pytest.raises(InputError, match="holds one method"):
        build(StudyConfig(results, tmp_path / "other"))


def test_nothing_but_media_is_given_away(results: Path, tmp_path: Path) -> None:
    (tmp_path / "files" / "s1.png").write_text("-----BEGIN OPENSSH PRIVATE KEY-----")
    with pytest.raises(InputError, match=r"s1\.png: is in a format that is not read|s1\.png: is not a media file"):
        build(StudyConfig(results, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_odd_keys_and_answers_are_refused_in_a_line(results: Path) -> None:
    out, key, _ = built(results)
    file, whole = answers(out, key, "me", "warp"), json.loads((out / "key.json").read_text())
    for name in ("name", "question", "methods", "control"):
        for odd in (None, 5, [], {}, [[1], [2]], ["a", 5], {"a": 1, "b": 2}, "x" * 9999):
            (out / "key.json").write_text(json.dumps({**whole, "items": [{**whole["items"][0], name: odd}]}))
            with pytest.raises(InputError, match="is a damaged key of a study"):
                read(out / "key.json", [file])
    (out / "key.json").write_text(json.dumps(whole))
    said = json.loads(file.read_text())
    for odd in ([], {}, None, ["a"]):
        file.write_text(json.dumps({**said, "answers": [{**said["answers"][0], "item": odd}]}))
        with pytest.raises(InputError, match="no answers to count"):
            read(out / "key.json", [file])


def answers(
    out: Path, key: list[dict[str, Any]], name: str, liked: str, *, seconds: float = 4.0, side: str | None = None,
    controls: str = "right", study: str | None = None,
) -> Path:  # fmt: skip
    """A file of somebody who always likes one method, or one side."""
    given = []
    for number, item in enumerate(key):
        wanted = controls if item["control"] else liked
        choice = "ab"[item["methods"].index(wanted)]
        left = "ab"[number % 2]
        if side is not None and not item["control"]:
            left = choice if side == "left" else "ba"[choice == "b"]
        given.append({"item": item["name"], "left": left, "choice": choice, "seconds": seconds, "plays": 1})
    study = study or json.loads((out / "key.json").read_text())["study"]
    path = out / f"{name}.json"
    content = {"format": "avatarkit-study-answers", "version": 1, "study": study, "participant": name, "answers": given}
    path.write_text(json.dumps(content))
    return path


def test_shares_agreement_and_significance(results: Path) -> None:
    out, key, _ = built(results)
    files = [answers(out, key, f"p{number}", "mine" if number else "warp") for number in range(4)]
    result = read(out / "key.json", files)
    assert (result.people, result.rejected) == (4, {})
    assert [(item.question, item.method, item.against) for item in result.preferences] == [
        ("identity", "mine", "warp"), ("motion", "mine", "warp"),
    ]  # fmt: skip
    for item in result.preferences:
        assert (item.share, item.answers) == (0.75, 16)
        assert item.low < 0.75 <= item.high
        assert item.agreement == pytest.approx(0.5)  # three of six pairs of people
        assert item.p == pytest.approx(0.0768, abs=1e-3)  # 12 of 16
    assert result == read(out / "key.json", files)
    assert "mine in 75.0 %" in result.summary_lines()[1]


def test_careless_answers_are_not_counted_and_named(results: Path) -> None:
    out, key, _ = built(results)
    good = answers(out, key, "good", "mine")
    twice = out / "twice.json"
    twice.write_bytes(good.read_bytes())
    broken = out / "broken.json"
    broken.write_text("{")
    files = [
        good,
        answers(out, key, "hasty", "warp", seconds=0.4),
        answers(out, key, "blind", "warp", controls="wrong"),
        answers(out, key, "other", "warp", study="0" * 16),
        twice, broken, out / "missing.json",
    ]  # fmt: skip
    result = read(out / "key.json", files)
    why = {Path(path).stem: reason for path, reason in result.rejected.items()}
    assert result.people == 1
    assert all(item.share == 1 for item in result.preferences)
    assert "half of the answers within 0.4 s" in why["hasty"]
    assert "0 of 4 controls right" in why["blind"]
    assert "not to" in why["other"]
    assert "counted already" in why["twice"]
    assert "no such file" in why["missing"]
    assert set(why) == {"hasty", "blind", "other", "twice", "broken", "missing"}
    with pytest.raises(InputError, match=r"no answers to count; .*hasty"):
        read(out / "key.json", files[1:2])
    with pytest.raises(InputError, match="is not the key"):
        read(good, [good])


def test_one_side_alone_is_careless(results: Path) -> None:
    out, key, _ = built(results, controls=0)
    pairs = [{**item, "name": f"{item['name']}{n}"} for n in range(2) for item in key]
    values = json.loads((out / "key.json").read_text())
    (out / "key.json").write_text(json.dumps({**values, "items": pairs}))
    files = [answers(out, pairs, "sided", "mine", side="right"), answers(out, pairs, "good", "mine")]
    result = read(out / "key.json", files)
    assert result.people == 1
    assert "16 of 16 answers on one side" in next(iter(result.rejected.values()))


def test_from_the_command_line(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run(["evaluate", "study", "build", str(results), "-o", str(out), "--question", "motion", "-q"]) == 0
    key = json.loads((out / "key.json").read_text())["items"]
    assert {item["question"] for item in key} == {"motion"}
    file = answers(out, key, "me", "warp")
    assert run(["evaluate", "study", "read", str(out / "key.json"), str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["preferences"][0]["share"] == 0
    assert run(["evaluate", "study", "read", str(out / "none.json"), str(file)]) == 3
