"""The main job on pictures that are already installed: one public-domain photo moves another.

The portrait is that of Grace Hopper (US Navy) inside matplotlib; the driver is made on the spot from a script
and the photo of Eileen Collins (NASA) inside scikit-image.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatarkit.atomic import begun, promise, settle
from avatarkit.errors import DependencyError, OutputError, UsageError
from avatarkit.face.open import open_tracker
from avatarkit.face.select import choose
from avatarkit.face.types import Face, FaceChoice
from avatarkit.geometry.crop import cut, head_crop
from avatarkit.media.containers import CONTAINERS
from avatarkit.media.decode import FrameReader
from avatarkit.media.encode import FrameWriter
from avatarkit.media.image import read_image, write_image
from avatarkit.media.mux import add_sound
from avatarkit.media.output import check_output, parents_made, pending_output
from avatarkit.media.probe import probe
from avatarkit.motion.config import MotionConfig
from avatarkit.motion.file import write_motion
from avatarkit.motion.script import Script, scripted_motion
from avatarkit.pipelines.contact_sheet import contact_sheet
from avatarkit.pipelines.provenance.marks import Marks
from avatarkit.pipelines.reenact import reenact
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.pipelines.render import beside
from avatarkit.pipelines.voice import voice, write_wav
from avatarkit.runtime import Progress

Picture = NDArray[np.uint8]

NAMES = {
    "source": "source.jpg",
    "script": "script.motion",
    "driver": "driver.mp4",
    "result": "result.mp4",
    "side by side": "side-by-side.mp4",
    "contact sheet": "contact-sheet.png",
}
DRIVER_SIDE_PX, BESIDE_SIDE_PX = 720, 512
CELL_PX, CELL_SHOWS = 320, 0.72
MOMENTS_S = (0.68, 1.44, 1.96, 2.36, 3.8, 5.0)
"""Moments of the script that the contact sheet shows."""


@dataclass(frozen=True)
class DemoResult:
    """What was written: what each file is, and where."""

    paths: dict[str, Path]


def run_demo(out_dir: Path, *, size: int, overwrite: bool, progress: Progress) -> DemoResult:
    """Make the driver, reenact the portrait with it, and show both next to each other.

    Args:
        out_dir: made; its files are named in `NAMES`. size: side of the result in pixels.
        overwrite: replace the folder of an earlier demo.

    Raises:
        UsageError: a size that video cannot have. DependencyError: a picture is not installed.
        OutputError: the folder exists, holds other files, or cannot be written. Nothing is left behind then.
    """
    if not 64 <= size <= 8192 or size % 2:
        raise UsageError(f"--size {size}: use an even number from 64 to 8192")
    with _pending_folder(out_dir, overwrite) as folder:
        files = {what: folder / name for what, name in NAMES.items()}
        shutil.copyfile(portrait(), files["source"])
        make_driver(
            files["driver"], size=min(size, DRIVER_SIDE_PX), motion_file=files["script"], progress=progress
        )
        report = reenact(
            ReenactConfig(files["source"], files["driver"], files["result"], size=size), progress
        )
        marks = Marks(report.content["engine"]).container(files["contact sheet"])
        _write_beside(files, marks, progress)
        progress.stage("contact sheet", None)
        moments = [round(moment_s * Script().rate) for moment_s in MOMENTS_S]
        sheet = contact_sheet([files["driver"], files["result"]], moments, CELL_PX, CELL_SHOWS)
        write_image(files["contact sheet"], sheet, marks)
    return DemoResult({what: out_dir / name for what, name in NAMES.items()})


def portrait() -> Path:
    """The public-domain portrait of Grace Hopper inside matplotlib, a JPEG of 512 x 600.

    Raises:
        DependencyError: this matplotlib came without its sample data.
    """
    from matplotlib.cbook import get_sample_data

    path = Path(str(get_sample_data("grace_hopper.jpg", asfileobj=False)))
    if not path.is_file():
        raise DependencyError(
            "matplotlib came without its sample picture grace_hopper.jpg; pip install matplotlib"
        )
    return path


def astronaut() -> Picture:
    """The public-domain photo of Eileen Collins inside scikit-image, RGB uint8 (512, 512, 3).

    Raises:
        DependencyError: this scikit-image came without it.
    """
    from skimage import data

    try:
        picture: Picture = np.asarray(data.astronaut(), np.uint8)  # type: ignore[no-untyped-call]
    except (OSError, ModuleNotFoundError) as error:
        raise DependencyError(
            "scikit-image came without its picture astronaut.png; pip install scikit-image"
        ) from error
    return picture


def make_driver(
    output: Path,
    *,
    size: int,
    progress: Progress,
    script: Script | None = None,
    motion_file: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Animate the astronaut with a script, with a voice in sync, and write the video.

    Args:
        output: an .mp4. size: its side in pixels, even. overwrite: replace an earlier one.
        script: what to perform; the default lasts six seconds. motion_file: where to keep its motion too.

    Raises:
        DependencyError: the photo is not installed. OutputError: the output exists or cannot be written.
    """
    progress.stage("script", None)
    check_output(output, overwrite=overwrite)
    with tempfile.TemporaryDirectory(prefix="avatarkit-") as name:
        folder = Path(name)
        photo, acted, sound, silent = (
            folder / part for part in ("astronaut.png", "script.motion", "voice.wav", "silent.mp4")
        )
        picture = astronaut()
        write_image(photo, picture)
        motion = scripted_motion(_face(picture).landmarks, picture.shape[1], picture.shape[0], script)
        write_motion(acted, motion)
        write_wav(sound, voice(script or Script()))
        own_pose = MotionConfig(reference_frame="first")
        report = reenact(ReenactConfig(photo, acted, silent, motion=own_pose, size=size), progress)
        marks = Marks(report.content["engine"]).container(output)
        with pending_output(output, overwrite=overwrite) as temporary:
            add_sound(
                silent, probe(sound), temporary, container=CONTAINERS[".mp4"],
                frames=len(motion), rate=motion.rate, metadata=marks, timeout_s=60,
            )  # fmt: skip
        if motion_file is not None:
            shutil.copyfile(acted, motion_file)


def _face(picture: Picture) -> Face:
    with closing(open_tracker()) as tracker:
        return choose(tracker.detect(picture), FaceChoice(), "the installed photo")


def _write_beside(files: dict[str, Path], marks: dict[str, str], progress: Progress) -> None:
    """Portrait, driver and result in one video, with the sound."""
    picture = read_image(files["source"])
    with ExitStack() as stack:
        driver = stack.enter_context(FrameReader(files["driver"], max_side=BESIDE_SIDE_PX))
        result = stack.enter_context(FrameReader(files["result"], max_side=BESIDE_SIDE_PX))
        side = result.height - result.height % 2
        still = cut(picture, head_crop(_face(picture).landmarks, picture.shape[1], picture.shape[0], side))
        progress.stage("side by side", result.frames_expected)
        writer = stack.enter_context(
            FrameWriter(
                files["side by side"], width=3 * side, height=side, rate=result.rate,
                audio_from=files["driver"], metadata=marks,
            )
        )  # fmt: skip
        for frame in beside(still, driver, result):
            writer.write(frame)
            progress.advance()


@contextmanager
def _pending_folder(out_dir: Path, overwrite: bool) -> Iterator[Path]:
    """A folder that takes the name `out_dir` when the block ends well, and vanishes otherwise."""
    target = out_dir.resolve()
    if overwrite and target.is_dir():
        others = sorted(set(os.listdir(target)) - set(NAMES.values()))
        if others:
            raise OutputError(
                f"{out_dir}: holds {others[0]}, which is not the demo's, and is not overwritten;"
                " choose another name"
            )
    elif overwrite and os.path.lexists(target):
        raise OutputError(f"{out_dir}: exists and is not a folder; choose another name")
    else:
        check_output(out_dir, overwrite=False, directory=True)
    with ExitStack() as stack:
        stack.enter_context(parents_made(target))
        try:
            fresh = stack.enter_context(begun(target, directory=True))
        except OSError as error:
            raise OutputError(f"{out_dir}: cannot be written: {error.strerror}") from error
        yield fresh
        try:
            promise(fresh, target)
            settle(fresh, target)
        except OSError as error:
            raise OutputError(f"{out_dir}: cannot be written: {error.strerror}") from error
