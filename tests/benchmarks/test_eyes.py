"""How open eyes are in a result: the mean of what is read of a picture and of its mirror image, eye by eye."""

from types import SimpleNamespace

import eyes
import numpy as np

from avatarkit.face import landmarks as lm


def face(right: float, left: float) -> np.ndarray:
    """Landmarks (478, 3) with eyes of width 1 that are open by so much."""
    points = np.zeros((478, 3), np.float32)
    for eye, opening in enumerate((right, left)):
        upper, lower = lm.UPPER_LIDS[eye], lm.LOWER_LIDS[eye]
        points[list(upper), 0] = points[list(lower), 0] = np.linspace(0.0, 1.0, len(upper))
        points[list(lower[1:-1]), 1] = opening
    return points


class Tracker:
    """Reads the eye at smaller x as wider by 0.1, and nothing where the picture is black."""

    def detect(self, picture: np.ndarray) -> list[SimpleNamespace]:
        """The openings that the first and the last column say."""
        if not picture.any():
            return []
        first, last = picture[0, 0, 0] / 100.0, picture[0, -1, 0] / 100.0
        return [SimpleNamespace(landmarks=face(first + 0.1, last))]


def test_openings_are_means_over_mirrored_readings() -> None:
    picture = np.zeros((2, 4, 3), np.uint8)
    picture[:, 0], picture[:, -1] = 30, 10
    seen = Tracker().detect(picture)[0].landmarks.astype(np.float64)
    np.testing.assert_allclose(eyes._opening(picture, seen, Tracker()), [0.35, 0.15], atol=1e-6)  # type: ignore[arg-type]
    # Where the mirror image shows no face, the picture's own reading stands.
    np.testing.assert_allclose(eyes._opening(picture * 0, seen, Tracker()), [0.4, 0.1], atol=1e-6)  # type: ignore[arg-type]
