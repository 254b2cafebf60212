"""`avatarkit evaluate`: figures of our engines and of other programs' videos."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from avatarkit.cli.console import Console

EXIT_SOME_REFUSED = 7

_OUTPUT = Annotated[
    Path, typer.Option("--output", "-o", metavar="OUT", help="Folder; the same command again goes on there.")
]
_ENGINE = Annotated[
    list[str] | None,
    typer.Option(
        "--engine", metavar="[NAME=]ENGINE[:CKPT,...]", show_default="warp", help="What draws; may be repeated."
    ),
]
_SIZE = Annotated[int, typer.Option(min=64, max=4096, metavar="PX", help="Side of the pictures that are compared.")]
_EVERY = Annotated[int, typer.Option(min=1, metavar="N", help="Measure every Nth frame.")]
_MASKED = Annotated[bool, typer.Option("--masked/--raw", help="Also in face, ears and hair alone.")]
_LIMIT = Annotated[int | None, typer.Option(min=1, metavar="N", show_default="all", help="Clips or pairs at most.")]
_SEED = Annotated[int, typer.Option(help="Draws clips for --limit, and the bootstrap.")]
_FRAMING = Annotated[
    Literal["auto", "portrait", "head"],
    typer.Option(
        help="What all engines show: head and shoulders, or the head's square.",
        show_default="head where an engine draws no more, else portrait",
    ),
]
_PROTOCOL = Annotated[
    str | None, typer.Option(metavar="NAME", help="A published way to measure, such as megaportraits-self-512.")
]
_WORKERS = Annotated[int, typer.Option(min=1, metavar="N", help="Processes.")]
_RUNNER = Annotated[
    Literal["local", "ray", "slurm"], typer.Option(help="Where: on this machine, on Ray, or as an array of SLURM.")
]
_FID = Annotated[bool, typer.Option("--fid", help="FID too: 2048 frames at least, about 0.1 s each.")]
_QUIET = Annotated[bool, typer.Option("--quiet", "-q", help="Write nothing but errors.")]


def self_reenactment(
    output: _OUTPUT,
    clips: Annotated[
        str,
        typer.Option(metavar="DIR|PATTERN|LIST", help="Videos, or a dataset of ours; first frames are the sources."),
    ],
    split: Annotated[
        Literal["train", "val", "test"] | None,
        typer.Option(show_default="test, else val", help="Whose clips, of a dataset."),
    ] = None,
    engine: _ENGINE = None,
    size: _SIZE = 512,
    every: _EVERY = 1,
    masked: _MASKED = True,
    framing: _FRAMING = "auto",
    limit: _LIMIT = None,
    seed: _SEED = 0,
    protocol: _PROTOCOL = None,
    workers: _WORKERS = 1,
    runner: _RUNNER = "local",
    quiet: _QUIET = False,
) -> None:
    """Draw clips from their own first frames, and compare them with the clips."""
    _run("self", locals())


def cross_reenactment(
    output: _OUTPUT,
    sources: Annotated[str, typer.Option(metavar="DIR|PATTERN|LIST", help="Portraits.")],
    drivers: Annotated[str, typer.Option(metavar="DIR|PATTERN|LIST", help="Videos of other people.")],
    engine: _ENGINE = None,
    size: _SIZE = 512,
    every: _EVERY = 1,
    fid: _FID = False,
    framing: _FRAMING = "auto",
    limit: _LIMIT = None,
    seed: _SEED = 0,
    protocol: _PROTOCOL = None,
    workers: _WORKERS = 1,
    runner: _RUNNER = "local",
    quiet: _QUIET = False,
) -> None:
    """Draw all sources by all drivers, and measure identity, motion and what flickers."""
    _run("cross", locals())


def videos(
    output: _OUTPUT,
    pairs: Annotated[Path, typer.Option(metavar="CSV", help="Columns output, driver; perhaps source, method, name.")],
    size: _SIZE = 512,
    every: _EVERY = 1,
    fid: _FID = False,
    limit: _LIMIT = None,
    seed: _SEED = 0,
    workers: _WORKERS = 1,
    runner: _RUNNER = "local",
    quiet: _QUIET = False,
) -> None:
    """Measure videos that any program has made."""
    _run("videos", locals())


def compare(
    results: Annotated[list[Path], typer.Argument(metavar="RESULTS.json ...", help="Of evaluations measured alike.")],
    output: _OUTPUT,
    quiet: _QUIET = False,
) -> None:
    """Put the results of several evaluations into one page."""
    from avatarkit.pipelines.evaluate.run import compare as compared

    with Console(quiet=quiet) as console:
        console.summary(compared(results, output).summary_lines())


def _run(kind: Any, values: Mapping[str, Any]) -> None:
    """Evaluate as the parameters of a command ask for, by their names."""
    from avatarkit.pipelines.evaluate.run import EvaluateConfig, EvaluateReport, Method, evaluate

    methods = tuple(Method.read(text) for text in values.get("engine") or ["warp"])
    given = {field.name: values[field.name] for field in fields(EvaluateConfig) if field.name in values}
    config = EvaluateConfig(kind, methods=methods, **given)
    with Console(quiet=values["quiet"]) as console:
        report = evaluate(config, console, command=shlex.join(["avatarkit", *sys.argv[1:]]))
        console.summary(report.summary_lines())
    if isinstance(report, EvaluateReport) and report.refused:
        raise typer.Exit(EXIT_SOME_REFUSED)
