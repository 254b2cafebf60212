"""`avatarkit train`: the stages of the method, each from a dataset of the project's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from avatarkit.cli.console import Console

if TYPE_CHECKING:
    from avatarkit.pipelines.train import TrainJob

EXIT_INTERRUPTED = 130

DataOption = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Dataset made by avatarkit prepare-data.")
]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="RUN", help="Folder of the run; one that stands there goes on.")
]
PresetOption = Annotated[
    str, typer.Option("--preset", metavar="NAME", help="paper-512, paper-256, small-256 or tiny-64.")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE.yaml", help="Keys that change the preset.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One key, such as optim.lr=1e-4; may be repeated."),
]
StepsOption = Annotated[
    int | None, typer.Option("--steps", min=1, metavar="N", show_default="preset's", help="Steps in all.")
]
ImagesOption = Annotated[
    int | None, typer.Option("--images", min=1, metavar="N", help="Samples in all, instead of --steps.")
]
MinutesOption = Annotated[
    float | None, typer.Option("--max-minutes", min=0, metavar="M", help="Save and leave after this time.")
]
DeviceOption = Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option("--device", help="Where it runs.")]
WorkersOption = Annotated[
    int, typer.Option("--workers", min=0, max=256, metavar="N", help="Processes that read ahead; 0 reads in between.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show networks, memory and schedule, and train nothing.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Write nothing but errors.")]
BaseOption = Annotated[Path | None, typer.Option("--base", metavar="CKPT", help="Checkpoint or run of train base.")]
EnhancerOption = Annotated[
    Path | None, typer.Option("--enhancer", metavar="CKPT", help="Checkpoint or run of train enhancer.")
]
GazeOption = Annotated[
    Path | None, typer.Option("--gaze", metavar="CKPT", help="Checkpoint or run of train gaze, for the gaze loss.")
]


def base(
    data: DataOption = None,
    out: OutOption = None,
    preset: PresetOption = "paper-512",
    config: ConfigOption = None,
    sets: SetOption = None,
    gaze: GazeOption = None,
    steps: StepsOption = None,
    images: ImagesOption = None,
    max_minutes: MinutesOption = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = 2,
    dry_run: DryRunOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train the base model on videos; the same command again goes on where it was left."""
    from avatarkit.pipelines.train import TrainJob

    given = {"gaze": gaze}
    job = TrainJob(
        "base", data, out, preset, config, tuple(sets or ()), _given(given), None, steps, images, device, workers,
        max_minutes,
    )  # fmt: skip
    _run(job, dry_run=dry_run, quiet=quiet)


def enhancer(
    data: DataOption = None,
    out: OutOption = None,
    base: BaseOption = None,
    preset: PresetOption = "paper-512",
    config: ConfigOption = None,
    sets: SetOption = None,
    steps: StepsOption = None,
    images: ImagesOption = None,
    max_minutes: MinutesOption = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = 2,
    dry_run: DryRunOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train the enhancer, which doubles the base model's size, on photos."""
    from avatarkit.pipelines.train import TrainJob

    given = {"base": base}
    job = TrainJob(
        "enhancer", data, out, preset, config, tuple(sets or ()), _given(given), None, steps, images, device, workers,
        max_minutes,
    )  # fmt: skip
    _run(job, dry_run=dry_run, quiet=quiet)


def student(
    data: DataOption = None,
    out: OutOption = None,
    base: BaseOption = None,
    enhancer: EnhancerOption = None,
    gaze: GazeOption = None,
    avatars: Annotated[
        str | None,
        typer.Option(
            metavar="N|IDS", show_default="100, or all", help="So many people, or clip ids with commas between."
        ),
    ] = None,
    preset: PresetOption = "paper-512",
    config: ConfigOption = None,
    sets: SetOption = None,
    steps: StepsOption = None,
    images: ImagesOption = None,
    max_minutes: MinutesOption = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = 2,
    dry_run: DryRunOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train the fast student, which draws a fixed list of avatars, from a base model and perhaps an enhancer."""
    from avatarkit.pipelines.train import TrainJob

    given = {"base": base, "enhancer": enhancer, "gaze": gaze}
    job = TrainJob(
        "student", data, out, preset, config, tuple(sets or ()), _given(given), avatars, steps, images, device, workers,
        max_minutes,
    )  # fmt: skip
    _run(job, dry_run=dry_run, quiet=quiet)


def gaze(
    data: DataOption = None,
    out: OutOption = None,
    preset: PresetOption = "paper-512",
    config: ConfigOption = None,
    sets: SetOption = None,
    steps: StepsOption = None,
    images: ImagesOption = None,
    max_minutes: MinutesOption = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = 2,
    dry_run: DryRunOption = False,
    quiet: QuietOption = False,
) -> None:
    """Distil the gaze and blink net from the iris and eyelid annotations of videos."""
    from avatarkit.pipelines.train import TrainJob

    job = TrainJob(
        "gaze", data, out, preset, config, tuple(sets or ()), {}, None, steps, images, device, workers, max_minutes
    )
    _run(job, dry_run=dry_run, quiet=quiet)


def pose(
    data: DataOption = None,
    out: OutOption = None,
    preset: PresetOption = "paper-512",
    config: ConfigOption = None,
    sets: SetOption = None,
    steps: StepsOption = None,
    images: ImagesOption = None,
    max_minutes: MinutesOption = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = 2,
    dry_run: DryRunOption = False,
    quiet: QuietOption = False,
) -> None:
    """Distil the head-pose net from the head transforms of videos."""
    from avatarkit.pipelines.train import TrainJob

    job = TrainJob(
        "pose", data, out, preset, config, tuple(sets or ()), {}, None, steps, images, device, workers, max_minutes
    )
    _run(job, dry_run=dry_run, quiet=quiet)


def _given(paths: dict[str, Path | None]) -> dict[str, Path]:
    return {option: path for option, path in paths.items() if path is not None}


def _run(job: TrainJob, *, dry_run: bool, quiet: bool) -> None:
    from avatarkit.pipelines.train import train

    with Console(quiet=quiet) as console:
        if dry_run:
            from avatarkit.pipelines.train_plan import plan

            for number, table in enumerate(plan(job).tables()):
                console.table([(), *table] if number else table)
            return
        report = train(job, console)
        if report.speaks:
            console.summary(report.summary_lines())
    if report.ended.reason == "asked to stop":
        raise typer.Exit(EXIT_INTERRUPTED)
