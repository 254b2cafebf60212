"""C2PA manifests by c2pa-python: what was made of what, by which program, signed with the user's certificate."""

from __future__ import annotations

import datetime
import importlib
import mimetypes
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import avatarkit
from avatarkit.atomic import begun, left_over_of
from avatarkit.errors import DependencyError, InputError, OutputError, UsageError
from avatarkit.pipelines.provenance.marks import SOURCE_TYPE, Marks
from avatarkit.reading import read_bytes

SIGNED_SUFFIXES = (".mp4", ".mov", ".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
INPUTS = "org.avatarkit.inputs"
"""Our assertion: hashes of inputs and weights."""
MOST_PEM = 1 << 20
"""Bytes of a certificate with those above it, and of a key."""
_ALGORITHMS = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True)
class Signer:
    """Who signs. certificate: PEM, the signer's own first, then those up to a root. key: PEM. tsa: of time stamps."""

    certificate: Path
    key: Path
    tsa: str | None = None


@dataclass(frozen=True)
class Input:
    """What an output was made of. role: "source" or "driver"."""

    role: str
    path: Path
    sha256: str


def c2pa() -> Any:
    """The library.

    Raises:
        DependencyError: it is not installed.
    """
    try:
        return importlib.import_module("c2pa")
    except ImportError as error:
        raise DependencyError("--sign: c2pa-python is not installed; pip install 'avatarkit[sign]'") from error


def check_signer(signer: Signer, output: Path) -> None:
    """Refuse what cannot be signed before any work is done.

    Raises:
        UsageError: the output's format holds no manifest. InputError: certificate or key cannot be read.
        DependencyError: c2pa-python is missing.
    """
    if output.suffix.lower() not in SIGNED_SUFFIXES:
        raise UsageError(f"--sign: {output.name} cannot hold a manifest; use one of {' '.join(SIGNED_SUFFIXES)}")
    _native(signer).close()


def sign(path: Path, signer: Signer, marks: Marks, inputs: Sequence[Input], title: str) -> None:
    """Put a signed manifest into a finished file, before it gets its name.

    Raises:
        OutputError: it cannot be signed, with the library's reason; InputError, DependencyError as `check_signer`.
    """
    library = c2pa()
    # Named after the output itself, so that what a killed program left is swept by the next one.
    final = path.with_name(left_over_of(path.name) or path.name)
    try:
        settings = library.Settings.from_dict({"builder": {"thumbnail": {"enabled": False}}})
        with begun(final) as signed, library.Context(settings) as context, _native(signer) as native:
            extra, files = _ingredients(inputs)
            with library.Builder(_manifest(marks, inputs, title, extra), context) as builder:
                for about, kind, file in files:
                    with file.open("rb") as stream:
                        builder.add_ingredient(about, kind, stream)
                builder.sign_file(path, signed, native)
            signed.replace(path)
    except (library.C2paError, OSError) as error:
        raise OutputError(f"{title}: cannot be signed: {_line(error)}") from error


def _manifest(marks: Marks, inputs: Sequence[Input], title: str, ingredients: list[dict[str, Any]]) -> dict[str, Any]:
    program = {"name": "avatarkit", "version": avatarkit.__version__}
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
    made = {
        "action": "c2pa.created",
        "when": now,
        "softwareAgent": program,
        "digitalSourceType": SOURCE_TYPE + marks.source_type,
        "description": marks.comment,
    }
    placed = {"action": "c2pa.placed", "when": now, "parameters": {"ingredientIds": ["source"]}}
    moved = {
        "action": "c2pa.edited",
        "when": now,
        "description": "The head moves like the driver's.",
        "parameters": {"ingredientIds": ["driver"]},
    }
    roles = {item.role for item in inputs}
    actions = [made, *([placed] if "source" in roles else []), *([moved] if "driver" in roles else [])]
    hashes = {
        "engine": marks.engine,
        "checkpoints": list(marks.checkpoints),
        **({"consent": marks.consent} if marks.consent else {}),
        "inputs": [{"role": item.role, "name": item.path.name, "sha256": item.sha256} for item in inputs],
    }
    return {
        "claim_generator_info": [program],
        "title": title,
        "ingredients": ingredients,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions}},
            {"label": INPUTS, "data": hashes},
        ],
    }


def _ingredients(inputs: Sequence[Input]) -> tuple[list[dict[str, Any]], list[tuple[dict[str, Any], str, Path]]]:
    """Ingredients that are described alone, and those whose own manifests are taken along."""
    supported = set(c2pa().Reader.get_supported_mime_types())
    described, files = [], []
    for item in inputs:
        relationship = "componentOf" if item.role == "source" else "inputTo"
        kind = mimetypes.guess_type(item.path.name)[0] or "application/octet-stream"
        about = {"title": item.path.name, "relationship": relationship, "label": item.role, "format": kind}
        if kind in supported:
            files.append((about, kind, item.path))
        else:
            described.append(about)
    return described, files


def _native(signer: Signer) -> Any:
    library = c2pa()
    try:
        certificate, key = (read_bytes(path, MOST_PEM, links=True) for path in (signer.certificate, signer.key))
    except OSError as error:
        raise InputError(f"--sign: {error.filename}: {error.strerror or error}") from error
    algorithm = _algorithm(signer.key, key)
    try:
        return library.Signer.from_info(library.C2paSignerInfo(algorithm, certificate, key, signer.tsa))
    except library.C2paError as error:
        raise InputError(f"--sign: {signer.certificate} with {signer.key} cannot sign: {_line(error)}") from error


def _algorithm(path: Path, key: bytes) -> str:
    """The signature algorithm that goes with a private key.

    Raises:
        InputError: it is no key without a password, or of another kind.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    with suppress(ValueError, TypeError, UnsupportedAlgorithm):
        private = load_pem_private_key(key, None)
        if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in _ALGORITHMS:
            return _ALGORITHMS[private.curve.name]
        if isinstance(private, rsa.RSAPrivateKey):
            return "ps256"
        if isinstance(private, ed25519.Ed25519PrivateKey):
            return "ed25519"
    raise InputError(f"--sign: {path}: is no PEM key (EC, RSA or Ed25519, without a password)")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


