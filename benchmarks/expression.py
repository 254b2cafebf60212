"""What a trained base model does with its driver's expression, on people that it was trained on and on others.

    python benchmarks/expression.py RUN --data DATASET --work DIR [--check]

RUN is a checkpoint, or a run, of which the newest one is taken. Of each split all people are driven: `--each` pairs a
person, the driver being that of eight frames that differs most from the source. A tracker reads mouth and lids of what
is drawn; `moved` is 1 - error / copy, where copy is the error of the source's own mouth: 0 where it stays as it was,
1 where it is the driver's, and `readable` is `moved` of the driver's own picture at the network's size, which is as
much as the tracker can find. DIR/sheet-SPLIT.png shows five sources under five expressions
of others. `_pixels` are 1 - error / that of the same picture drawn with the source's expression, by L1 around the part.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from learning_runs import Found, run_proof
from tables import Bar, Row, Verdict
from torch import Tensor
from torch.utils.data import default_collate

from avatarkit.checkpoint import open_checkpoint
from avatarkit.data.pairs import PairDataset
from avatarkit.data.samples import SampleSpec
from avatarkit.media.image import write_image
from avatarkit.systems.megaportraits.base import Base
from avatarkit.systems.megaportraits.load import load_base
from avatarkit.systems.megaportraits.stages.base import BaseStage
from avatarkit.systems.megaportraits.stages.config import BaseTrain
from avatarkit.systems.megaportraits.stages.drive import drive, encode, motion_code
from avatarkit.systems.megaportraits.stages.frames import prepared
from avatarkit.systems.megaportraits.stages.perceptual import Perceptual
from avatarkit.systems.megaportraits.stages.tracked import tracked_figures
from avatarkit.training.pictures import sheet
from avatarkit.training.resolve import from_mapping

SPLITS = {"train": "trained", "val": "unseen"}
CANDIDATES = 8
AT_ONCE = 8
SHOWN = 5
PARTS = ("mouth", "lid")
REPORTED = (
    "face_psnr_db", "z_change", "other_z_change", "pose_change", "z_spread", "z_motion", "same_cosine", "other_cosine",
    "mouth_opening_error", "copy_mouth_opening_error", "pose_error_deg", "face_seen",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Measure one checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run of train base, or a checkpoint of it")
    parser.add_argument("--data", type=Path, required=True, help="the dataset that it was trained on")
    parser.add_argument("--work", type=Path, required=True, help="folder of results")
    parser.add_argument("--each", type=int, default=4, help="pairs of each person")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    return run_proof(expression, parser.parse_args(argv, argparse.Namespace(proof="expression")))


def expression(options: argparse.Namespace) -> Found:
    """Figures of both splits, their sheets, and the bars."""
    torch.set_num_threads(options.threads)
    checkpoint = open_checkpoint(options.run)
    base = load_base(checkpoint)
    stage = BaseStage(from_mapping(BaseTrain, checkpoint.meta.config, "config"), base, Perceptual({}), None).eval()
    rows: list[Row] = []
    for split, people in SPLITS.items():
        spec = SampleSpec(candidates=CANDIDATES)
        samples = PairDataset(options.data, split, options.seed, base.config.size, sample=spec)  # type: ignore[arg-type]
        figures = measured(stage, samples, options.each)
        rows.append({"people": people, "steps": checkpoint.meta.step, **figures})
        write_image(options.work / f"sheet-{split}.png", crossed(base, samples))
    trained, unseen = ({name: float(row[name] or 0) for name in ("mouth_moved", "z_change", "gain_db")} for row in rows)
    return rows, [
        Verdict(Bar("mouth nearer to the driver's than the source's, trained", ">=", 0.3), trained["mouth_moved"]),
        Verdict(Bar("change of the output by another expression, trained", ">=", 0.0017), trained["z_change"]),
        Verdict(Bar("face PSNR over copying the source, unseen, dB", ">=", 0), unseen["gain_db"]),
    ]


@torch.no_grad()
def measured(stage: BaseStage, samples: PairDataset, each: int) -> dict[str, float]:
    """Means over `each` pairs of each person, and what follows from them."""
    parts: list[dict[str, Tensor]] = []
    pairs = _of_each_person(samples, each)
    for first in range(0, len(pairs), AT_ONCE):
        batch = prepared(default_collate(pairs[first : first + AT_ONCE]))
        read = tracked_figures({"read_": batch["driver"]["image"]}, batch["source"], [batch["driver"]])
        parts.append(stage.measure(batch, stage.nets) | read)
    joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    result = {"pairs": float(len(pairs))}
    for before in ("", "cross_"):
        for part in PARTS:
            name = f"{before}{part}_opening_error"
            result[f"{before}{part}_moved"] = _moved(joined[name], joined[f"copy_{name}"])
    for part in PARTS:
        name = f"{part}_opening_error"
        result[f"{part}_readable"] = _moved(joined[f"read_{name}"], joined[f"copy_{name}"])
        result[f"{part}_pixels"] = 1 - float(joined[f"{part}_error"].mean() / joined[f"{part}_error_unmoved"].mean())
    result["gain_db"] = float((joined["face_psnr_db"] - joined["copy_face_psnr_db"]).mean())
    return result | {name: float(joined[name].nanmean()) for name in REPORTED}


def _moved(error: Tensor, copy: Tensor) -> float:
    """Over the pairs whose face is seen in what was drawn."""
    seen = error.isfinite()
    return 1 - float(error[seen].mean() / copy[seen].mean())


def _of_each_person(samples: PairDataset, each: int) -> list[dict[str, Any]]:
    """The first samples of the endless order that show each person so many times."""
    wanted = {clip.identity: each for clip in samples.clips}
    result, position = [], 0
    while any(wanted.values()):
        sample = samples[position]
        who = samples.clips[int(sample["clip"])].identity
        if wanted[who]:
            wanted[who] -= 1
            result.append(sample)
        position += 1
    return result


@torch.no_grad()
def crossed(base: Base, samples: PairDataset) -> Any:
    """Five sources, a row each, driven by five frames of other people that stand in the first row."""
    drivers = [_frame(samples, *place) for place in _expressive(samples)]
    people = {clip.identity: clip.clip_id for clip in samples.clips}
    sources = [_frame(samples, clip, 0) for clip in list(people.values())[-SHOWN:]]
    columns = {"source": torch.cat([torch.ones_like(sources[0]["image"]), *(source["image"] for source in sources)])}
    codes = [encode(base, source) for source in sources]
    for number, driver in enumerate(drivers):
        z = motion_code(base, driver["image"], driver["head"])
        drawn = [drive(base, code, driver, z).image for code in codes]
        columns[f"driver {number + 1}"] = torch.cat([driver["image"], *drawn])
    return sheet(columns)


def _frame(samples: PairDataset, clip: str, index: int) -> Mapping[str, Any]:
    return prepared(default_collate([samples.frame(clip, index)]))


def _expressive(samples: PairDataset) -> list[tuple[str, int]]:
    """Frames of five people: by turns the widest open mouth and the most closed eyes of those that are left."""
    mouths: dict[str, tuple[float, str, int]] = {}
    lids: dict[str, tuple[float, str, int]] = {}
    for entry in samples.dataset.entries(samples.split):
        reader, who = samples.dataset.reader(entry.shard), entry.info.identity
        opened = reader.clip_column("mouth_opening", entry.place)
        shut = -reader.clip_column("eye_opening", entry.place).mean(axis=1)
        for best, values in ((mouths, opened), (lids, shut)):
            index = int(np.argmax(values))
            best[who] = max(best.get(who, (-np.inf, "", 0)), (float(values[index]), entry.info.clip_id, index))
    chosen = []
    for number in range(min(SHOWN, len(mouths))):
        best = (mouths, lids)[number % 2]
        who = max(best, key=best.__getitem__)
        chosen.append(best[who][1:])
        del mouths[who], lids[who]
    return chosen


if __name__ == "__main__":
    sys.exit(main())
