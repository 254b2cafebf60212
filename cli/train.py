"""`avatarkit train`: one command for each stage of each system, made from the registry."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from avatarkit.cli.console import Console
from avatarkit.systems.registry import StageInfo, stages

if TYPE_CHECKING:
    from avatarkit.pipelines.train.run import TrainJob

EXIT_INTERRUPTED = 130

_DATA = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Dataset made by avatarkit prepare-data.")]
_OUT = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="RUN", help="Folder of the run; one that stands there goes on.")
]
_CONFIG = Annotated[Path | None, typer.Option("--config", metavar="FILE.yaml", help="Keys that change the preset.")]
_SET = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One key, such as optim.lr=1e-4; may be repeated."),
]
_STEPS = Annotated[
    int | None, typer.Option("--steps", min=1, metavar="N", show_default="preset's", help="Steps in all.")
]
_IMAGES = Annotated[
    int | None, typer.Option("--images", min=1, metavar="N", help="Samples in all, instead of --steps.")
]
_MINUTES = Annotated[
    float | None, typer.Option("--max-minutes", min=0, metavar="M", help="Save and leave after this time.")
]
_DEVICE = Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option("--device", help="Where it runs.")]
_WORKERS = Annotated[
    int, typer.Option("--workers", min=0, max=256, metavar="N", help="Processes that read ahead; 0 reads in between.")
]
_DRY_RUN = Annotated[bool, typer.Option("--dry-run", help="Show networks, memory and schedule, and train nothing.")]
_PROCESSES = Annotated[
    int, typer.Option("--processes", min=1, max=65536, metavar="N", help="With --dry-run: GPUs that share the batch.")
]
_QUIET = Annotated[bool, typer.Option("--quiet", "-q", help="Write nothing but errors.")]


def add_commands(app: typer.Typer) -> None:
    """Add a command for each stage that the registry knows."""
    for stage in stages().values():
        app.command(stage.name, help=stage.help)(_command(stage))


def _command(stage: StageInfo) -> Callable[..., None]:
    """The command of a stage: the options of all stages, and its own."""

    def train(**given: Any) -> None:
        from avatarkit.pipelines.train.run import TrainJob

        job = TrainJob(
            stage=stage.name,
            data=given["data"],
            out=given["out"],
            preset=given["preset"] or stage.default,
            config_file=given["config"],
            sets=tuple(given["sets"] or ()),
            parents=_present(given, stage.checkpoints),
            options=_present(given, stage.options),
            steps=given["steps"],
            images=given["images"],
            device=given["device"],
            workers=given["workers"],
            max_minutes=given["max_minutes"],
            processes=given["processes"],
        )
        _run(job, dry_run=given["dry_run"], quiet=given["quiet"], preset_chosen=given["preset"] is not None)

    parameters = list(_parameters(stage))
    train.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what Typer reads
    train.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return train


def _parameters(stage: StageInfo) -> Iterator[inspect.Parameter]:
    def option(name: str, kind: Any, default: Any = None) -> inspect.Parameter:
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)

    yield option("data", _DATA)
    yield option("out", _OUT)
    for name, text in stage.checkpoints.items():
        yield option(name, Annotated[Path | None, typer.Option(f"--{name}", metavar="CKPT", help=text)])
    for name, (metavar, text) in stage.options.items():
        yield option(name, Annotated[str | None, typer.Option(f"--{name}", metavar=metavar, help=text)])
    presets = typer.Option(
        "--preset", metavar="NAME", show_default=stage.default, help=f"One of {', '.join(stage.presets)}."
    )
    yield option("preset", Annotated[str | None, presets])
    yield option("config", _CONFIG)
    yield option("sets", _SET)
    yield option("steps", _STEPS)
    yield option("images", _IMAGES)
    yield option("max_minutes", _MINUTES)
    yield option("device", _DEVICE, "auto")
    yield option("workers", _WORKERS, 2)
    yield option("dry_run", _DRY_RUN, False)
    yield option("processes", _PROCESSES, 1)
    yield option("quiet", _QUIET, False)


def _present(given: dict[str, Any], names: Any) -> dict[str, Any]:
    return {name: given[name] for name in names if given[name] is not None}


def _run(job: TrainJob, *, dry_run: bool, quiet: bool, preset_chosen: bool) -> None:
    from avatarkit.pipelines.train.run import train

    with Console(quiet=quiet) as console:
        if not preset_chosen:
            console.notice(f"no --preset: {job.preset} is taken")
        if dry_run:
            from avatarkit.pipelines.train.plan import plan

            for number, table in enumerate(plan(job).tables()):
                console.table([(), *table] if number else table)
            return
        report = train(job, console)
        if report.is_main:
            console.summary(report.summary_lines())
    if report.ended.reason == "asked to stop":
        raise typer.Exit(EXIT_INTERRUPTED)
