"""Names for MediaPipe's landmark numbers, and the triangles between them.

"Right" and "left" are the person's: the right eye stands at smaller x in a frontal picture. Rings run from
the outer to the inner eye corner, or from the person's right to the left mouth corner.
"""

from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

MESH = 468
"""Landmarks of the face surface; the ten behind them are the irises."""

FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip

RIGHT_UPPER_LID = (33, 246, 161, 160, 159, 158, 157, 173, 133)
RIGHT_LOWER_LID = (33, 7, 163, 144, 145, 153, 154, 155, 133)
LEFT_UPPER_LID = (263, 466, 388, 387, 386, 385, 384, 398, 362)
LEFT_LOWER_LID = (263, 249, 390, 373, 374, 380, 381, 382, 362)
UPPER_LIDS = (RIGHT_UPPER_LID, LEFT_UPPER_LID)
LOWER_LIDS = (RIGHT_LOWER_LID, LEFT_LOWER_LID)

# The ring around each eye: lid crease above, bag below. Pairs with the inner entries of the lids above.
UPPER_CREASES = ((247, 30, 29, 27, 28, 56, 190), (467, 260, 259, 257, 258, 286, 414))
LOWER_CREASES = ((25, 110, 24, 23, 22, 26, 112), (255, 339, 254, 253, 252, 256, 341))

IRIS_CENTRES = (468, 473)
IRIS_RIMS = ((469, 470, 471, 472), (474, 475, 476, 477))

BROWS = ((70, 63, 105, 66, 107, 55, 65, 52, 53, 46), (300, 293, 334, 296, 336, 285, 295, 282, 283, 276))

INNER_LIP_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
INNER_LIP_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
OUTER_LIP_UPPER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
OUTER_LIP_LOWER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
# The lips as rows of 11 landmarks from the right to the left corner, from the outline to the opening.
UPPER_LIP_ROWS = (
    OUTER_LIP_UPPER,
    (76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306),
    (62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292),
    INNER_LIP_UPPER,
)
LOWER_LIP_ROWS = (
    OUTER_LIP_LOWER,
    (76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306),
    (62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292),
    INNER_LIP_LOWER,
)

# Points that expressions hardly move: forehead, temples, bridge of the nose, eye corners.
RIGID = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 127, 234, 162, 21, 54, 103, 67, 109,
    151, 9, 8, 168, 6, 197, 195, 5, 4, 33, 133, 362, 263,
)  # fmt: skip

# Right and left twins on either side of the nose, all rigid; their differences give the head's x axis.
TWINS = (
    (33, 263), (133, 362), (234, 454), (127, 356), (162, 389), (21, 251), (54, 284), (103, 332), (67, 297),
    (109, 338),
)  # fmt: skip
# Forehead to nostrils: over eight frontal portraits this line has a mean pitch of 0.0 degrees (spread 4.5).
MIDLINE_TOP, MIDLINE_BOTTOM = (10, 151, 9, 8), (98, 327)
EARS = (234, 454)
OUTER_EYE_CORNERS = (33, 263)
CHIN, FOREHEAD = 152, 10


@lru_cache(maxsize=1)
def surface_triangles() -> NDArray[np.int32]:
    """Triangles (852, 3) of the face surface, clockwise in the picture when they face the camera.

    The openings of the eyes and of the mouth are holes; `opening_triangles` closes them.
    """
    text = files("avatarkit.face").joinpath("tessellation.csv").read_text(encoding="ascii")
    return np.array([[int(v) for v in line.split(",")] for line in text.split()], np.int32)


@lru_cache(maxsize=1)
def opening_triangles() -> NDArray[np.int32]:
    """Triangles (46, 3) that close the eyes and the mouth, as strips between the upper and the lower rim."""
    strips = [*zip(UPPER_LIDS, LOWER_LIDS, strict=True), (INNER_LIP_UPPER, INNER_LIP_LOWER)]
    triangles: list[tuple[int, int, int]] = []
    for number, (upper, lower) in enumerate(strips):
        for k in range(len(upper) - 1):
            quad = [(upper[k], upper[k + 1], lower[k + 1]), (upper[k], lower[k + 1], lower[k])]
            for a, b, c in quad:
                if len({a, b, c}) == 3:
                    # The left eye's rims run towards smaller x, so its strips turn the other way.
                    triangles.append((a, c, b) if number == 1 else (a, b, c))
    return np.array(triangles, np.int32)


def ring(upper: tuple[int, ...], lower: tuple[int, ...]) -> tuple[int, ...]:
    """The closed outline of an opening: along the upper rim and back along the lower one."""
    return upper + lower[-2:0:-1]
