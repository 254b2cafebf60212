"""Footage whose teeth are known: what an avatar is told of them is what was drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avatarkit.media.image import write_image
from avatarkit.motion.config import MotionConfig
from avatarkit.pipelines.layer_tools import LayerTools
from avatarkit.pipelines.personalize import footage
from avatarkit.pipelines.personalize.config import PersonalizeConfig
from avatarkit.pipelines.personalize.footage import Footage, followed, source_of
from avatarkit.pipelines.personalize.teeth import teeth_of
from avatarkit.pipelines.reenact import reenact
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.runtime import NullProgress
from avatarkit.systems.landmark_warp.engine import WarpEngine
from avatarkit.systems.protocol import SeenTeeth, SourceLayers

from .conftest import SIZE


def filmed(teeth: SeenTeeth, portrait: np.ndarray, driver: Path, folder: Path) -> Footage:
    """A second of somebody who has such teeth, tracked."""
    prepare = WarpEngine.prepare
    with pytest.MonkeyPatch.context() as patch:

        def with_teeth(engine: WarpEngine, source: SourceLayers) -> None:
            prepare(engine, replace(source, teeth=teeth))

        patch.setattr(WarpEngine, "prepare", with_teeth)
        write_image(folder / "face.png", portrait)
        # Lips that part a little more than the driver's: of teeth that are hardly seen the place is not told.
        wider = MotionConfig(strength=1.5)
        config = ReenactConfig(folder / "face.png", driver, folder / "film.mp4", motion=wider, size=SIZE)
        reenact(config, NullProgress())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(footage, "LEAST_SECONDS", 0.5)
        return followed(PersonalizeConfig((folder / "film.mp4",), folder / "me.avatar", True), NullProgress())


def told(seen: Footage, until: int | None = None) -> SeenTeeth | None:
    takes = seen.takes
    return teeth_of(
        source_of(seen.portrait, LayerTools()), takes, [take.usable[:until] for take in takes], NullProgress()
    )


@pytest.mark.parametrize(("drawn", "edge"), [(-0.03, 0.01), (0.0, 0.03), (0.05, 0.05)])
def test_teeth_are_those_of_the_footage(
    drawn: float, edge: float, grace_hopper: np.ndarray, driver: Path, tmp_path: Path
) -> None:
    """A tracker sees the lips of this film meet 0.02 higher than they were drawn to, so teeth seem longer by that."""
    known = SeenTeeth((150.0, 190.0, 150.0), drawn)
    found = told(filmed(known, grace_hopper, driver, tmp_path)) or pytest.fail("none were found")
    assert found.edge == edge
    # The colour of teeth that are hardly seen is not told well.
    if drawn > 0.03:
        np.testing.assert_allclose(found.colour, known.colour, atol=20)


def test_too_few_frames_tell_nothing(grace_hopper: np.ndarray, driver: Path, tmp_path: Path) -> None:
    seen = filmed(SeenTeeth((150.0, 190.0, 150.0), 0.03), grace_hopper, driver, tmp_path)
    assert told(seen, 7) is None
