"""One loop for all stages: exact resuming, several processes, ends of every kind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from real_stages import configured, train_stage
from synthetic_heads import video_data
from toy_stage import CONFIG, ToyStage, tensors_of, train_toy, trainer_of

from avatarkit.checkpoint import Best, best_of, list_checkpoints, open_checkpoint
from avatarkit.errors import InputError
from avatarkit.runtime import NullProgress
from avatarkit.training.failures import TrainingError
from avatarkit.training.logs import read_log
from avatarkit.training.sources import TrainData

ONE = ("one", "one-base")
SMOOTH = ("optim.eps=1e-3", "augment=false")
"""Steps that follow from small gradients as smoothly as from large ones; Adam's own magnify rounding."""


def assert_same(one: Path, other: Path) -> None:
    first, second = tensors_of(one), tensors_of(other)
    assert first.keys() == second.keys()
    different = [key for key in first if not torch.equal(first[key], second[key])]
    assert different == []


def test_two_steps_and_two_more_are_four(tmp_path: Path, videos: TrainData) -> None:
    train_toy(tmp_path / "four", videos)
    _, ended = train_toy(tmp_path / "two", videos, stop=2)
    assert (ended.step, ended.reason) == (2, "stopped early")
    _, ended = train_toy(tmp_path / "two", videos)
    assert (ended.step, ended.steps_here, ended.images, ended.reason) == (4, 2, 16, "finished")
    assert_same(tmp_path / "four", tmp_path / "two")
    weights = "loss", "pixel", "discriminator", "gradient_norm"
    told = [
        [{key: value for key, value in line.items() if key in weights} for line in read_log(tmp_path / name)]
        for name in ("four", "two")
    ]
    assert told[0] == told[1]
    assert len(told[0]) == 4


def test_training_moves_weights_and_their_average(tmp_path: Path, videos: TrainData) -> None:
    trainer = trainer_of(tmp_path, videos)
    before = {key: value.clone() for key, value in trainer.stage.state_dict().items()}
    trainer.run()
    after = trainer.stage.state_dict()
    assert all(not torch.equal(before[key], after[key]) for key in before)
    assert trainer.ema is not None
    averaged = trainer.ema.nets.state_dict()
    for key, average in averaged.items():
        assert not torch.equal(average, after[f"nets.{key}"])
        assert not torch.equal(average, before[f"nets.{key}"])


def test_gradients_are_scaled_down_to_the_limit(tmp_path: Path, videos: TrainData) -> None:
    trainer, _ = train_toy(tmp_path, videos, replace(CONFIG, optim=replace(CONFIG.optim, clip_norm=1e-3)), stop=1)
    assert trainer.stage.adversary is not None
    norms = [weight.grad.norm() for weight in trainer.stage.nets.parameters() if weight.grad is not None]
    assert torch.stack(norms).norm().item() == pytest.approx(1e-3, rel=1e-2)


def test_spectral_norms_follow_once_a_step(
    tmp_path: Path, videos: TrainData, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed: list[tuple[torch.nn.Module, ...]] = []
    monkeypatch.setattr("avatarkit.training.loop.advance_norms", lambda *nets: followed.append(nets))
    trainer, _ = train_toy(tmp_path, videos, stop=2)
    assert trainer.stage.adversary is not None
    assert followed == [(trainer.stage.nets, trainer.stage.adversary.discriminator)] * 2


def test_workers_and_passes_do_not_change_the_result(tmp_path: Path, videos: TrainData) -> None:
    smooth = replace(CONFIG, optim=replace(CONFIG.optim, eps=1e-3), steps=2)
    train_toy(tmp_path / "plain", videos, smooth)
    train_toy(tmp_path / "workers", videos, smooth, workers=1)
    assert_same(tmp_path / "plain", tmp_path / "workers")
    train_toy(tmp_path / "passes", videos, replace(smooth, accumulation=2))
    plain, passes = tensors_of(tmp_path / "plain"), tensors_of(tmp_path / "passes")
    # The discriminator's spectral norm takes one power iteration per pass, so only nearly the same.
    for key in plain:
        if key.startswith("blur:"):
            torch.testing.assert_close(passes[key], plain[key], atol=1e-3, rtol=0)


def free_port() -> int:
    """A free port, and none of those that the system hands out: another program would get it before it is used."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def test_two_processes_are_one_with_the_doubled_batch(tmp_path: Path, videos: TrainData) -> None:
    """A toy in one pass, the real base model in two passes of one process; each sees what the other has."""
    config = replace(CONFIG, optim=replace(CONFIG.optim, eps=1e-3), steps=3)
    train_toy(tmp_path / "one", videos, config)
    train_stage(tmp_path / "one-base", configured("base", *SMOOTH, "accumulation=2"), 1)
    port = free_port()
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\nfrom dataclasses import replace\n"
        "from avatarkit.errors import InputError\nfrom avatarkit.training.hardware import check_alike\n"
        "from real_stages import configured, train_stage\n"
        "from toy_stage import CONFIG, ToyStage, train_toy\nfrom synthetic_heads import video_data\n"
        "config, out = replace(CONFIG, optim=replace(CONFIG.optim, eps=1e-3), steps=3), Path(sys.argv[2])\n"
        "trainer, _ = train_toy(out / 'two', video_data(), config)\n"
        "assert trainer.accelerator.num_processes == 2\n"
        f"trainer = train_stage(out / 'two-base', configured('base', *{SMOOTH}), 1)\n"
        "check_alike(trainer.accelerator, {'--output': 'same', '--data': 'same'})\n"
        "try:\n"
        "    check_alike(trainer.accelerator, {'--output': str(trainer.accelerator.process_index), '--data': 'same'})\n"
        "except InputError as error:\n"
        "    print(error)\n"
        # Whoever ends last would find the other gone, and abort; threads of the group may do so even then.
        "import os, torch\ntorch.distributed.barrier()\ntorch.distributed.destroy_process_group()\n"
        "sys.stdout.flush(); os._exit(0)\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    outputs, errors = zip(*(process.communicate(timeout=600) for process in processes), strict=True)
    assert [process.returncode for process in processes] == [0, 0], errors
    assert all(text.startswith("--output: process 1 of 2 does not find there what process 0 finds") for text in outputs)
    for one, two in ((tensors_of(tmp_path / name), tensors_of(tmp_path / f"two{name[3:]}")) for name in ONE):
        assert one.keys() == two.keys()
        for key in one:
            torch.testing.assert_close(
                two[key], one[key], atol=1e-5, rtol=1e-5, msg=lambda text, key=key: f"{key}: {text}"
            )
    losses = [[line["pixel"] for line in read_log(tmp_path / name)] for name in ("one", "two")]
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)


def test_a_request_to_end_is_heeded_after_the_step(tmp_path: Path, videos: TrainData) -> None:
    trainer = trainer_of(tmp_path, videos)
    ours = signal.getsignal(signal.SIGTERM)
    trainer.progress = Impatient()
    ended = trainer.run()
    assert (ended.reason, ended.step) == ("asked to stop", 2)
    assert open_checkpoint(tmp_path).meta.step == 2
    assert signal.getsignal(signal.SIGTERM) is ours


class Impatient(NullProgress):
    """Asks for the end after the second step."""

    done = 0

    def advance(self, count: int = 1) -> None:
        self.done += count
        if self.done == 8:
            signal.raise_signal(signal.SIGTERM)


def test_time_limit_saves_and_leaves(tmp_path: Path, videos: TrainData) -> None:
    trainer = trainer_of(tmp_path, videos)
    trainer.options = replace(trainer.options, max_minutes=0)
    ended = trainer.run()
    assert (ended.reason, ended.step) == ("out of time", 1)
    assert open_checkpoint(tmp_path).meta.step == 1


def test_not_a_number_stops_with_the_batch(tmp_path: Path, videos: TrainData) -> None:
    trainer = trainer_of(tmp_path, videos, replace(CONFIG, checkpoint_every=4), poison_at=9)
    with pytest.raises(TrainingError, match=r"step 2: .*pixel.* no finite number; the batch is in"):
        trainer.run()
    (folder,) = (tmp_path / "diverged").iterdir()
    assert json.loads((folder / "about.json").read_text())["positions"] == [8, 9, 10, 11]
    assert (folder / "batch.safetensors").is_file()
    newest = open_checkpoint(tmp_path)
    assert newest.meta.step == 2
    assert all(torch.isfinite(value).all() for value in newest.tensors("blur").values())


def test_a_full_disk_does_not_hide_why_it_stopped(
    tmp_path: Path, videos: TrainData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(tensors: object, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("avatarkit.training.failures.save_file", full)
    trainer = trainer_of(tmp_path, videos, poison_at=1)
    told = r"step 0: .* no finite number; the batch could not be saved in .*: No space left on device; lower"
    with pytest.raises(TrainingError, match=told):
        trainer.run()


def test_a_broken_discriminator_is_neither_stepped_nor_saved(tmp_path: Path, videos: TrainData) -> None:
    trainer = trainer_of(tmp_path, videos, replace(CONFIG, checkpoint_every=4))
    assert trainer.stage.adversary is not None
    weight = next(trainer.stage.adversary.discriminator.parameters())
    weight.register_hook(lambda gradient: gradient * float("nan") if trainer.step == 2 else gradient)
    with pytest.raises(TrainingError, match=r"step 2: .*discriminator_norm.* no finite number"):
        trainer.run()
    newest = open_checkpoint(tmp_path)
    assert newest.meta.step == 2
    assert all(torch.isfinite(value).all() for value in newest.tensors("discriminator").values())


def test_out_of_memory_says_what_to_lower(tmp_path: Path, videos: TrainData) -> None:
    with pytest.raises(TrainingError, match=r"4 samples at once: try --set accumulation=2") as caught:
        train_toy(tmp_path, videos, hungry=True)
    assert "\n" not in str(caught.value)


def test_the_best_checkpoint_is_kept(tmp_path: Path, videos: TrainData, monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([3.0, 1.0, 2.0, 1.5])
    config = replace(CONFIG, steps=4, keep=1, validate_every=4, validation_samples=2, pictures_every=0)
    monkeypatch.setattr(ToyStage, "best", ("error", False))
    monkeypatch.setattr(ToyStage, "measure", lambda self, batch, nets: {"error": torch.tensor([next(values)])})
    train_toy(tmp_path, videos, config)
    assert best_of(tmp_path) == Best(2, "error", 1.0)
    assert [open_checkpoint(path).meta.step for path in list_checkpoints(tmp_path)] == [2, 4]
    assert json.loads((tmp_path / "best.json").read_text())["checkpoint"] == "checkpoints/step-000000002"


@pytest.mark.parametrize("kind", ["missing", "pipe", "deep", "text", "folder"])
def test_what_is_best_cannot_be_told_from_a_strange_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "best.json"
    if kind == "pipe":
        os.mkfifo(path)  # whoever opened it without care would wait for ever
    elif kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_text("[" * 100_000 if kind == "deep" else '{"step": "many"}')
    assert best_of(tmp_path) is None


def test_a_better_one_lets_the_best_before_go(
    tmp_path: Path, videos: TrainData, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([1.0, 2.0, 3.0, 2.5])
    config = replace(CONFIG, steps=4, keep=1, validate_every=4, validation_samples=2, pictures_every=0)
    monkeypatch.setattr(ToyStage, "best", ("psnr_db", True))
    monkeypatch.setattr(ToyStage, "measure", lambda self, batch, nets: {"psnr_db": torch.tensor([next(values)])})
    train_toy(tmp_path, videos, config)
    assert [open_checkpoint(path).meta.step for path in list_checkpoints(tmp_path)] == [3, 4]


def test_concerns_go_to_log_and_terminal(tmp_path: Path, videos: TrainData, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(CONFIG, steps=2, validate_every=8, validation_samples=2, pictures_every=0)
    trainer = trainer_of(tmp_path, videos, config)
    told: list[str] = []
    monkeypatch.setattr(trainer.progress, "notice", told.append)
    monkeypatch.setattr(ToyStage, "concerns", lambda self, figures, done: [f"done {done}, {sorted(figures)}"])
    trainer.run()
    lines = [line["text"] for line in read_log(tmp_path) if line["kind"] == "warning"]
    assert lines == ["done 1.0, ['l1']"]
    assert f"step 2: {lines[0]}" in told
    assert any("step 1 of 2: loss" in line and "images/s" in line for line in told)


def test_the_terminal_is_told_the_step_of_all_also_after_a_resume(
    tmp_path: Path, videos: TrainData, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_toy(tmp_path, videos, stop=2)
    trainer = trainer_of(tmp_path, videos)
    told: list[str] = []
    monkeypatch.setattr(trainer.progress, "notice", told.append)
    trainer.run()
    assert re.fullmatch(r"step 3 of 4: loss \d+\.\d{4}, \d+\.\d images/s", told[0])


def test_a_run_of_other_nets_cannot_go_on(tmp_path: Path, videos: TrainData) -> None:
    train_toy(tmp_path, videos, stop=2)
    trainer = trainer_of(tmp_path, videos)
    next(iter(trainer.stage.nets.values())).register_buffer("later", torch.zeros(1))
    with pytest.raises(InputError, match=r"1 keys missing \(later\); .*another version.*--output"):
        trainer.restore(open_checkpoint(tmp_path))


def test_intervals_count_samples(tmp_path: Path, videos: TrainData) -> None:
    config = replace(
        CONFIG, steps=6, checkpoint_every=8, milestone_every=12, keep=1, pictures_every=8, validate_every=8, log_every=3
    )
    train_toy(tmp_path, videos, config)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-000000003", "step-000000006"]
    pictures = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert pictures == ["images-000000008.png", "images-000000016.png", "images-000000024.png"]
    lines = [(line["kind"], line["step"]) for line in read_log(tmp_path)]
    assert lines == [("validation", 1), ("train", 2), ("validation", 3), ("train", 5), ("validation", 5)]


def test_finished_run_does_nothing(tmp_path: Path, videos: TrainData) -> None:
    train_toy(tmp_path, videos)
    before = tensors_of(tmp_path)
    _, ended = train_toy(tmp_path, videos)
    assert (ended.reason, ended.steps_here) == ("finished", 0)
    assert_same(tmp_path, tmp_path)
    assert before.keys() == tensors_of(tmp_path).keys()


def test_batch_that_does_not_divide_is_refused(tmp_path: Path) -> None:
    from avatarkit.errors import UsageError

    with pytest.raises(UsageError, match="batch=4 does not divide by 1 processes x accumulation=3"):
        trainer_of(tmp_path, video_data(), replace(CONFIG, accumulation=3))
