"""Steps and limits have no corner, and are the same for numbers, arrays and tensors."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit.geometry.easing import eased, fall, held, rise


def test_a_step_begins_and_ends_level() -> None:
    share = np.linspace(0.0, 1.0, 101)
    way = eased(share)
    np.testing.assert_allclose(way, 3.0 * share**2 - 2.0 * share**3, atol=1e-15)
    slope = np.diff(way)
    assert slope.min() > 0.0
    assert max(slope[0], slope[-1]) < 0.03 * slope[50]


def test_steps_of_all_kinds_of_numbers_are_alike() -> None:
    torch = pytest.importorskip("torch")
    share = np.linspace(0.0, 1.0, 11, dtype=np.float32)
    single = eased(share)
    assert single.dtype == np.float32
    assert np.array_equal(single, eased(torch.from_numpy(share)).numpy())
    np.testing.assert_allclose(single, [eased(float(one)) for one in share], atol=1e-6)


def test_rises_and_falls_end_where_they_should() -> None:
    values = np.array([-9.0, 2.0, 3.0, 4.0, 99.0])
    np.testing.assert_allclose(rise(values, 2.0, 4.0), [0.0, 0.0, 0.5, 1.0, 1.0])
    np.testing.assert_allclose(fall(values, 2.0, 4.0), [1.0, 1.0, 0.5, 0.0, 0.0])
    np.testing.assert_allclose(rise(values, 4.0, 2.0), fall(values, 2.0, 4.0))
    assert float(rise(0.5)) == float(fall(0.5)) == 0.5


def test_what_is_held_is_free_at_first_and_never_beyond_its_room() -> None:
    values = np.linspace(-5.0, 30.0, 3501)
    kept = held(values, 4.0, 2.0)
    assert np.array_equal(kept[values <= 4.0], values[values <= 4.0])
    assert kept[-1] == pytest.approx(6.0, abs=1e-4)
    assert (kept <= 6.0).all()
    slopes = np.diff(kept) / np.diff(values)
    # The slope goes from 1 to 0, and at no place jumps.
    assert np.diff(slopes).max() < 1e-9
    assert np.diff(slopes).min() > -0.01
