"""What a reenactment reports: a few lines to read, and everything as json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avatarkit.media.rate import format_rate
from avatarkit.motion.columns import STATE_NAMES
from avatarkit.motion.smooth import EYE_WINDOW_S, ORDER, WINDOW_S
from avatarkit.motion.square_transfer import Followed
from avatarkit.motion.transfer import Transfer
from avatarkit.pipelines import preview
from avatarkit.pipelines.driver import Driver
from avatarkit.pipelines.filmed import FilmedSource
from avatarkit.pipelines.portrait import SOFT_FACE_PX
from avatarkit.pipelines.source import Source, Unseen
from avatarkit.runtime import StageTimer, counted, versions
from avatarkit.systems.protocol import Engine

if TYPE_CHECKING:
    from avatarkit.pipelines.reenact_config import ReenactConfig

SMOOTHING = f"Savitzky-Golay, order {ORDER}, centred, {WINDOW_S:g} s (eyes {EYE_WINDOW_S:g} s)"


@dataclass(frozen=True)
class ReenactReport:
    """One finished reenactment; `content` is the json report."""

    content: dict[str, Any]

    @staticmethod
    def of(
        config: ReenactConfig,
        source: Source | Unseen | FilmedSource,
        driver: Driver,
        engine: Engine,
        transfer: Transfer | Followed,
        matting: str | None,
        timer: StageTimer,
        peak_bytes: int,
        size: tuple[int, int],
        audio: str,
        hashes: Sequence[str | None],
    ) -> ReenactReport:
        """Collect what happened.

        Args:
            matting: what cut out the drawn frames, None where nothing did. hashes: SHA-256 of the source's and the
                driver's file, None for one that is not given.
        """
        motion = driver.motion
        states = [int((motion.state == number).sum()) for number in range(len(STATE_NAMES))]
        return ReenactReport(
            {
                "source": {
                    **(_about_source(config, source) if isinstance(source, Source) else {}),
                    "sha256": hashes[0],
                    "matting": source.matting,
                    "inpainting": source.inpainting,
                    "better": list(source.advice),
                },
                "driver": {
                    "path": str(config.driver or config.driver_name),
                    "sha256": hashes[1],
                    "kind": driver.kind,
                    "width": motion.width,
                    "height": motion.height,
                    "tracker": motion.tracker,
                    "warnings": driver.warnings,
                },
                "output": {
                    "path": str(config.output),
                    "width": size[0],
                    "height": size[1],
                    "rate": format_rate(motion.rate),
                    "frames": preview.FRAMES if config.preview else len(motion),
                    "audio": audio,
                },
                "engine": engine.name,
                "drawn_px": engine.needs.drawn_px,
                "shown_px": source.frame_side,
                "frame_matting": matting,
                "motion": {
                    "missing_frames": motion.missing,
                    "frames_by_state": dict(zip(STATE_NAMES, states, strict=True)),
                    "cuts": motion.cuts,
                    "reference_frames": transfer.references,
                    "smoothing": SMOOTHING,
                },
                "options": {key: _plain(value) for key, value in asdict(config).items()},
                "seconds": {name: round(value, 3) for name, value in timer.seconds.items()},
                "peak_memory_bytes": peak_bytes,
                "versions": dict(versions()),
            }
        )

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return self.content

    def to_text(self) -> str:
        """The report as json text."""
        return json.dumps(self.content, indent=2, ensure_ascii=False) + "\n"

    def summary_lines(self) -> list[str]:
        """What a person wants to know, a line each."""
        source, output, motion = self.content["source"], self.content["output"], self.content["motion"]
        seconds = sum(self.content["seconds"].values())
        lines = [
            f"{output['path']}: {output['width']} x {output['height']}, {counted(output['frames'], 'frames')}"
            f" at {output['rate']} fps, sound {output['audio']}",
            *([_source_line(source)] if "face_height_px" in source else []),
            f"engine {self.content['engine']}, tracker {self.content['driver']['tracker']},"
            f" matte {self.content['frame_matting'] or source['matting']}, plate {source['inpainting']}",
            *self._size_lines(),
            *(f"could be better: {advice}" for advice in source["better"]),
        ]
        if motion["missing_frames"]:
            kinds = ", ".join(f"{n} {name}" for name, n in motion["frames_by_state"].items() if n and name != "tracked")
            lines.append(f"frames without the driver's face: {kinds}")
        if motion["cuts"]:
            lines.append(f"cuts in the driver at frames {', '.join(map(str, motion['cuts']))}")
        rate = output["frames"] / max(seconds, 1e-9)
        peak = self.content["peak_memory_bytes"] / 1e6
        lines.append(f"{seconds:.1f} s, {rate:.1f} frames/s overall, {peak:.0f} MB at most")
        return lines

    def _size_lines(self) -> list[str]:
        """What was drawn, and what was only enlarged or reduced, where an engine has a size of its own."""
        drawn, side = self.content["drawn_px"], self.content["shown_px"]
        if drawn is None:
            return []
        change = "as it is" if side == drawn else f"{'enlarged' if side > drawn else 'reduced'} to {side} px"
        return [f"drawn at {drawn} x {drawn} px, {change}"]


def _about_source(config: ReenactConfig, source: Source) -> dict[str, Any]:
    portrait = source.portrait
    return {
        "path": str(config.source),
        "width": portrait.size[0],
        "height": portrait.size[1],
        "faces": portrait.faces,
        "face_height_px": round(portrait.face.extent_px, 1),
        "enlarged": round(source.crop.scale, 3),
        "crop": None if config.paste_back else list(astuple(source.crop)),
        "tracker": portrait.tracker,
    }


def _source_line(source: Mapping[str, Any]) -> str:
    face, enlarged = source["face_height_px"], source["enlarged"]
    soft = f"; soft: below {SOFT_FACE_PX} px use a larger source" if face < SOFT_FACE_PX else ""
    return f"face in the source: {face:.0f} px high, shown at {enlarged:.2f} of its size{soft}"


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
