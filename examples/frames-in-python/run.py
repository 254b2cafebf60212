"""A portrait's frames, inside of a program."""

import argparse
from pathlib import Path

import numpy as np

from avatarkit.media.encode import FrameWriter
from avatarkit.motion.config import MotionConfig
from avatarkit.motion.script import Script
from avatarkit.pipelines.demo import make_driver, portrait
from avatarkit.pipelines.frames import Studio, animate
from avatarkit.runtime import NullProgress, silence_native_log


def main(folder: Path) -> None:
    """Write driver.mp4 and both.mp4 into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    driver, output = folder / "driver.mp4", folder / "both.mp4"
    make_driver(driver, size=256, script=Script(duration_s=1.0), progress=NullProgress(), overwrite=True)
    with Studio(keep=2) as studio:
        left = animate(studio, portrait(), driver, size=128)
        right = animate(studio, portrait(), driver, size=128, motion=MotionConfig(strength=0.4))
        with FrameWriter(output, width=256, height=128, rate=left.rate, metadata={"synthetic": "true"}) as writer:
            for one, other in zip(left, right, strict=True):
                writer.write(np.concatenate([one, other], axis=1))
        print(f"{output}: {len(left)} frames; prepared {dict(studio.made)}")


if __name__ == "__main__":
    silence_native_log()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default="avatarkit-frames-in-python", help="%(default)s")
    main(parser.parse_args().folder)
