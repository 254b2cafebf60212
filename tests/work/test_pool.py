"""The pool of workers with tasks of a toy: results, crashes, hanging, waiting, claims, one environment per worker."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from avatarkit.errors import AvatarkitError, DependencyError, OutputError, UsageError
from avatarkit.work import pool as pool_module
from avatarkit.work.claims import claim
from avatarkit.work.pool import Pool
from avatarkit.work.task import Busy, Crew, Result, Task, find
from avatarkit.work.watcher import QuietWatcher

HERE = str(Path(__file__).resolve().parent)


class Keeper(QuietWatcher):
    """Keeps what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.results: dict[str, Result] = {}
        self.steps: list[tuple[str, str, Any]] = []
        self.crashes: Counter[tuple[str, str]] = Counter()
        self.reasons: dict[str, str] = {}
        self.workers: dict[str, str] = {}
        self.order: list[str] = []
        self.progress: list[tuple[str, Any]] = []
        self.advice: tuple[str, ...] = ()

    def opened(self, advice: tuple[str, ...]) -> None:
        self.advice = advice

    def started(self, task: str, worker: str) -> None:
        self.order.append(task)

    def crashed(self, task: str, step: str, reason: str, worker: str, detail: str) -> None:
        super().crashed(task, step, reason, worker, detail)
        self.crashes[task, step] += 1
        self.reasons[step] = reason

    def alive(self, task: str, progress: Any, worker: str) -> None:
        self.progress.append((task, progress))

    def done(self, task: str, step: str, value: Any, worker: str) -> None:
        self.steps.append((task, step, value))

    def ended(self, result: Result, worker: str) -> None:
        self.results[result.task.name] = result
        self.workers[result.task.name] = worker


@pytest.fixture
def keeper(monkeypatch: pytest.MonkeyPatch) -> Keeper:
    monkeypatch.setattr(sys, "path", [*sys.path, HERE])
    monkeypatch.setenv("PYTHONPATH", HERE)
    return Keeper()


def crew(folder: Path, **values: Any) -> Crew:
    return Crew("toy_worker:open_toy", folder, {"toy": "1"}, **values)


def tasks(*payloads: str) -> list[Task]:
    return [Task(f"t{number}", payload) for number, payload in enumerate(payloads)]


def test_results_and_steps_come_home(tmp_path: Path, keeper: Keeper) -> None:
    assert Pool(crew(tmp_path), workers=2, watcher=keeper).run(tasks("upper a", "upper b", "upper c")) == []
    assert {name: (r.how, r.value) for name, r in keeper.results.items()} == {
        "t0": ("done", "A"), "t1": ("done", "B"), "t2": ("done", "C"),
    }  # fmt: skip
    assert sorted(keeper.steps) == [(f"t{n}", step, "fine") for n in range(3) for step in ("first", "second")]
    assert keeper.advice == ("be good",)
    assert (tmp_path / "closed").exists()


@pytest.mark.parametrize(("word", "reason"), [("crash", "crashed"), ("hang", "timeout")])
def test_step_that_kills_its_worker_twice_is_left_out(tmp_path: Path, keeper: Keeper, word: str, reason: str) -> None:
    Pool(crew(tmp_path), workers=1, watcher=keeper).run(tasks(f"{word} x", "upper b"))
    assert keeper.crashes == {("t0", "first"): 2}
    assert keeper.reasons == {"first": reason}
    assert keeper.order == ["t0", "t0", "t0", "t1"]
    assert ("t0", "first", reason) in keeper.steps
    assert ("t0", "second", "fine") in keeper.steps
    assert keeper.results["t0"].value == "X"


def test_death_outside_of_steps_ends_the_run_in_time(tmp_path: Path, keeper: Keeper, monkeypatch: Any) -> None:
    monkeypatch.setattr(pool_module, "MOST_TASK_DEATHS", 2)
    with pytest.raises(AvatarkitError, match=r"pair t0: its worker died 2 times outside of any step \(ended with"):
        Pool(crew(tmp_path, task="pair"), workers=1, watcher=keeper).run(tasks("quiet-crash"))


def test_task_sent_ahead_survives_the_death_of_its_worker(tmp_path: Path, keeper: Keeper) -> None:
    words = ["upper a", "crash x", *(f"upper {n}" for n in range(4))]
    Pool(crew(tmp_path, ahead=True), workers=1, watcher=keeper).run(tasks(*words))
    assert keeper.order == ["t0", "t1", "t1", "t1", "t2", "t3", "t4", "t5"]  # t2 waited at each worker that died
    assert keeper.crashes == {("t1", "first"): 2}
    assert [keeper.results[f"t{n}"].value for n in range(6)] == ["A", "X", "0", "1", "2", "3"]


def test_long_tasks_are_not_sent_ahead(tmp_path: Path, keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    send = Pool._send

    def noted(self: Pool, one: Any) -> Any:
        turn = send(self, one)
        sent.append(f"{turn.task.name} {'ahead' if one.turn else 'in time'}")
        return turn

    monkeypatch.setattr(Pool, "_send", noted)
    Pool(crew(tmp_path, ahead=True), workers=1, watcher=keeper).run(tasks(*["upper a"] * 4))
    # Nobody knows of the first how long it takes, and the last is left to whoever has time.
    assert sent == ["t0 in time", "t1 in time", "t2 ahead", "t3 in time"]
    sent.clear()
    monkeypatch.setattr(pool_module, "SHORT_S", 0.0)
    Pool(crew(tmp_path, ahead=True), workers=1, watcher=keeper).run(tasks(*["upper a"] * 4))
    assert {text.partition(" ")[2] for text in sent} == {"in time"}


def test_deferred_task_has_a_last_chance_after_the_others(tmp_path: Path, keeper: Keeper) -> None:
    Pool(crew(tmp_path), workers=1, watcher=keeper).run(tasks("later x", "upper b"))
    assert keeper.order == ["t0", "t1", "t0"]
    assert keeper.results["t0"].value == "X"


def test_network_that_is_down_stops(tmp_path: Path, keeper: Keeper) -> None:
    with pytest.raises(DependencyError, match="2 pairs in a row could not be fetched"):
        Pool(crew(tmp_path, task="pair"), workers=1, watcher=keeper).run(tasks("network x", "network y"))


def test_signs_of_life_carry_progress(tmp_path: Path, keeper: Keeper) -> None:
    Pool(crew(tmp_path), workers=1, watcher=keeper).run(tasks("slow x"))
    assert keeper.progress == [("t0", 0.5), ("t0", 0.5)]


def test_error_of_a_worker_stops_the_run_with_its_type(tmp_path: Path, keeper: Keeper) -> None:
    with pytest.raises(OutputError, match="no room"):
        Pool(crew(tmp_path), workers=1, watcher=keeper).run(tasks("full"))


def test_task_of_another_process_is_given_back(tmp_path: Path, keeper: Keeper) -> None:
    with claim(tmp_path, "t1"):
        busy = Pool(crew(tmp_path), workers=1, watcher=keeper).run(tasks("upper a", "upper b"))
        with pytest.raises(Busy), claim(tmp_path, "t1"):
            pass
    assert [task.name for task in busy] == ["t1"]
    assert set(keeper.results) == {"t0"}


def test_new_worker_takes_the_environment_of_the_one_that_died(tmp_path: Path, keeper: Keeper) -> None:
    environments = ({"TOY_GPU": "0"}, {"TOY_GPU": "1"})
    Pool(crew(tmp_path, environments=environments), workers=1, watcher=keeper).run(tasks("crash x", "env TOY_GPU"))
    assert (keeper.workers["t1"], keeper.results["t1"].value) == ("worker-3", "0")
    Pool(crew(tmp_path, environments=environments), workers=2, watcher=keeper).run(tasks(*["env TOY_GPU"] * 40))
    found = {(keeper.workers[name], result.value) for name, result in keeper.results.items()}
    assert found <= {("worker-1", "0"), ("worker-2", "1")}


def test_worker_with_other_tools_is_refused(tmp_path: Path, keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_NAME", "2")
    with pytest.raises(DependencyError, match="toy is 2 here, but the output was begun with 1"):
        Pool(crew(tmp_path), workers=1, watcher=keeper).run(tasks("upper a"))


def test_opener_that_does_not_exist_is_named() -> None:
    with pytest.raises(UsageError, match="toy_worker_not:open"):
        find("toy_worker_not:open")
