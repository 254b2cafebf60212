"""Measure the engines: parity with training, framing, the cached volume, the student, memory, steadiness.

    python benchmarks/engines.py parity  --base RUN --data VIDEOS --clip ID --video FILE --work WORK
    python benchmarks/engines.py framing --base RUN --video FILE --work WORK
    python benchmarks/engines.py cached  --preset paper-512
    python benchmarks/engines.py student --preset paper-512
    python benchmarks/engines.py onnx    --preset small-256 --video FILE --work WORK
    python benchmarks/engines.py memory  --base RUN --video FILE --work WORK
    python benchmarks/engines.py steady  --base RUN --video FILE --work WORK

`parity` compares `reenact --motion absolute` of a clip with its stored frames, inside the face, as validation does.
Networks of `cached`, `student` and `onnx` have random weights: only their time is measured.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from engine_kit import (
    base_engine,
    compensated,
    driver_in,
    frame_of,
    least_seconds,
    made_up_square,
    middle,
    mouths_of,
    psnr,
    squares_of,
)
from numpy.typing import NDArray
from tables import Bar, Row, Verdict, markdown, verdict_table

from avatarkit.checkpoint import Meta, open_checkpoint, write_checkpoint
from avatarkit.data.pairs import PairDataset
from avatarkit.media.decode import FrameReader
from avatarkit.media.image import read_image, write_image
from avatarkit.motion.config import MotionConfig
from avatarkit.nets.inference import open_inference
from avatarkit.nets.plain import to_plain
from avatarkit.pipelines.reenact import reenact
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.runtime import NullProgress
from avatarkit.systems.megaportraits import build
from avatarkit.systems.megaportraits.config import PRESETS
from avatarkit.systems.megaportraits.engine import StudentEngine
from avatarkit.systems.megaportraits.export import export_student, open_exported
from avatarkit.systems.megaportraits.load import load_base
from avatarkit.systems.megaportraits.stages.drive import drive, encode, motion_code
from avatarkit.systems.options import EngineOptions
from avatarkit.training.figures import face_mask, psnr_db

EVERY = 5
Picture = NDArray[np.uint8]
Found = tuple[list[Row], list[Verdict]]


def parity(options: argparse.Namespace) -> Found:
    """Reenactment of a clip against validation, both against the stored frames."""
    base = load_base(open_checkpoint(options.base))
    size = base.config.size
    data = PairDataset(options.data, "train", 0, size)
    count = next(clip.frames for clip in data.clips if clip.clip_id == options.clip)
    stored = [data.frame(options.clip, index) for index in range(0, count, EVERY)]
    source = {key: value[None].float() for key, value in stored[0].items()}
    source["image"], source["matte"] = source["image"] / 255, source["matte"] / 255
    shown = _reenacted(options, options.video, "parity", MotionConfig(mode="absolute"))
    rows: list[Row] = []
    figures: dict[str, list[float]] = {"validation": [], "reenact": [], "copy": []}
    with torch.no_grad():
        code = encode(base, source)
        for index, frame in zip(range(EVERY, count, EVERY), stored[1:], strict=True):
            target, marks, head = frame["image"][None].float() / 255, frame["landmarks"][None], frame["head"][None]
            predicted = drive(base, code, {"image": target, "head": head}, motion_code(base, target, head)).image
            drawn = torch.from_numpy(shown[index]).permute(2, 0, 1)[None].float() / 255
            face = face_mask(marks, size, size)
            for name, picture in (("validation", predicted), ("reenact", drawn), ("copy", source["image"])):
                figures[name].append(float(psnr_db(picture, target, face)))
    rows = [{"picture": name, "face_psnr_db": float(np.mean(values))} for name, values in figures.items()]
    lost = float(np.mean(figures["validation"]) - np.mean(figures["reenact"]))
    return rows, [Verdict(Bar("below validation, dB", "<=", 0.5), lost)]


def framing(options: argparse.Namespace) -> Found:
    """The same driver, and the same at another place and size: how much the drawn faces differ.

    Both are compared with heads as datasets store them: of the first of the two, or of the video where the source's
    own head is moved.
    """
    driver = driver_in(options.video, options.work / "wide.mp4", 0.8, (60, 30), options.seconds)
    elsewhere = driver_in(options.video, options.work / "moved.mp4", 0.56, (190, 130), options.seconds)
    source = options.work / "source.png"
    write_image(source, next(iter(FrameReader(options.video))), {})
    rows: list[Row] = []
    for mode in ("absolute", "relative"):
        item, other = (
            _reenacted(options, path, f"{path.stem}-{mode}", MotionConfig(mode=mode), source)
            for path in (driver, elsewhere)
        )
        side = item[0].shape[0]
        face = middle(side)
        stored = squares_of(driver if mode == "absolute" else options.video, side)
        truth = [stored[index].picture for index in range(len(item))]
        first, moved, between = (
            float(np.mean([psnr(a[face], b[face]) for a, b in zip(*pair, strict=True)]))
            for pair in ((item, truth), (other, truth), (item, other))
        )
        rows.append({
            "motion": mode, "face_psnr_db": first, "moved_face_psnr_db": moved, "change_db": abs(first - moved),
            "psnr_between_db": between,
        })  # fmt: skip
    return rows, [Verdict(Bar("change of face PSNR, dB", "<=", 1), max(float(row["change_db"]) for row in rows))]  # type: ignore[arg-type]


def cached(options: argparse.Namespace) -> Found:
    """Time of a frame when the source is encoded once, and when it is encoded for each frame."""
    engine = base_engine(options.preset, enhance=False, device=options.device)
    square = made_up_square(engine.needs.square_px or 0)
    frame = frame_of(square)
    once = least_seconds(lambda: engine.drive([frame]), options.repeat, lambda: engine.prepare_square(square))
    both = least_seconds(lambda: (engine.prepare_square(square), engine.drive([frame])), options.repeat)
    rows: list[Row] = [{"source encoded": "once", "s_per_frame": once}, {"source encoded": "each", "s_per_frame": both}]
    return rows, [Verdict(Bar("faster", ">=", 2.5), both / once)]


def student(options: argparse.Namespace) -> Found:
    """Time of a frame of the student, and of base model and enhancer at the same output size."""
    teacher = base_engine(options.preset, enhance=True, device=options.device)
    square = made_up_square(teacher.needs.square_px or 0)
    teacher.prepare_square(square)
    slow = least_seconds(lambda: teacher.drive([frame_of(square)]), options.repeat)
    config = PRESETS[options.preset].student
    same = build.build_student(config.__class__(**{**vars(config), "size": teacher.needs.drawn_px}), 1, 0)
    engine = StudentEngine(same, 0, open_inference(options.device, "auto", False), "random")
    large = made_up_square(teacher.needs.drawn_px or 0)
    fast = least_seconds(lambda: engine.drive([frame_of(large)]), options.repeat)
    rows: list[Row] = [
        {"engine": "base + enhancer", "px": teacher.needs.drawn_px or 0, "s_per_frame": slow},
        {"engine": "student", "px": teacher.needs.drawn_px or 0, "s_per_frame": fast},
    ]
    return rows, [Verdict(Bar("faster", ">=", 10), slow / fast)]


def onnx(options: argparse.Namespace) -> Found:
    """The exported student: difference from torch, frames a second of the network and of the whole command."""
    net = build.build_student(PRESETS[options.preset].student, 2, 0)
    size = net.config.size
    meta = Meta(
        "student", options.preset, 1, 1, {"avatars": ["a", "b"]},
        {"student": {"config": to_plain(net.config), "parameters": 1}}, {}, {}, {},
    )  # fmt: skip
    checkpoint = write_checkpoint(options.work / "random-student", meta, {"student": net.state_dict()}, ({}, {}))
    path = options.work / "student.onnx"
    path.write_bytes(export_student(checkpoint, ["b"])[0])
    exported = open_exported(path, EngineOptions(device="cpu"))
    draw = np.random.default_rng(0)
    pictures = [draw.integers(0, 256, (size, size, 3), dtype=np.uint8) for _ in range(exported.needs.at_once)]
    batch = np.stack(pictures).transpose(0, 3, 1, 2).astype(np.float32) / 255
    with torch.no_grad():
        wanted = net.eval()(torch.from_numpy(batch), torch.ones(len(batch), dtype=torch.int64)).numpy()
    (result,) = exported._session.run(None, {"driver": batch})
    difference = np.abs(result - wanted)
    per_frame = least_seconds(lambda: exported.frames(pictures), options.repeat) / len(pictures)
    began, cpu = time.perf_counter(), time.process_time()
    config = ReenactConfig(
        None, options.video, options.work / "student.mp4", checkpoint=(path,), overwrite=True, device="cpu"
    )
    report = reenact(config, NullProgress()).content
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    frames = report["output"]["frames"]
    rows: list[Row] = [
        {"what": "network", "fps": 1 / per_frame},
        {"what": "whole command", "fps": frames / wall, "cpu_s_per_frame": cpu / frames},
    ]
    verdicts = [
        Verdict(Bar("largest difference", "<=", 1e-3), float(difference.max())),
        Verdict(Bar("mean difference", "<=", 1e-5), float(difference.mean())),
        Verdict(Bar("network, frames a second", ">=", 25), 1 / per_frame),
        Verdict(Bar("whole command, frames a second", ">=", 15), frames / wall),
    ]
    return rows, verdicts


def memory(options: argparse.Namespace) -> Found:
    """Peak memory with a driver of 5 s and with one of 60 s, each in a process of its own."""
    import subprocess

    rows: list[Row] = []
    for length in (5, 60):
        video = driver_in(options.video, options.work / f"long-{length}.mp4", 1.0, (0, 0), length)
        report = options.work / f"memory-{length}.json"
        source = options.work / "source.png"
        write_image(source, next(iter(FrameReader(options.video))), {})
        words = ["reenact", source, video, "-o", options.work / "memory.mp4", "--checkpoint", options.base]
        words += ["--report", report, "--overwrite", "--quiet", "--device", options.device]
        subprocess.run([sys.executable, "-m", "avatarkit", *map(str, words)], check=True)
        import json

        content = json.loads(report.read_text(encoding="utf-8"))
        frames, peak = content["output"]["frames"], content["peak_memory_bytes"] / 2**20
        rows.append({"driver_s": length, "frames": frames, "peak_mib": peak})
    ratio = float(rows[1]["peak_mib"]) / float(rows[0]["peak_mib"])  # type: ignore[arg-type]
    return rows, [Verdict(Bar("60 s over 5 s", "<=", 1.1), ratio)]


def steady(options: argparse.Namespace) -> Found:
    """Motion-compensated difference of detail and matte, and the mouth, with the stabiliser and without."""
    source = options.work / "source.png"
    write_image(source, next(iter(FrameReader(options.video))), {})
    rows: list[Row] = []
    openings = mouths_of(list(islice(FrameReader(options.video), 25 * options.seconds)))
    for strength in (0.0, 0.5, 1.0):
        out = options.work / f"steady-{round(100 * strength)}"
        config = ReenactConfig(
            source, options.video, out, checkpoint=tuple(options.checkpoints), overwrite=True, device=options.device,
            background="transparent", stabilize=strength, motion=MotionConfig(mode="absolute"), size=options.size,
            part=_part(options.seconds),
        )  # fmt: skip
        reenact(config, NullProgress())
        frames = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., [2, 1, 0, 3]] for path in sorted(out.iterdir())]
        over = [(f[..., :3] * (f[..., 3:] / 255.0)).astype(np.uint8) for f in frames]
        mouths = mouths_of(over)
        seen = ~np.isnan(mouths) & ~np.isnan(openings[: len(mouths)])
        detail, matte = compensated(frames)
        r = float(np.corrcoef(mouths[seen], openings[: len(mouths)][seen])[0, 1])
        rows.append({"stabilize": strength, "detail": detail, "matte": matte, "r_mouth": r})
    without, _, with_it = rows
    verdicts = [
        Verdict(Bar(f"{name}, with / without", "<=", 0.8), float(with_it[name]) / float(without[name]))  # type: ignore[arg-type]
        for name in ("detail", "matte")
    ]
    lost = float(without["r_mouth"]) - float(with_it["r_mouth"])  # type: ignore[arg-type]
    return rows, [*verdicts, Verdict(Bar("r_mouth lost", "<=", 0.01), lost)]


def _part(seconds: float) -> Any:
    from avatarkit.pipelines.driver import DriverPart

    return DriverPart(0.0, seconds)


def _reenacted(
    options: argparse.Namespace, driver: Path, name: str, motion: MotionConfig, source: Path | None = None
) -> list[Picture]:
    """All frames, without loss and as the network draws them."""
    if source is None:
        source = options.work / "source.png"
        write_image(source, next(iter(FrameReader(driver))), {})
    out = options.work / name
    config = ReenactConfig(
        source, driver, out, checkpoint=tuple(options.checkpoints), background="keep", codec="png", overwrite=True,
        device=options.device, motion=motion,
    )  # fmt: skip
    reenact(config, NullProgress())
    return [read_image(path) for path in sorted(out.iterdir())]


PARTS = {
    "parity": parity, "framing": framing, "cached": cached, "student": student, "onnx": onnx, "memory": memory,
    "steady": steady,
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Measure one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=list(PARTS))
    parser.add_argument("--base", type=Path, help="run of train base")
    parser.add_argument("--enhancer", type=Path, help="run of train enhancer")
    parser.add_argument("--data", type=Path, help="dataset that the base model was trained on")
    parser.add_argument("--clip", help="clip of it")
    parser.add_argument("--video", type=Path, help="the video that the clip was made from, or any driver")
    parser.add_argument("--work", type=Path, help="folder for outputs")
    parser.add_argument("--preset", default="paper-512")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--size", type=int)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(argv)
    options.checkpoints = [path for path in (options.base, options.enhancer) if path is not None]
    if options.work is not None:
        options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    rows, verdicts = PARTS[options.part](options)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    print(f"## {options.part}\n\n{verdict_table(verdicts)}\n\n{markdown(rows, columns)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
