"""The options of `avatarkit prepare-data`, each with its type, limits and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

RESULT, RUN, FETCH = "What is made", "How it is made", "Fetching"

Out = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="DIR", help="Folder of the dataset; the same command again goes on there."),
]
Size = Annotated[
    int, typer.Option(min=64, max=4096, help="Side of the stored frames, in pixels; even.", rich_help_panel=RESULT)
]
MinHead = Annotated[
    float | None,
    typer.Option("--min-head-px", min=0, help="Least side of the head in the original.", rich_help_panel=RESULT),
]
MinEffective = Annotated[
    float | None,
    typer.Option(
        "--min-effective-px",
        min=0,
        show_default="half of the least head",
        help="The same after what enlargement and blur have taken; 0: only reported.",
        rich_help_panel=RESULT,
    ),
]
MaxFrames = Annotated[
    int, typer.Option(min=2, help="Most frames of a clip, at 25 a second.", rich_help_panel=RESULT)
]
KeepTop = Annotated[
    float, typer.Option(metavar="SHARE", help="Best share of each split that is selected.", rich_help_panel=RESULT)
]
ImageFormat = Annotated[Literal["jpeg", "webp"], typer.Option(help="Of the stored frames.", rich_help_panel=RESULT)]
ImageQuality = Annotated[int, typer.Option(min=1, max=100, help="Of the stored frames.", rich_help_panel=RESULT)]
Iqa = Annotated[
    Literal["auto", "hyperiqa", "sharpness"],
    typer.Option(help="What scores frames; auto: HyperIQA where its weights are here.", rich_help_panel=RESULT),
]
Matting = Annotated[
    Literal["auto", "multiclass", "modnet", "mediapipe", "landmarks"],
    typer.Option(help="What splits the person from the background.", rich_help_panel=RESULT),
]
Tracker = Annotated[
    Literal["auto", "mediapipe", "mediapipe-tasks"],
    typer.Option(help="What finds and follows faces; clips need a dense one.", rich_help_panel=RESULT),
]
Seed = Annotated[int, typer.Option(help="Of the division of people, and of --limit's draw.", rich_help_panel=RESULT)]
ValShare = Annotated[
    float, typer.Option(min=0, max=1, help="Share of people for validation.", rich_help_panel=RESULT)
]
TestShare = Annotated[float, typer.Option(min=0, max=1, help="Share of people for tests.", rich_help_panel=RESULT)]
Limit = Annotated[
    int | None,
    typer.Option(
        min=1, show_default="all", help="Videos or photos at most, drawn by the seed.", rich_help_panel=RESULT
    ),
]
ShardMb = Annotated[
    int, typer.Option("--shard-mb", min=1, max=16384, help="Megabytes aimed at per shard.", rich_help_panel=RESULT)
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, max=1024, show_default="one per processor", help="Processes.", rich_help_panel=RUN),
]
Runner = Annotated[
    Literal["local", "slurm", "ray"],
    typer.Option(help="This machine, a SLURM array, or a Ray cluster.", rich_help_panel=RUN),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Print plan, counts and estimates; write nothing.", rich_help_panel=RUN),
]
VideoTimeout = Annotated[
    float,
    typer.Option(
        "--video-timeout",
        min=1,
        metavar="SECONDS",
        help="Without a sign of life, after which a video is given up; one more per megabyte.",
        rich_help_panel=RUN,
    ),
]
JsonReport = Annotated[
    bool, typer.Option("--report-json", help="Write the closing report as JSON.", rich_help_panel=RUN)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Write nothing but errors.", rich_help_panel=RUN)]

Metadata = Annotated[
    Path, typer.Option("--metadata", metavar="TXT_DIR", help="VoxCeleb2's folder of idNNNNN folders.")
]
MetaCsv = Annotated[
    Path | None,
    typer.Option("--meta-csv", metavar="CSV", help="vox2_meta.csv: its test people become the test split."),
]
Originals = Annotated[
    Path | None,
    typer.Option("--originals", metavar="DIR", help="Folder of the videos, named by their ids, at any depth."),
]
Download = Annotated[bool, typer.Option("--download", help="Fetch the videos instead.", rich_help_panel=FETCH)]
KeepOriginals = Annotated[
    bool,
    typer.Option(
        "--keep-originals", help="Keep fetched videos after their shard is sealed.", rich_help_panel=FETCH
    ),
]
DiskQuota = Annotated[
    str | None,
    typer.Option(
        "--disk-quota",
        metavar="SIZE",
        show_default="none",
        help="For fetched videos at a time, such as 200GB.",
        rich_help_panel=FETCH,
    ),
]
RatePerHour = Annotated[
    float,
    typer.Option(
        "--rate-per-hour", min=1, help="Fetches an hour, over all workers.", rich_help_panel=FETCH
    ),
]
Cookies = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="cookies.txt of a signed-in browser.", rich_help_panel=FETCH),
]
Proxy = Annotated[str | None, typer.Option(metavar="URL", help="Proxy of all fetches.", rich_help_panel=FETCH)]
MaxHeight = Annotated[
    int,
    typer.Option("--max-height", min=144, help="Highest picture that is fetched, in pixels.", rich_help_panel=FETCH),
]
RetryFailed = Annotated[
    bool,
    typer.Option(
        "--retry-failed",
        help="Make shards again in which a network or site refused for the time being.",
        rich_help_panel=FETCH,
    ),
]
Images = Annotated[Path, typer.Option("--images", metavar="DIR", help="Folder of the photos, at any depth.")]
FfhqMetadata = Annotated[
    Path | None,
    typer.Option("--metadata", metavar="FILE", help="ffhq-dataset-v2.json: landmarks, authors, licences."),
]
Features = Annotated[
    Path | None, typer.Option("--features", metavar="DIR", help="Attributes, json/NNNNN.json: ages and faces.")
]
MaxFaces = Annotated[int, typer.Option(min=1, help="Most people in a photo.", rich_help_panel=RESULT)]
MinAge = Annotated[
    float, typer.Option(min=0, help="Youngest person, where the age is known.", rich_help_panel=RESULT)
]
Paths = Annotated[list[Path], typer.Argument(metavar="PATH...", help="Videos, or folders of them.")]
IdentityFrom = Annotated[
    Literal["file", "folder"],
    typer.Option(
        "--identity-from", help="A person per file, or per folder right below PATH.", rich_help_panel=RESULT
    ),
]
