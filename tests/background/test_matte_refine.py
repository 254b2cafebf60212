"""From a rough matte to one with the picture's edges: clothes that the network only half believes in."""

import numpy as np

from avatarkit.background.matte_refine import refine_matte

SIZE = 160
CLOTHES = np.s_[110:, 20:140]


def landmarks() -> np.ndarray:
    """The corners of a face 60 pixels high, chin at row 90."""
    return np.array([[55.0, 30.0], [105.0, 30.0], [105.0, 90.0], [55.0, 90.0]], np.float32)


def rough_matte() -> np.ndarray:
    """A head and a neck that the network is sure of."""
    rough = np.zeros((SIZE, SIZE), np.float32)
    rough[20:95, 50:110] = 1.0
    rough[90:, 65:95] = 1.0
    return rough


def plain_picture() -> np.ndarray:
    """No colour helps: all of it is of one."""
    return np.full((SIZE, SIZE, 3), 128, np.uint8)


def test_clothes_half_believed_in_are_kept() -> None:
    rough = rough_matte()
    rough[CLOTHES] = np.maximum(rough[CLOTHES], 0.45)
    alpha = refine_matte(plain_picture(), rough, landmarks())
    assert alpha[130:, 30:130].min() > 0.95
    assert alpha[:100, :40].max() < 0.05


def test_a_background_into_which_the_answer_fades_stays_one() -> None:
    rough = rough_matte()
    fading = np.clip((np.arange(SIZE) - 100) / 80.0, 0.0, 0.45)[:, None] * np.ones((1, SIZE))
    rough = np.maximum(rough, fading.astype(np.float32))
    alpha = refine_matte(plain_picture(), rough, landmarks())
    assert alpha[150:, 4:20].max() < 0.5
    assert alpha[150:, 140:156].max() < 0.5


def test_what_stands_apart_is_no_clothes() -> None:
    rough = rough_matte()
    rough[120:150, 130:158] = 0.45
    alpha = refine_matte(plain_picture(), rough, landmarks())
    assert alpha[125:145, 140:156].max() < 0.05
