"""The measure that tests of memory use."""

from __future__ import annotations

import pytest

from tests.memory import can_be_set_back, cost

MIB = 1 << 20


def touched(mib: int) -> bytes:
    return b"x" * (mib * MIB)


@pytest.mark.skipif(not can_be_set_back(), reason="the system's record of the peak cannot begin anew here")
@pytest.mark.parametrize("warm", [False, True])
def test_a_cost_is_that_of_the_call_alone(warm: bool) -> None:
    touched(400)  # a peak far above, before it
    for mib in (0, 100, 200):
        # What is not given back to the system before may be used again: then less is seen, never more.
        least = mib - 10 if warm else 0
        assert least <= cost(lambda mib=mib: touched(mib), warm=warm).memory_bytes / MIB < mib + 30


def test_what_is_kept_by_the_first_call_is_not_counted() -> None:
    kept: list[bytes] = []
    assert cost(lambda: kept or kept.append(touched(100))).memory_bytes < 30 * MIB
    assert len(kept) == 1


def test_no_memory_is_told_where_the_peak_cannot_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.memory.can_be_set_back", lambda: False)
    found = cost(lambda: None)
    assert found.seconds < 1
    with pytest.raises(pytest.skip.Exception):
        _ = found.memory_bytes


def test_time_is_that_of_the_processor() -> None:
    assert cost(lambda: sum(range(10_000_000)), warm=False).seconds > 0.005
    assert cost(lambda: None).seconds < 1
