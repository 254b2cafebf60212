"""What happens beside the steps: log lines, pictures, validation, checkpoints, each after so many samples."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import nn

from avatarkit.checkpoint import Best, best_of
from avatarkit.runtime import Progress
from avatarkit.training import hardware
from avatarkit.training.config import TrainConfig
from avatarkit.training.ema import Ema
from avatarkit.training.feed import fixed_batches
from avatarkit.training.logs import RunLog
from avatarkit.training.meters import Meters
from avatarkit.training.pictures import sheet
from avatarkit.training.sources import TrainData
from avatarkit.training.stage import Batch, Stage

PICTURE_ROWS = 4
TELL_EVERY_S = 60.0
"""How often the terminal is told step, loss and speed."""


class Training(Protocol):
    """What is looked after: a `Trainer`."""

    stage: Stage
    config: TrainConfig
    data: TrainData
    accelerator: Accelerator
    progress: Progress
    optimisers: dict[str, torch.optim.Optimizer]
    ema: Ema | None
    step: int

    @property
    def images(self) -> int:
        """Samples seen so far."""

    def save(self, *, milestone: bool = False, best: Best | None = None) -> None:
        """Write a checkpoint, and mark it as the best."""

    def check_finite(self) -> None:
        """Raise TrainingError where a step has not given numbers."""


class Watch:
    """Looks after one training; a `with` statement closes its logs."""

    def __init__(self, trainer: Training, out: Path, first_step: int) -> None:
        self._trainer, self._out = trainer, out
        self._first_step = first_step
        self._log: RunLog | None = None
        self._stack = ExitStack()
        self._told_s = -TELL_EVERY_S
        self._best = best_of(out)
        self.figures: dict[str, float] = {}

    def __enter__(self) -> Watch:
        if self._trainer.accelerator.is_main_process:
            self._log = RunLog(self._out, self._first_step)
            self._stack.callback(self._log.close)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def after_step(self, images_before: int, meters: Meters, *, last: bool) -> None:
        """Do what is due. `last`: the run ends here, so its state is logged and saved."""
        trainer = self._trainer
        config, step, images = trainer.config, trainer.step, trainer.images

        def due(every: int) -> bool:
            return every > 0 and images // every > images_before // every

        finished = step >= config.steps
        validates = config.validation_samples > 0 and (
            due(config.validate_every) or (finished and config.validate_every > 0)
        )
        draws = due(config.pictures_every) or (finished and config.pictures_every > 0)
        milestone = due(config.milestone_every)
        saves = last or milestone or due(config.checkpoint_every)
        if last or step % config.log_every == 0:
            # The one question to the device of all these steps: a mean tells whether any of them gave no number.
            values = meters.take()
            if not all(math.isfinite(value) for name, value in values.items() if name.endswith("_norm")):
                trainer.check_finite()
            values["lr"] = trainer.optimisers["nets"].param_groups[0]["lr"]
            self.figures |= values
            if self._log is not None:
                self._log.figures("train", step - 1, images, values)
                self._tell(values)
        elif validates or draws or saves:
            trainer.check_finite()
        best: Best | None = None
        if validates:
            # One process looks, all of them save.
            best = None if self._log is None else self._validate(step, images)
            (better,) = hardware.any_process(trainer.accelerator, best is not None)
            saves = saves or better
        if self._log is not None and draws:
            self._log.picture(step - 1, images, self._sheet())
        if saves:
            trainer.save(milestone=milestone, best=best)

    def _nets(self) -> nn.ModuleDict:
        ema = self._trainer.ema
        return self._trainer.stage.nets if ema is None else ema.nets

    def _batches(self, count: int, size: int) -> Iterator[Batch]:
        """The first samples of the validation split, or of the training split where it is empty."""
        data = self._trainer.data
        batches = fixed_batches(data.val or data.train, count, size)
        return (hardware.to_device(batch, self._trainer.accelerator.device) for batch in batches)

    def _tell(self, values: dict[str, float]) -> None:
        """How the training stands, now and then."""
        now = time.monotonic()
        if now - self._told_s >= TELL_EVERY_S and {"total", "images_per_s"} <= values.keys():
            self._told_s = now
            trainer = self._trainer
            trainer.progress.notice(
                f"step {trainer.step} of {trainer.config.steps}: loss {values['total']:.4f},"
                f" {values['images_per_s']:.1f} images/s"
            )

    def _validate(self, step: int, images: int) -> Best | None:
        """Measure; returns what it gave where no validation of this run was better."""
        trainer = self._trainer
        kind = "validation" if trainer.data.val else "validation-on-train"
        per_pass = max(1, trainer.config.batch // trainer.config.accumulation)
        with self._looking():
            parts = [
                trainer.stage.measure(batch, self._nets())
                for batch in self._batches(trainer.config.validation_samples, per_pass)
            ]
        # Some figures are unknown for some samples.
        values = {name: float(torch.cat([part[name] for part in parts]).nanmean()) for name in parts[0]}
        self.figures |= {f"{kind}/{name}": value for name, value in values.items()}
        assert self._log is not None
        self._log.figures(kind, step - 1, images, values)
        for line in trainer.stage.concerns(values, step / trainer.config.steps):
            self._log.warning(step - 1, images, line)
            trainer.progress.notice(f"step {step}: {line}")
        return self._if_best(step, values)

    def _if_best(self, step: int, values: dict[str, float]) -> Best | None:
        rule = self._trainer.stage.best
        if rule is None:
            return None
        figure, higher = rule
        before = self._best
        # A run that goes on from an older checkpoint may have been better in a future that is gone.
        if before is not None and before.step < step and (before.value > values[figure]) == higher:
            return None
        self._best = Best(step, figure, values[figure])
        return self._best

    def _sheet(self) -> NDArray[np.uint8]:
        with self._looking():
            batch = next(self._batches(PICTURE_ROWS, PICTURE_ROWS))
            return sheet(self._trainer.stage.pictures(batch, self._nets()))

    @contextmanager
    def _looking(self) -> Iterator[None]:
        """Evaluation mode without gradients, at the training's precision."""
        stage = self._trainer.stage
        stage.eval()
        try:
            with torch.no_grad(), self._trainer.accelerator.autocast():
                yield
        finally:
            stage.train()
