"""The budget that all workers share: rate, burst, holds, and what it does with damaged files and wrong clocks."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import pickle
import random
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatarkit.errors import OutputError, UsageError
from avatarkit.prepare.fetch.limiter import LONGEST_HOLD_S, Limiter


class Clock:
    """A clock that only sleeping moves; one for several limiters is one world."""

    def __init__(self) -> None:
        self.now_s = 1_000_000.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now_s += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "limits" / "site.json"


def limiter(path: Path, clock: Clock, per_hour: float = 3600.0, burst: int = 1, hold_s: float = 60.0) -> Limiter:
    rng = random.Random(0)
    return Limiter(path, per_hour, burst=burst, hold_s=hold_s, clock=clock, sleep=clock.sleep, rng=rng)


def test_one_a_second_over_two_workers(path: Path, clock: Clock) -> None:
    workers = [limiter(path, clock), limiter(path, clock)]
    times = []
    for turn in range(6):
        workers[turn % 2].acquire()
        times.append(round(clock.now_s - 1_000_000.0, 6))
    assert times == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_burst_is_no_more_than_a_burst(path: Path, clock: Clock) -> None:
    worker = limiter(path, clock, burst=3)
    assert [worker.acquire() for _ in range(3)] == [0.0, 0.0, 0.0]
    clock.now_s += 1000.0
    assert [worker.acquire() for _ in range(3)] == [0.0, 0.0, 0.0]
    assert worker.acquire() == pytest.approx(1.0)


def test_acquire_says_how_long_it_waited(path: Path, clock: Clock) -> None:
    worker = limiter(path, clock, per_hour=360.0)
    worker.acquire()
    assert worker.acquire() == pytest.approx(10.0)


@settings(max_examples=30)
@given(
    rate=st.floats(600.0, 1e5),
    burst=st.integers(1, 5),
    pauses=st.lists(st.floats(0.0, 50.0), min_size=2, max_size=15),
)
def test_never_more_than_the_rate(tmp_path_factory: pytest.TempPathFactory, rate: float, burst: int,
                                  pauses: list[float]) -> None:  # fmt: skip
    clock = Clock()
    worker = limiter(tmp_path_factory.mktemp("limit") / "site.json", clock, rate, burst)
    times = []
    for pause_s in pauses:
        clock.now_s += pause_s
        worker.acquire()
        times.append(clock.now_s)
    for first in range(len(times)):
        for last in range(first, len(times)):
            allowed = burst + (times[last] - times[first]) * rate / 3600.0
            assert last - first + 1 <= allowed + 1e-3


def test_a_hold_stops_all_workers_and_they_come_back_one_by_one(path: Path, clock: Clock) -> None:
    one, other = limiter(path, clock, burst=5), limiter(path, clock, burst=5)
    hold_s = one.back_off()
    assert 45.0 <= hold_s <= 75.0
    assert other.acquire() >= hold_s
    assert 0.7 <= one.acquire() <= 1.0, "nothing was gathered while all were held"


def test_refused_at_once_is_refused_once(path: Path, clock: Clock) -> None:
    workers = [limiter(path, clock) for _ in range(8)]
    first_s = workers[0].back_off()
    assert [worker.back_off() for worker in workers[1:]] == [first_s] * 7
    assert json.loads(path.read_text())["strikes"] == 1


def test_holds_double_up_to_an_hour_and_a_success_ends_that(path: Path, clock: Clock) -> None:
    worker = limiter(path, clock)
    holds = []
    for _ in range(10):
        holds.append(worker.back_off())
        clock.now_s += holds[-1] + 1.0
    for number, hold_s in enumerate(holds):
        longest_s = min(LONGEST_HOLD_S, 60.0 * 2**number)
        assert 0.75 * longest_s <= hold_s <= 1.25 * longest_s
    worker.succeeded()
    assert worker.back_off() <= 75.0


def test_an_answer_that_was_on_its_way_does_not_end_a_hold(path: Path, clock: Clock) -> None:
    worker = limiter(path, clock)
    hold_s = worker.back_off()
    worker.succeeded()
    assert json.loads(path.read_text())["strikes"] == 1
    assert worker.acquire() >= hold_s


def test_stop_ends_the_wait_and_costs_nothing(path: Path, clock: Clock) -> None:
    worker = limiter(path, clock)
    worker.acquire()
    asked = iter([False, True])
    with pytest.raises(InterruptedError):
        worker.acquire(lambda: next(asked))
    assert worker.acquire() <= 1.0


@pytest.mark.parametrize("content", ["", "{", "[]", '{"tokens": "many"}', '{"tokens": 1, "updated_s": null}'])
def test_a_damaged_file_is_a_new_one(path: Path, clock: Clock, content: str) -> None:
    path.parent.mkdir()
    path.write_text(content)
    assert limiter(path, clock).acquire() == 0.0
    assert json.loads(path.read_text())["tokens"] == 0.0


def test_a_clock_that_was_wrong_does_not_stop_the_run(path: Path, clock: Clock) -> None:
    path.parent.mkdir()
    far_s = clock.now_s + 1e9
    path.write_text(json.dumps({"tokens": 0.0, "updated_s": far_s, "hold_until_s": far_s, "strikes": 3}))
    assert limiter(path, clock).acquire() == pytest.approx(1.0)


@pytest.mark.parametrize(("rate", "burst"), [(0.0, 1), (-1.0, 1), (float("nan"), 1), (1.0, 0)])
def test_a_limit_that_lets_nothing_through(path: Path, rate: float, burst: int) -> None:
    with pytest.raises(UsageError, match="lets nothing through"):
        Limiter(path, rate, burst=burst)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be kept"):
        Limiter(tmp_path / "file" / "site.json", 1.0).acquire()


def test_it_travels_to_other_processes(path: Path) -> None:
    copy = pickle.loads(pickle.dumps(Limiter(path, 10.0, burst=2, hold_s=3.0)))
    assert (copy.path, copy.per_hour, copy.burst, copy.hold_s) == (path, 10.0, 2, 3.0)


def _work(limiter: Limiter, count: int, times: multiprocessing.Queue[float]) -> None:
    for _ in range(count):
        limiter.acquire()
        times.put(time.time())


def test_workers_at_the_same_moment_take_different_tokens(path: Path) -> None:
    """Eight threads with a limiter each: forty tokens are there, and exactly forty are taken."""
    start = threading.Barrier(8)
    taken: list[int] = []

    def work() -> None:
        own = Limiter(path, 1e-3, burst=40)
        start.wait()
        for count in itertools.count():
            asked = iter([False, True])
            try:
                own.acquire(lambda asked=asked: next(asked))  # type: ignore[misc]
            except InterruptedError:
                taken.append(count)
                return

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("avatarkit.prepare.fetch.limiter._LONGEST_NAP_S", 0.0)
        workers = [threading.Thread(target=work) for _ in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert sum(taken) == 40


def test_processes_share_one_budget(path: Path) -> None:
    """Four processes on real clocks: no window holds more than the rate, and nobody passes a hold."""
    context = multiprocessing.get_context("spawn")
    times: multiprocessing.Queue[float] = context.Queue()
    shared = Limiter(path, 36_000.0, hold_s=0.4)
    hold_s = shared.back_off()
    begin_s = time.time()
    workers = [context.Process(target=_work, args=(shared, 4, times)) for _ in range(4)]
    for worker in workers:
        worker.start()
    seen = sorted(times.get(timeout=300) for _ in range(16))
    for worker in workers:
        worker.join()
    assert seen[0] >= begin_s + hold_s - 0.05
    # A token that was taken may be noted late on a busy machine, so only the whole is exact.
    assert seen[-1] - begin_s >= hold_s + 15 / 10.0 - 0.1
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    assert not list(path.parent.glob("*.part"))
