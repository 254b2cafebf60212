"""Every stage from the command's job to a checkpoint, each on the one before it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_samples import lines_of
from synthetic_dataset import write_dataset

from avatarkit.checkpoint import Checkpoint, open_checkpoint
from avatarkit.data.pairs import PairDataset
from avatarkit.data.samples import SampleSpec
from avatarkit.errors import InputError
from avatarkit.face.mirror import mirrored
from avatarkit.head.matrix import resized_px
from avatarkit.pipelines.train.run import TrainJob, train
from avatarkit.systems.metaportrait.config import PRESETS, check_lines, lines
from avatarkit.systems.metaportrait.load import load_enhancer, load_flow, load_identity, load_portrait

QUICK = (
    "batch=1", "validation_samples=1", "validate_every=1", "pictures_every=1", "checkpoint_every=0", "log_every=1",
)  # fmt: skip
SMALL_META = ("inner_steps=1", "inner_batch=1")
PARENTS = {
    "flow": (), "identity": (), "portrait": ("flow", "identity"), "meta": ("portrait",), "enhancer": ("portrait",),
    "temporal": ("portrait", "enhancer"),
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One step of each stage."""
    folder = tmp_path_factory.mktemp("runs")
    data = write_dataset(folder / "data", people=2, frames=6, size=128)
    for stage, parents in PARENTS.items():
        more = SMALL_META if stage == "meta" else ("frames=2",) if stage == "temporal" else ()
        given = {name: folder / name for name in parents}
        name, sets = f"metaportrait/{stage}", (*QUICK, *more)
        job = TrainJob(name, data, folder / stage, "tiny-64", None, sets, given, steps=1, device="cpu", workers=0)
        report = train(job)
        assert report.ended.reason == "finished", stage
    return folder


def test_every_stage_leaves_a_checkpoint_pictures_and_figures(runs: Path) -> None:
    for stage in PARENTS:
        checkpoint = open_checkpoint(runs / stage)
        assert checkpoint.meta.stage == f"metaportrait/{stage}"
        assert list((runs / stage).rglob("*.jpg")) + list((runs / stage).rglob("*.png")), stage


def test_portraits_start_at_the_flow_and_carry_the_recogniser_less_what_the_datas_people_share(runs: Path) -> None:
    flow, portrait = load_flow(open_checkpoint(runs / "flow")), load_portrait(open_checkpoint(runs / "portrait"))
    adapted = load_portrait(open_checkpoint(runs / "meta"))
    step = max(
        (one - other).abs().max().item()
        for one, other in zip(flow.parameters(), portrait.flow.parameters(), strict=True)
    )
    assert 0 < step < 1e-3
    own = load_identity(open_checkpoint(runs / "identity"))
    dataset = PairDataset(runs / "data", "train", 0, 64, sample=SampleSpec(other=False))
    people = {clip.identity: dataset.frame(clip.clip_id) for clip in dataset.clips}
    vectors = [own(one["image"][None].float() / 255, one["landmarks"][None]) for one in people.values()]
    known = {**own.state_dict(), "shared": (1 - 1 / len(people)) * torch.cat(vectors).mean(0)}
    assert known["shared"].any()
    for net in (portrait, adapted):
        for name, value in net.identity.state_dict().items():
            torch.testing.assert_close(value, known[name])
    moved = [not torch.equal(a, b) for a, b in zip(portrait.parameters(), adapted.parameters(), strict=True)]
    assert any(moved)


def test_a_run_that_goes_on_does_not_ask_its_people_again(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object) -> None:
        raise AssertionError("the checkpoint brings it")

    shutil.copytree(runs / "portrait", tmp_path / "portrait")
    monkeypatch.setattr("avatarkit.systems.metaportrait.stages.recipes.leave_out_shared", asked)
    given = {name: runs / name for name in PARENTS["portrait"]}
    again = TrainJob(
        "metaportrait/portrait", runs / "data", tmp_path / "portrait", "tiny-64", None, QUICK, given, steps=1,
        device="cpu", workers=0,
    )  # fmt: skip
    assert train(again).ended.steps_here == 0
    with pytest.raises(AssertionError, match="brings it"):
        train(replace(again, out=tmp_path / "new"))


def test_the_temporal_net_keeps_the_enhancer(runs: Path) -> None:
    alone = load_enhancer(open_checkpoint(runs / "enhancer"))
    windowed = load_enhancer(open_checkpoint(runs / "temporal"))
    assert windowed.config == replace(alone.config, windows=True)
    known = windowed.state_dict()
    for name, value in alone.state_dict().items():
        assert torch.equal(known[name], value), name


def test_the_loader_draws_the_frames_lines_and_those_of_its_mirror_image(runs: Path) -> None:
    spec = SampleSpec(other=False, window=3, lines="contours", lines_shrink=2)
    for frames in (PairDataset(runs / "data", "train", 0, 64, sample=spec)[0][name] for name in ("source", "driver")):
        points = frames["landmarks"].reshape(-1, 478, 3).numpy()
        lines = frames["lines"].reshape(-1, 2, 3, 32, 32).numpy()
        for landmarks, (own, turned) in zip(points, lines, strict=True):
            small = resized_px(landmarks, 64, 32)
            assert np.array_equal(own, lines_of(small, 32))
            assert np.array_equal(turned, lines_of(mirrored(small, 32), 32))


def forged(checkpoint: Checkpoint, folder: Path, change: dict[str, str]) -> Checkpoint:
    """The checkpoint with other lines in its configuration."""
    meta = json.loads((checkpoint.folder / "meta.json").read_text())
    meta["nets"]["portrait"]["config"]["flow"]["lines"].update(change)
    (folder / checkpoint.folder.name).mkdir()
    (folder / checkpoint.folder.name / "meta.json").write_text(json.dumps(meta))
    return open_checkpoint(folder / checkpoint.folder.name)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"landmarks": "dlib-68"}, "landmarks of another tracker .dlib-68."),
        ({"sha256": "0" * 64}, "other edges or colours of contours"),
        ({"name": "thin"}, "use one of dense, contours, sparse"),
    ],
)
def test_a_checkpoint_of_other_landmark_pictures_is_refused(
    runs: Path, tmp_path: Path, change: dict[str, str], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        load_portrait(forged(open_checkpoint(runs / "portrait"), tmp_path, change))


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_know_the_lines_of_this_program(preset: str) -> None:
    check_lines(PRESETS[preset].portrait.flow.lines, preset)
    assert lines("dense") != lines("contours")
