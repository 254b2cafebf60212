"""What `compile` changes of the losses of a base model's training on a CPU, and whether steps compile anew.

    python benchmarks/compiled.py --data DATASET --work DIR [--double] [--steps 20] [--check]

The first steps of `tiny-64`. Each row is a training beside one that is not compiled: the largest difference of any loss
at some steps and at all, as a share of the loss where that is above 1.

- nudged: not compiled, from weights that differ by 1e-7 of themselves (1e-16 with --double), as by rounding;
- compiled;
- compiled, same weights: with the other's weights put in before each step, so that differences cannot grow.

With --double networks compute in double precision, where rounding does not move a ReLU to its other side, so that
differences of the last bit stay as small as they are.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from learning_runs import Found, Limits, clip_data, configured, make_trainer, run_proof
from tables import Bar, Row, Verdict
from torch import Tensor, nn

from avatarkit.data.pairs import PairDataset
from avatarkit.data.samples import SampleSpec
from avatarkit.training.sources import TrainData

PRESET = "tiny-64"
SHOWN = (1, 2, 3, 5, 10)
NUDGES = {False: 1e-7, True: 1e-16}
Weights = list[dict[str, Tensor]]


@dataclass
class Trained:
    """Of each step its losses, the weights before it, and how many graphs had been compiled after it."""

    losses: list[dict[str, float]]
    weights: list[Weights]
    graphs: list[int]


def main(argv: Sequence[str] | None = None) -> int:
    """Compare the trainings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a dataset of videos")
    parser.add_argument("--work", type=Path, required=True, help="folder of results")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--double", action="store_true", help="networks in double precision")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    return run_proof(compiled, parser.parse_args(argv, argparse.Namespace(proof="compiled")))


def compiled(options: argparse.Namespace) -> Found:
    """Differences of each training, and the bars."""
    torch.set_num_threads(options.threads)
    double = options.double
    plain = trained(options, double=double)
    others = {
        "nudged": trained(options, double=double, nudge=NUDGES[double]),
        "compiled": trained(options, double=double, compiles=True),
        "compiled, same weights": trained(options, double=double, compiles=True, weights=plain.weights),
    }
    rows: list[Row] = []
    largest: dict[str, float] = {}
    for name, other in others.items():
        apart = [_apart(*pair) for pair in zip(plain.losses, other.losses, strict=True)]
        largest[name] = max(apart)
        shown = {f"step {step}": apart[step - 1] for step in SHOWN if step <= len(apart)}
        rows.append({"training": name, **shown, "largest": largest[name], "graphs": other.graphs[-1]})
    anew = max(other.graphs[-1] - other.graphs[1] for other in others.values())
    return rows, [
        Verdict(Bar("graphs compiled after the second step", "<=", 0), anew),
        Verdict(Bar("losses apart, compiled, same weights", "<=", 1e-4), largest["compiled, same weights"]),
        Verdict(Bar("losses apart, compiled", "<=", 1e-4), largest["compiled"]),
    ]


def trained(
    options: argparse.Namespace,
    *,
    compiles: bool = False,
    nudge: float = 0.0,
    double: bool = False,
    weights: Sequence[Weights] | None = None,
) -> Trained:
    """Train so many steps; `weights` are put in before each."""
    import torch._dynamo as dynamo

    dynamo.reset()
    dynamo.utils.counters.clear()
    limits = Limits(options.steps, None, options.threads, "cpu")
    sets = (f"compile={str(compiles).lower()}", "ema=0", "pictures_every=0", "checkpoint_every=0")
    config = replace(configured("base", PRESET, sets, limits), log_every=options.steps)
    out = options.work / "run"
    shutil.rmtree(out, ignore_errors=True)
    trainer = make_trainer(config, _data(options.data), out, limits, None, None)
    assert trainer.stage.adversary is not None
    nets: list[nn.Module] = [trainer.stage.nets, trainer.stage.adversary.discriminator]
    if double:
        for part in [trainer.stage, *trainer.stage.compiled_parts(), nets[1]]:
            part.double().register_forward_pre_hook(lambda part, inputs: _wide(inputs))
    draws = torch.Generator().manual_seed(0)
    for parameter in (one for net in nets for one in net.parameters()):
        noise = torch.randn(parameter.shape, generator=draws, dtype=parameter.dtype)
        parameter.data.mul_(1 + nudge * noise)
    result = Trained([], [], [])

    def step(steps: object) -> dict[str, Tensor]:
        if weights is not None:
            for net, state in zip(nets, weights[len(result.losses)], strict=True):
                net.load_state_dict(state)
        result.weights.append([{name: value.clone() for name, value in net.state_dict().items()} for net in nets])
        figures = trainer.plain_step()
        result.losses.append({name: float(value) for name, value in figures.items() if not name.endswith("_norm")})
        result.graphs.append(dynamo.utils.counters["stats"]["unique_graphs"])
        return figures

    trainer.stage.take_step = step  # type: ignore[method-assign]
    trainer.run()
    return result


def _data(folder: Path) -> TrainData:
    dataset = PairDataset(folder, "train", 0, 64, sample=SampleSpec(candidates=1))
    return clip_data(dataset, dataset, 64)


def _wide(value: Any) -> Any:
    """Floats in double precision, also those within tables and tuples."""
    if isinstance(value, Mapping):
        return {name: _wide(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return tuple(map(_wide, value))
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value


def _apart(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    return max(abs(value - other[name]) / max(1.0, abs(value)) for name, value in one.items())


if __name__ == "__main__":
    sys.exit(main())
