from pathlib import Path

import cv2
import loader
import numpy as np
import pytest
from media_set import BenchmarkError

from avatarkit.data.pairs import PairDataset
from avatarkit.data.samples import SampleSpec


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Two videos of 30 frames, each of one grey level that rises from frame to frame."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(2):
        writer = cv2.VideoWriter(str(folder / f"c{number}.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, (64, 48))
        for level in range(30):
            writer.write(np.full((48, 64, 3), 50 + 4 * level, np.uint8))
        writer.release()
    return folder


def test_shards_and_seeking_are_measured_on_the_same_videos(clips, tmp_path, monkeypatch):
    monkeypatch.setattr(loader, "SECONDS", 0.05)
    paths = loader.videos_in(clips)
    rows = loader.loader_rows(paths, None, tmp_path)
    assert [row["what"].split(":")[0] for row in rows][:4] == ["shards"] * 3 + ["videos"]
    assert all(row["pairs_per_s"] > 0 and row["pairs"] > 0 for row in rows)
    verdicts = loader.loader_verdicts(
        [{"what": "shards: pair", "pairs_per_s": 90.0}, {"what": "videos", "pairs_per_s": 2.0}]
    )
    assert [(verdict.figure, verdict.word) for verdict in verdicts] == [(90.0, "FAIL"), (45.0, "pass")]


def test_seeking_gives_the_same_frames_as_the_shards(clips, tmp_path):
    paths = loader.videos_in(clips)
    pairs = PairDataset(loader.make_dataset(paths, tmp_path / "shards"), "train", 0, sample=SampleSpec(other=False))
    seek = loader.OpenCVSeek(paths)
    for position in range(4):
        place, indices = loader.random_pair([30, 30], position)
        for frame, index in zip(seek(position), indices, strict=True):
            stored = pairs.frame(f"c{place}", index)["image"]
            assert abs(float(stored.float().mean()) - float(frame.mean())) < 3


def test_a_folder_without_videos_is_said(tmp_path):
    with pytest.raises(BenchmarkError, match="fewer than two videos"):
        loader.videos_in(tmp_path)
