"""What people answered: the share of each method with its interval, agreement, and answers that are not counted."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from avatarkit.errors import AvatarkitError, InputError
from avatarkit.pipelines.study.build import FORMAT
from avatarkit.reading import check_list, check_text, read_json

__all__ = ["Preference", "Rules", "StudyResult", "read"]

ANSWERS = "avatarkit-study-answers"
RESAMPLES = 2000
LONGEST = 1000
"""Characters of a name."""


@dataclass(frozen=True)
class Rules:
    """When somebody's answers are not counted.

    controls: share of controls that must be right. seconds: the median time to an answer must be longer. side: share of
    answers on one side that is too much, with at least `side_answers` of them.
    """

    controls: float = 0.75
    seconds: float = 1.5
    side: float = 0.95
    side_answers: int = 12


@dataclass(frozen=True)
class Preference:
    """Of two methods, to one question: share of choices for the first, 95 % interval over people, and agreement.

    answers: counted. p: of a two-sided sign test that both are chosen alike. agreement: share of pairs of people who
    chose alike on the same item, 0.5 by chance; None where nobody shares one.
    """

    question: str
    method: str
    against: str
    share: float
    low: float
    high: float
    answers: int
    p: float
    agreement: float | None


@dataclass(frozen=True)
class StudyResult:
    """All questions; `people` counted, `rejected` with reasons by file."""

    preferences: tuple[Preference, ...]
    people: int
    rejected: Mapping[str, str] = field(default_factory=dict)

    def summary_lines(self) -> list[str]:
        """A line for each comparison and for each file that is not counted."""
        lines = [f"{self.people} people counted, {len(self.rejected)} files not"]
        for item in self.preferences:
            agreement = "" if item.agreement is None else f", agreement {item.agreement:.2f}"
            lines.append(
                f"{item.question}: {item.method} in {100 * item.share:.1f} % [{100 * item.low:.1f},"
                f" {100 * item.high:.1f}] of {item.answers} choices against {item.against}, p = {item.p:.3g}{agreement}"
            )
        return [*lines, *(f"not counted: {name}: {why}" for name, why in self.rejected.items())]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        from dataclasses import asdict

        return asdict(self)


def read(key: Path, files: Sequence[Path], rules: Rules | None = None, seed: int = 0) -> StudyResult:
    """Sum up answers.

    Args:
        key: key.json of the study. files: of people. rules: for careless ones. seed: of the bootstrap.

    Raises:
        InputError: the key is none, or no file can be counted.
    """
    rules = rules or Rules()
    about = _key(key)
    rejected: dict[str, str] = {}
    people: dict[str, list[Mapping[str, Any]]] = {}
    for path in files:
        try:
            person, answers = _answers(path, about["study"], set(about["items"]))
        except AvatarkitError as error:
            rejected[str(path)] = str(error)
            continue
        why = "answers of the same person are counted already" if person in people else _careless(
            answers, about["items"], rules
        )  # fmt: skip
        if why:
            rejected[str(path)] = why
        else:
            people[person] = answers
    if not people:
        first = next(iter(rejected.items()), None)
        raise InputError(f"{key}: no answers to count" + (f"; {first[0]}: {first[1]}" if first else ""))
    return StudyResult(tuple(_preferences(about["items"], list(people.values()), seed)), len(people), rejected)


def _key(path: Path) -> dict[str, Any]:
    try:
        values = read_json(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; give the key.json of the study") from error
    if values.get("format") != FORMAT or not isinstance(values.get("items"), list):
        raise InputError(f"{path}: is not the key.json of a study")
    try:
        for item in values["items"]:
            texts = (item["name"], item["question"], *check_list(item["methods"], "methods"))
            if len([check_text(text, "text", LONGEST) for text in texts]) != 4 or not isinstance(item["control"], bool):
                raise ValueError("not two methods, or no control")
        items = {item["name"]: item for item in values["items"]}
        return {"study": check_text(values["study"], "study", LONGEST), "items": items}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is a damaged key of a study: {str(error)[:200]}") from error


def _answers(path: Path, study: str, names: set[str]) -> tuple[str, list[Mapping[str, Any]]]:
    """A person and their answers, each to an item of the study, once."""
    try:
        values = read_json(path)
    except FileNotFoundError as error:
        raise InputError("no such file") from error
    if values.get("format") != ANSWERS:
        raise InputError("is no file of answers")
    if values.get("study") != study:
        raise InputError(f"answers to the study {str(values.get('study'))[:16]}, not to {study}")
    answers, seen = values.get("answers"), set()
    if not isinstance(answers, list) or not isinstance(values.get("participant"), str) or not answers:
        raise InputError("holds no answers")
    for answer in answers:
        item = answer.get("item") if isinstance(answer, dict) else None
        if not isinstance(item, str) or item not in names or item in seen:
            raise InputError("an answer is to no item of the study, or to one twice")
        right = answer.get("choice") in ("a", "b") and answer.get("left") in ("a", "b")
        seconds = answer.get("seconds")
        if not right or not isinstance(seconds, int | float) or not math.isfinite(seconds):
            raise InputError(f"the answer to {item} is damaged")
        seen.add(item)
    return values["participant"], answers


def _careless(answers: Sequence[Mapping[str, Any]], items: Mapping[str, Any], rules: Rules) -> str | None:
    """Why a person's answers are not counted; None where they are."""
    controls = [_chosen(answer, items) == "right" for answer in answers if items[answer["item"]]["control"]]
    if controls and sum(controls) < rules.controls * len(controls):
        return f"{sum(controls)} of {len(controls)} controls right"
    middle = median(answer["seconds"] for answer in answers)
    if middle < rules.seconds:
        return f"half of the answers within {middle:g} s"
    left = sum(answer["choice"] == answer["left"] for answer in answers)
    most = max(left, len(answers) - left)
    if len(answers) >= rules.side_answers and most > rules.side * len(answers):
        return f"{most} of {len(answers)} answers on one side"
    return None


def _chosen(answer: Mapping[str, Any], items: Mapping[str, Any]) -> str:
    """The method that was chosen."""
    return str(items[answer["item"]]["methods"][0 if answer["choice"] == "a" else 1])


def _preferences(
    items: Mapping[str, Any], people: Sequence[Sequence[Mapping[str, Any]]], seed: int
) -> list[Preference]:
    from scipy.stats import binomtest

    order = sorted({method for item in items.values() if not item["control"] for method in item["methods"]})
    # By comparison: of each person the choices for the first and all, and of each item the choices.
    counts: dict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
    votes: dict[tuple[str, str, str], dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for answers in people:
        own: dict[tuple[str, str, str], list[bool]] = defaultdict(list)
        for answer in answers:
            item = items[answer["item"]]
            if not item["control"]:
                one, other = sorted(item["methods"], key=order.index)
                about = (item["question"], one, other)
                own[about].append(_chosen(answer, items) == one)
                votes[about][answer["item"]][answer["choice"]] += 1
        for about, chosen in own.items():
            counts[about].append((sum(chosen), len(chosen)))
    result = []
    for about, given in sorted(counts.items()):
        first, every = (sum(column) for column in zip(*given, strict=True))
        low, high = _interval(np.array(given), seed)
        p = float(binomtest(first, every).pvalue)
        result.append(Preference(*about, first / every, low, high, every, p, _agreement(votes[about])))
    return result


def _interval(given: np.ndarray[Any, Any], seed: int) -> tuple[float, float]:
    """Percentiles 2.5 and 97.5 of the share over draws of as many people."""
    drawn = given[np.random.default_rng(seed).integers(0, len(given), (RESAMPLES, len(given)))].sum(axis=1)
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    return float(low), float(high)


def _agreement(votes: Mapping[str, Counter[str]]) -> float | None:
    """Share of pairs of people who chose alike on an item that both answered."""
    alike = sum(math.comb(count, 2) for seen in votes.values() for count in seen.values())
    pairs = sum(math.comb(seen.total(), 2) for seen in votes.values())
    return alike / pairs if pairs else None
