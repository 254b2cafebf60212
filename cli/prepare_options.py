"""The options of `avatarkit prepare-data`, each with its type, limits and help."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

_result = partial(typer.Option, rich_help_panel="What is made")
_run = partial(typer.Option, rich_help_panel="How it is made")
_fetch = partial(typer.Option, rich_help_panel="Fetching")

Out = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="DIR", help="Folder of the dataset; the same command again goes on there."),
]
Size = Annotated[int, _result(min=64, max=4096, help="Side of the stored frames, in pixels; even.")]
MinHead = Annotated[float | None, _result("--min-head-px", min=0, help="Least side of the head in the original.")]
MinEffective = Annotated[
    float | None,
    _result(
        "--min-effective-px",
        min=0,
        show_default="half of the least head",
        help="The same after what enlargement and blur have taken; 0: only reported.",
    ),
]
MaxFrames = Annotated[int, _result(min=2, help="Most frames of a clip, at 25 a second.")]
KeepTop = Annotated[float, _result(metavar="SHARE", help="Best share of each split that is selected.")]
ImageFormat = Annotated[Literal["jpeg", "webp"], _result(help="Of the stored frames.")]
ImageQuality = Annotated[int, _result(min=1, max=100, help="Of the stored frames.")]
Iqa = Annotated[
    Literal["auto", "hyperiqa", "sharpness"],
    _result(help="What scores frames; auto: HyperIQA where its weights are here."),
]
Matting = Annotated[
    Literal["auto", "multiclass", "modnet", "mediapipe", "landmarks"],
    _result(help="What splits the person from the background."),
]
Tracker = Annotated[
    Literal["auto", "mediapipe", "mediapipe-tasks"],
    _result(help="What finds and follows faces; clips need a dense one."),
]
Seed = Annotated[int, _result(help="Of the division of people, and of --limit's draw.")]
ValShare = Annotated[float, _result(min=0, max=1, help="Share of people for validation.")]
TestShare = Annotated[float, _result(min=0, max=1, help="Share of people for tests.")]
Limit = Annotated[int | None, _result(min=1, show_default="all", help="Videos or photos at most, drawn by the seed.")]
ShardMb = Annotated[int, _result("--shard-mb", min=1, max=16384, help="Megabytes aimed at per shard.")]
Workers = Annotated[int | None, _run(min=1, max=1024, show_default="one per processor", help="Processes.")]
Runner = Annotated[Literal["local", "slurm", "ray"], _run(help="This machine, a SLURM array, or a Ray cluster.")]
DryRun = Annotated[bool, _run("--dry-run", help="Print plan, counts and estimates; write nothing.")]
VideoTimeout = Annotated[
    float,
    _run(
        "--video-timeout",
        min=1,
        metavar="SECONDS",
        help="Without a sign of life, after which a video is given up; one more per megabyte.",
    ),
]
JsonReport = Annotated[bool, _run("--report-json", help="Write the closing report as JSON.")]
Quiet = Annotated[bool, _run("--quiet", "-q", help="Write nothing but errors.")]

Metadata = Annotated[Path, typer.Option("--metadata", metavar="TXT_DIR", help="VoxCeleb2's folder of idNNNNN folders.")]
MetaCsv = Annotated[
    Path | None, typer.Option("--meta-csv", metavar="CSV", help="vox2_meta.csv: its test people become the test split.")
]
Originals = Annotated[
    Path | None,
    typer.Option("--originals", metavar="DIR", help="Folder of the videos, named by their ids, at any depth."),
]
Download = Annotated[bool, _fetch("--download", help="Fetch the videos instead.")]
KeepOriginals = Annotated[bool, _fetch("--keep-originals", help="Keep fetched videos after their shard is sealed.")]
DiskQuota = Annotated[
    str | None,
    _fetch("--disk-quota", metavar="SIZE", show_default="none", help="For fetched videos at a time, such as 200GB."),
]
RatePerHour = Annotated[float, _fetch("--rate-per-hour", min=1, help="Fetches an hour, over all workers.")]
Cookies = Annotated[Path | None, _fetch(metavar="FILE", help="cookies.txt of a signed-in browser.")]
Proxy = Annotated[str | None, _fetch(metavar="URL", help="Proxy of all fetches.")]
MaxHeight = Annotated[int, _fetch("--max-height", min=144, help="Highest picture that is fetched, in pixels.")]
RetryFailed = Annotated[
    bool, _fetch("--retry-failed", help="Make shards again in which a network or site refused for the time being.")
]
Images = Annotated[Path, typer.Option("--images", metavar="DIR", help="Folder of the photos, at any depth.")]
FfhqMetadata = Annotated[
    Path | None, typer.Option("--metadata", metavar="FILE", help="ffhq-dataset-v2.json: landmarks, authors, licences.")
]
Features = Annotated[
    Path | None, typer.Option("--features", metavar="DIR", help="Attributes, json/NNNNN.json: ages and faces.")
]
MaxFaces = Annotated[int, _result(min=1, help="Most people in a photo.")]
MinAge = Annotated[float, _result(min=0, help="Youngest person, where the age is known.")]
Paths = Annotated[list[Path], typer.Argument(metavar="PATH...", help="Videos, or folders of them.")]
IdentityFrom = Annotated[
    Literal["file", "folder"], _result("--identity-from", help="A person per file, or per folder right below PATH.")
]
