"""Footage of one person in, an avatar's file out."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from avatarkit.atomic import left_over_of, own_folder, write_whole
from avatarkit.checkpoint import FOLDER
from avatarkit.errors import AvatarkitError, InputError, OutputError
from avatarkit.face.types import LANDMARKS
from avatarkit.pipelines.layer_tools import LayerTools
from avatarkit.pipelines.personalize.adapted import adapted_from
from avatarkit.pipelines.personalize.config import PersonalizeConfig, checked
from avatarkit.pipelines.personalize.footage import (
    Drawer,
    Take,
    evenly,
    first_held_out,
    followed,
    followed_by_next,
    source_of,
)  # fmt: skip
from avatarkit.pipelines.personalize.keep import PersonalizeReport, kept_source, making
from avatarkit.pipelines.personalize.learn import SHEET, Learned, described, learn
from avatarkit.pipelines.personalize.pairs import ABOUT, ROWS, Pairs, PairWriter, read_pairs
from avatarkit.pipelines.personalize.teeth import teeth_of
from avatarkit.pipelines.program import program_digest
from avatarkit.pipelines.render import overlapped
from avatarkit.reading import read_arrays
from avatarkit.runtime import Progress, cpu_threads, sha256_file
from avatarkit.systems.avatar_file import Avatar, StoredNet, plain_teeth, teeth_of_plain, write_avatar
from avatarkit.systems.landmark_warp.engine import WarpEngine
from avatarkit.systems.refined_warp.losses import Perceptual, pyramid_loss
from avatarkit.systems.refined_warp.network import RefinementConfig
from avatarkit.systems.refined_warp.patches import NAMES
from avatarkit.systems.refined_warp.samples import Sample, sample
from avatarkit.weights.load import present

SOURCE = "source.safetensors"
MOST_SOURCE = 2 << 30
"""Bytes: a picture of 300 megapixels, its matte and landmarks."""
MOST_FRAMES = 1500


def personalize(
    config: PersonalizeConfig,
    progress: Progress,
    perceptual: Perceptual | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> PersonalizeReport:
    """Make an avatar; without a checkpoint the same call after an interruption goes on where it was.

    Args:
        perceptual: how far two pictures are apart to the eye; None: LPIPS where its weights are here.
        clock: tells the seconds that count as learning.

    Raises:
        UsageError: no consent, or options that cannot be. InputError: footage or a checkpoint that cannot be used.
            OutputError: a place that cannot be written.
    """
    checked(config)
    if config.checkpoint is not None:
        return adapted_from(config.checkpoint, config, progress, clock)
    sizes = RefinementConfig()
    hashes = {path.name: sha256_file(path) for path in config.footage}
    key = _key(config, hashes)
    try:
        own_folder(config.work.parent, config.work.name)
    except OSError as error:
        raise OutputError(f"{config.work}: cannot be made: {error.strerror or error}") from error
    kept, source = read_pairs(config.work, sizes), _kept_source(config.work / SOURCE)
    if kept is None or source is None or kept[1].get("key") != key:
        _empty(config.work)
        try:
            _prepare(config, sizes, key, hashes, progress)
        except AvatarkitError:
            shutil.rmtree(config.work, ignore_errors=True)
            raise
        kept, source = read_pairs(config.work, sizes), _kept_source(config.work / SOURCE)
        assert kept is not None
        assert source is not None
    else:
        progress.notice(f"goes on with what {config.work} holds")
    pairs, about = kept
    judge, name = (perceptual, "given") if perceptual is not None else _perceptual(progress)
    learned = learn(pairs, sizes, config.work, config.minutes, judge, config.seed, progress, clock)
    made = {**about["made"], "learned": _figures(learned, pairs, name)}
    net = StoredNet.of("refined-warp", learned.net)
    write_avatar(config.output, Avatar(**source, net=net, about=made, teeth=teeth_of_plain(about["teeth"])))
    shutil.rmtree(config.work, ignore_errors=True)
    return PersonalizeReport(config.output, made, f"against the warp's: {described(learned.errors)}")


def _empty(work: Path) -> None:
    """Remove a folder of work; OutputError where it holds what no run of ours has put there."""
    own = {ABOUT, ROWS, SOURCE, SHEET, FOLDER, *(f"{name}.npy" for name in NAMES)}
    foreign = sorted(path.name for path in work.iterdir() if path.name not in own and left_over_of(path.name) is None)
    if foreign:
        raise OutputError(f"{work}: holds {foreign[0]}, which is not of an unfinished avatar; move the folder away")
    shutil.rmtree(work)


def _key(config: PersonalizeConfig, hashes: Mapping[str, str]) -> str:
    values = [sorted(hashes.values()), asdict(config.part), asdict(config.face), config.tracker, config.matting]
    text = json.dumps([*values, config.seed, program_digest()])
    return hashlib.sha256(text.encode()).hexdigest()


def _prepare(
    config: PersonalizeConfig, sizes: RefinementConfig, key: str, hashes: Mapping[str, str], progress: Progress
) -> None:
    """Track the footage, choose the source, and write the pairs."""
    footage = followed(config, progress)
    takes, tools = footage.takes, LayerTools(config.matting)
    # In twos, as learning compares moments that follow each other.
    chosen = [evenly(take.usable, MOST_FRAMES // len(takes), run=2) for take in takes]
    source = source_of(footage.portrait, tools)
    teeth = teeth_of(source, takes, [rows[rows < first_held_out(rows)] for rows in chosen], progress)
    drawer = Drawer(source, teeth, WarpEngine())
    writer = PairWriter(config.work, sum(map(len, chosen)), sizes)
    progress.stage("draw", sum(map(len, chosen)))
    for take, rows in zip(takes, chosen, strict=True):
        first = first_held_out(rows)
        nexts = dict(zip(rows.tolist(), followed_by_next(rows, take.motion).tolist(), strict=True))
        for row, one in _samples(drawer, sizes, take, rows):
            writer.add(one, held_out=row >= first, followed=nexts[row] and row + 1 != first)
            progress.advance()
    write_whole(config.work / SOURCE, save(kept_source(footage, tools)))
    made = making(footage, hashes, "from nothing")
    writer.finish({"key": key, "made": made, "teeth": plain_teeth(teeth)})


def _samples(
    drawer: Drawer, sizes: RefinementConfig, take: Take, rows: NDArray[np.int64]
) -> Iterator[tuple[int, Sample]]:
    draw = drawer.of(take)

    def cut(item: tuple[int, NDArray[np.uint8]]) -> tuple[int, Sample]:
        one = draw(*item)
        return item[0], sample(sizes, one.drawn, one.shown, one.truth, one.places)

    yield from overlapped(cut, take.pictures_of(rows), cpu_threads())


def _kept_source(path: Path) -> dict[str, NDArray[Any]] | None:
    """The `kept_source` that `_prepare` wrote; None where nothing is, or something else."""
    try:
        source = read_arrays(path, MOST_SOURCE)
    except (FileNotFoundError, InputError):
        return None
    size = source["picture"].shape[:2] if "picture" in source else ()
    wanted = {"picture": (*size, 3), "alpha": size, "landmarks": (LANDMARKS, 3)}
    kinds = {"picture": "uint8", "alpha": "float32", "landmarks": "float32"}
    sound = {name: array.shape for name, array in source.items()} == wanted
    return source if sound and {name: array.dtype.name for name, array in source.items()} == kinds else None


def _perceptual(progress: Progress) -> tuple[Perceptual, str]:
    if present("alexnet") and present("lpips-alexnet"):
        from avatarkit.metrics.lpips import LPIPS

        return LPIPS.from_registry(), LPIPS.name
    progress.notice("could be better: avatarkit weights fetch alexnet lpips-alexnet (learns by what the eye sees)")
    return pyramid_loss, "Laplacian pyramid"


def _figures(learned: Learned, pairs: Pairs, perceptual: str) -> dict[str, Any]:
    return {
        "frames": int((~pairs.held_out).sum()),
        "held_out_frames": int(pairs.held_out.sum()),
        "seconds": round(learned.seconds, 1),
        "steps": learned.steps,
        "perceptual": perceptual,
        "errors": {name: round(value, 5) for name, value in learned.errors.items()},
    }
