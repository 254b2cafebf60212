"""The one training loop; what a stage is it learns from `Stage`."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator

from avatarkit.checkpoint import Best, Checkpoint, Meta, mark_best, prune, write_checkpoint
from avatarkit.nets.convs import advance_norms
from avatarkit.runtime import Progress
from avatarkit.training import hardware, state
from avatarkit.training.config import TrainConfig
from avatarkit.training.doubts import Doubts, diverged
from avatarkit.training.ema import Ema
from avatarkit.training.failures import LostWorkerError, out_of_memory_explained
from avatarkit.training.feed import Passes, read_batches
from avatarkit.training.meters import Meters
from avatarkit.training.schedule import learning_rate
from avatarkit.training.signals import StopRequests
from avatarkit.training.sources import TrainData
from avatarkit.training.stage import Batch, Outcome, Stage
from avatarkit.training.watch import Watch
from avatarkit.training.writer import Writer
from avatarkit.weights.errors import WrongFile
from avatarkit.weights.load import load_into

Reason = Literal["finished", "asked to stop", "out of time", "stopped early"]


@dataclass(frozen=True)
class RunOptions:
    """How to run, none of which changes the result.

    out: the run's folder. workers: processes that read ahead. max_minutes: save and leave after this time.
    stop_at_step: save and leave after this many steps in all.
    """

    out: Path
    workers: int = 0
    max_minutes: float | None = None
    stop_at_step: int | None = None


@dataclass(frozen=True)
class Origin:
    """What a run's checkpoints say about where it comes from; see `checkpoint.Meta`."""

    nets: dict[str, Any]
    parents: dict[str, str]
    dataset: dict[str, Any]
    code: dict[str, str]


@dataclass(frozen=True)
class Ended:
    """How far a run got: steps done in all and by this process, samples seen in all, and why it ended."""

    step: int
    steps_here: int
    images: int
    seconds: float
    reason: Reason
    figures: dict[str, float]


class Trainer:
    """Trains one stage from where its run stands until it is finished or asked to stop."""

    def __init__(
        self,
        stage: Stage,
        config: TrainConfig,
        data: TrainData,
        origin: Origin,
        accelerator: Accelerator,
        options: RunOptions,
        progress: Progress,
    ) -> None:
        self.stage, self.config, self.data = stage, config, data
        self.accelerator, self.options, self.progress = accelerator, options, progress
        self._origin = origin
        stage.to(accelerator.device).train()
        groups = stage.parameter_groups()
        self._trained = [weight for group in groups for weight in group["params"]]
        optim = config.optim
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            "nets": torch.optim.AdamW(
                groups,
                lr=optim.lr,
                betas=(optim.beta1, optim.beta2),
                eps=optim.eps,
                weight_decay=optim.weight_decay,
                # One kernel for all weights; on MPS it is not there in all releases.
                fused=accelerator.device.type in ("cpu", "cuda"),
            )
        }
        self._adversary = stage.adversary
        if self._adversary is not None:
            # Prepared for evaluation: mixed precision without a wrapper that would exchange gradients itself.
            accelerator.prepare_model(self._adversary.discriminator, evaluation_mode=True)
            self.optimisers["discriminator"] = self._adversary.optimiser
        self.ema = Ema(stage.nets, config.ema) if config.ema else None
        if config.compile:
            # Part by part: whole stages draw their augmentation by plain numbers, which change from step to step.
            adversaries = [] if self._adversary is None else [self._adversary.discriminator]
            for part in [*stage.compiled_parts(), *adversaries]:
                # Shapes are those of the first step for good; torch would take a second one for a sign of many.
                part.compile(dynamic=False)
        self._model = accelerator.prepare_model(stage)
        self.step = 0
        self._saved_step = -1
        self._doubts, self._writer = Doubts(), Writer()
        self._reading: Iterator[Batch] = iter(())

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint of this run.

        Raises:
            InputError: it is damaged, or its tensors are not those of these nets.
        """
        parts = checkpoint.tensors
        try:
            for name, net in self.stage.nets.items():
                load_into(net, parts(name), checkpoint.folder, f"net {name}")
                if self.ema is not None:
                    load_into(self.ema.nets[name], parts(f"{name}.ema"), checkpoint.folder, f"averaged net {name}")
        except WrongFile as error:
            raise WrongFile(f"{error}; a run of another version cannot go on: choose another --output") from error
        if self._adversary is not None:
            discriminator = self._adversary.discriminator
            load_into(discriminator, parts("discriminator"), checkpoint.folder, "discriminator").train()
        self.stage.train()
        state.unpack(self.optimisers, parts("trainer"), checkpoint.trainer(), checkpoint.folder)
        self.step = self._saved_step = checkpoint.meta.step

    def run(self) -> Ended:
        """Train.

        Raises:
            TrainingError: a loss or gradient is no longer a number (the batch is saved), or memory ran out.
            OutputError: a checkpoint or log cannot be written; of a checkpoint it is raised after a later step.
        """
        began, first = time.monotonic(), self.step
        early = self.options.stop_at_step
        if self.step >= self.config.steps or (early is not None and self.step >= early):
            reason: Reason = "finished" if self.step >= self.config.steps else "stopped early"
            return Ended(self.step, 0, self.images, 0.0, reason, {})
        watch = Watch(self, self.options.out, first)
        meters = Meters(self.accelerator)
        reported = out_of_memory_explained(self.config, self.accelerator.num_processes)
        with StopRequests() as requests, watch, reported, self._writer, closing(self._batches()) as batches:
            self.progress.stage("train", (self.config.steps - first) * self.config.batch, "samples")
            due: Reason | None = None
            self._reading = batches
            while due is None:
                try:
                    self._set_learning_rate()
                    advance_norms(*self._trained_nets())
                    meters.add(self.stage.take_step(self), self.config.batch)
                except LostWorkerError:
                    if requests.received is None or self.accelerator.num_processes > 1:
                        raise
                    # Whoever asked this process to end has ended its readers, before the step that waited for them.
                    due = "asked to stop"
                    break
                before, self.step = self.images, self.step + 1
                if self.ema is not None:
                    self.ema.update(self.stage.nets, self.step - 1)
                self.progress.advance(self.config.batch)
                due = self._reason_to_stop(requests, began)
                watch.after_step(before, meters, last=due is not None)
                self._writer.check()
            if self.step > first:
                self.save()
            self._writer.wait()
            self.accelerator.wait_for_everyone()
        seconds = time.monotonic() - began
        return Ended(self.step, self.step - first, self.images, seconds, due, watch.figures)

    @property
    def images(self) -> int:
        """Samples seen so far, by all processes."""
        return self.step * self.config.batch

    def save(self, *, milestone: bool = False, best: Best | None = None) -> None:
        """Copy the state for a checkpoint, unless this step has one; it is written while the training goes on.

        One process does so. When the checkpoint stands, it is marked as the best one where it is, and old ones go.
        """
        if self._saved_step == self.step:
            return
        self.check_finite()
        self._saved_step = self.step
        if not self.accelerator.is_main_process:
            return
        parts: dict[str, Mapping[str, torch.Tensor]] = {name: net.state_dict() for name, net in self.stage.nets.items()}
        if self.ema is not None:
            parts |= {f"{name}.ema": net.state_dict() for name, net in self.ema.nets.items()}
        if self._adversary is not None:
            parts["discriminator"] = self._adversary.discriminator.state_dict()
        tensors, plain = state.pack(self.optimisers)
        meta = Meta(
            stage=self.config.stage,
            preset=self.config.preset,
            step=self.step,
            images=self.images,
            config=asdict(self.config),
            milestone=milestone,
            **vars(self._origin),
        )
        # Two copies at once would be one too many.
        self._writer.wait()
        copies = {name: state.copied(part) for name, part in parts.items()}
        self._writer.begin(partial(self._write, meta, copies, (state.copied(tensors), plain), best))

    def _write(
        self,
        meta: Meta,
        parts: Mapping[str, Mapping[str, torch.Tensor]],
        trainer: tuple[Mapping[str, torch.Tensor], dict[str, Any]],
        best: Best | None,
    ) -> None:
        out = self.options.out
        write_checkpoint(out, meta, parts, trainer)
        if best is not None:
            mark_best(out, best)
        prune(out, self.config.keep)

    def _batches(self) -> Generator[Batch, None, None]:
        here = self.accelerator
        passes = Passes(self.config.batch, self.config.accumulation, here.process_index, here.num_processes, self.step)
        pin = here.device.type == "cuda"
        for batch in read_batches(self.data.train, passes, self.options.workers, pin=pin):
            yield hardware.to_device(batch, here.device)

    def next_batch(self) -> Batch:
        """The samples of the next pass."""
        return next(self._reading)

    def backward(self, loss: torch.Tensor) -> None:
        """Add a loss's gradients, scaled as mixed precision and several processes want it."""
        self.accelerator.backward(loss)

    def _trained_nets(self) -> list[torch.nn.Module]:
        return [self.stage.nets] if self._adversary is None else [self.stage.nets, self._adversary.discriminator]

    def _set_learning_rate(self) -> None:
        rate = learning_rate(self.step, self.config.steps, self.config.optim)
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = rate * group.get("lr_scale", 1.0)

    def plain_step(self) -> dict[str, torch.Tensor]:
        """One optimiser step; returns the mean of each loss over this process's passes, unweighted."""
        reported: dict[str, torch.Tensor] = {}
        seen: list[tuple[list[int], torch.Tensor]] = []
        passes = self.config.accumulation
        self.optimisers["nets"].zero_grad(set_to_none=True)
        for number in range(passes):
            batch = self.next_batch()
            last = number == passes - 1
            with nullcontext() if last else self.accelerator.no_sync(self._model):
                outcome = self._model(batch)
                terms = self._terms(outcome)
                total = sum((self._weight(name) * term for name, term in terms.items()), start=torch.zeros(()))
                self.backward(total)
            # After the generator's losses, so that all passes of a step see the same discriminator.
            more = self._teach_adversary(outcome)
            seen.append((batch["positions"], total.detach()))
            for name, value in {**terms, **more, "total": total}.items():
                reported[name] = reported.get(name, 0.0) + value.detach() / passes
        limit = self.config.optim.clip_norm or float("inf")
        reported["gradient_norm"] = torch.nn.utils.clip_grad_norm_(self._trained, limit)
        if self._adversary is not None:
            discriminator = self._adversary.discriminator
            hardware.average_gradients(self.accelerator, discriminator)
            reported["discriminator_norm"] = torch.nn.utils.clip_grad_norm_(discriminator.parameters(), limit)
        self._doubts.add(self.step, reported, seen)
        for optimiser in self.optimisers.values():
            optimiser.step()
        if self._adversary is not None:
            self._adversary.optimiser.zero_grad(set_to_none=True)
        return reported

    def _terms(self, outcome: Outcome) -> dict[str, torch.Tensor]:
        """The losses of the trained nets that have weights."""
        terms = dict(outcome["terms"])
        if self._adversary is not None:
            for prefix, (fake, real) in outcome["fakes"].items():
                terms |= {prefix + name: term for name, term in self._adversary.loss(fake, real).items()}
        return {name: term for name, term in terms.items() if self._weight(name)}

    def _teach_adversary(self, outcome: Outcome) -> dict[str, torch.Tensor]:
        """Gradients of the discriminator from one pass, all pairs at once; its loss and mean logits."""
        if self._adversary is None or not outcome["fakes"]:
            return {}
        pairs = outcome["fakes"].values()
        reported = self._adversary.teach(
            torch.cat([fake for fake, _ in pairs]).detach(),
            torch.cat([real for _, real in pairs]),
            backward=self.accelerator.backward,
        )
        return reported

    def _weight(self, name: str) -> float:
        return self.config.weights_at(self.step).get(name, 0.0)

    def _reason_to_stop(self, requests: StopRequests, began: float) -> Reason | None:
        if self.step >= self.config.steps:
            return "finished"
        limit, early = self.options.max_minutes, self.options.stop_at_step
        late = limit is not None and time.monotonic() - began >= 60 * limit
        asked = requests.received is not None
        if self.step % self.config.log_every == 0:
            asked, late = hardware.any_process(self.accelerator, asked, late)
        elif self.accelerator.num_processes > 1:
            # All must leave after the same step, and to agree on it they would wait for their devices.
            asked = late = False
        if asked:
            return "asked to stop"
        if late:
            return "out of time"
        return "stopped early" if early is not None and self.step >= early else None

    def check_finite(self) -> None:
        """Ask whether all steps since the last time gave numbers; their weights are to be used for nothing before.

        Gradients are means over all processes, so all of them come to the same answer.

        Raises:
            TrainingError: one did not; its batch is saved.
        """
        doubt = self._doubts.first()
        if doubt is None:
            return
        folder = self.options.out / "diverged" / f"step-{doubt.step:09d}-process-{self.accelerator.process_index}"
        raise diverged(doubt, self.data.train, folder)
