"""`avatarkit batch`: many portraits by many drivers."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from avatarkit.cli import reenact
from avatarkit.cli.console import Console
from avatarkit.cli.parsing import byte_size

if TYPE_CHECKING:
    from avatarkit.pipelines.batch.jobs import Configure, Job, Refusal
    from avatarkit.pipelines.reenact_config import ReenactConfig

EXIT_SOME_REFUSED = 7
EXIT_NONE = 3
NOT_IN_ROWS = ("--output", "--report", "--quiet", "--overwrite", "--cache", "--sign", "--tsa")
"""A jobs file may be a stranger's: it replaces nothing, signs nothing and asks nothing of the network."""
FLAGS = {"true": True, "yes": True, "1": True, "on": True, "false": False, "no": False, "0": False, "off": False}

_jobs = partial(typer.Option, rich_help_panel="Jobs")
_run = partial(typer.Option, rich_help_panel="How it runs")
Sources = Annotated[str | None, _jobs(metavar="DIR|PATTERN|LIST", help="Portraits; quote a pattern.")]
Drivers = Annotated[str | None, _jobs(metavar="DIR|PATTERN|LIST", help="Drivers; quote a pattern.")]
Pairs = Annotated[Literal["all", "zip"], _jobs(help="All sources by all drivers, or one to one.")]
JobsFile = Annotated[
    Path | None, _jobs("--jobs", metavar="CSV|JSONL", help="A row per pair: source, driver, output, any option.")
]
Name = Annotated[str, _jobs(metavar="PATTERN", help="Of outputs, without the ending.")]
Limit = Annotated[int | None, _jobs(min=1, show_default="all", help="Pairs at most.")]
Shuffle = Annotated[int | None, _jobs(metavar="SEED", show_default="off", help="Pairs in a random order.")]
Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="OUT", help="Folder; the same command again goes on there.")
]
Workers = Annotated[int | None, _run(min=1, show_default="one per processor or GPU", help="Processes.")]
RunnerName = Annotated[
    Literal["local", "ray", "slurm"], _run(help="This machine, a Ray cluster (RAY_ADDRESS), or a SLURM array.")
]
Gpus = Annotated[str | None, _run(metavar="0,1,...", show_default="all", help="GPUs; a process each.")]
Cache = Annotated[Path | None, _run(metavar="DIR", show_default="in OUT", help="Where sources and drivers are kept.")]
CacheLimit = Annotated[str, _run(metavar="SIZE", help="Of what is kept there.")]
Timeout = Annotated[float, _run(min=1, metavar="SECONDS", help="Without a sign of life: the pair is refused.")]
DryRun = Annotated[bool, _run("--dry-run", help="Print pairs, frames, time and disk after a short trial.")]
ShowStatus = Annotated[bool, _run("--status", help="Say how far the batch in OUT is, from any terminal.")]
NoGallery = Annotated[bool, _run("--no-gallery", help="Write no OUT/index.html.")]
JsonReport = Annotated[bool, _run("--json", help="Print the report or status as JSON.")]
Quiet = Annotated[bool, _run("--quiet", "-q", help="Write nothing but errors.")]


def batch(
    context: typer.Context,
    output: Output,
    sources: Sources = None,
    drivers: Drivers = None,
    pairs: Pairs = "all",
    jobs: JobsFile = None,
    name: Name = "{source}--{driver}",
    limit: Limit = None,
    shuffle: Shuffle = None,
    workers: Workers = None,
    runner: RunnerName = "local",
    gpus: Gpus = None,
    cache: Cache = None,
    cache_limit: CacheLimit = "10GB",
    timeout: Timeout = 600,
    dry_run: DryRun = False,
    status: ShowStatus = False,
    no_gallery: NoGallery = False,
    as_json: JsonReport = False,
    quiet: Quiet = False,
) -> None:
    """Move many portraits by many drivers; takes all options of `avatarkit reenact`, for all pairs."""
    if status:
        _status(output, as_json)
        return
    from avatarkit.pipelines.batch import BatchOptions, run
    from avatarkit.pipelines.batch.gallery import check_gallery, write_gallery
    from avatarkit.pipelines.batch.jobs import drawn
    from avatarkit.pipelines.batch.trial import trial

    configure = configure_by(context.args)
    asked, refused = _asked(sources, drivers, pairs, jobs, name, output, configure)
    asked = drawn(asked, limit=limit, shuffle=shuffle)
    chosen = _gpus(gpus)
    options = BatchOptions(
        out=output, workers=workers or len(chosen) or _processors(), runner=runner, cache=cache,
        cache_limit=byte_size(cache_limit, "--cache-limit"), timeout_s=timeout, gpus=chosen,
    )  # fmt: skip
    command = shlex.join(["avatarkit", *sys.argv[1:]])
    with Console(quiet=quiet) as console:
        if dry_run:
            console.summary(trial(asked, refused, options, console))
            return
        if not no_gallery:
            check_gallery(output)
        report = run(asked, options, console, refused=refused, show=console.batch, command=command)
        if as_json:
            console.json(report.to_json())
        else:
            console.summary(report.summary_lines())
    from avatarkit.work.slurm import ArrayReport

    if isinstance(report, ArrayReport):
        return
    if not no_gallery:
        write_gallery(output)
    if not report.complete:
        raise typer.Exit(EXIT_SOME_REFUSED if report.done + report.kept else EXIT_NONE)


def _asked(
    sources: str | None, drivers: str | None, pairs: str, jobs: Path | None, name: str, output: Path,
    configure: Configure,
) -> tuple[list[Job], list[Refusal]]:  # fmt: skip
    from avatarkit.errors import UsageError
    from avatarkit.pipelines.batch.jobs import files_of, grid, read_jobs

    if (jobs is None) == (sources is None or drivers is None):
        raise UsageError("give --sources and --drivers, or --jobs, one of the two")
    if jobs is not None:
        return read_jobs(jobs, output, configure)
    result = [files_of(str(text), option) for text, option in ((sources, "--sources"), (drivers, "--drivers"))]
    return grid(result[0], result[1], output, configure, pairs=pairs, name=name), []


def configure_by(words: list[str]) -> Configure:
    """What reads a pair's options as `avatarkit reenact` would: the command line's words, then a row's cells.

    Raises:
        UsageError: the words are no options of `reenact`.
    """
    app = typer.Typer(add_completion=False)
    app.command()(reenact.reenact)
    command = typer.main.get_command(app)

    def configure(source: Path, driver: Path, output: Path, cells: Mapping[str, str]) -> ReenactConfig:
        from avatarkit.errors import UsageError

        row = [word for name, value in cells.items() for word in _words(command, name, value)]
        given = ["--output", str(output), *words, *row, "--", str(source), str(driver)]
        try:
            with command.make_context("avatarkit reenact", given, resilient_parsing=False) as context:
                return reenact.config_of(context.params)
        except typer.TyperException as error:
            raise UsageError(" ".join(error.format_message().split())) from error

    config = configure(Path("source"), Path("driver"), Path("output.mp4"), {})
    if config.report is not None or config.layers is not None:
        from avatarkit.errors import UsageError

        what = "--report: names one file for all pairs; leave it out"
        if config.layers is not None:
            what = "--layers: names one folder for all pairs; give one by row in a jobs file"
        raise UsageError(what)
    return configure


def _words(command: Any, name: str, value: str) -> list[str]:
    """A cell as words of a command line; flags take yes or no."""
    from avatarkit.errors import UsageError

    option = f"--{name.lstrip('-').replace('_', '-')}"
    known = {text: item for item in command.params for text in getattr(item, "opts", ())}
    if option in NOT_IN_ROWS:
        raise UsageError(f"column {name}: rows cannot set {option}, which is for a whole batch; leave it out")
    if option not in known:
        from difflib import get_close_matches

        near = get_close_matches(option, known, 1)
        raise UsageError(f"column {name}: is no option of reenact{f'; {near[0][2:]} is' if near else ''}")
    if not getattr(known[option], "is_flag", False):
        return [option, *(shlex.split(value) if known[option].nargs > 1 else [value])]
    if value.lower() not in FLAGS:
        raise UsageError(f"column {name}: {value} is neither yes nor no")
    return [option] * FLAGS[value.lower()]


def _status(output: Path, as_json: bool) -> None:
    from dataclasses import asdict

    from avatarkit.pipelines.batch.status import read_status

    with Console() as console:
        result = read_status(output)
        if as_json:
            console.json([asdict(item) for item in result])
        else:
            console.summary([line for item in result for line in item.lines()])


def _gpus(text: str | None) -> tuple[int, ...]:
    """The GPUs asked for, or all that the driver shows."""
    from avatarkit.errors import UsageError

    if text is not None:
        try:
            return tuple(int(part) for part in text.split(",") if part.strip())
        except ValueError as error:
            raise UsageError(f"--gpus {text}: use numbers such as 0,1") from error
    folder = Path("/proc/driver/nvidia/gpus")
    return tuple(range(len(list(folder.iterdir())))) if folder.is_dir() else ()


def _processors() -> int:
    from avatarkit.runtime import cpu_threads

    return cpu_threads()
