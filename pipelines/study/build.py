"""A study from an evaluation's results: pairs of outputs in random order, controls among them, a page, and a key.

After MegaPortraits' study: people see a driver, or a source, and the outputs of two methods, and choose one.
Names of files and of items say nothing of the method. The key stays with who asks.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from avatarkit.atomic import write_json
from avatarkit.cache import digest_of
from avatarkit.errors import InputError, OutputError, UsageError
from avatarkit.media.probe import probe
from avatarkit.pipelines.evaluate.results import read_results
from avatarkit.pipelines.pages import render

__all__ = ["FORMAT", "QUESTIONS", "Item", "StudyConfig", "StudyReport", "build"]

FORMAT, VERSION = "avatarkit-study", 1
QUESTIONS: Mapping[str, tuple[str, str]] = {
    "motion": ("driver", "In which video does the person move more like the one above?"),
    "identity": ("source", "In which video does the person look more like the one above?"),
}
"""What is shown above the two outputs, and what is asked, by name."""


@dataclass(frozen=True)
class StudyConfig:
    """What is asked.

    results: results.json of `evaluate cross`, or of a comparison, with two methods at least. output: a folder that does
    not exist. items: pairs at most that each person sees beside the controls, drawn by the seed. controls: pairs with a
    known answer: an output of another driver, or of another source, stands beside the right one.
    """

    results: Path
    output: Path
    questions: tuple[str, ...] = tuple(QUESTIONS)
    items: int = 40
    controls: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be with a UsageError."""
        for question in self.questions:
            if question not in QUESTIONS:
                raise UsageError(f"--question {question}: use {' or '.join(QUESTIONS)}")
        if not self.questions or self.items < 1 or self.controls < 0:
            raise UsageError("a study needs a question, --items of 1 or more and --controls of 0 or more")


@dataclass(frozen=True)
class Item:
    """Two outputs to choose from.

    about: the driver or source that is shown above. a, b: videos. methods: that made them; of a control ("right",
    "wrong").
    """

    name: str
    question: str
    about: Path
    a: Path
    b: Path
    methods: tuple[str, str]
    control: bool = False

    def turned(self) -> Item:
        """The same with a and b in each other's place."""
        return replace(self, a=self.b, b=self.a, methods=(self.methods[1], self.methods[0]))


@dataclass(frozen=True)
class StudyReport:
    """What was built."""

    output: Path
    items: int
    controls: int
    methods: tuple[str, ...]

    def summary_lines(self) -> list[str]:
        """What to do with it."""
        return [
            f"{self.output}: {self.items} pairs and {self.controls} controls of {', '.join(self.methods)}",
            f"give people the folder {self.output / 'study'}, with index.html for any browser; keep the key, then:",
            f"avatarkit evaluate study read {self.output / 'key.json'} ANSWERS.json ...",
        ]


def build(config: StudyConfig) -> StudyReport:
    """Write OUT/study (page and videos, to be given away) and OUT/key.json, whole or not at all.

    Raises:
        InputError: the results hold fewer than two methods, no pair that two of them made, or a video is gone.
        OutputError: the folder exists, or cannot be written.
    """
    clips = read_results(config.results)["clips"]
    methods = tuple(dict.fromkeys(clip["method"] for clip in clips))
    if len(methods) < 2:
        raise InputError(f"{config.results}: holds one method; a study compares two or more")
    if config.output.exists():
        raise OutputError(f"--output {config.output}: exists; a study is built into a new folder")
    draw = Random(config.seed)
    pairs = _some(list(_pairs(clips, methods, config.questions)), config.items, draw)
    if not pairs:
        raise InputError(f"{config.results}: no pair was drawn by two methods from a {' or '.join(config.questions)}")
    controls = _some(list(_controls(clips, config.questions)), config.controls, draw)
    items = [item.turned() if draw.random() < 0.5 else item for item in (*pairs, *controls)]
    draw.shuffle(items)
    parent = config.output.resolve().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".study-", dir=parent) as scratch:
            _write(Path(scratch) / "new", items, config, draw)
            os.rename(Path(scratch) / "new", config.output)
    except OSError as error:
        raise OutputError(f"--output {config.output}: cannot be written: {error.strerror or error}") from error
    return StudyReport(config.output, len(pairs), len(controls), methods)


def _pairs(
    clips: Sequence[Mapping[str, Any]], methods: Sequence[str], questions: Sequence[str]
) -> Iterator[Item]:
    """Every two methods on every pair of source and driver that both drew."""
    outputs = {(clip["method"], clip["name"]): clip for clip in clips}
    for one, other in itertools.combinations(methods, 2):
        for name in dict.fromkeys(clip["name"] for clip in clips):
            a, b = outputs.get((one, name)), outputs.get((other, name))
            if a is None or b is None:
                continue
            for question in questions:
                about = a[QUESTIONS[question][0]]
                if about is not None:
                    yield Item("", question, Path(about), Path(a["output"]), Path(b["output"]), (one, other))


def _controls(clips: Sequence[Mapping[str, Any]], questions: Sequence[str]) -> Iterator[Item]:
    """An output beside one of the same source by another driver, or of another source by the same driver."""
    for question in questions:
        shown, kept = ("driver", "source") if question == "motion" else ("source", "driver")
        for right, wrong in itertools.permutations(clips, 2):
            alike = right["method"] == wrong["method"] and right[kept] == wrong[kept]
            if alike and right[shown] is not None and right[shown] != wrong[shown]:
                files = (Path(right[shown]), Path(right["output"]), Path(wrong["output"]))
                yield Item("", question, *files, methods=("right", "wrong"), control=True)


def _some(items: list[Item], count: int, draw: Random) -> list[Item]:
    return draw.sample(items, min(count, len(items)))


def _write(folder: Path, items: Sequence[Item], config: StudyConfig, draw: Random) -> None:
    media = folder / "study" / "media"
    media.mkdir(parents=True)
    names: dict[Path, str] = {}

    def copied(path: Path) -> str:
        if path not in names:
            names[path] = f"media/{draw.randrange(16**10):010x}{path.suffix.lower()}"
            if not path.is_file():
                raise InputError(f"{path}: is gone; evaluate again")
            probe(path, require_video=True)  # the folder is given away: it gets media, whatever the results name
            shutil.copyfile(path, folder / "study" / names[path])
        return names[path]

    shown, key = [], []
    for number, item in enumerate(items):
        name = f"{number:03d}-{draw.randrange(16**6):06x}"
        files = {"about": copied(item.about), "a": copied(item.a), "b": copied(item.b)}
        shown.append({"name": name, "question": item.question, **files})
        key.append({**asdict(item), "name": name, "about": str(item.about), "a": str(item.a), "b": str(item.b)})
    ident = digest_of({"items": shown})[:16]
    questions = {name: text for name, (_, text) in QUESTIONS.items()}
    content = {"format": FORMAT, "version": VERSION, "study": ident, "questions": questions, "items": shown}
    # "<" would end the script that the page keeps it in.
    page = render("avatarkit.pipelines.study", "page.html", content=json.dumps(content).replace("<", "\\u003c"))
    (folder / "study" / "index.html").write_text(page, encoding="utf-8")
    write_json(folder / "key.json", {"format": FORMAT, "version": VERSION, "study": ident, "seed": config.seed,
                                     "items": key})  # fmt: skip
