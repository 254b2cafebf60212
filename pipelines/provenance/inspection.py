"""What a file says of itself, and whether that can be believed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import unescape

from avatarkit.errors import DependencyError, InputError
from avatarkit.media.files import check_readable
from avatarkit.media.probe import probe
from avatarkit.media.tags import read_tags
from avatarkit.media.xmp import find_xmp, holds
from avatarkit.pipelines.provenance.sign import INPUTS, SIGNED_SUFFIXES, c2pa
from avatarkit.reading import read_bytes

State = Literal["verified", "marked", "altered", "untrusted", "none"]
MEANING: dict[State, str] = {
    "verified": "signed by a certificate that is trusted, and unchanged since",
    "marked": "says that it is synthetic, but is not signed: anybody could have written or changed that",
    "altered": "was changed after it was signed, or its manifest is damaged",
    "untrusted": "signed and unchanged, but by a certificate that is not trusted here; name its root by --trust",
    "none": "says nothing about how it was made",
}
EXIT_CODES: dict[State, int] = {"verified": 0, "marked": 0, "altered": 10, "untrusted": 11, "none": 12}
_MANIFEST = b"jumdc2pa"
"""How the description of a store of manifests begins."""
_UNTRUSTED = "signingCredential.untrusted"
_PROPERTY = re.compile(r'\s((?:xmp|Iptc4xmpExt|avatarkit):\w+)="([^"]*)"')


@dataclass(frozen=True)
class Inspection:
    """What was found in a file.

    state: what it comes to. tags: of the container. xmp: properties by name. manifest: of C2PA, in short.
    problems: what the check of the manifest found, its codes. unchecked: why a manifest could not be looked for.
    """

    path: Path
    state: State
    tags: dict[str, str] = field(default_factory=dict)
    xmp: dict[str, str] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    unchecked: str = ""

    @property
    def exit_code(self) -> int:
        """Of `avatarkit inspect`."""
        return EXIT_CODES[self.state]

    def lines(self) -> list[str]:
        """The same to read."""
        lines = [f"{self.path}: {self.state}: {MEANING[self.state]}"]
        lines += [f"container {key}: {value}" for key, value in self.tags.items()]
        lines += [f"XMP {key}: {value}" for key, value in self.xmp.items()]
        lines += [f"manifest {key}: {value}" for key, value in self.manifest.items()]
        lines += [f"check: {code}" for code in self.problems]
        return lines + ([f"manifest not looked for: {self.unchecked}"] if self.unchecked else [])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "path": str(self.path), "state": self.state, "tags": self.tags, "xmp": self.xmp,
            "manifest": self.manifest, "problems": list(self.problems), "unchecked": self.unchecked,
        }  # fmt: skip


def inspect_file(path: Path, trust: Path | None = None) -> Inspection:
    """Read and check what a file says of itself.

    Args:
        path: a picture or video.
        trust: PEM file of root certificates whose signers are believed.

    Raises:
        InputError: the file, or `trust`, cannot be read, or the file is neither picture nor video.
    """
    result = _inspected(path, trust)
    if result.state == "none":
        probe(path)  # of a text, that would say too much
    return result


def _inspected(path: Path, trust: Path | None) -> Inspection:
    check_readable(path)
    tags = {key: value for key, value in read_tags(path).items() if key in ("comment", "synthetic", "generator")}
    xmp = {name: unescape(value, {"&quot;": '"'}) for name, value in _PROPERTY.findall(find_xmp(path) or "")}
    marked = tags.get("synthetic") == "true" or "avatarkit:Synthetic" in xmp
    plain: State = "marked" if marked else "none"
    if path.suffix.lower() not in SIGNED_SUFFIXES:
        return Inspection(path, plain, tags, xmp)
    try:
        library = c2pa()
    except DependencyError as error:
        return Inspection(path, plain, tags, xmp, unchecked=str(error).removeprefix("--sign: "))
    result = _manifest(library, path, trust)
    if result is None:
        return Inspection(path, plain, tags, xmp)
    state, manifest, problems = result
    return Inspection(path, state, tags, xmp, manifest, problems)


def _manifest(library: Any, path: Path, trust: Path | None) -> tuple[State, dict[str, Any], tuple[str, ...]] | None:
    settings: dict[str, Any] = {"verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False}}
    if trust is not None:
        try:
            settings["trust"] = {"trust_anchors": read_bytes(trust, links=True).decode("ascii")}
        except (OSError, UnicodeDecodeError, InputError) as error:
            raise InputError(f"--trust {trust}: is no readable PEM file") from error
    try:
        context = library.Context(library.Settings.from_dict(settings))
    except library.C2paError as error:
        raise InputError(f"--trust {trust}: {error}") from error
    try:
        with context, library.Reader(str(path), context=context) as reader:
            store = json.loads(reader.json())
    except library.C2paError.ManifestNotFound:
        return None
    except library.C2paError as error:
        # Files that are something else than their names say have no manifest that could be damaged.
        return ("altered", {}, (" ".join(str(error).split()),)) if holds(path, _MANIFEST) else None
    try:
        problems = tuple(dict.fromkeys(str(item["code"]) for item in store.get("validation_status", [])))
        short = _short(store)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        return "altered", {}, (f"manifest of another form: {' '.join(str(error).split())[:80]}",)
    if any(code != _UNTRUSTED for code in problems) or store.get("validation_state") == "Invalid":
        state: State = "altered"
    else:
        state = "verified" if store.get("validation_state") == "Trusted" else "untrusted"
    return state, short, problems


def _short(store: dict[str, Any]) -> dict[str, Any]:
    """What a person wants to know of a manifest."""
    active = store.get("manifests", {}).get(store.get("active_manifest"), {})
    assertions = {item["label"]: item.get("data", {}) for item in active.get("assertions", [])}
    actions = assertions.get("c2pa.actions.v2", {}).get("actions", [])
    signature = active.get("signature_info", {})
    program = (active.get("claim_generator_info") or [{}])[0]
    return {
        "title": active.get("title", ""),
        "signer": f"{signature.get('common_name', '?')} ({signature.get('issuer', '?')})",
        "time": signature.get("time") or next((item["when"] for item in actions if "when" in item), ""),
        "program": " ".join(str(program.get(key, "")) for key in ("name", "version")),
        "source type": next((item["digitalSourceType"] for item in actions if "digitalSourceType" in item), ""),
        "actions": ", ".join(item.get("action", "") for item in actions),
        "ingredients": ", ".join(item.get("title", "") for item in active.get("ingredients", [])),
        "inputs": assertions.get(INPUTS, {}).get("inputs", []),
    }
