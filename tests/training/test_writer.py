"""Checkpoints are written beside the training: one at a time, of the step that asked for them, errors told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy_stage import CONFIG, tensors_of, train_toy, trainer_of

from avatarkit.checkpoint import Checkpoint, best_of, list_checkpoints, open_checkpoint, write_checkpoint
from avatarkit.errors import OutputError
from avatarkit.training.failures import TrainingError
from avatarkit.training.sources import TrainData
from avatarkit.training.writer import Writer


def test_one_piece_of_work_at_a_time_and_none_is_left() -> None:
    first, order = threading.Event(), list[str]()
    with Writer() as writer:
        writer.begin(lambda: (first.wait(120), order.append("first")))
        writer.check()  # does not wait
        assert order == []
        threading.Timer(0.05, first.set).start()
        writer.begin(lambda: order.append("second"))
        assert order[0] == "first"
    assert order == ["first", "second"]


def test_an_error_is_raised_once_by_the_next_call() -> None:
    def fails() -> None:
        raise OSError("full")

    writer = Writer()
    writer.begin(fails)
    with pytest.raises(OSError, match="full"):
        writer.wait()
    writer.begin(fails)
    with pytest.raises(OSError, match="full"):
        writer.begin(fails)
    writer.wait()
    with pytest.raises(OSError, match="full"), writer:
        writer.begin(fails)


def test_an_error_that_ends_the_training_is_not_hidden() -> None:
    def full() -> None:
        raise OSError("full")

    def fails_too() -> None:
        with Writer() as writer:
            writer.begin(full)
            raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        fails_too()


def test_steps_go_on_while_a_checkpoint_is_written(
    tmp_path: Path, videos: TrainData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written is the state of its step, whatever the steps after it do."""
    trainer = trainer_of(tmp_path / "run", videos, replace(CONFIG, checkpoint_every=12))
    seen: list[tuple[int, int]] = []

    def slow(run: Path, meta: object, *rest: object) -> Checkpoint:
        if trainer.step == 3:
            _until(lambda: trainer.step > 3)
        seen.append((meta.step, trainer.step))  # type: ignore[attr-defined]
        return write_checkpoint(run, meta, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("avatarkit.training.loop.write_checkpoint", slow)
    trainer.run()
    assert seen == [(3, 4), (4, 4)]
    monkeypatch.undo()
    train_toy(tmp_path / "three", videos, stop=3)
    three, written = (open_checkpoint(path) for path in (tmp_path / "three", list_checkpoints(tmp_path / "run")[0]))
    assert written.meta.step == 3
    for name in ("blur", "blur.ema", "discriminator", "trainer"):
        wanted, got = three.tensors(name), written.tensors(name)
        assert wanted.keys() == got.keys()
        assert all(bool((got[key] == wanted[key]).all()) for key in wanted)
    assert tensors_of(tmp_path / "run").keys() == tensors_of(tmp_path / "three").keys()


def _until(done: Callable[[], bool]) -> None:
    for _ in range(12_000):
        if done():
            return
        threading.Event().wait(0.01)
    raise AssertionError("never")


def test_a_checkpoint_that_cannot_be_written_ends_the_training(
    tmp_path: Path, videos: TrainData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(run: Path, *rest: object) -> None:
        raise OutputError(f"{run}: cannot be written: No space left on device")

    monkeypatch.setattr("avatarkit.training.loop.write_checkpoint", full)
    trainer = trainer_of(tmp_path, videos, replace(CONFIG, steps=4000, checkpoint_every=120))
    with pytest.raises(OutputError, match="No space left"):
        trainer.run()
    assert 30 <= trainer.step < 4000
    # At the end of a run there is no step that could tell.
    with pytest.raises(OutputError, match="No space left"):
        train_toy(tmp_path / "short", videos, stop=1)


def test_the_best_is_marked_when_it_stands(tmp_path: Path, videos: TrainData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toy_stage.ToyStage.best", ("l1", False))
    order: list[str] = []
    for name in ("write_checkpoint", "mark_best", "prune"):
        monkeypatch.setattr(f"avatarkit.training.loop.{name}", lambda *_, name=name: order.append(name))
    train_toy(tmp_path, videos, replace(CONFIG, steps=1, validate_every=4, validation_samples=2))
    assert order == ["write_checkpoint", "mark_best", "prune"]
    assert best_of(tmp_path) is None


def test_nothing_is_saved_drawn_or_measured_of_steps_that_gave_no_number(
    tmp_path: Path, videos: TrainData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps are looked at when something is due, which may be later; the first one and its batch are told."""
    for name in ("pictures", "measure"):
        monkeypatch.setattr(f"toy_stage.ToyStage.{name}", lambda *_: pytest.fail("looked at"))
    every = {"checkpoint_every": 16, "pictures_every": 16, "validate_every": 16, "log_every": 100}
    for due in every:
        quiet = dict.fromkeys(every, 0) | {"log_every": 100, due: 4 if due == "log_every" else 16}
        config = replace(CONFIG, steps=8, accumulation=2, **quiet)
        trainer = trainer_of(tmp_path / due, videos, config, poison_at=7)
        with pytest.raises(TrainingError, match=r"step 1: .*pixel.* no finite number"):
            trainer.run()
        assert trainer.step == 4
        assert list_checkpoints(tmp_path / due) == []
        (folder,) = (tmp_path / due / "diverged").iterdir()
        assert '"positions": [\n  6,\n  7\n ]' in (folder / "about.json").read_text()


ASKING = ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__", "__format__")


def test_steps_ask_nothing_of_the_device_and_a_log_line_once(
    tmp_path: Path, videos: TrainData, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def counted(name: str, method: Callable[..., object]) -> Callable[..., object]:
        def method_of(tensor: torch.Tensor, *args: object) -> object:
            # Seeds and positions, all of them integers, are on the CPU wherever nets are.
            asked.extend([name] if tensor.dtype != torch.int64 else [])
            return method(tensor, *args)

        return method_of

    for name in ASKING:
        monkeypatch.setattr(torch.Tensor, name, counted(name, getattr(torch.Tensor, name)))
    trainer = trainer_of(tmp_path, videos, replace(CONFIG, steps=9, accumulation=2, log_every=4))
    before: list[list[str]] = []
    take_step = trainer.stage.take_step
    monkeypatch.setattr(trainer.stage, "take_step", lambda steps: (before.append(asked[:]), take_step(steps))[1])
    trainer.run()
    told = ["tolist"]
    assert before == [[]] * 4 + [told] * 4 + [2 * told]
