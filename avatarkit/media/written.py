"""Whether a finished file holds what was written: ffmpeg ends with success on a full disk, too."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from avatarkit.errors import InputError, OutputError
from avatarkit.media.demux import Demuxed, demux
from avatarkit.media.ffmpeg import write_problem
from avatarkit.media.matroska import has_cues
from avatarkit.media.mp4 import declared_samples

_SLACK_S = Fraction(1, 20)
_PNG_END = b"IEND\xaeB`\x82"


def check_written(
    path: Path,
    *,
    frames: int,
    rate: Fraction,
    sound: tuple[Fraction, Fraction] | None = None,
    log: Sequence[str] = (),
    timeout_s: float = 60,
) -> None:
    """Read a written video's packets and index back; raise OutputError unless all of it is there.

    `frames` at `rate` (a second) are expected, and with `sound` a sound track from about the first of these times
    to about the second, in seconds. `log` is what ffmpeg printed: it may hold the reason.
    """
    try:
        problem = _problem(path, demux(path, timeout_s=timeout_s), frames, rate, sound)
    except (InputError, OSError) as error:
        problem = str(error).removeprefix(f"{path}: ")
    if problem:
        reason = write_problem(log)
        raise OutputError(f"{path}: cannot be written: {reason or 'the file that ffmpeg left ' + problem}")


def _problem(
    path: Path, there: Demuxed, frames: int, rate: Fraction, sound: tuple[Fraction, Fraction] | None
) -> str | None:
    video, audio = there.video, there.audio
    if video is None or there.exit_code != 0:
        return "cannot be read"
    if video.packets != frames:
        return f"has {video.packets} of {frames} frames"
    if abs(video.last * video.time_base - video.start - (frames - 1) / rate) > 1 / rate:
        return f"is {float(video.end - video.start):.3f} s long, not {float(frames / rate):.3f} s"
    indexed = has_cues(path) if path.suffix.lower() in (".mkv", ".webm") else declared_samples(path) == frames
    if not indexed:
        return "has no complete index"
    if sound is None:
        return None
    begin, end = sound
    slack = _SLACK_S + (audio.longest * audio.time_base if audio else 0)
    if end - begin <= slack:
        return None  # less than a packet or two: containers may round it away
    if audio is None or not audio.packets:
        return "has no sound"
    if audio.start > begin + slack or not end - slack <= audio.end <= end + slack:
        return (
            f"has sound from {float(audio.start):.2f} to {float(audio.end):.2f} s, "
            f"not from {float(begin):.2f} to {float(end):.2f} s"
        )
    return None


def check_pictures(folder: Path, pattern: str, frames: int, log: Sequence[str] = ()) -> None:
    """Raise OutputError unless `folder` holds complete PNGs `pattern % 0` to `pattern % (frames - 1)`."""
    for number in range(frames):
        path = folder / (pattern % number)
        if not path.is_file() or not _ends_with(path, _PNG_END):
            raise OutputError(f"{folder}: cannot be written: {write_problem(log) or path.name + ' is incomplete'}")


def _ends_with(path: Path, end: bytes) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - len(end)))
        return file.read() == end
