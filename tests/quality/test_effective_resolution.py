"""Effective resolution: enlarged pictures do not pass for what they have pixels for."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from avatarkit.quality.effective_resolution import edge_share, effective_share, spectral_share

METHODS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}


@pytest.fixture(scope="module")
def crisp(astronaut: np.ndarray) -> np.ndarray:
    """A detailed picture at the resolution that it really has."""
    return np.ascontiguousarray(astronaut[:400, 60:460])


def enlarged(picture: np.ndarray, factor: float, method: str) -> np.ndarray:
    """The picture reduced and brought back to its size."""
    small = cv2.resize(picture, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, picture.shape[1::-1], interpolation=METHODS[method])


@pytest.mark.parametrize("method", METHODS)
def test_three_fold_enlargement_is_recognised(crisp: np.ndarray, method: str) -> None:
    assert effective_share(crisp) > 0.85
    assert effective_share(enlarged(crisp, 3, method)) < 0.5


@pytest.mark.parametrize("method", METHODS)
def test_more_enlargement_means_less(crisp: np.ndarray, method: str) -> None:
    shares = [effective_share(crisp), *(effective_share(enlarged(crisp, k, method)) for k in (2, 3, 4))]
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize("quality", [90, 60, 35])
def test_compression_after_enlarging_does_not_hide_it(crisp: np.ndarray, quality: int) -> None:
    big = enlarged(crisp, 3, "cubic")
    data = cv2.imencode(".jpg", big, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    assert effective_share(cv2.imdecode(data, cv2.IMREAD_COLOR)) < 0.6


def test_noise_after_enlarging_does_not_hide_it(crisp: np.ndarray) -> None:
    noisy = enlarged(crisp, 3, "cubic") + np.random.default_rng(0).normal(0, 3, crisp.shape)
    assert effective_share(np.clip(np.rint(noisy), 0, 255).astype(np.uint8)) < 0.6


def test_contrast_does_not_matter(crisp: np.ndarray) -> None:
    big = enlarged(crisp, 2, "cubic")
    pale = (big * 0.5 + 50).astype(np.uint8)
    assert effective_share(pale) == pytest.approx(effective_share(big), abs=0.08)


def test_both_estimates_are_shares(crisp: np.ndarray) -> None:
    for picture in (crisp, enlarged(crisp, 4, "linear"), np.zeros_like(crisp)):
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
        assert 0 <= edge_share(grey) <= 1
        assert 0 <= spectral_share(grey) <= 1


@pytest.mark.parametrize("shape", [(1, 1), (31, 200), (0, 5)])
def test_next_to_nothing_cannot_be_judged(shape: tuple[int, int]) -> None:
    assert effective_share(np.zeros((*shape, 3), np.uint8)) == 1.0


def test_middle_of_a_large_picture_counts(crisp: np.ndarray) -> None:
    large = np.zeros((1200, 1500, 3), np.uint8)
    large[400:800, 550:950] = crisp
    assert effective_share(large) == pytest.approx(effective_share(large[344:856, 494:1006]))
