"""An evaluation from inputs to tables: render what our engines draw, measure every case once, sum up."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from avatarkit.atomic import write_json, write_whole
from avatarkit.cache import digest_of
from avatarkit.errors import InputError, OutputError, UsageError
from avatarkit.motion.config import MotionConfig
from avatarkit.pipelines.batch import BatchOptions, Job
from avatarkit.pipelines.batch import run as run_batch
from avatarkit.pipelines.batch.run import BatchReport
from avatarkit.pipelines.evaluate import tables
from avatarkit.pipelines.evaluate.cases import PROTOCOLS, Case, Refused, clips_of, drawn, read_pairs
from avatarkit.pipelines.evaluate.config import EvaluateConfig, Method
from avatarkit.pipelines.evaluate.measure import NOT_MEASURED, crop_of, source_frame
from avatarkit.pipelines.evaluate.page import page
from avatarkit.pipelines.evaluate.worker import Collector, Setup, Unmeasured, read_mark
from avatarkit.pipelines.program import program_digest
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.reading import read_json
from avatarkit.runtime import NullProgress, Progress, sha256_file, versions
from avatarkit.work.pool import Pool
from avatarkit.work.task import Crew, Task

FORMAT, VERSION = "avatarkit-evaluation", 1
WORK = ".evaluate"
WORKER = "avatarkit.pipelines.evaluate.worker:EvaluateWorker"


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
        lines = [f"{len(results['clips'])} cases measured, {self.refused} refused; {self.output / 'index.html'}"]
        lines += [f"{name}: not measured: {command}" for name, command in results["not_measured"].items()]
        lines += [f"refused: {item['method']}: {item['name']}: {item['reason']}" for item in results["refused"][:10]]
        return lines


@dataclass
class _Rendered:
    """Cases to measure, crops of their drivers, speed of each method, and what could not be drawn."""

    cases: list[Case] = field(default_factory=list)
    crops: dict[tuple[str, str], tuple[float, ...] | None] = field(default_factory=dict)
    speed: dict[str, float] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)


def evaluate(config: EvaluateConfig, progress: Progress | None = None) -> EvaluateReport:
    """Evaluate; the same call again draws and measures only what is not there yet.

    Raises:
        UsageError: options that do not go together. InputError: inputs that cannot be read at all, or nothing to
            measure. OutputError: the folder cannot be written.
    """
    progress = progress or NullProgress()
    began = time.monotonic()
    try:
        (config.output / WORK / "measured").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"--output {config.output}: cannot be made: {error.strerror or error}") from error
    given = _videos(config) if config.kind == "videos" else _drawn(config, progress)
    if not given.cases:
        why = given.refused[0].reason if given.refused else "no pairs"
        raise InputError(f"evaluate {config.kind}: nothing to measure: {why}")
    clips = _measured(config, given, progress)
    results = _results(config, given, clips)
    _write(config.output, results, time.monotonic() - began)
    return EvaluateReport(config.output, results)


def _videos(config: EvaluateConfig) -> _Rendered:
    if config.pairs is None:
        raise UsageError("evaluate videos: give --pairs PAIRS.csv")
    cases, refused = read_pairs(config.pairs)
    if config.limit is not None:
        kept = set(drawn(sorted({case.name for case in cases}), config.limit, config.seed))
        cases = [case for case in cases if case.name in kept]
    return _Rendered(cases, refused=refused)


def _drawn(config: EvaluateConfig, progress: Progress) -> _Rendered:
    """Cases of our engines, drawn by the batch machinery."""
    given, pairs = _Rendered(), _pairs(config)
    for method in config.methods:
        folder = config.output / "videos" / method.name
        jobs = [
            Job(_reenactment(config, method, source, driver, folder / f"{name}.mp4"))
            for name, source, driver in pairs
        ]
        options = BatchOptions(folder, workers=config.workers, cache=config.output / WORK / "cache")
        report = run_batch(jobs, options, progress)
        assert isinstance(report, BatchReport)
        given.refused += [
            Refused(Path(item.pair).stem, method.name, item.kind, item.reason) for item in report.refusals
        ]
        broken = {Path(item.pair).stem for item in report.refusals}
        if report.work_s:
            given.speed[method.name] = report.frames / report.work_s
        for job in jobs:
            name = job.config.output.stem
            if name in broken:
                continue
            assert job.config.report is not None
            assert job.config.driver is not None
            crop = crop_of(read_json(job.config.report)) if config.kind == "self" else None
            given.crops[method.name, name] = None if crop is None else (
                crop.left, crop.top, crop.width, crop.height, crop.scale
            )  # fmt: skip
            given.cases.append(Case(name, method.name, job.config.driver, job.config.output, job.config.source))
    return given


def _pairs(config: EvaluateConfig) -> list[tuple[str, Path, Path]]:
    """Name, source and driver of each pair."""
    from avatarkit.pipelines.batch.jobs import files_of

    if config.kind == "self":
        if config.clips is None:
            raise UsageError("evaluate self: give --clips DIR")
        folder = config.output / WORK / "sources"
        folder.mkdir(parents=True, exist_ok=True)
        pairs = []
        for clip in drawn(clips_of(config.clips), config.limit, config.seed):
            source = folder / f"{clip.stem}.png"
            if not source.exists():
                source_frame(clip, source)
            pairs.append((clip.stem, source, clip))
        return pairs
    if config.sources is None or config.drivers is None:
        raise UsageError("evaluate cross: give --sources DIR and --drivers DIR")
    sources, drivers = files_of(config.sources, "--sources"), files_of(config.drivers, "--drivers")
    both = [(f"{source.stem}--{driver.stem}", source, driver) for source in sources for driver in drivers]
    return drawn(both, config.limit, config.seed)


def _reenactment(config: EvaluateConfig, method: Method, source: Path, driver: Path, output: Path) -> ReenactConfig:
    """Self-reenactment shows the driver's own background and pose; else as a user gets it."""
    own = config.kind == "self"
    return ReenactConfig(
        source,
        driver,
        output,
        motion=MotionConfig(mode="absolute" if own else "relative"),
        size=config.measured.size,
        background="keep" if own else "plate",
        engine=method.engine,
        checkpoint=tuple(method.checkpoints),
        report=output.with_suffix(".json"),
        overwrite=True,
    )


def _measured(config: EvaluateConfig, given: _Rendered, progress: Progress) -> list[dict[str, Any]]:
    """What was measured of each case, in order; cases that cannot be measured join the refused."""
    marks = config.output / WORK / "measured"
    digest = cache(sha256_file)  # sources and drivers are those of many cases
    todo: dict[str, Unmeasured] = {}
    for case in given.cases:
        crop = given.crops.get((case.method, case.name))
        files = [digest(path) for path in (case.output, case.driver, case.source) if path is not None]
        about = {"files": files, "crop": crop, "options": asdict(config.measured), "by": program_digest()}
        todo[f"{case.method}/{case.name}"] = Unmeasured(case, crop, digest_of(about)[:32])  # type: ignore[arg-type]
    values = {name: mark for name, item in todo.items() if (mark := read_mark(marks, item.key)) is not None}
    missing = [Task(name, item) for name, item in todo.items() if name not in values]
    progress.stage("measure", len(missing), "cases")
    if missing:
        collector = Collector(progress)
        crew = Crew(WORKER, Setup(config.measured, marks), task="case", step="case")
        Pool(crew, workers=min(config.workers, len(missing)), watcher=collector).run(missing)
        values |= collector.values
    rows = []
    for name, item in sorted(todo.items()):
        value = values.get(name, {"kind": "crashed", "reason": "was not measured"})
        if "figures" not in value:
            case = item.case
            given.refused.append(Refused(case.name, case.method, value["kind"], value["reason"], case.row))
            continue
        rows.append(
            {
                "name": item.case.name,
                "method": item.case.method,
                "driver": str(item.case.driver),
                "output": str(item.case.output),
                "source": str(item.case.source) if item.case.source else None,
                **value,
            }
        )
    return rows


def _results(config: EvaluateConfig, given: _Rendered, clips: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Everything that is reported, but for times; equal for equal inputs, however many workers measured."""
    protocol = PROTOCOLS.get(config.protocol or "")
    known = {name for clip in clips for name, value in clip["figures"].items() if value is not None}
    wanted = set(NOT_MEASURED) if config.kind == "self" else set(NOT_MEASURED) - {"lpips"}
    if config.kind == "self":
        wanted -= {"identity_leak", "fid"}
    return {
        "format": FORMAT,
        "version": VERSION,
        "kind": config.kind,
        "protocol": asdict(protocol) if protocol else None,
        "options": asdict(config.measured),
        "seed": config.seed,
        "choices": dict(clips[0]["choices"]) if clips else {},
        "versions": {name: version for name, version in versions().items() if name in ("avatarkit", "python", "numpy")},
        "program": program_digest(),
        "methods": tables.summary(clips, config.seed),
        "tests": tables.tests(clips),
        "not_measured": {name: NOT_MEASURED[name] for name in sorted(wanted - known)},
        "clips": [{key: value for key, value in clip.items() if key != "choices"} for clip in clips],
        "refused": [asdict(one) for one in sorted(given.refused, key=lambda one: (one.method, one.name))],
        "times": {"frames_per_s": dict(sorted(given.speed.items()))},
    }


def _write(output: Path, results: dict[str, Any], seconds: float) -> None:
    results["times"]["seconds"] = round(seconds, 1)
    try:
        write_json(output / "results.json", results)
        write_whole(output / "results.csv", tables.csv_text(results).encode())
        write_whole(output / "table.md", tables.markdown(results).encode())
        write_whole(output / "table.tex", tables.latex(results).encode())
        write_whole(output / "index.html", page(results, output).encode())
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
    return values


def compare(paths: Sequence[Path], output: Path) -> EvaluateReport:
    """Several results side by side.

    Raises:
        InputError: results that were measured differently: protocol, size, tracker or networks; the message says which.
    """
    loaded = [(path, read_results(path)) for path in paths]
    first_path, first = loaded[0]
    for path, other in loaded[1:]:
        for key in ("kind", "options", "choices"):
            if other[key] != first[key]:
                raise InputError(f"{path}: {key} {other[key]}, and {first_path}: {first[key]}; they cannot be compared")
    labels = [path.parent.name or path.stem for path in paths]
    clips = [
        {**clip, "method": f"{label}/{clip['method']}", "choices": first["choices"]}
        for label, (_, values) in zip(labels, loaded, strict=True)
        for clip in values["clips"]
    ]
    results = {
        **first,
        "methods": tables.summary(clips, first["seed"]),
        "tests": tables.tests(clips),
        "clips": [{key: value for key, value in clip.items() if key != "choices"} for clip in clips],
        "refused": [item for _, values in loaded for item in values["refused"]],
        "times": {
            "frames_per_s": {
                f"{label}/{name}": value
                for label, (_, values) in zip(labels, loaded, strict=True)
                for name, value in values["times"]["frames_per_s"].items()
            }
        },
    }
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"--output {output}: cannot be made: {error.strerror or error}") from error
    _write(output, results, 0.0)
    return EvaluateReport(output, results)


__all__ = ["EvaluateConfig", "EvaluateReport", "Method", "compare", "evaluate"]
