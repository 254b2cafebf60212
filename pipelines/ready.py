"""A pair made ready to be drawn: engine, source and motion, and the stages that finished frames come through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from avatarkit.background.spec import BackgroundSpec, parse_background
from avatarkit.errors import AvatarkitError
from avatarkit.media.encode import LARGE_PX
from avatarkit.motion.columns import Motion
from avatarkit.motion.square_transfer import Followed, SquareTransfer
from avatarkit.motion.transfer import Transfer
from avatarkit.motion.turntable import turntable
from avatarkit.pipelines.driver import WHOLE, Driver, driver_kind, motion_driver
from avatarkit.pipelines.engines import (
    AUTO,
    AVATAR,
    check_engine,
    checkpoint_hashes,
    choose_engine,
    consent_of,
    given_for,
)
from avatarkit.pipelines.filmed import FilmedSource, check_filmed, is_film
from avatarkit.pipelines.framing import chosen_framing, drawn_part, framing
from avatarkit.pipelines.layer_tools import LayerTools
from avatarkit.pipelines.outlook import about_layers, about_motion, about_source
from avatarkit.pipelines.portrait import Portrait
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.pipelines.render import Finished, Render, rendered
from avatarkit.pipelines.source import Source, Unseen
from avatarkit.pipelines.studio import Studio
from avatarkit.runtime import Progress, StageTimer, cpu_threads
from avatarkit.systems.protocol import Engine

Shown = Source | Unseen | FilmedSource
Moves = Transfer | Followed
STEADIED = 1.0
"""Mattes found frame by frame flicker; engines that bring their own alpha, and whole frames, need none of it."""


@dataclass(frozen=True)
class ReadyPair:
    """What frames are drawn from.

    config: with the size of the output. weights: SHA-256 of the engine's checkpoints. consent: what a personal avatar
    says of it, None for any other engine.
    """

    config: ReenactConfig
    source: Shown
    driver: Driver
    engine: Engine
    moves: Moves
    render: Render
    weights: tuple[str, ...]
    consent: str | None = None

    def frames(
        self, order: Iterable[int] | None = None, *, forks: int = 0, planes: bool = False
    ) -> Iterator[Finished]:
        """Finished frames by the driver's numbers, by default all; close the iterator when it is not used up.

        forks: processes that may draw beside this one. planes: see `Render`; not of a film as source.
        """
        if isinstance(self.source, FilmedSource):
            return self.source.finished(list(order or range(len(self.moves))), self.driver.motion.rate)
        render = replace(self.render, forks=min(forks, self.render.workers - 1), planes=planes)
        return rendered(self.engine, self.source, self.moves, order or range(len(self.moves)), render)


def make_ready(
    config: ReenactConfig, background: BackgroundSpec, studio: Studio, progress: Progress, timer: StageTimer
) -> ReadyPair:
    """Open the engine, prepare the source and track the driver.

    Args:
        config, background: checked already (`reenact_config.checked`).
        studio: serves what is known already. timer: gets stages "engine", "source", "track" and "prepare".

    Raises:
        UsageError: options that the engine cannot follow. InputError: a source, driver or checkpoint that cannot be
        used. DependencyError: weights, packages or a device that are missing.
    """
    given = given_for(config)
    info = choose_engine(config.engine, given)
    kind = None if config.driver is None else driver_kind(config.driver)[0]
    check_engine(info, config, kind)
    if config.driver is not None and kind == "motion":
        motion_driver(config.driver)  # a damaged file is refused before any work is done
    tools = studio.tools(config)  # what cannot run here is said before any work is done
    with timer.stage("engine"):
        opened = studio.opened(info, given, config)
    if given and config.engine == AUTO:
        progress.notice(f"engine {opened.name}, by the checkpoints given")
    if is_film(config.source):
        check_filmed(config)
        return _filmed(config, opened, studio, progress, timer)
    config, square_px = _settled(config, opened), opened.needs.square_px
    with timer.stage("source"):
        progress.stage("source", None)
        portrait = None if config.source is None else studio.portrait(config)
        if portrait is not None:
            for line in about_source(portrait, drawn_part(portrait, None, config), config):
                progress.notice(line)

    def prepared(motion: Motion | None) -> tuple[Source | Unseen, Engine]:
        source = studio.source(config, portrait, motion, background, square_px)
        return source, studio.engine(opened, config, source, background)

    # A crop around the head is split into layers, and an engine made ready to draw them, while the driver is tracked;
    # paste-back waits for its path.
    with ThreadPoolExecutor(1, thread_name_prefix="source") as pool:
        early = None if config.paste_back else pool.submit(prepared, None)
        with timer.stage("track"):
            driver = _driver(studio, portrait, opened, config, progress)
    with timer.stage("prepare"):
        progress.stage("prepare", None)
        source, engine = early.result() if early else prepared(driver.motion)
        moves = _moves(driver, opened, source, config)
        _look_out(source, driver, moves, config, progress)
        render = _render(engine, source, tools, config)
    weights = tuple(checkpoint_hashes(given, studio.digest).values())
    avatar = given.get(AVATAR)
    consent = consent_of(avatar) if isinstance(avatar, Path) else None
    return ReadyPair(config, source, driver, engine, moves, render, weights, consent)


def get_ready(part: str, config: ReenactConfig, studio: Studio, progress: Progress) -> None:
    """Prepare one input, "source" or "driver", as `make_ready` will ask the studio for it.

    Raises the errors of that input. Where the engine itself cannot be opened nothing is done: `make_ready` will say it.
    """
    given = given_for(config)
    try:
        engine = studio.opened(choose_engine(config.engine, given), given, config)
    except AvatarkitError:
        return
    if is_film(config.source):
        if part == "driver":
            studio.driver(config, progress)
        return
    if part == "driver":
        _driver(studio, None, engine, config, progress)
        return
    config = _settled(config, engine)
    portrait = None if config.source is None else studio.portrait(config)
    if not config.paste_back:
        studio.source(config, portrait, None, parse_background(config.background), engine.needs.square_px)


def _filmed(
    config: ReenactConfig, engine: Engine, studio: Studio, progress: Progress, timer: StageTimer
) -> ReadyPair:
    """A film as source: it is tracked as drivers are, whole, and left as it is where it shows no face."""
    with timer.stage("source"):
        itself = replace(
            config, driver=config.source, driver_face=config.face, part=WHOLE, on_missing="source"
        )
        film = studio.driver(itself, progress)
    with timer.stage("track"):
        driver = studio.driver(config, progress)
    with timer.stage("prepare"):
        source = FilmedSource(film, driver.motion, config)
    return ReadyPair(config, source, driver, engine, source.shots[0].transfer, Render(), ())


def _settled(config: ReenactConfig, engine: Engine) -> ReenactConfig:
    """The configuration with size and framing of its output, the engine's own where none are asked for."""
    size = config.size or engine.needs.drawn_px or config.side
    return replace(config, size=size, framing=chosen_framing(config, engine.needs))


def _driver(
    studio: Studio, portrait: Portrait | None, engine: Engine, config: ReenactConfig, progress: Progress
) -> Driver:
    if config.driver is None:
        assert portrait is not None
        assert config.turntable is not None
        motion = turntable(portrait.landmarks, *portrait.size, config.turntable)
        return Driver(Path(config.driver_name), "turntable", motion, None)
    looks = config.motion.region != "pose" or not engine.needs.source
    return studio.driver(config, progress, engine.needs.square_px if looks else None)


def _moves(driver: Driver, engine: Engine, source: Shown, config: ReenactConfig) -> Moves:
    """How each frame moves the source."""
    if not engine.needs.source:
        assert driver.squares is not None
        return Followed(driver.motion, driver.squares)
    assert isinstance(source, Source)
    motion = config.motion if config.driver is not None else replace(config.motion, mode="relative", region="pose")
    if source.layers.square is not None:
        return SquareTransfer(driver.motion, source.layers.square, motion, driver.squares)
    place = framing(driver.motion, source.portrait, source.crop, config)
    return Transfer(driver.motion, source.layers.landmarks, motion, place, source.portrait.covered)


def _look_out(source: Shown, driver: Driver, moves: Moves, config: ReenactConfig, progress: Progress) -> None:
    """Say what will look bad."""
    if not isinstance(source, Source):
        if config.background == "plate":
            progress.notice("no source, no plate: the background is what the engine draws; see --background")
        return
    for line in about_layers(source, config):
        progress.notice(line)
    for line in about_motion(driver.motion, moves, config) if isinstance(moves, Transfer) else ():
        progress.notice(line)


def _render(engine: Engine, source: Shown, tools: LayerTools, config: ReenactConfig) -> Render:
    wanted = source.background is not None or source.transparent or config.layers is not None
    matting = tools.frame_matting if wanted and not engine.needs.alpha else None
    usual = 0.0 if matting is None else STEADIED
    return Render(
        matting=matting,
        stabilize=0.0 if config.preview else usual if config.stabilize is None else config.stabilize,
        apart=config.layers is not None,
        workers=_workers(source),
    )


def _workers(source: Shown) -> int:
    """Frames that are drawn at a time; each takes thirty times its bytes while it is drawn."""
    width, height = source.frame_size
    return min(2 if width * height > LARGE_PX else 4, cpu_threads() + 1)
