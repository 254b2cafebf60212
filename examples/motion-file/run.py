"""Track a driver once, keep its motion without its pixels, use it for several videos."""

import argparse
from pathlib import Path

from avatarkit.face.types import FaceChoice
from avatarkit.motion.config import MotionConfig
from avatarkit.motion.script import Script
from avatarkit.pipelines.demo import make_driver, portrait
from avatarkit.pipelines.motion import extract_motion, show_motion
from avatarkit.pipelines.reenact import reenact
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.runtime import NullProgress, silence_native_log


def main(folder: Path) -> None:
    """Write driver.motion, all.mp4 and pose.mp4 into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    progress = NullProgress()
    driver, motion = folder / "driver.mp4", folder / "driver.motion"
    make_driver(driver, size=256, script=Script(duration_s=1.6), progress=progress, overwrite=True)
    extract_motion(
        driver, motion, face=FaceChoice(), on_missing="interpolate", overwrite=True, progress=progress
    )
    for name, value in show_motion(motion).rows():
        print(f"{name}: {value}")
    for region in ("all", "pose"):
        output = folder / f"{region}.mp4"
        choice = MotionConfig(region=region)
        reenact(ReenactConfig(portrait(), motion, output, motion=choice, size=256, overwrite=True), progress)
        print(f"wrote {output}")


if __name__ == "__main__":
    silence_native_log()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default="avatarkit-motion-file", help="%(default)s")
    main(parser.parse_args().folder)
