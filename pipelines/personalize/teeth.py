"""The person's teeth in what the warp draws: coloured as the footage shows them, and where they fit it best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatarkit.motion.moment import landmarks_of
from avatarkit.motion.transfer import DriveFrame
from avatarkit.pipelines.personalize.footage import Drawer, Moment, Take, evenly
from avatarkit.pipelines.source import Source
from avatarkit.runtime import Progress
from avatarkit.systems.landmark_warp.engine import WarpEngine
from avatarkit.systems.landmark_warp.mouth import MouthLayer
from avatarkit.systems.landmark_warp.seen_teeth import SourceLight
from avatarkit.systems.protocol import SeenTeeth
from avatarkit.systems.refined_warp.guides import guide
from avatarkit.systems.refined_warp.patches import NAMES, Patch, patches

Picture = NDArray[np.uint8]

PARTED = 0.04
"""Openness of a mouth that may show teeth."""
LOOKED_AT = 80
"""Frames with parted lips that are looked at, evenly over all."""
FEWEST = 8
"""In fewer frames with teeth lower ones, a tongue or a wet lip may be taken for them."""
LIGHTER = 1.12
"""Light of teeth over what is seen of them: lips shade them, and what is around bleeds into them. Of drawn teeth 1.04
to 1.24 was measured, five people's."""
EDGES = (0.01, 0.03, 0.05)
"""Where drawn teeth may end, in head units below the line where the lips meet: as far as teeth of adults do."""
_PATCH, _AROUND = (128, 128), 9
"""Size at which mouths are compared, and how far around what lies between the lips, in its pixels."""


@dataclass(frozen=True)
class _Mouth:
    """A moment drawn without what lies between the lips.

    place: of the mouth in it. truth: what the footage shows there, float32 (h, w, 3). inside: where to compare.
    """

    frame: Picture
    shown: DriveFrame
    place: Patch
    truth: NDArray[np.float32]
    inside: NDArray[np.bool_]

    def error(self, layer: MouthLayer) -> float:
        """How far what a layer draws is from the truth, in levels."""
        frame = self.frame.copy()
        layer.draw(frame, self.shown)
        difference = np.abs(self.place.cut(frame, _PATCH) - self.truth).mean(axis=2)
        return float(difference[self.inside].mean())


def teeth_of(
    source: Source, takes: Sequence[Take], rows: Sequence[NDArray[np.int64]], progress: Progress
) -> SeenTeeth | None:
    """What frames, `rows` of each take, tell of the upper teeth; None where they show them too seldom to tell."""
    parted = [some[take.motion.mouth_opening[some] > PARTED] for take, some in zip(takes, rows, strict=True)]
    chosen = [evenly(some, LOOKED_AT // len(takes)) for some in parted]
    progress.stage("teeth", sum(map(len, chosen)))
    drawer = Drawer(source, None, WarpEngine(()))
    picture, landmarks = source.layers.picture, source.layers.landmarks
    light = SourceLight.of(picture, landmarks)
    seen, mouths = [], []
    for take, some in zip(takes, chosen, strict=True):
        draw = drawer.of(take)
        for number, truth in take.pictures_of(some):
            colour = light.teeth_in(truth, landmarks_of(take.motion, number))
            if colour is not None:
                seen.append(colour)
            mouths.append(_mouth(draw(number, truth)))
            progress.advance()
    if len(seen) < FEWEST:
        return None
    mouths = [mouth for mouth in mouths if mouth.inside.any()]
    red, green, blue = np.clip(LIGHTER * np.median(seen, axis=0), 0.0, 255.0).tolist()
    tried = [SeenTeeth((red, green, blue), edge) for edge in EDGES]
    layers = [MouthLayer(picture, landmarks, teeth) for teeth in tried]
    return tried[int(np.argmin([sum(mouth.error(layer) for mouth in mouths) for layer in layers]))]


def _mouth(moment: Moment) -> _Mouth:
    import cv2

    shown, alpha = moment.shown, moment.drawn.alpha
    assert alpha is not None
    at = NAMES.index("mouth")
    here = patches(shown.landmarks, shown.pose)[at]
    opening = guide("mouth", here, shown.landmarks, alpha, _PATCH)[..., 0]
    inside = cv2.dilate(opening, np.ones((_AROUND, _AROUND), np.uint8)) > 127
    truth = moment.places[at].cut(moment.truth, _PATCH).astype(np.float32)
    return _Mouth(moment.drawn.frame, shown, here, truth, inside)
