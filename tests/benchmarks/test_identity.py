import numpy as np
import pytest
from identity import area_under_curve


def test_the_area_counts_pairs_that_are_in_order():
    assert area_under_curve(np.array([0.1, 0.2]), np.array([0.5, 0.9])) == 1
    assert area_under_curve(np.array([0.5, 0.9]), np.array([0.1, 0.2])) == 0
    assert area_under_curve(np.array([0.3]), np.array([0.3])) == 0.5
    assert area_under_curve(np.array([0.1, 0.6]), np.array([0.5, 0.7])) == pytest.approx(0.75)
