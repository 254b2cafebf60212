"""`avatarkit weights`: other people's networks, fetched, checked and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from avatarkit.cli.console import Console
from avatarkit.errors import DependencyError

JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON.")]
RepinOption = Annotated[
    bool,
    typer.Option("--repin", help="Take a file without a published hash even where another one was pinned."),
]


def list_all(as_json: JsonOption = False) -> None:
    """List the weight files, and which of them are here."""
    from avatarkit.pipelines.weights import list_weights

    with Console() as console:
        report = list_weights()
        if as_json:
            console.json(report.to_json())
        else:
            console.table(report.rows())


def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Weights, as `weights list` calls them.")
    ] = None,
    job: Annotated[
        Literal["reenact", "prepare-data", "train", "evaluate"] | None,
        typer.Option("--for", help="All weights that a job can use, instead of names."),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Never use the network; AVATARKIT_OFFLINE=1 says the same.")
    ] = False,
    permissive_only: Annotated[
        bool, typer.Option("--permissive-only", help="Refuse weights that may not be used commercially.")
    ] = False,
    repin: RepinOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Write nothing but errors.")] = False,
) -> None:
    """Download weights that are not here yet; the same command again goes on where it was cut."""
    from avatarkit.pipelines.weights import FetchConfig, fetch_weights

    config = FetchConfig(
        names=tuple(names or ()), job=job, offline=offline, permissive_only=permissive_only, repin=repin
    )
    with Console(quiet=quiet) as console:
        report = fetch_weights(config, console)
        if not quiet:
            console.table(report.rows())


def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Weights to check.", show_default="all")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read the weights that are here and compare their hashes; exit code 5 if one is damaged."""
    from avatarkit.pipelines.weights import verify_weights

    with Console() as console:
        report = verify_weights(tuple(names or ()))
        if as_json:
            console.json(report.to_json())
        elif report.files:
            console.table(report.check_rows())
        else:
            console.summary(["no weights are here"])
    if report.damaged:
        raise DependencyError(
            f"damaged: {', '.join(report.damaged)}; fetch them again, or import the right files"
        )


def import_file(
    file: Annotated[Path, typer.Argument(help="A weight file that was got in another way; it is copied.")],
    name: Annotated[str, typer.Option("--as", metavar="NAME", help="Which weights it is.")],
    repin: RepinOption = False,
) -> None:
    """Take a file into the cache, if it is what it is said to be."""
    from avatarkit.pipelines.weights import import_weights

    with Console() as console:
        console.summary([str(import_weights(file, name, repin=repin))])


def path(name: Annotated[str, typer.Argument(help="Weights, as `weights list` calls them.")]) -> None:
    """Print where a weight file is; exit code 5 if it is missing or damaged."""
    from avatarkit.pipelines.weights import weights_path

    with Console() as console:
        console.summary([str(weights_path(name))])


def licences(as_json: JsonOption = False) -> None:
    """Print the licence of each weight file, where it is stated, and the work to cite."""
    from avatarkit.pipelines.weights import licences as all_licences

    with Console() as console:
        entries = all_licences()
        if as_json:
            console.json(entries)
            return
        heading = ("name", "licence", "commercial use", "stated at", "cite")
        keys = ("name", "licence", "permissive", "licence_url", "citation")
        reported = {True: "yes", False: "no"}
        console.table(
            [heading, *(tuple(reported.get(entry[key], entry[key]) for key in keys) for entry in entries)]
        )
