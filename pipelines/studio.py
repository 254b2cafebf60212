"""What reenactments share: open tools, and what was made of sources and drivers, in memory and in a cache.

A source is read, its face found and its layers split once; a driver is decoded and tracked once, however many
reenactments use them. What is kept goes by the content of the files and by the options that matter, never by names.
"""

from __future__ import annotations

import json
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from avatarkit.background.spec import BackgroundSpec
from avatarkit.cache import Cache
from avatarkit.face.open import open_dense_tracker
from avatarkit.face.tracker import FaceTracker
from avatarkit.face.types import Face
from avatarkit.media.files import check_readable
from avatarkit.motion.columns import Motion
from avatarkit.motion.file import read_motion, write_motion
from avatarkit.pipelines.driver import Driver, driver_kind, load_driver, motion_driver
from avatarkit.pipelines.framing import drawn_part
from avatarkit.pipelines.layer_tools import LayerTools
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.pipelines.source import Portrait, Source, open_portrait, read_portrait
from avatarkit.runtime import Progress, sha256_file
from avatarkit.systems.landmark_warp.engine import WarpEngine
from avatarkit.systems.protocol import Engine

T = TypeVar("T")
MOTION, ABOUT, FACE = "driver.motion", "about.json", "landmarks.npy"


class Studio:
    """Serves reenactments one after the other; close it, or use it in a `with` statement.

    Args:
        cache: where results are kept for other processes and later runs; None keeps them here alone.
        keep: sources and drivers that are kept in memory; 0 where there is one reenactment.

    `made` counts what was made rather than taken from memory or cache: "portrait", "driver".
    """

    def __init__(self, cache: Cache | None = None, *, keep: int = 0) -> None:
        self._cache, self._keep = cache, keep
        self.made: Counter[str] = Counter()
        self._open = ExitStack()
        self._trackers: dict[str, FaceTracker] = {}
        self._tools: dict[tuple[str, str], LayerTools] = {}
        self._digests: dict[tuple[Path, int, int], str] = {}
        self._kept: dict[str, OrderedDict[Hashable, Any]] = {}

    def __enter__(self) -> Studio:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all tools."""
        self._open.close()
        self._trackers.clear()
        self._kept.clear()

    def digest(self, path: Path) -> str:
        """SHA-256 of a file; it is read again when its size or time has changed.

        Raises:
            InputError: it cannot be read.
        """
        check_readable(path)
        about = path.stat()
        key = (path, about.st_size, about.st_mtime_ns)
        if key not in self._digests:
            self._digests[key] = sha256_file(path)
        return self._digests[key]

    def tracker(self, name: str) -> FaceTracker:
        """The tracker of that name, opened when it is first needed; see `open_dense_tracker`."""
        if name not in self._trackers:
            self._trackers[name] = self._open.enter_context(closing(open_dense_tracker(name)))
        return self._trackers[name]

    def tools(self, config: ReenactConfig) -> LayerTools:
        """What splits a source into layers; networks are opened once."""
        names = (config.matting, config.inpaint)
        if names not in self._tools:
            self._tools[names] = LayerTools(*names, self._cache)
        return self._tools[names]

    def portrait(self, config: ReenactConfig) -> Portrait:
        """The source's picture and face. Raises as `open_portrait`."""
        key = {"file": self.digest(config.source), "face": asdict(config.face), "tracker": config.tracker}

        def make(folder: Path) -> None:
            self.made["portrait"] += 1
            portrait = open_portrait(config.source, config.face, self.tracker(config.tracker))
            np.save(folder / FACE, portrait.face.landmarks, allow_pickle=False)
            values = {"box": portrait.face.box, "score": portrait.face.score, "faces": portrait.faces}
            (folder / ABOUT).write_text(json.dumps({**values, "tracker": portrait.tracker}), encoding="utf-8")

        def read(folder: Path) -> Portrait:
            about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
            left, top, right, bottom = map(float, about["box"])
            landmarks = np.load(folder / FACE, allow_pickle=False)
            face = Face(landmarks, (left, top, right, bottom), float(about["score"]))
            return read_portrait(config.source, face, int(about["faces"]), str(about["tracker"]))

        def get() -> Portrait:
            if self._cache is not None:
                return self._cache.fetch("portraits", key, make, read)
            self.made["portrait"] += 1
            return open_portrait(config.source, config.face, self.tracker(config.tracker))

        return self._remembered("portrait", _frozen(key), get)

    def driver(self, config: ReenactConfig, progress: Progress) -> Driver:
        """The driver's motion. Raises as `load_driver`."""
        key = {
            "file": self.digest(config.driver),
            "face": asdict(config.driver_face),
            "tracker": config.tracker,
            "part": asdict(config.part),
            "missing": config.on_missing,
        }

        def load() -> Driver:
            self.made["driver"] += 1
            tracker = self.tracker(config.tracker)
            return load_driver(config.driver, tracker, config.driver_face, config.on_missing, progress, config.part)

        def make(folder: Path) -> None:
            driver = load()
            write_motion(folder / MOTION, driver.motion)
            about = {"warnings": driver.warnings, "part": driver.part}
            (folder / ABOUT).write_text(json.dumps(about), encoding="utf-8")

        def read(folder: Path) -> Driver:
            about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
            kind, info = driver_kind(config.driver)
            motion = replace(read_motion(folder / MOTION), driver=config.driver.name)
            part = None if about["part"] is None else (int(about["part"][0]), int(about["part"][1]))
            return Driver(config.driver, kind, motion, info, list(about["warnings"]), part)

        def get() -> Driver:
            if driver_kind(config.driver)[0] == "motion":
                return motion_driver(config.driver, config.part)
            return load() if self._cache is None else self._cache.fetch("drivers", key, make, read)

        return self._remembered("driver", (config.driver, _frozen(key)), get)

    def source(
        self, config: ReenactConfig, portrait: Portrait, motion: Motion | None, background: BackgroundSpec
    ) -> Source:
        """The source's layers; the driver's motion is needed with paste-back alone."""

        def get() -> Source:
            crop = drawn_part(portrait, motion, config)
            return Source(portrait, crop, background, self.tools(config), paste_back=config.paste_back)

        return get() if config.paste_back else self._remembered("source", self._look(config, background), get)

    def engine(self, config: ReenactConfig, source: Source, background: BackgroundSpec) -> Engine:
        """An engine that is ready to draw the source."""

        def get() -> Engine:
            engine: Engine = WarpEngine()
            engine.prepare(source.layers)
            return engine

        return get() if config.paste_back else self._remembered("engine", self._look(config, background), get)

    def _look(self, config: ReenactConfig, background: BackgroundSpec) -> Hashable:
        """All that decides a source's layers, and its engine's preparation."""
        behind = self.digest(background.image) if background.image else config.background
        drawn = (config.size, config.crop_scale, config.crop_offset, config.engine)
        tools = (config.tracker, config.matting, config.inpaint)
        return (self.digest(config.source), config.face, behind, drawn, tools)

    def _remembered(self, kind: str, key: Hashable, get: Callable[[], T]) -> T:
        kept = self._kept.setdefault(kind, OrderedDict())
        if key in kept:
            kept.move_to_end(key)
            value: T = kept[key]
            return value
        value = get()
        if self._keep:
            kept[key] = value
            while len(kept) > self._keep:
                kept.popitem(last=False)
        return value


def _frozen(key: dict[str, Any]) -> str:
    return json.dumps(key, sort_keys=True)
