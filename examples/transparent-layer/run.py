"""The moving head as a layer with alpha, for an editing program, and laid over a colour."""

import argparse
from pathlib import Path

import numpy as np

from avatarkit.background.composite import composite
from avatarkit.media.image import read_image_rgba, write_image
from avatarkit.motion.script import Script
from avatarkit.pipelines.demo import make_driver, portrait
from avatarkit.pipelines.reenact import reenact
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.runtime import NullProgress, silence_native_log


def main(folder: Path) -> None:
    """Write layer.mov, layer (a folder of PNGs) and over-blue.png into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    driver = folder / "driver.mp4"
    make_driver(driver, size=256, script=Script(duration_s=1.0), progress=NullProgress(), overwrite=True)
    for name in ("layer.mov", "layer"):
        config = ReenactConfig(
            portrait(), driver, folder / name, size=256, background="transparent", overwrite=True
        )
        reenact(config, NullProgress())
        print(f"wrote {folder / name}")
    color, alpha = read_image_rgba(folder / "layer" / "000012.png")
    assert alpha is not None, "transparent output has an alpha channel"
    blue = np.full_like(color, (30, 60, 120))
    write_image(folder / "over-blue.png", composite(color, np.round(alpha * 255).astype(np.uint8), blue))


if __name__ == "__main__":
    silence_native_log()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default="avatarkit-transparent-layer", help="%(default)s")
    main(parser.parse_args().folder)
