"""The proofs about MetaPortrait still run: a step of each training, on drawn heads."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import metaportrait
import pytest
from learning_runs import Limits, clip_data, configured, train_stage

from avatarkit.data.pairs import PairDataset
from avatarkit.data.samples import SampleSpec

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
from synthetic_dataset import write_dataset

VERDICTS = {"heart": 5, "meta": 2, "temporal": 8, "identity": 2, "swapped": 2}
"""Bars of each; the other proofs are made of the same parts."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, and a recogniser of a step."""
    folder = tmp_path_factory.mktemp("proofs")
    data = write_dataset(folder / "data", people=2, frames=10, size=128)
    limits = Limits(1, None, 1, "cpu")
    dataset = PairDataset(data, "train", 0, 64, sample=SampleSpec(other=False))
    config = configured("metaportrait/identity", "tiny-64", ["batch=1", "pictures_every=0"], limits)
    train_stage(config, clip_data(dataset, dataset, 64), folder / "identity", limits)
    return folder


def test_proofs_run(made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(metaportrait, "META", ("inner_batch=1",))
    monkeypatch.setattr(metaportrait, "ADAPTED_AT", (0, 1))
    monkeypatch.setattr(metaportrait, "HELD", 1)
    folders = ["--data", made / "data", "--work", made / "work", "--identity", made / "identity"]
    short = ["--steps", "1", "--longer", "--few", "--inner-steps", "1", "--pairs", "1", "--threads", "1"]
    sets = ["--set", "batch=1", "--set", "pictures_every=0"]
    for proof, count in VERDICTS.items():
        assert metaportrait.main([proof, *map(str, folders), *short, *sets]) == 0
        found = json.loads((made / "work" / f"{proof}.json").read_text())
        assert len(found["verdicts"]) == count
        assert f"## {proof}" in capsys.readouterr().out
