"""Metadata that says what an output is: in its container, and as XMP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import avatarkit
from avatarkit.escaping import for_metadata
from avatarkit.media.xmp import add_xmp, packet

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
"""IPTC's vocabulary; C2PA uses the same."""
XMP_TAG = "XMP"
"""Matroska and WebM have no place of their own for XMP; there it is a tag."""


@dataclass(frozen=True)
class Marks:
    """What an output says of itself.

    engine: name and version of what drew it. checkpoints: SHA-256 of the weights that it drew with. source_type: of
    IPTC's vocabulary. consent: of the person shown, as an avatar's file records it.
    """

    engine: str
    checkpoints: tuple[str, ...] = ()
    source_type: str = "composite"
    consent: str = ""

    def __post_init__(self) -> None:
        """What comes from checkpoints and avatars, which may be strangers', becomes a line that any container takes."""
        for name in ("engine", "consent"):
            object.__setattr__(self, name, for_metadata(getattr(self, name)))

    @staticmethod
    def of(
        engine: str, checkpoints: Sequence[str], *, real_pixels: bool, painted: bool = False, consent: str = ""
    ) -> Marks:
        """The marks of an output.

        Args:
            engine: its name and version.
            checkpoints: SHA-256 of the weights that it drew with; an engine without any moves the photo's own pixels.
            real_pixels: whether parts of the output, such as the background, are taken from a picture.
            painted: whether a network has painted what the person hid of the background.
            consent: as in the class.
        """
        if checkpoints and not real_pixels:
            kind = "trainedAlgorithmicMedia"
        else:
            kind = "compositeWithTrainedAlgorithmicMedia" if checkpoints or painted else "composite"
        return Marks(engine, tuple(checkpoints), kind, consent)

    @property
    def generator(self) -> str:
        """Program, engine and weights in a line."""
        weights = f"; checkpoint {', '.join(self.checkpoints)}" if self.checkpoints else ""
        return f"avatarkit {avatarkit.__version__}; engine {self.engine}{weights}"

    @property
    def comment(self) -> str:
        """A sentence for people."""
        return f"Synthetic: a portrait animated by avatarkit {avatarkit.__version__} (engine {self.engine})."

    def xmp(self) -> bytes:
        """The same as an XMP packet."""
        properties = {
            "xmp:CreatorTool": f"avatarkit {avatarkit.__version__}",
            "Iptc4xmpExt:DigitalSourceType": SOURCE_TYPE + self.source_type,
            "avatarkit:Synthetic": "True",
            "avatarkit:Engine": self.engine,
        }
        if self.checkpoints:
            properties["avatarkit:Checkpoint"] = " ".join(self.checkpoints)
        if self.consent:
            properties["avatarkit:Consent"] = self.consent
        return packet(properties, self.comment)

    def container(self, output: Path) -> dict[str, str]:
        """Metadata for the output's container, by its name."""
        entries = {"comment": self.comment, "synthetic": "true", "generator": self.generator}
        if self.consent:
            entries["consent"] = self.consent
        if output.suffix.lower() in (".mkv", ".webm"):
            entries[XMP_TAG] = self.xmp().decode()
        return entries

    def embed(self, path: Path) -> None:
        """Put XMP into a finished file, or into all pictures of a folder, before they get their names."""
        files = sorted(path.glob("*.png")) if path.is_dir() else [path]
        for file in files:
            add_xmp(file, self.xmp())
