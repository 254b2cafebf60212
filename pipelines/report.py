"""What a reenactment reports: a few lines to read, and everything as json."""

from __future__ import annotations

import json
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avatarkit.media.rate import format_rate
from avatarkit.motion.columns import STATE_NAMES
from avatarkit.motion.smooth import EYE_WINDOW_S, ORDER, WINDOW_S
from avatarkit.motion.transfer import Transfer
from avatarkit.pipelines import preview
from avatarkit.pipelines.driver import Driver
from avatarkit.pipelines.source import SOFT_FACE_PX, Source
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
        source: Source,
        driver: Driver,
        engine: Engine,
        transfer: Transfer,
        timer: StageTimer,
        peak_bytes: int,
        size: tuple[int, int],
        audio: str,
        hashes: tuple[str, str],
    ) -> ReenactReport:
        """Collect what happened; `hashes` are SHA-256 of the source's and the driver's file."""
        motion = driver.motion
        states = [int((motion.state == number).sum()) for number in range(len(STATE_NAMES))]
        return ReenactReport(
            {
                "source": {
                    "path": str(config.source),
                    "sha256": hashes[0],
                    "width": source.portrait.size[0],
                    "height": source.portrait.size[1],
                    "faces": source.portrait.faces,
                    "face_height_px": round(source.portrait.face.extent_px, 1),
                    "enlarged": round(source.crop.scale, 3),
                    "crop": None if config.paste_back else list(astuple(source.crop)),
                    "matting": source.matting,
                    "inpainting": source.inpainting,
                    "tracker": source.portrait.tracker,
                    "better": list(source.advice),
                },
                "driver": {
                    "path": str(config.driver),
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
                "motion": {
                    "missing_frames": motion.missing,
                    "frames_by_state": dict(zip(STATE_NAMES, states, strict=True)),
                    "cuts": motion.cuts,
                    "reference_frames": transfer.references,
                    "smoothing": SMOOTHING,
                },
                "options": {
                    key: str(value) if isinstance(value, Path) else value for key, value in asdict(config).items()
                },
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
        face, enlarged = source["face_height_px"], source["enlarged"]
        soft = f"; soft: below {SOFT_FACE_PX} px use a larger source" if face < SOFT_FACE_PX else ""
        lines = [
            f"{output['path']}: {output['width']} x {output['height']}, {counted(output['frames'], 'frames')}"
            f" at {output['rate']} fps, sound {output['audio']}",
            f"face in the source: {face:.0f} px high, shown at {enlarged:.2f} of its size{soft}",
            f"engine {self.content['engine']}, tracker {source['tracker']}, matte {source['matting']},"
            f" plate {source['inpainting']}",
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
