"""Small folders of fake videos, runs on them, and what a finished dataset consists of."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avatarkit.data.hold import LOCK
from avatarkit.data.split import SplitConfig
from avatarkit.pipelines.prepare.config import PrepareJob, RunOptions
from avatarkit.pipelines.prepare.sources.videos import IdentityFrom, Videos
from avatarkit.pipelines.prepare.sources.voxceleb import VoxCeleb2
from avatarkit.runtime import NullProgress

HERE = Path(__file__).resolve().parent
FAKE = "fake_processor:open_fake"


class Notices(NullProgress):
    """Progress that keeps what it is told."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.stages: list[tuple[str, int | None]] = []
        self.units: dict[str, str] = {}

    def stage(self, name: str, total: int | None, unit: str = "frames") -> None:
        self.stages.append((name, total))
        self.units[name] = unit

    def notice(self, text: str) -> None:
        self.notices.append(text)


def write_videos(folder: Path, words: list[str]) -> Path:
    """Files v000.mp4, v001.mp4, ... with a word each, and white space by which no two are the same."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, word in enumerate(words):
        own = f"{zlib.crc32(f'{folder.name}/{number}'.encode()):032b}".translate({48: " ", 49: "\t"})
        (folder / f"v{number:03d}.mp4").write_text(word + own)
    return folder


def job_of(
    folder: Path, out: Path, *, run: Mapping[str, Any] | None = None, identity_from: IdentityFrom = "file",
    **values: Any,
) -> PrepareJob:  # fmt: skip
    options = RunOptions(**{"workers": 1, "processor": FAKE, "video_timeout_s": 300.0, **(run or {})})
    return PrepareJob(Videos((folder,), identity_from), out, run=options, **values)


def contents(out: Path) -> dict[str, bytes]:
    """All files but the ledger and the lock, by relative path."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and not path.name.startswith("ledger") and path.name != LOCK
    }


def start(folder: Path, out: Path, workers: int, **environment: str) -> subprocess.Popen[str]:
    """The same as a process, in a session of its own."""
    command = [sys.executable, str(HERE / "prepare_driver.py"), str(folder), str(out), str(workers)]
    search = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    variables = {**os.environ, **environment, "PYTHONPATH": search}
    return subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True, start_new_session=True)


VIDEO_IDS = ("-0aaaaaaaaa", "1bbbbbbbbbb", "2cccccccccc", "3dddddddddd")


def write_utterance(
    root: Path,
    identity: str,
    video: str,
    utterance: str,
    *,
    first: int = 100,
    frames: int = 30,
    at: str = "0.3 \t0.2 \t0.25",
    height: float = 0.5,
    extra: str = "",
) -> Path:
    """A file of VoxCeleb2's metadata; `at`: left, top and width of the box."""
    names = {"Identity": identity, "Reference": video, "Offset": "-2", "FV Conf": "16.7\t(1)", "ASD Conf": "3.4"}
    header = [f"{name:<10}: \t{value}" for name, value in names.items()]
    rows = [f"{number:06d} \t{at} \t{height} " for number in range(first, first + frames)]
    path = root / identity / video / f"{utterance}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*header, "", "FRAME \tX \tY \tW \tH ", *rows, extra]))
    return path


def voxceleb_tree(root: Path) -> Path:
    """Three people, four videos, five utterances; the second video shows two people."""
    write_utterance(root, "id00001", VIDEO_IDS[0], "00001")
    write_utterance(root, "id00001", VIDEO_IDS[0], "00002", frames=400)
    write_utterance(root, "id00001", VIDEO_IDS[1], "00001")
    write_utterance(root, "id00002", VIDEO_IDS[1], "00001")
    write_utterance(root, "id00002", VIDEO_IDS[2], "00001", height=0.1)
    write_utterance(root, "id00003", VIDEO_IDS[3], "00001")
    return root


def voxceleb_job(root: Path, out: Path, *, run: Mapping[str, Any] | None = None, **sources: Any) -> PrepareJob:
    values = {"metadata": root / "txt", **sources}
    options = RunOptions(**{"workers": 1, "processor": FAKE, "video_timeout_s": 300.0, **(run or {})})
    return PrepareJob(VoxCeleb2(**values), out, split=SplitConfig(0, 0, 0), run=options)
