"""What happens beside the steps: log lines, pictures, validation, checkpoints, each after so many samples."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from avatarkit.training import hardware
from avatarkit.training.feed import fixed_batches
from avatarkit.training.logs import RunLog
from avatarkit.training.meters import Meters
from avatarkit.training.pictures import sheet
from avatarkit.training.stage import Batch

if TYPE_CHECKING:
    from avatarkit.training.loop import Trainer

PICTURE_ROWS = 4


class Watch:
    """Looks after one trainer's run; a `with` statement closes its logs."""

    def __init__(self, trainer: Trainer, first_step: int) -> None:
        self._trainer = trainer
        self._first_step = first_step
        self._log: RunLog | None = None
        self._stack = ExitStack()
        self.figures: dict[str, float] = {}

    def __enter__(self) -> Watch:
        if self._trainer.accelerator.is_main_process:
            self._log = RunLog(self._trainer.options.out, self._first_step)
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
        if last or step % config.log_every == 0:
            values = meters.take()
            values["lr"] = trainer.optimisers["nets"].param_groups[0]["lr"]
            self.figures |= values
            if self._log is not None:
                self._log.figures("train", step - 1, images, values)
        if self._log is not None:
            if config.validation_samples and (due(config.validate_every) or (finished and config.validate_every > 0)):
                self._validate(step, images)
            if due(config.pictures_every) or (finished and config.pictures_every > 0):
                self._log.picture(step - 1, images, self._sheet())
        milestone = due(config.milestone_every)
        if last or milestone or due(config.checkpoint_every):
            trainer.save(milestone=milestone)

    def _nets(self) -> nn.ModuleDict:
        ema = self._trainer.ema
        return self._trainer.stage.nets if ema is None else ema.nets

    def _batches(self, count: int, size: int) -> Iterator[Batch]:
        """The first samples of the validation split, or of the training split where it is empty."""
        data = self._trainer.data
        batches = fixed_batches(data.val or data.train, count, size)
        return (hardware.to_device(batch, self._trainer.accelerator.device) for batch in batches)

    def _validate(self, step: int, images: int) -> None:
        trainer = self._trainer
        kind = "validation" if trainer.data.val else "validation-on-train"
        per_pass = max(1, trainer.config.batch // trainer.config.accumulation)
        with self._looking():
            parts = [
                trainer.stage.measure(batch, self._nets())
                for batch in self._batches(trainer.config.validation_samples, per_pass)
            ]
        values = {name: float(torch.cat([part[name] for part in parts]).mean()) for name in parts[0]}
        self.figures |= {f"{kind}/{name}": value for name, value in values.items()}
        assert self._log is not None
        self._log.figures(kind, step - 1, images, values)

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
