"""What reenactments share: open tools, and what was made of sources and drivers, in memory and in a cache.

A source is read, its face found and its layers split once; a driver is decoded and tracked once, however many
reenactments use them. What is kept goes by the content of the files and by the options that matter, never by names.
"""

from __future__ import annotations

import json
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from avatarkit.background.spec import BackgroundSpec
from avatarkit.cache import Cache
from avatarkit.data.pictures import levels
from avatarkit.face.open import open_tracker
from avatarkit.face.tracker import FaceTracker
from avatarkit.media.files import check_readable
from avatarkit.motion.columns import Motion
from avatarkit.motion.file import read_motion, write_motion
from avatarkit.motion.squares import Squares
from avatarkit.pipelines.driver import Driver, driver_kind, load_driver, motion_driver
from avatarkit.pipelines.engines import AVATAR, Given, checkpoint_hashes, open_engine
from avatarkit.pipelines.framing import drawn_part, head_square, part_around, with_room
from avatarkit.pipelines.layer_tools import LayerTools
from avatarkit.pipelines.portrait import Portrait, avatar_portrait, open_portrait, read_portrait
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.pipelines.source import Source, Unseen
from avatarkit.reading import check_list, check_number, check_text, check_whole, read_array, read_json
from avatarkit.runtime import Progress, sha256_file
from avatarkit.systems.protocol import Engine
from avatarkit.systems.refined_warp import is_avatar
from avatarkit.systems.registry import EngineInfo

T = TypeVar("T")
MOST_FACE = 1 << 16
"""Bytes of landmarks."""
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
        self.rest()
        self._kept.clear()

    def rest(self) -> None:
        """Close the trackers; `tracker` opens them again."""
        while self._trackers:
            self._trackers.popitem()[1].close()

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
        """The tracker of that name, opened when it is first needed; see `open_tracker`."""
        if name not in self._trackers:
            self._trackers[name] = open_tracker(name)
        return self._trackers[name]

    def tools(self, config: ReenactConfig) -> LayerTools:
        """What splits a source into layers; networks are opened once."""
        names = (config.matting, config.inpaint)
        if names not in self._tools:
            self._tools[names] = LayerTools(*names, self._cache)
        return self._tools[names]

    def portrait(self, config: ReenactConfig) -> Portrait:
        """The source's picture and face, without a plain border unless it is pasted back. Raises as `open_portrait`."""
        whole = self._whole_portrait(config)
        return whole if config.paste_back else whole.borderless

    def _whole_portrait(self, config: ReenactConfig) -> Portrait:
        path = config.source
        assert path is not None
        if is_avatar(path):
            return self._remembered("portrait", self.digest(path), lambda: avatar_portrait(path))
        key = {"file": self.digest(path), "face": asdict(config.face), "tracker": config.tracker}

        def make(folder: Path) -> None:
            self.made["portrait"] += 1
            portrait = open_portrait(path, config.face, self.tracker(config.tracker))
            np.save(folder / FACE, portrait.face.landmarks, allow_pickle=False)
            about = {"score": portrait.face.score, "faces": portrait.faces, "tracker": portrait.tracker}
            (folder / ABOUT).write_text(json.dumps(about), encoding="utf-8")

        def read(folder: Path) -> Portrait:
            about = read_json(folder / ABOUT)
            score, faces = check_number(about["score"], "score"), check_whole(about["faces"], "faces", 1)
            landmarks, tracker = read_array(folder / FACE, MOST_FACE), check_text(about["tracker"], "tracker")
            return read_portrait(path, landmarks, score, faces, tracker)

        def get() -> Portrait:
            if self._cache is not None:
                return self._cache.fetch("portraits", key, make, read)
            self.made["portrait"] += 1
            return open_portrait(path, config.face, self.tracker(config.tracker))

        return self._remembered("portrait", _frozen(key), get)

    def driver(self, config: ReenactConfig, progress: Progress, squares_px: int | None = None) -> Driver:
        """The driver's motion, and the squares of its heads at a size. Raises as `load_driver`."""
        path = config.driver
        assert path is not None
        key = {
            "file": self.digest(path),
            "face": asdict(config.driver_face),
            "tracker": config.tracker,
            "part": asdict(config.part),
            "missing": config.on_missing,
            "squares": squares_px,
        }

        def load() -> Driver:
            self.made["driver"] += 1
            tracker = self.tracker(config.tracker)
            # Whoever keeps what was made has several reenactments to make, perhaps in several processes.
            return load_driver(
                path,
                tracker,
                config.driver_face,
                config.on_missing,
                progress,
                config.part,
                squares_px=squares_px,
                alone=not self._keep,
            )

        def make(folder: Path) -> None:
            driver = load()
            write_motion(folder / MOTION, driver.motion)
            if driver.squares is not None:
                driver.squares.write(folder)
            about = {"warnings": driver.warnings, "part": driver.part}
            (folder / ABOUT).write_text(json.dumps(about), encoding="utf-8")

        def read(folder: Path) -> Driver:
            about = read_json(folder / ABOUT)
            kind, info = driver_kind(path)
            motion = replace(read_motion(folder / MOTION), driver=path.name)
            part = None
            if about["part"] is not None:
                first = check_whole(check_list(about["part"], "part")[0], "part")
                part = (first, check_whole(about["part"][1], "part", first + len(motion), first + len(motion)))
            warnings = [check_text(text, "warning") for text in check_list(about["warnings"], "warnings")]
            squares = None if squares_px is None else Squares.read(folder, motion.rate, squares_px)
            return Driver(path, kind, motion, info, warnings, part, squares)

        def get() -> Driver:
            if driver_kind(path)[0] == "motion":
                return motion_driver(path, config.part)
            if self._cache is None:
                return load()
            return self._cache.fetch("drivers", key, make, read)

        return self._remembered("driver", (path, _frozen(key)), get)

    def source(
        self,
        config: ReenactConfig,
        portrait: Portrait | None,
        motion: Motion | None,
        background: BackgroundSpec,
        square_px: int | None = None,
    ) -> Source | Unseen:
        """The source's layers, or what stands for a source that is not given.

        The driver's motion is needed with paste-back alone. `square_px` is for engines that look at squares.
        """
        if portrait is None:
            return Unseen(config.side, background)

        def get() -> Source:
            tools, square = self.tools(config), None
            if square_px is not None:
                square = head_square(portrait, square_px, str(config.source))
                # As datasets have it: networks see a source without its background.
                square = replace(square, matte=levels(tools.frame_matting.matte(square.picture, square.landmarks)))
            crop = drawn_part(portrait, motion, config)
            if config.head_room is not None:
                crop = with_room(
                    crop, portrait, config.head_room, lambda picture: tools.matte(picture, portrait.landmarks)[0]
                )
            # The plate is that of any other engine, which draws more of the picture.
            around = part_around(crop, portrait, motion, config) if config.paste_back and square is not None else None
            return Source(portrait, crop, background, tools, paste_back=config.paste_back, square=square, around=around)

        key = self._look(config, background, square_px)
        return get() if config.paste_back else self._remembered("source", key, get)

    def opened(self, info: EngineInfo, given: Given, config: ReenactConfig) -> Engine:
        """An engine with its networks on their device; it may be ready for another source."""
        # An avatar's engine belongs to its one source, and is prepared with it.
        if not info.checkpoints or AVATAR in given:
            return open_engine(info, given, config)
        weights = checkpoint_hashes(given, self.digest).values()
        key = (info.name, *weights, config.avatar, config.device, config.precision, config.compile)
        return self._remembered("networks", key, lambda: open_engine(info, given, config))

    def engine(
        self, opened: Engine, config: ReenactConfig, source: Source | Unseen, background: BackgroundSpec
    ) -> Engine:
        """The engine, ready to draw the source."""
        if isinstance(source, Unseen):
            return opened

        def get() -> Engine:
            opened.prepare(source.layers)
            return opened

        # Networks are shared by all sources, and encoding one takes no longer than a few frames.
        if config.paste_back or opened.needs.square_px is not None:
            return get()
        return self._remembered("engine", self._look(config, background, None), get)

    def _look(self, config: ReenactConfig, background: BackgroundSpec, square_px: int | None) -> Hashable:
        """All that decides a source's layers, and the preparation of an engine without networks."""
        assert config.source is not None
        behind = self.digest(background.image) if background.image else config.background
        drawn = (config.side, config.framing, config.crop_scale, config.crop_offset, config.head_room, square_px)
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
