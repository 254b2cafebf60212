"""The parts that are measured: media, tracking, reenactment, reading for training, training steps.

Each gives pairs: so many a second, and so many of the same by the bare work behind it (a decode, an encode, networks
without a loop around them) in the same run. The ratio is what carries over to other machines.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import ffmpeg

from avatarkit.errors import InputError
from avatarkit.media.decode import FrameReader
from avatarkit.media.encode import FrameWriter
from avatarkit.media.ffmpeg import command, media_input
from avatarkit.media.probe import probe
from avatarkit.media.rate import format_rate
from avatarkit.pipelines.evaluate.config import Method
from avatarkit.runtime import NullProgress

__all__ = [
    "BenchConfig", "Speed", "decode_command", "encode_command", "engines", "loader", "media", "tracking", "training",
]  # fmt: skip

CHILD_LIMIT_S = 600
ENCODED = 100
PAIRS = 60
STEPS = 12
WARM_STEPS = 3


@dataclass(frozen=True)
class Speed:
    """What was measured.

    per_s: of `unit` by us; bare_per_s: by the bare work, which `bare` names; both medians. ratio: time of ours over
    that of the bare work, 1 at best.
    """

    part: str
    what: str
    unit: str
    per_s: float
    bare: str
    bare_per_s: float

    @property
    def ratio(self) -> float:
        """Time of ours over the bare work's."""
        return self.bare_per_s / self.per_s


@dataclass(frozen=True)
class BenchConfig:
    """What is measured on.

    driver: a video. source: a portrait. size: side of what is drawn. methods: engines with their checkpoints.
    dataset: made by prepare-data; without it reading and training are left out. preset: of `train base`.
    repeats: of each measurement.
    """

    driver: Path
    source: Path
    size: int = 512
    methods: tuple[Method, ...] = (Method("warp", "warp"),)
    dataset: Path | None = None
    preset: str = "tiny-64"
    repeats: int = 3


def media(config: BenchConfig, work: Path) -> Iterator[Speed]:
    """Decoding and encoding through the program against ffmpeg alone."""
    frames = _frames(config.driver)

    def ours() -> None:
        with FrameReader(config.driver, info=probe(config.driver)) as reader:
            for _ in reader:
                pass

    bare = _decode_s(config)
    yield Speed("media", "decode", "frames", frames / _median_s(ours, config.repeats), "ffmpeg to RGB", frames / bare)
    with FrameReader(config.driver, info=probe(config.driver)) as reader:
        pictures = list(islice(reader, ENCODED))
        rate = reader.rate
    height, width = (side - side % 2 for side in pictures[0].shape[:2])
    pictures = [picture[:height, :width] for picture in pictures]

    def written() -> None:
        with FrameWriter(work / "encoded.mp4", width=width, height=height, rate=rate) as writer:
            for picture in pictures:
                writer.write(picture)

    raw = work / "raw.rgb"
    raw.write_bytes(b"".join(picture.tobytes() for picture in pictures))
    encode = encode_command(raw, width, height, format_rate(rate))
    ours_s, bare_s = _median_s(written, config.repeats), _median_s(lambda: _run(encode), config.repeats)
    raw.unlink()
    count = len(pictures)
    yield Speed("media", "encode", "frames", count / ours_s, "x264 veryfast from RGB", count / bare_s)


def tracking(config: BenchConfig, work: Path) -> Iterator[Speed]:
    """Following a driver's face, decoding included, against decoding alone."""
    from avatarkit.face.types import FaceChoice
    from avatarkit.pipelines.motion import extract_motion

    frames = _frames(config.driver)
    bare = _decode_s(config)

    def ours() -> None:
        extract_motion(
            config.driver, work / "driver.motion", face=FaceChoice(), on_missing="hold", overwrite=True,
            progress=NullProgress(),
        )  # fmt: skip

    ours()  # the tracker's models come into memory
    rate = frames / _median_s(ours, config.repeats)
    yield Speed("tracking", "driver", "frames", rate, "ffmpeg to RGB", frames / bare)


def engines(config: BenchConfig, work: Path) -> Iterator[Speed]:
    """Whole reenactments by each engine against decoding the driver and encoding the output alone."""
    from avatarkit.pipelines.reenact import reenact
    from avatarkit.pipelines.reenact_config import ReenactConfig

    bare = _decode_s(config)
    for method in config.methods:
        output = work / "drawn.mp4"
        asked = ReenactConfig(
            config.source, config.driver, output, size=config.size, engine=method.engine,
            checkpoint=method.checkpoints, overwrite=True,
        )  # fmt: skip
        seconds: dict[str, list[float]] = {}
        for _ in range(config.repeats):
            report = reenact(asked, NullProgress())
            for name, value in report.content["seconds"].items():
                seconds.setdefault(name, []).append(value)
        frames = report.content["output"]["frames"]
        encode = _encode_s(output, work, config.repeats)
        floor = frames / (bare + encode)
        whole = statistics.median(map(sum, zip(*seconds.values(), strict=True)))
        name = f"{method.name} at {config.size} px"
        yield Speed("engines", f"{name}, whole", "frames", frames / whole, "decode + encode", floor)
        drawn = statistics.median(seconds["render"])
        yield Speed("engines", f"{name}, draw and encode", "frames", frames / drawn, "encode", frames / encode)


def loader(config: BenchConfig, work: Path) -> Iterator[Speed]:
    """Pairs of frames with mattes from shards, one process, against decoding as many stored pictures."""
    import cv2

    from avatarkit.data.pairs import PairDataset
    from avatarkit.data.samples import SampleSpec

    assert config.dataset is not None
    pairs = PairDataset(config.dataset, "train", 0, sample=SampleSpec(other=False))
    stored = cv2.imencode(".jpg", pairs[0]["source"]["image"].permute(1, 2, 0).numpy())[1]

    def read() -> None:
        for place in range(PAIRS):
            pairs[place]

    def bare() -> None:
        for _ in range(2 * PAIRS):
            cv2.imdecode(stored, cv2.IMREAD_COLOR)

    read()
    ours_s, bare_s = _median_s(read, config.repeats), _median_s(bare, config.repeats)
    yield Speed("loader", "pair with mattes", "pairs", PAIRS / ours_s, "JPEG decode of both", PAIRS / bare_s)


def training(config: BenchConfig, work: Path) -> Iterator[Speed]:
    """Steps of `train base` with all around them against forward and backward of the same step alone."""
    import torch.autograd

    from avatarkit.pipelines.train.run import TrainJob, configured, open_parents, train
    from avatarkit.systems import registry
    from avatarkit.training.feed import collate
    from avatarkit.training.open_data import open_data
    from avatarkit.training.recipe import Ingredients

    job = TrainJob("base", config.dataset, work / "run", preset=config.preset, steps=STEPS, workers=0)
    setting = configured(job)
    assert config.dataset is not None
    recipe = registry.recipe("base")
    parents = open_parents(recipe, {}, setting.preset)
    sample, needed_px = recipe.sample_of(setting, parents), recipe.size_px(setting.preset)
    data = open_data(config.dataset, "base", sample, needed_px, setting.seed, setting.preset)
    stage = recipe.make(setting, Ingredients(parents, data, recipe.frozen(setting, parents, False))).train()
    batch = collate([data.train[number] for number in range(setting.batch)])

    def bare() -> None:
        torch.autograd.backward([*stage(batch)["terms"].values()])
        stage.zero_grad()

    for _ in range(WARM_STEPS):
        bare()
    bare_s = _median_s(bare, STEPS)
    ended = train(job, NullProgress()).ended
    images = setting.batch
    what = f"train base, {setting.preset}, batch {setting.batch}"
    yield Speed("training", what, "images", STEPS * images / ended.seconds, "forward and backward", images / bare_s)


def _frames(path: Path) -> int:
    video = probe(path, require_video=True).video
    assert video is not None
    return video.frames


def _decode_s(config: BenchConfig) -> float:
    decode = decode_command(config.driver)
    return _median_s(lambda: _run(decode), config.repeats)


def _encode_s(output: Path, work: Path, repeats: int) -> float:
    """Seconds in which ffmpeg alone encodes all frames of a video, from raw ones."""
    video = probe(output, require_video=True).video
    assert video is not None
    raw = work / "drawn.rgb"
    picked = ffmpeg.output(media_input(output)["V:0"], str(raw), format="rawvideo", pix_fmt="rgb24", vframes=ENCODED)
    _run(command(picked))
    count = min(ENCODED, video.frames)
    encode = encode_command(raw, video.width, video.height, format_rate(video.rate))
    seconds = _median_s(lambda: _run(encode), repeats) * video.frames / count
    raw.unlink()
    return seconds


def decode_command(driver: Path) -> list[str]:
    """Ffmpeg alone decodes a video to RGB, and throws it away."""
    return command(ffmpeg.output(media_input(driver)["V:0"], "-", format="null", pix_fmt="rgb24"))


def encode_command(raw: Path, width: int, height: int, rate: str) -> list[str]:
    """Ffmpeg alone encodes a file of raw RGB frames as outputs are, and throws it away."""
    picture = ffmpeg.input(str(raw), format="rawvideo", pix_fmt="rgb24", s=f"{width}x{height}", r=rate)
    return command(
        ffmpeg.output(picture, "-", format="null", vcodec="libx264", preset="veryfast", pix_fmt="yuv420p")
    )


def _median_s(work: Callable[[], object], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return max(statistics.median(seconds), 1e-9)


def _run(args: list[str]) -> None:
    done = subprocess.run(args, capture_output=True, timeout=CHILD_LIMIT_S, check=False)
    if done.returncode:
        raise InputError(f"ffmpeg alone: {done.stderr.decode('utf-8', 'replace').strip().splitlines()[-1]}")
