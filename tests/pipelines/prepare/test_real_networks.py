"""HyperIQA and MODNet inside prepare-data, with random weights of the right shape; other weights do not mix."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from prepare_kit import write_utterance

from avatarkit.data.dataset import Dataset
from avatarkit.data.ledger import read_table
from avatarkit.data.marks import read_selection
from avatarkit.data.shard import shard_path, stats_path
from avatarkit.data.split import SplitConfig
from avatarkit.errors import DependencyError, OutputError
from avatarkit.pipelines.prepare.config import PrepareJob, RunOptions
from avatarkit.pipelines.prepare.run import prepare
from avatarkit.pipelines.prepare.sources.voxceleb import VoxCeleb2
from avatarkit.prepare.config import PrepareConfig
from avatarkit.runtime import sha256_file
from avatarkit.weights import cache, lock

VIDEO = "driver_0000"
NETWORKS = "hyperiqa", "modnet"


def put_weights(patch: pytest.MonkeyPatch, folder: Path, seed: int) -> dict[str, str]:
    """Random weights of both networks, known to the registry here and in workers; returns their hashes."""
    folder.mkdir()
    patch.setenv("AVATARKIT_WEIGHTS", str(folder))
    table, known, hashes = dict(lock.weights()), {}, {}
    for name in NETWORKS:
        path = cache.path_of(lock.get(name))
        save_random(name, path, seed)
        hashes[name] = sha256_file(path)
        size = path.stat().st_size
        table[name] = dataclasses.replace(lock.get(name), size_bytes=size, sha256=hashes[name], md5=None)
        known[name] = [size, hashes[name]]
    patch.setattr(lock, "weights", lambda: table)
    patch.setenv("KIT_WEIGHTS", json.dumps(known))
    return hashes


def save_random(name: str, path: Path, seed: int) -> None:
    """A checkpoint with a network's keys and shapes; nothing is initialised, which would take seconds."""
    torch = pytest.importorskip("torch")
    from avatarkit.background.modnet_net import MODNet
    from avatarkit.quality.hyperiqa_net import HyperIQANet

    draw = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        net = {"hyperiqa": HyperIQANet, "modnet": MODNet}[name]()
    state = {key: torch.rand(tensor.shape, generator=draw).mul_(0.02).to(tensor.dtype)
             for key, tensor in net.state_dict().items()}  # fmt: skip
    torch.save(state, path)


def job_of(root: Path) -> PrepareJob:
    """Two frames of one utterance: a matte by MODNet takes half a second."""
    config = PrepareConfig(size=128, min_head_px=40, min_effective_px=0, min_frames=2, max_frames=2)
    return PrepareJob(
        VoxCeleb2(metadata=root / "txt", originals=root / "videos"), root / "out", config,
        SplitConfig(0, 0, 0), run=RunOptions(workers=1, processor="worker_kit:open_real"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def made(driver: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[PrepareJob, dict[str, str]]:
    """A dataset made where both networks' weights are, so that `auto` takes them; and their hashes."""
    root = tmp_path_factory.mktemp("networks")
    (root / "videos").mkdir()
    shutil.copyfile(driver, root / "videos" / f"{VIDEO}.mp4")
    write_utterance(root / "txt", "id00000", VIDEO, "00001", first=0, frames=10, at="0.25 \t0.2 \t0.45", height=0.6)
    job = job_of(root)
    with pytest.MonkeyPatch.context() as patch:
        hashes = put_weights(patch, root / "weights", seed=0)
        report = prepare(job)
    # Of the two networks here nothing is missing; a third one could do better.
    assert all("selfie-multiclass" in line for line in getattr(report, "advice", ()))
    return job, hashes


def test_names_and_hashes_are_stored_with_the_scores(made: tuple[PrepareJob, dict[str, str]]) -> None:
    job, hashes = made
    dataset = Dataset.open(job.out)
    [name] = dataset.shards()
    attributes = dataset.reader(name).attributes
    tools = {"scorer": "hyperiqa", "scorer_sha256": hashes["hyperiqa"],
             "matting": "modnet", "matting_sha256": hashes["modnet"]}  # fmt: skip
    assert {key: attributes[key] for key in tools} == tools
    assert {key: dataset.manifest.tools[key] for key in tools} == tools
    [clip] = dataset.clips()
    frames = dataset.reader(name).column("score")
    assert np.isfinite(frames).any()
    assert clip.score == pytest.approx(float(np.nanmean(frames)), rel=1e-5)
    selection = read_selection(job.out)
    assert selection is not None
    assert selection.rule["scorer"] == ["hyperiqa", hashes["hyperiqa"]]
    matte = dataset.reader(name).matte(0)
    assert (matte.shape, matte.dtype) == ((128, 128), np.uint8)
    assert matte.min() < matte.max()


def test_another_scorer_by_name_is_refused(made: tuple[PrepareJob, dict[str, str]]) -> None:
    job, _ = made
    other = dataclasses.replace(job, config=dataclasses.replace(job.config, iqa="sharpness"))
    with pytest.raises(OutputError, match=r"planned with iqa auto \(now sharpness\); use the same options"):
        prepare(other)


def test_other_weights_of_the_same_scorer_are_refused(
    made: tuple[PrepareJob, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, hashes = made
    own = dataclasses.replace(job, out=tmp_path / "out")
    shutil.copytree(job.out, own.out)
    [name] = Dataset.open(own.out).shards()
    shard_path(own.out, name).unlink()
    changed = put_weights(monkeypatch, tmp_path / "weights", seed=1)
    assert changed["hyperiqa"] != hashes["hyperiqa"]
    with pytest.raises(DependencyError, match=r"but the output was begun with .*; their results do not mix"):
        prepare(own)
    assert not stats_path(own.out, name).exists()
    assert read_table(own.out / "ledger.sqlite", "runs")[-1]["outcome"] != "finished"
