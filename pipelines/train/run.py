"""Train a stage of the method: what is asked for is checked before the first step, then the loop runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from avatarkit.atomic import write_whole
from avatarkit.checkpoint import Checkpoint, best_of, list_checkpoints, open_checkpoint, sweep
from avatarkit.errors import InputError, OutputError, UsageError
from avatarkit.runtime import NullProgress, Progress, counted, versions
from avatarkit.systems import registry
from avatarkit.training.checks import check_parent, check_same_parent, check_same_run
from avatarkit.training.config import TrainConfig, check
from avatarkit.training.failures import out_of_memory_explained
from avatarkit.training.hardware import check_alike, open_accelerator
from avatarkit.training.loop import Ended, Origin, RunOptions, Trainer
from avatarkit.training.open_data import open_data
from avatarkit.training.recipe import Ingredients, Recipe
from avatarkit.training.resolve import from_mapping, resolve
from avatarkit.training.sources import TrainData

CONFIG_NAME = "config.yaml"
_LOCK = ".training.lock"


@dataclass(frozen=True)
class TrainJob:
    """What to train, on what, and where to.

    Args:
        stage: as the registry names it, such as base.
        data: a dataset folder. out: the run's folder; a run that stands there is continued.
        preset, config_file, sets: see `avatarkit.training.resolve`.
        parents: checkpoints by option, such as "base". options: the stage's own, such as "avatars".
        steps, images: how far, in place of the preset's steps; one of the two.
        device: auto, cpu, cuda or mps. workers: processes that read ahead.
        max_minutes: save and leave after this time. processes: that share the batch; for a plan, trainings count them.
    """

    stage: str
    data: Path | None
    out: Path | None
    preset: str = "small-256"
    config_file: Path | None = None
    sets: tuple[str, ...] = ()
    parents: Mapping[str, Path] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    steps: int | None = None
    images: int | None = None
    device: str = "auto"
    workers: int = 2
    max_minutes: float | None = None
    processes: int = 1


@dataclass(frozen=True)
class TrainReport:
    """How a training ended. `is_main`: this process is the one of several that reports."""

    stage: str
    out: Path
    ended: Ended
    steps: int
    checkpoint: Path | None
    is_main: bool = True

    def summary_lines(self) -> list[str]:
        """The closing lines of the command."""
        ended = self.ended
        seen = counted(ended.images, "images")
        lines = [f"train {self.stage}: {ended.reason} at step {ended.step} of {self.steps}, {seen} seen"]
        if ended.steps_here:
            rate = ended.steps_here * (ended.images / ended.step) / max(ended.seconds, 1e-9)
            steps = counted(ended.steps_here, "steps")
            lines.append(f"{steps} now in {ended.seconds / 60:.1f} min, {rate:.2f} images/s")
        lines += [f"{name}: {value:.3f}" for name, value in sorted(ended.figures.items()) if "/" in name]
        if self.checkpoint is not None:
            lines.append(f"checkpoint: {self.checkpoint}")
        best = best_of(self.out)
        if best is not None:
            lines.append(f"best validation: step {best.step}, {best.figure} {best.value:.3f} (kept, see best.json)")
        if ended.reason != "finished":
            lines.append("the same command again goes on from there")
        return lines


def train(job: TrainJob, progress: Progress | None = None) -> TrainReport:
    """Train a stage, or go on where its run stands.

    Raises:
        UsageError: an option or key that cannot be used, or a run that was begun otherwise.
        InputError: a dataset or checkpoint that the stage cannot use, or a damaged one.
        OutputError: the run's folder cannot be written or is in use.
        DependencyError: weights, packages or devices that are missing.
        TrainingError: the training diverged or ran out of memory.
    """
    progress = progress or NullProgress()
    if job.data is None or job.out is None:
        raise UsageError(f"train {job.stage}: give --data DIR and --output RUN (only --dry-run does without)")
    if job.max_minutes is not None and not job.max_minutes >= 0:
        raise UsageError(f"--max-minutes {job.max_minutes}: give a number of minutes")
    recipe, config = registry.recipe(job.stage), configured(job)
    needed_px = recipe.size_px(config.preset)
    parents = open_parents(recipe, job.parents, config.preset)
    sample = recipe.sample_of(config, parents)
    data = open_data(job.data, job.stage, sample, needed_px, config.seed, config.preset)
    config = recipe.with_options(config, job.options, data)
    frozen = recipe.frozen(config, parents, False)
    accelerator = open_accelerator(job.device, config)
    is_main = accelerator.is_main_process
    progress = progress if is_main else NullProgress()
    with _claimed(job.out, claim=is_main), out_of_memory_explained(config, accelerator.num_processes):
        hashes = {option: parent.sha256 for option, parent in parents.items()}
        before = _run_so_far(job.out, config, data, hashes)
        seen = {"--output": before.sha256 if before is not None else "", "--data": data.sha256}
        check_alike(accelerator, {**seen, **{f"--{option}": sha256 for option, sha256 in hashes.items()}})
        if is_main:
            _write_config(job.out / CONFIG_NAME, config)
        stage = recipe.make(config, Ingredients(parents, data, frozen, begins=before is None))
        origin = Origin(
            nets=recipe.describe(config.preset, stage),
            parents=hashes,
            dataset=data.described(),
            code={name: version for name, version in versions().items() if name in ("avatarkit", "python", "torch")},
        )
        options = RunOptions(out=job.out, workers=job.workers, max_minutes=job.max_minutes)
        trainer = Trainer(stage, config, data, origin, accelerator, options, progress)
        if before is not None:
            trainer.restore(before)
            progress.notice(f"goes on from step {before.meta.step}: {before.folder}")
        if data.val is None and config.validate_every:
            progress.notice("the dataset has no validation split: validation looks at training samples")
        accelerator.wait_for_everyone()
        ended = trainer.run()
    result = list_checkpoints(job.out)
    accelerator.end_training()
    return TrainReport(job.stage, job.out, ended, config.steps, result[-1] if result else None, is_main)


def configured(job: TrainJob) -> TrainConfig:
    """The job's resolved configuration; UsageError and InputError as `resolve`."""
    config = resolve(registry.recipe(job.stage).preset(job.preset), job.config_file, job.sets)
    if job.steps is not None and job.images is not None:
        raise UsageError("--steps and --images both say how far to train: give one of them")
    steps = job.steps
    if job.images is not None:
        steps = max(1, -(-job.images // config.batch))
    if steps is not None:
        config = replace(config, steps=steps)
    check(config)
    return config


def open_parents(recipe: Recipe, given: Mapping[str, Path], preset_name: str) -> dict[str, Checkpoint]:
    """The checkpoints that a stage builds on, of the right stages and sizes.

    Raises:
        UsageError: one that it needs is not given. InputError: one does not fit or is damaged.
    """
    result: dict[str, Checkpoint] = {}
    for option, parent in recipe.parents.items():
        if option not in given:
            if parent.required:
                raise UsageError(
                    f"train {recipe.stage}: needs --{option} CHECKPOINT, made by avatarkit train {parent.stage}"
                )
            continue
        checkpoint = open_checkpoint(given[option])
        configs = registry.recipe(parent.stage).net_configs(preset_name)
        wanted = {name: configs[name].size for name in parent.nets}
        check_parent(checkpoint, parent.stage, wanted, f"--{option}", preset_name)
        result[option] = checkpoint
    for option, checkpoint in result.items():
        for other in recipe.parents[option].built_on:
            if other in result:
                check_same_parent(checkpoint, option, other, result[other])
    return result


@contextmanager
def _claimed(out: Path, *, claim: bool) -> Iterator[None]:
    """Hold a run's folder against a second training; make it where it is missing."""
    if not claim:
        yield
        return
    if out.exists() and not out.is_dir():
        raise OutputError(f"--output {out}: is a file; give a folder")
    # A run that was killed before its first file leaves its lock.
    others = out.is_dir() and any(path.name != _LOCK for path in out.iterdir())
    foreign = others and not (out / CONFIG_NAME).is_file()
    if foreign and not list_checkpoints(out):
        raise OutputError(f"--output {out}: holds files, but no training; choose another folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / _LOCK)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise OutputError(f"--output {out}: another training writes there; wait for it, or choose another") from error
    except OSError as error:
        raise OutputError(f"--output {out}: cannot be written: {error.strerror or error}") from error
    try:
        sweep(out)
        yield
    finally:
        lock.release()


def _run_so_far(out: Path, config: TrainConfig, data: TrainData, parents: Mapping[str, str]) -> Checkpoint | None:
    """The run's newest checkpoint, None where it has none.

    Raises:
        UsageError: it was begun otherwise. InputError: it is damaged.
    """
    if not list_checkpoints(out):
        return None
    result = open_checkpoint(out)
    if result.meta.stage != config.stage:
        raise UsageError(f"--output {out}: holds a run of train {result.meta.stage}; choose another folder")
    try:
        saved = from_mapping(type(config), result.meta.config, str(result.folder))
    except UsageError as error:
        what = "the checkpoint is damaged, or of another version: choose another --output"
        raise InputError(f"{error}; {what}") from error
    check_same_run(result, config, saved, data.described(), parents)
    return result


def _write_config(path: Path, config: TrainConfig) -> None:
    from omegaconf import OmegaConf

    values: dict[str, Any] = asdict(config)
    head = f"# avatarkit train {values.pop('stage')} --preset {values.pop('preset')} --config THIS_FILE\n"
    try:
        write_whole(path, (head + OmegaConf.to_yaml(OmegaConf.create(values))).encode())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
