"""Cases of an evaluation: listed in a table, or drawn by our engines through the batch machinery."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from avatarkit.atomic import own_folder
from avatarkit.errors import AvatarkitError, UsageError
from avatarkit.motion.config import MotionConfig
from avatarkit.pipelines.batch import BatchOptions, Job
from avatarkit.pipelines.batch import run as run_batch
from avatarkit.pipelines.batch.jobs import files_of
from avatarkit.pipelines.batch.run import BatchReport
from avatarkit.pipelines.engines import given_for
from avatarkit.pipelines.evaluate.cases import Case, Refused, clips_of, drawn, read_pairs
from avatarkit.pipelines.evaluate.config import WORK, EvaluateConfig, Method
from avatarkit.pipelines.evaluate.cost import Cost, cost_of
from avatarkit.pipelines.evaluate.measure import crop_of, source_frame
from avatarkit.pipelines.evaluate.stored import is_dataset, stored_clips
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.reading import read_json
from avatarkit.runtime import NullProgress, Progress, sha256_file
from avatarkit.work.slurm import ArrayJob

__all__ = ["Given", "draw", "given_videos", "size_of"]


@dataclass
class Given:
    """Cases to measure, crops of their drivers, what drawing cost each method, and what could not be drawn."""

    cases: list[Case] = field(default_factory=list)
    crops: dict[tuple[str, str], tuple[float, ...] | None] = field(default_factory=dict)
    speed: dict[str, float] = field(default_factory=dict)
    peak_bytes: dict[str, int] = field(default_factory=dict)
    networks: dict[str, Cost] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)


def given_videos(config: EvaluateConfig) -> Given:
    """Cases of a table of videos; UsageError without one, InputError as `read_pairs`."""
    if config.pairs is None:
        raise UsageError("evaluate videos: give --pairs PAIRS.csv")
    cases, refused = read_pairs(config.pairs)
    if config.limit is not None:
        kept = set(drawn(sorted({case.name for case in cases}), config.limit, config.seed))
        cases = [case for case in cases if case.name in kept]
    return Given(cases, refused=refused)


def size_of(config: EvaluateConfig) -> int:
    """Cases that an evaluation has, refused ones too."""
    if config.kind == "videos":
        given = given_videos(config)
        return len(given.cases) + len(given.refused)
    given = Given()
    return (len(_pairs(config, given, NullProgress())) + len(given.refused)) * len(config.methods)


def draw(
    config: EvaluateConfig, progress: Progress, part: ArrayJob | None, environment: Mapping[str, str] | None
) -> Given:
    """Cases of our engines, drawn by the batch machinery.

    Args:
        part: a job of a SLURM array draws and gives its part of the pairs alone. environment: where its variables are.
    """
    given, cache = Given(), config.output / WORK / "cache"
    pairs = _pairs(config, given, progress)
    for method in config.methods:
        folder = config.output / "videos" / method.name
        jobs = [
            Job(_reenactment(config, method, source, driver, folder / f"{name}.mp4")) for name, source, driver in pairs
        ]
        options = BatchOptions(folder, workers=config.workers, runner=config.runner, cache=cache)
        report = run_batch(jobs, options, progress, environment=environment)
        assert isinstance(report, BatchReport)
        given.refused += [
            Refused(Path(item.pair).stem, method.name, item.kind, item.reason) for item in report.refusals
        ]
        broken = {Path(item.pair).stem for item in report.refusals}
        if report.work_s:
            given.speed[method.name] = report.frames / report.work_s
        for job in jobs if part is None else part.part(jobs):
            name = job.config.output.stem
            if name in broken:
                continue
            assert job.config.report is not None
            assert job.config.driver is not None
            about = read_json(job.config.report)
            peak = max(given.peak_bytes.get(method.name, 0), int(about["peak_memory_bytes"]))
            given.peak_bytes[method.name] = peak
            crop = crop_of(about) if config.kind == "self" else None
            given.crops[method.name, name] = None if crop is None else (
                crop.left, crop.top, crop.width, crop.height, crop.scale
            )  # fmt: skip
            given.cases.append(Case(name, method.name, job.config.driver, job.config.output, job.config.source))
        drawn_ones = [job.config for job in jobs if job.config.output.stem not in broken]
        if part is None and drawn_ones and given_for(drawn_ones[0]):
            given.networks[method.name] = cost_of(drawn_ones[0], cache, config.output / WORK / "measured")
    return given


def _pairs(config: EvaluateConfig, given: Given, progress: Progress) -> list[tuple[str, Path, Path]]:
    """Name, source and driver of each pair; clips without a first frame join the refused."""
    if config.kind == "self":
        if config.clips is None:
            raise UsageError("evaluate self: give --clips DIR")
        folder = own_folder(config.output, WORK, "sources")
        pairs = []
        for clip in _clips(config, progress):
            try:
                source = folder / f"{clip.stem}-{sha256_file(clip)[:12]}.png"
                if not source.exists():
                    source_frame(clip, source)
            except (AvatarkitError, OSError) as error:
                reason = " ".join(str(error).split())
                given.refused += [
                    Refused(clip.stem, method.name, type(error).__name__, reason) for method in config.methods
                ]
            else:
                pairs.append((clip.stem, source, clip))
        return _unique(pairs)
    if config.sources is None or config.drivers is None:
        raise UsageError("evaluate cross: give --sources DIR and --drivers DIR")
    sources, drivers = files_of(config.sources, "--sources"), files_of(config.drivers, "--drivers")
    both = [(f"{source.stem}--{driver.stem}", source, driver) for source in sources for driver in drivers]
    return _unique(drawn(both, config.most, config.seed))


def _clips(config: EvaluateConfig, progress: Progress) -> list[Path]:
    assert config.clips is not None
    if is_dataset(Path(config.clips)):
        to = config.output / WORK / "clips"
        return stored_clips(Path(config.clips), config.split, to, progress, limit=config.most, seed=config.seed)
    if config.split is not None:
        raise UsageError(f"--split: {config.clips} is no dataset of ours, which alone has splits")
    return drawn(clips_of(config.clips), config.most, config.seed)


def _unique(pairs: list[tuple[str, Path, Path]]) -> list[tuple[str, Path, Path]]:
    """Pairs whose files have one name get a number."""
    seen: Counter[str] = Counter()
    result = []
    for name, source, driver in pairs:
        seen[name] += 1
        result.append((name if seen[name] == 1 else f"{name}-{seen[name]}", source, driver))
    return result


def _reenactment(config: EvaluateConfig, method: Method, source: Path, driver: Path, output: Path) -> ReenactConfig:
    """Self-reenactment shows the driver's own pose, over what the first frame shows behind the head; else as usual.

    What a network draws around a head was never meant to be seen.
    """
    own = config.kind == "self"
    return ReenactConfig(
        source,
        driver,
        output,
        motion=MotionConfig(mode="absolute" if own else "relative"),
        size=config.measured.size,
        framing=config.shown,
        background="keep" if own and not method.checkpoints else "plate",
        engine=method.engine,
        checkpoint=tuple(method.checkpoints),
        report=output.with_suffix(".json"),
        overwrite=True,
    )
