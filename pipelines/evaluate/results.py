"""results.json: what it holds, how it is written and read, and several side by side."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from avatarkit.atomic import write_json, write_whole
from avatarkit.errors import InputError, OutputError
from avatarkit.metrics.frechet import Gaussian, frechet_distance
from avatarkit.metrics.inception import FEATURES_LENGTH, FEWEST_PICTURES
from avatarkit.pipelines.evaluate import tables
from avatarkit.pipelines.evaluate.config import EvaluateConfig
from avatarkit.pipelines.evaluate.drawing import Given
from avatarkit.pipelines.evaluate.figures import OF_METHODS
from avatarkit.pipelines.evaluate.networks import NOT_MEASURED
from avatarkit.pipelines.evaluate.page import page
from avatarkit.pipelines.evaluate.protocols import PROTOCOLS
from avatarkit.pipelines.evaluate.worker import FEATURES, read_features
from avatarkit.pipelines.pages import check_own
from avatarkit.pipelines.program import program_digest
from avatarkit.reading import read_json
from avatarkit.runtime import counted, versions

__all__ = ["EvaluateReport", "check_place", "compare", "read_results", "results_of", "write_results"]

FORMAT, VERSION = "avatarkit-evaluation", 2
MOST_METHODS = 100
"""Of an evaluation; each takes a second to sum up."""
FILES = ("results.json", "results.csv", "table.md", "table.tex", "index.html")
OWN = ("choices", "key")
"""What a measured case carries that its row in results.json does not."""


@dataclass(frozen=True)
class EvaluateReport:
    """How an evaluation ended; `results` is results.json."""

    output: Path
    results: Mapping[str, Any]

    @property
    def refused(self) -> int:
        """Cases without figures."""
        return len(self.results["refused"])

    def summary_lines(self) -> list[str]:
        """What a person wants to know, a line each."""
        results = self.results
        measured = counted(len(results["clips"]), "cases")
        lines = [f"{measured} measured, {self.refused} refused; {self.output / 'index.html'}"]
        lines += [f"{name}: not measured: {command}" for name, command in results["not_measured"].items()]
        lines += [f"refused: {item['method']}: {item['name']}: {item['reason']}" for item in results["refused"][:10]]
        return lines


def results_of(config: EvaluateConfig, given: Given, clips: Sequence[Mapping[str, Any]], marks: Path) -> dict[str, Any]:
    """Everything that is reported, but for times; equal for equal inputs, however many workers measured."""
    protocol = PROTOCOLS.get(config.protocol or "")
    known = {name for clip in clips for name, value in clip["figures"].items() if value is not None}
    wanted = set(NOT_MEASURED) if config.kind == "self" else set(NOT_MEASURED) - {"lpips"}
    if config.kind == "self":
        wanted -= {"identity_leak"}
    missing = {name: NOT_MEASURED[name] for name in sorted(wanted - known - set(OF_METHODS))}
    methods = tables.summary(clips, config.seed)
    for method, cost in given.networks.items():
        if method in methods and cost.parameters:
            values = {"parameters_m": cost.parameters / 1e6, "gflops": cost.flops / 1e9}
            methods[method]["figures"] |= {
                name: _of_method(value, methods[method]["clips"]) for name, value in values.items()
            }
    if config.measured.fid:
        missing |= add_fid(methods, clips, marks)
    return {
        "format": FORMAT,
        "version": VERSION,
        "kind": config.kind,
        "protocol": asdict(protocol) if protocol else None,
        "options": {**asdict(config.measured), "framing": config.shown},
        "seed": config.seed,
        "choices": dict(clips[0]["choices"]) if clips else {},
        "versions": {name: version for name, version in versions().items() if name in ("avatarkit", "python", "numpy")},
        "program": program_digest(),
        "methods": methods,
        "tests": tables.tests(clips),
        "not_measured": missing,
        "clips": [{key: value for key, value in clip.items() if key not in OWN} for clip in clips],
        "refused": [asdict(one) for one in sorted(given.refused, key=lambda one: (one.method, one.name))],
        "times": {
            "frames_per_s": dict(sorted(given.speed.items())),
            "peak_mb": {name: round(value / 1e6) for name, value in sorted(given.peak_bytes.items())},
        },
    }


def add_fid(methods: dict[str, dict[str, Any]], clips: Sequence[Mapping[str, Any]], marks: Path) -> dict[str, str]:
    """Put FID into the figures of each method: its frames against those of the drivers, each driver once.

    Args:
        methods: see `tables.summary`; changed. marks: folder with the features of each case.

    Returns:
        Why it is not measured, by the figure's name; nothing where it is.
    """
    missing: dict[str, str] = {}
    for method, values in methods.items():
        own, real, drivers = Gaussian(FEATURES_LENGTH), Gaussian(FEATURES_LENGTH), set()
        for clip in clips:
            features = read_features(marks / f"{clip['key']}{FEATURES}") if clip["method"] == method else None
            if features is None or features[0].shape[1] != FEATURES_LENGTH:
                continue
            own.add(features[0])
            if clip["driver"] not in drivers:
                real.add(features[1])
                drivers.add(clip["driver"])
        fewest = min(own.count, real.count)
        if fewest == 0:
            return {"fid": NOT_MEASURED["fid"]}
        if fewest < FEWEST_PICTURES:
            missing["fid"] = f"{fewest} pictures of {method} or its drivers; FID needs {FEWEST_PICTURES} of each"
            continue
        value = frechet_distance(own.mean, own.covariance, real.mean, real.covariance)
        values["figures"]["fid"] = _of_method(value, values["clips"])
    return missing


def _of_method(value: float, clips: int) -> dict[str, Any]:
    """A figure without an interval."""
    return {"mean": value, "low": None, "high": None, "clips": clips}


def check_place(output: Path) -> None:
    """Raise OutputError where a file in the folder would be replaced that is not of an evaluation."""
    if not any(os.path.lexists(output / name) for name in FILES):
        return
    check_own(output / FILES[0], f'"format": "{FORMAT}"', "no evaluation; choose another folder")
    if not (output / FILES[0]).exists():
        first = next(name for name in FILES if os.path.lexists(output / name))
        raise OutputError(f"{output / first}: exists and is of no evaluation; choose another folder")


def write_results(output: Path, results: dict[str, Any], seconds: float) -> None:
    """results.json, csv, tables and the page, each whole or not at all; OutputError where they cannot be written."""
    results["times"]["seconds"] = round(seconds, 1)
    texts = (tables.csv_text(results), tables.markdown(results), tables.latex(results), page(results, output))
    try:
        output.mkdir(parents=True, exist_ok=True)
        write_json(output / FILES[0], results)
        for name, text in zip(FILES[1:], texts, strict=True):
            write_whole(output / name, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise OutputError(f"{output}: cannot be written: {error.strerror or error}") from error


def read_results(path: Path) -> dict[str, Any]:
    """results.json of an evaluation; InputError for anything else."""
    try:
        values = read_json(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; give the results.json of an evaluation") from error
    if values.get("format") != FORMAT or values.get("version") != VERSION:
        raise InputError(f"{path}: is not the results.json of an evaluation by this avatarkit")
    clips = values.get("clips")
    names = {str(clip.get("method")) for clip in clips if isinstance(clip, dict)} if isinstance(clips, list) else set()
    if len(names) > MOST_METHODS:
        raise InputError(f"{path}: is damaged: {len(names)} methods, more than the {MOST_METHODS} that can be compared")
    return values


def compare(paths: Sequence[Path], output: Path) -> EvaluateReport:
    """Several results side by side.

    Raises:
        InputError: results that were measured differently: protocol, size, tracker or networks; the message says which.
    """
    from jinja2 import TemplateError

    check_place(output)
    loaded = [(path, read_results(path)) for path in paths]
    try:
        results = _compared(loaded)
        write_results(output, results, 0.0)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, TemplateError) as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())[:100]
        raise InputError(f"{', '.join(map(str, paths))}: one of them is damaged: {what}") from error
    return EvaluateReport(output, results)


def _compared(loaded: Sequence[tuple[Path, dict[str, Any]]]) -> dict[str, Any]:
    first_path, first = loaded[0]
    for path, other in loaded[1:]:
        for key in ("kind", "options", "choices"):
            if other[key] != first[key]:
                raise InputError(f"{path}: {key} {other[key]}, and {first_path}: {first[key]}; they cannot be compared")
    labels = _labels([path for path, _ in loaded])
    clips = [
        {**clip, "method": f"{label}/{clip['method']}", "choices": first["choices"]}
        for label, (_, values) in zip(labels, loaded, strict=True)
        for clip in values["clips"]
    ]
    methods = tables.summary(clips, first["seed"])
    for label, (_, values) in zip(labels, loaded, strict=True):
        for name, value in values["methods"].items():
            whole = {figure: value["figures"][figure] for figure in OF_METHODS if figure in value["figures"]}
            methods[f"{label}/{name}"]["figures"] |= whole
    return {
        **first,
        "methods": methods,
        "tests": tables.tests(clips),
        "clips": [{key: value for key, value in clip.items() if key not in OWN} for clip in clips],
        "refused": [item for _, values in loaded for item in values["refused"]],
        "times": {
            kind: {
                f"{label}/{name}": value
                for label, (_, values) in zip(labels, loaded, strict=True)
                for name, value in values["times"][kind].items()
            }
            for kind in ("frames_per_s", "peak_mb")
        },
    }


def _labels(paths: Sequence[Path]) -> list[str]:
    """The folders' names, numbered where two are alike."""
    seen: Counter[str] = Counter()
    labels = []
    for path in paths:
        name = path.resolve().parent.name or path.stem
        seen[name] += 1
        labels.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return labels
