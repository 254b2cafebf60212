import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from avatarkit.errors import InputError
from avatarkit.pipelines import forks as module
from avatarkit.pipelines.forks import CAN_FORK, Forks

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="no processes are forked here")


def picture(number: int) -> tuple[NDArray[np.uint8], None, NDArray[np.uint8]]:
    """Two pictures that say which frame they are of, and which process drew them."""
    return np.full((3, 4, 3), number, np.uint8), None, np.frombuffer(os.getpid().to_bytes(4, "little"), np.uint8)


def process(answer: tuple[NDArray[np.uint8] | None, ...]) -> int:
    assert answer[2] is not None
    return int.from_bytes(answer[2].tobytes(), "little")


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def gone(pid: int) -> bool:
    end = time.monotonic() + 60.0
    while running(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not running(pid)


def test_answers_come_in_order_from_all_processes() -> None:
    begun = get_context("fork").Barrier(3)

    def shared(number: int) -> tuple[NDArray[np.uint8] | None, ...]:
        if number < 3:
            begun.wait(30.0)
        return picture(number)

    with Forks(shared, 2, 100) as forks, ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(forks, range(24)))
    for number, (first, second, _) in enumerate(answers):
        np.testing.assert_array_equal(first, np.full((3, 4, 3), number))
        assert second is None
    drawn_by = {process(answer) for answer in answers}
    assert len(drawn_by) == 3
    assert os.getpid() in drawn_by
    assert all(gone(pid) for pid in drawn_by - {os.getpid()})


def test_errors_are_raised_by_the_call() -> None:
    def refuse(number: int) -> tuple[NDArray[np.uint8] | None, ...]:
        raise InputError(f"frame {number}: is not there")

    with Forks(refuse, 1, 100) as forks:
        for number in range(4):
            with pytest.raises(InputError, match=f"^frame {number}: is not there$"):
                forks(number)


def test_a_process_that_ends_is_done_without() -> None:
    with Forks(picture, 1, 100) as forks:
        first = process(forks(0))
        assert first != os.getpid()
        assert process(forks(1)) == os.getpid()
        os.kill(first, signal.SIGKILL)
        answers = [forks(number) for number in range(2, 6)]
    assert [int(answer[0].max()) for answer in answers if answer[0] is not None] == [2, 3, 4, 5]
    assert {process(answer) for answer in answers} == {os.getpid()}


def test_a_process_that_hangs_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_S", 0.3)
    home = os.getpid()

    def hang(number: int) -> tuple[NDArray[np.uint8] | None, ...]:
        if os.getpid() != home:
            time.sleep(60.0)
        return picture(number)

    with Forks(hang, 1, 100) as forks:
        assert [process(forks(number)) for number in range(3)] == [home] * 3


def test_forks_hold_no_file_of_the_process_open() -> None:
    reading, writing = os.pipe()
    with Forks(picture, 2, 100) as forks:
        forks(0)
        os.close(writing)
        assert os.read(reading, 1) == b""
    os.close(reading)


def test_requests_to_end_are_left_to_the_process() -> None:
    with Forks(picture, 1, 100) as forks:
        fork = process(forks(0))
        forks(1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(fork, number)
        assert process(forks(2)) == fork


def test_forks_end_with_a_process_that_is_killed() -> None:
    program = (
        "import os, numpy as np; from avatarkit.pipelines.forks import Forks\n"
        "with Forks(lambda n: (np.frombuffer(os.getpid().to_bytes(4, 'little'), np.uint8),), 2, 100) as forks:\n"
        "    pids = [int.from_bytes(forks(n)[0].tobytes(), 'little') for n in range(2)]\n"
        "    print(*pids, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, timeout=300, check=False)
    assert done.returncode == -signal.SIGKILL
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(set(pids)) == 2
    assert all(gone(pid) for pid in pids)
