"""What the speed table says beside its bars."""

from __future__ import annotations

import machine
import pytest


def test_the_ratio_is_time_per_frame_over_decode_and_encode() -> None:
    rates = {"end to end, the whole command": 40.0, machine.BARE_DECODE: 400.0, machine.BARE_ENCODE: 100.0}
    rows = [{"part": part, "seconds": 1.0, "frames_per_s": rate, "note": ""} for part, rate in rates.items()]
    speed, ratio = machine.speed_verdicts(rows)
    assert speed.figure == pytest.approx(40.0)
    # 25 ms over 2.5 + 10 ms.
    assert ratio.figure == pytest.approx(2.0)
    assert (speed.word, ratio.word) == ("pass", "pass")
