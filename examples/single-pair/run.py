"""One portrait, one driver, one video with the driver's sound."""

import argparse
from pathlib import Path

from avatarkit.motion.script import Script
from avatarkit.pipelines.demo import make_driver, portrait
from avatarkit.pipelines.reenact import reenact
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.runtime import NullProgress, silence_native_log


def main(folder: Path) -> None:
    """Write driver.mp4, result.mp4 and report.json into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    driver = folder / "driver.mp4"
    make_driver(driver, size=256, script=Script(duration_s=1.6), progress=NullProgress(), overwrite=True)
    config = ReenactConfig(
        source=portrait(),
        driver=driver,
        output=folder / "result.mp4",
        size=256,
        report=folder / "report.json",
        overwrite=True,
    )
    print("\n".join(reenact(config, NullProgress()).summary_lines()))


if __name__ == "__main__":
    silence_native_log()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default="avatarkit-single-pair", help="%(default)s")
    main(parser.parse_args().folder)
