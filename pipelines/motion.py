"""Motion files: extracted from a driver, described, plotted."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avatarkit.errors import InputError, OutputError
from avatarkit.face.open import open_tracker
from avatarkit.face.types import FaceChoice
from avatarkit.geometry.rotation import to_euler_deg
from avatarkit.media.output import check_distinct, check_output, pending_output
from avatarkit.media.rate import format_rate
from avatarkit.motion.columns import Motion
from avatarkit.motion.file import SUFFIX, VERSION, read_motion, write_motion
from avatarkit.pipelines.driver import driver_kind, load_driver
from avatarkit.runtime import Progress, counted


@dataclass(frozen=True)
class MotionSummary:
    """What was written."""

    path: Path
    frames: int
    missing: int
    cuts: int
    rate: str
    size_bytes: int

    def summary_lines(self) -> list[str]:
        """A line each."""
        return [
            f"{self.path}: {counted(self.frames, 'frames')} at {self.rate} fps, {self.size_bytes / 1e6:.1f} MB",
            f"frames without a face: {self.missing}, cuts: {self.cuts}",
        ]


@dataclass(frozen=True)
class MotionOverview:
    """A motion file at a glance; `series` are the curves over the frames."""

    path: Path
    motion: Motion
    series: dict[str, list[float]]

    def rows(self) -> list[tuple[str, str]]:
        """Names and values."""
        motion = self.motion
        duration_s = float(len(motion) / motion.rate)
        rows = [
            ("file", str(self.path)),
            ("format version", str(VERSION)),
            ("driver", f"{motion.driver}, {motion.width} x {motion.height}"),
            ("tracker", motion.tracker),
            ("frames", f"{len(motion)} at {format_rate(motion.rate)} fps, {duration_s:.2f} s"),
            ("without a face", str(motion.missing)),
            ("cuts at frames", ", ".join(map(str, motion.cuts)) or "none"),
        ]
        for name, values in self.series.items():
            rows.append((name, f"{min(values):.2f} to {max(values):.2f}, mean {np.mean(values):.2f}"))
        return rows


def extract_motion(
    driver: Path,
    output: Path,
    *,
    face: FaceChoice,
    on_missing: str,
    overwrite: bool,
    progress: Progress,
    tracker: str = "auto",
) -> MotionSummary:
    """Track a driver and write its motion file.

    Raises:
        InputError: no usable driver, or it is a motion file already. OutputError: the output cannot be written.
    """
    if output.suffix.lower() != SUFFIX:
        raise OutputError(f"{output}: a motion file's name ends in {SUFFIX}")
    check_distinct(output, [driver])
    check_output(output, overwrite=overwrite)
    if driver_kind(driver)[0] == "motion":
        raise InputError(f"{driver}: is a motion file already")
    with closing(open_tracker(tracker)) as opened:
        motion = load_driver(driver, opened, face, on_missing, progress).motion
    with pending_output(output, overwrite=overwrite) as temporary:
        write_motion(temporary, motion)
    return MotionSummary(
        output, len(motion), motion.missing, len(motion.cuts), format_rate(motion.rate), output.stat().st_size
    )


def show_motion(path: Path) -> MotionOverview:
    """Read a motion file and its curves."""
    motion = read_motion(path)
    return MotionOverview(path, motion, _series(motion))


def plot_motion(path: Path, out_png: Path, *, overwrite: bool = False) -> None:
    """Draw the curves of a motion file over time into a picture."""
    from matplotlib.figure import Figure

    check_distinct(out_png, [path])
    check_output(out_png, overwrite=overwrite)
    if out_png.suffix.lower() != ".png":
        raise OutputError(f"{out_png}: the plot is a PNG; use a name that ends in .png")
    motion = read_motion(path)
    time_s = np.arange(len(motion)) / float(motion.rate)
    series = _series(motion)
    groups = (("yaw_deg", "pitch_deg", "roll_deg"), ("mouth_opening", "eye_opening"), ("gaze_x", "gaze_y"), ("size",))
    figure = Figure(figsize=(10, 8), layout="constrained")
    for axes, names in zip(figure.subplots(len(groups), sharex=True), groups, strict=True):
        for name in names:
            axes.plot(time_s, series[name], label=name, linewidth=1.0)
        for cut in motion.cuts:
            axes.axvline(time_s[cut], color="black", linewidth=0.6, linestyle=":")
        axes.legend(loc="upper right", fontsize=8)
    axes.set_xlabel("seconds")
    figure.suptitle(f"{motion.driver}: {counted(len(motion), 'frames')} at {format_rate(motion.rate)} fps")
    with pending_output(out_png, overwrite=overwrite) as temporary:
        figure.savefig(temporary, dpi=100)


def _series(motion: Motion) -> dict[str, list[float]]:
    angles = np.array([to_euler_deg(rotation) for rotation in motion.rotation])
    look = motion.gaze.mean(1)
    columns = {
        "yaw_deg": angles[:, 0], "pitch_deg": angles[:, 1], "roll_deg": angles[:, 2],
        "mouth_opening": motion.mouth_opening, "eye_opening": motion.eye_opening.mean(1),
        "gaze_x": look[:, 0], "gaze_y": look[:, 1], "size": motion.scale / np.median(motion.scale),
    }  # fmt: skip
    return {name: [float(v) for v in values] for name, values in columns.items()}
