"""`avatarkit bench`: how fast this machine is, part by part."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from avatarkit.cli.console import Console

DEMO_SIDE_PX = 720


def bench(
    parts: Annotated[
        list[str] | None, typer.Argument(metavar="[PART ...]", help="media, tracking, engines, loader, training.")
    ] = None,
    driver: Annotated[
        Path | None, typer.Option(metavar="VIDEO", show_default="the demo's", help="To decode and follow.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option(metavar="PICTURE", show_default="the demo's", help="To be drawn.")
    ] = None,
    dataset: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Made by prepare-data; loader and training need it.")
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option("--engine", metavar="[NAME=]ENGINE[:CKPT,...]", show_default="warp", help="May be repeated."),
    ] = None,
    size: Annotated[int, typer.Option(min=64, max=4096, metavar="PX", help="Side of what is drawn.")] = 512,
    preset: Annotated[str, typer.Option(metavar="NAME", help="Of the networks that are trained.")] = "tiny-64",
    repeats: Annotated[int, typer.Option(min=1, metavar="N", help="Medians are taken over so many.")] = 3,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.json", help="Also a table beside it, FILE.md.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Write nothing but errors.")] = False,
) -> None:
    """Measure media, tracking, engines, loader and training on this machine, as ratios to the bare work behind them."""
    from avatarkit.pipelines.bench.run import BenchConfig
    from avatarkit.pipelines.bench.run import bench as measured
    from avatarkit.pipelines.demo import make_driver, portrait
    from avatarkit.pipelines.evaluate.config import Method
    from avatarkit.runtime import NullProgress

    with Console(quiet=quiet) as console, TemporaryDirectory(prefix="avatarkit-bench-") as scratch:
        if driver is None:
            driver = Path(scratch) / "driver.mp4"
            make_driver(driver, size=DEMO_SIDE_PX, progress=NullProgress())
        config = BenchConfig(
            driver, source or portrait(), size, tuple(Method.read(text) for text in engine or ["warp"]), dataset,
            preset, repeats,
        )  # fmt: skip
        report = measured(config, parts or (), output, console)
        if as_json:
            console.json(report.to_json())
        else:
            console.summary(report.summary_lines())
