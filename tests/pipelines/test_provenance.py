"""What outputs say of themselves, and what `inspect` makes of them changed, stripped, or signed by strangers."""

from __future__ import annotations

import datetime
import json
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from avatarkit.atomic import begun, left_over_of
from avatarkit.cli.app import run as command
from avatarkit.errors import InputError, UsageError
from avatarkit.media.encode import FrameWriter
from avatarkit.media.image import read_image, write_image
from avatarkit.media.tags import read_tags
from avatarkit.media.xmp import add_xmp, find_xmp, packet
from avatarkit.pipelines.label import Label
from avatarkit.pipelines.provenance import sign as sign_module
from avatarkit.pipelines.provenance.inspection import EXIT_CODES, inspect_file
from avatarkit.pipelines.provenance.marks import Marks
from avatarkit.pipelines.provenance.sign import Signer, sign
from tests.data.test_fuzz import CUTS, EXAMPLES, damaged, fuzzed, survives

from .conftest import Run, frames_of, run_ffmpeg

SIZE = 128


@dataclass(frozen=True)
class Identity:
    """A signer: certificate chain, key, and the root to trust."""

    certificate: Path
    key: Path
    root: Path


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    pytest.importorskip("c2pa")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)

    def named(name: str) -> x509.Name:
        parts = ((NameOID.COMMON_NAME, name), (NameOID.ORGANIZATION_NAME, "Tests"))
        return x509.Name([x509.NameAttribute(kind, text) for kind, text in parts])

    def builder(subject: str, issuer: str, key: Any) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder(named(issuer), named(subject), key.public_key(), x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + 30 * day)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        )

    def usage(*, signs: bool) -> x509.KeyUsage:
        return x509.KeyUsage(signs, False, False, False, False, not signs, not signs, False, False)

    above, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = builder("Root", "Root", above).add_extension(x509.BasicConstraints(True, None), True)
    root_cert = root.add_extension(usage(signs=False), True).sign(above, hashes.SHA256())
    leaf = builder("Studio", "Root", own).add_extension(x509.BasicConstraints(False, None), True)
    leaf = leaf.add_extension(usage(signs=True), True)
    leaf = leaf.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
    leaf = leaf.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), False)
    pem = serialization.Encoding.PEM
    folder = tmp_path_factory.mktemp("identity")
    files = Identity(folder / "chain.pem", folder / "key.pem", folder / "root.pem")
    files.root.write_bytes(root_cert.public_bytes(pem))
    files.certificate.write_bytes(leaf.sign(above, hashes.SHA256()).public_bytes(pem) + root_cert.public_bytes(pem))
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    files.key.write_bytes(own.private_bytes(pem, *plain))
    return files


@pytest.fixture(scope="module")
def signed(run: Run, identity: Identity, photo: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A signed video and a signed picture."""
    folder = tmp_path_factory.mktemp("signed")
    by = (identity.certificate, identity.key)
    run(folder / "out.mp4", size=SIZE, sign=by)
    run(folder / "out.png", size=SIZE, driver=photo, sign=by)
    return {path.suffix[1:]: path for path in folder.iterdir()}


@pytest.mark.parametrize(
    "name", ["out.mp4", "out.mov", "out.mkv", "out.png", "out.jpg", "out.webp", "out.tiff", "frames"]
)
def test_every_output_says_that_it_is_synthetic(run: Run, photo: Path, tmp_path: Path, name: str) -> None:
    moves = name in ("out.mp4", "out.mov", "out.mkv", "frames")
    options: dict[str, Any] = {} if moves else {"driver": photo}
    run(tmp_path / name, size=SIZE, **options, **({"codec": "png"} if name == "frames" else {}))
    file = tmp_path / name / "000003.png" if name == "frames" else tmp_path / name
    found = inspect_file(file)
    assert (found.state, found.exit_code) == ("marked", 0)
    assert found.xmp["Iptc4xmpExt:DigitalSourceType"].endswith("/composite")
    assert found.xmp["avatarkit:Engine"].startswith("warp ")
    if name != "frames":
        assert found.tags["synthetic"] == "true"
        assert "engine warp" in found.tags["generator"]
    if not moves:
        assert read_image(file).shape == (SIZE, SIZE, 3)


def test_weights_are_named() -> None:
    marks = Marks.of("megaportraits 1", ["ab" * 32], real_pixels=True)
    assert marks.source_type == "compositeWithTrainedAlgorithmicMedia"
    assert Marks.of("megaportraits 1", ["ab" * 32], real_pixels=False).source_type == "trainedAlgorithmicMedia"
    assert Marks.of("warp 1", [], real_pixels=True).source_type == "composite"
    # As IPTC has it: a composite that a network has painted a part of.
    painted = Marks.of("warp 1", [], real_pixels=True, painted=True)
    assert painted.source_type == "compositeWithTrainedAlgorithmicMedia"
    assert "ab" * 32 in marks.generator
    assert f'avatarkit:Checkpoint="{"ab" * 32}"' in marks.xmp().decode()


@pytest.mark.parametrize("kind", ["mp4", "png"])
def test_signed_output(signed: dict[str, Path], identity: Identity, kind: str) -> None:
    found = inspect_file(signed[kind], identity.root)
    assert (found.state, found.problems) == ("verified", ())
    assert found.manifest["signer"] == "Studio (Tests)"
    assert found.manifest["source type"].endswith("/composite")
    assert found.manifest["actions"] == "c2pa.created, c2pa.placed, c2pa.edited"
    assert {one["role"]: len(one["sha256"]) for one in found.manifest["inputs"]} == {"source": 64, "driver": 64}
    assert len(found.manifest["ingredients"].split(", ")) == 2
    assert found.xmp["avatarkit:Synthetic"] == "True"


def test_signing_changes_no_frame(signed: dict[str, Path], run: Run, tmp_path: Path) -> None:
    run(tmp_path / "plain.mp4", size=SIZE)
    for one, other in zip(frames_of(tmp_path / "plain.mp4"), frames_of(signed["mp4"]), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", ["mp4", "png"])
def test_inspect_tells_what_became_of_a_signature(
    signed: dict[str, Path], identity: Identity, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = signed[kind].read_bytes()
    altered = tmp_path / f"altered.{kind}"
    at = data.rindex(b"mdat") + 2000 if kind == "mp4" else data.rindex(b"IDAT") + 100
    altered.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    trust = ["--trust", str(identity.root)]
    for file, words, state in (
        (signed[kind], trust, "verified"),
        (signed[kind], [], "untrusted"),
        (altered, trust, "altered"),
    ):
        assert command(["inspect", str(file), *words]) == EXIT_CODES[state]  # type: ignore[index]
        assert f": {state}: " in capsys.readouterr().out
    assert command(["inspect", str(altered), "--json"]) == 10
    assert json.loads(capsys.readouterr().out)["state"] == "altered"


def test_every_altered_byte_is_seen(signed: dict[str, Path], identity: Identity, tmp_path: Path) -> None:
    data, rng = signed["png"].read_bytes(), np.random.default_rng(5)
    # The manifest's own chunk holds padding, which nothing protects.
    first = data.index(b"caBX")
    beyond = first + 8 + int.from_bytes(data[first - 4 : first], "big")
    for number, at in enumerate([*rng.integers(8, first - 4, 4), *rng.integers(beyond, len(data), 20)]):
        path = tmp_path / f"{number}.png"
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        try:
            state = inspect_file(path, identity.root).state
        except InputError:
            continue  # no picture any more
        assert state in ("altered", "none"), at


@pytest.mark.parametrize("kind", ["mp4", "png"])
def test_damaged_files_are_inspected_or_refused_in_a_line(signed: dict[str, Path], tmp_path: Path, kind: str) -> None:
    path, data = tmp_path / f"x.{kind}", signed[kind].read_bytes()

    @settings(fuzzed, max_examples=EXAMPLES // 10)
    @given(cuts=CUTS)
    def check(cuts: list[tuple[float, int, bytes]]) -> None:
        path.write_bytes(damaged(data, cuts))
        survives(lambda: inspect_file(path).lines())

    check()


@pytest.mark.parametrize("name", ["a.mp4", "a.png", "a.jpg", "a.webm"])
def test_texts_are_neither_altered_nor_unsigned(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("c2pa")
    (tmp_path / name).write_text("No picture, but words: c2pa, jumb.\n" * 9)
    assert command(["inspect", str(tmp_path / name)]) == 3
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert "is not a media file" in shown.err or "is in a format that is not read" in shown.err


def test_videos_named_as_pictures_are_not_altered(signed: dict[str, Path], tmp_path: Path) -> None:
    make = tmp_path / "plain.mp4"
    run_ffmpeg("-i", str(signed["mp4"]), "-map_metadata", "-1", "-c", "copy", "-fflags", "+bitexact", str(make))
    make.rename(tmp_path / "plain.png")
    assert inspect_file(tmp_path / "plain.png").state == "none"
    (tmp_path / "signed.png").write_bytes(signed["mp4"].read_bytes())
    assert inspect_file(tmp_path / "signed.png").state == "untrusted"


def test_what_a_killed_signing_left_is_swept(
    signed: dict[str, Path], identity: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []
    monkeypatch.setattr(sign_module, "_manifest", lambda *_: seen.extend(tmp_path.iterdir()) or 1 / 0)
    with begun(tmp_path / "out.png") as unsigned:
        unsigned.write_bytes(signed["png"].read_bytes())
        with pytest.raises(ZeroDivisionError):
            sign(unsigned, Signer(identity.certificate, identity.key), Marks("warp 1"), [], "out.png")
    assert len(seen) == 2
    assert {left_over_of(path.name) for path in seen} == {"out.png"}
    assert list(tmp_path.iterdir()) == []


def test_stripped_metadata_is_none(signed: dict[str, Path], tmp_path: Path) -> None:
    bare = tmp_path / "bare.mp4"
    run_ffmpeg("-i", str(signed["mp4"]), "-map_metadata", "-1", "-c", "copy", "-fflags", "+bitexact", str(bare))
    assert (inspect_file(bare).state, EXIT_CODES["none"]) == ("none", 12)
    write_image(tmp_path / "bare.png", read_image(signed["png"]))
    assert command(["inspect", str(tmp_path / "bare.png")]) == 12


def test_what_cannot_be_signed_is_refused_at_once(run: Run, identity: Identity, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"out\.mkv cannot hold a manifest"):
        run(tmp_path / "out.mkv", sign=(identity.certificate, identity.key))
    with pytest.raises(InputError, match="no PEM key"):
        run(tmp_path / "out.mp4", sign=(identity.certificate, identity.certificate))
    with pytest.raises(InputError, match=r"none\.pem: No such file"):
        run(tmp_path / "out.mp4", sign=(tmp_path / "none.pem", identity.key))
    with pytest.raises(UsageError, match="--tsa"):
        run(tmp_path / "out.mp4", tsa="http://127.0.0.1/")
    assert list(tmp_path.iterdir()) == []
    os.mkfifo(tmp_path / "pipe.pem")
    for path in (tmp_path / "pipe.pem", Path("/dev/zero")):
        with pytest.raises(InputError, match="is not a regular file"):
            run(tmp_path / "out.mp4", sign=(identity.certificate, path))


def test_inspect_without_the_library_says_so(signed: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from avatarkit.pipelines.provenance import sign

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(sign.importlib, "import_module", missing)
    found = inspect_file(signed["mp4"])
    assert found.state == "marked"
    assert "pip install 'avatarkit[sign]'" in found.unchecked


def test_packet_survives_awkward_texts(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x08free")
    assert add_xmp(tmp_path / "a.mp4", packet({"avatarkit:Engine": 'a "b" <c> & d'}, "<&>"))
    text = find_xmp(tmp_path / "a.mp4")
    assert text is not None
    from xml.dom.minidom import parseString

    element = parseString(text[text.index("?>") + 2 :]).getElementsByTagName("rdf:Description")[0]
    assert element.getAttribute("avatarkit:Engine") == 'a "b" <c> & d'
    assert not add_xmp(tmp_path / "a.webp", b"")


@pytest.mark.parametrize("text", ["a\0b", "x" * 300_000, "\x1b[2J\nsynthetic=false", "\ud800", '"/><x y="'])
@pytest.mark.parametrize("name", ["o.mp4", "o.webm", "o.png"])
def test_names_and_consent_of_strangers_become_a_line(tmp_path: Path, name: str, text: str) -> None:
    marks, path, picture = Marks(text, consent=text), tmp_path / name, np.zeros((64, 64, 3), np.uint8)
    entries = marks.container(path)
    if path.suffix == ".png":
        write_image(path, picture, entries, marks.xmp())
    else:
        with FrameWriter(path, width=64, height=64, rate=Fraction(25), metadata=entries) as writer:
            writer.write(picture)
    marks.embed(path)
    result = inspect_file(path)
    assert result.state == "marked"
    assert result.tags["comment"] == marks.comment
    assert len(marks.comment) < 1200
    assert result.xmp["avatarkit:Engine"] == marks.engine


def test_label_is_burnt_into_a_corner_of_every_frame(run: Run, tmp_path: Path) -> None:
    grey = np.full((200, 300, 3), 120, np.uint8)
    marked = Label("AI generated").burn(grey)
    changed = np.argwhere((marked != grey).any(2))
    assert changed[:, 0].min() > 160
    assert changed[:, 1].max() < 200
    assert marked.max() > 200
    np.testing.assert_array_equal(grey, 120)
    clear = Label("x").burn(np.zeros((64, 64, 4), np.uint8))
    assert clear[-3, 3, 3] > 100
    assert clear[:30].max() == 0
    tiny = Label("a very long label that does not fit at all").burn(np.zeros((64, 64, 3), np.uint8))
    assert tiny.shape == (64, 64, 3)
    run(tmp_path / "plain.mp4", size=SIZE)
    run(tmp_path / "label.mp4", size=SIZE, label="synthetic")
    for one, other in zip(frames_of(tmp_path / "plain.mp4"), frames_of(tmp_path / "label.mp4"), strict=True):
        difference = np.abs(one.astype(int) - other).max(2)
        assert difference[-12:, :40].mean() > 8
        assert difference[:100, 64:].mean() < 1


def test_tags_of_a_video_with_awkward_values(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc=d=0.1:s=64x64", "-metadata", "comment=a=b;c#d\\e", str(path))
    assert read_tags(path)["comment"] == "a=b;c#d\\e"
