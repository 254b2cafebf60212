"""Requests to end: heeded once, and only an impatient person interrupts."""

from __future__ import annotations

import signal

import pytest

from avatarkit.training.signals import StopRequests


def test_a_request_is_remembered_and_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopRequests() as requests:
        assert requests.received is None
        signal.raise_signal(signal.SIGTERM)
        assert requests.received == "SIGTERM"
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_request_passed_on_twice_does_not_interrupt_the_saving() -> None:
    with StopRequests() as requests:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
        assert requests.received == "SIGTERM"


def test_a_second_ctrl_c_interrupts() -> None:
    with StopRequests() as requests:
        signal.raise_signal(signal.SIGINT)
        assert requests.received == "SIGINT"
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
