"""The lock file of weights, and how it is read."""

from __future__ import annotations

import re

import pytest

from avatarkit.errors import UsageError
from avatarkit.weights import lock

ENTRY = """
[net]
file = "net.pth"
purpose = "tests"
kind = "state-dict"
urls = ["https://example.org/net.pth"]
licence = "MIT"
licence_url = "https://example.org"
permissive = true
citation = "Nobody"
used_by = ["train"]
"""


def test_names() -> None:
    assert set(lock.weights()) == {
        "modnet", "hyperiqa", "hyperiqa-koniq", "big-lama", "face-landmarker", "selfie-multiclass",
        "vgg19", "vgg16", "resnet50", "vggface", "inception-fid", "face-embedding", "alexnet", "lpips-alexnet",
    }  # fmt: skip


def test_files_do_not_share_a_name() -> None:
    files = [weight.file for weight in lock.weights().values()]
    assert len(files) == len(set(files))


@pytest.mark.parametrize("weight", lock.weights().values(), ids=lambda weight: weight.name)
def test_entry(weight: lock.WeightFile) -> None:
    assert all(url.startswith("https://") for url in (*weight.urls, weight.licence_url))
    assert all(url.endswith(weight.file) for url in weight.urls)
    assert weight.purpose
    assert weight.citation
    # Publishers write the first digits of the sha256 into the name.
    named = re.search(r"-([0-9a-f]{8,10})\.", weight.file)
    if named:
        assert weight.sha256 is not None
        assert weight.sha256.startswith(named[1])
    if weight.published_hash is None and weight.kind == "state-dict":
        assert weight.probe_keys
    if weight.kind == "torchscript":
        assert weight.sha256 is not None


def test_only_restricted_weights_are_marked() -> None:
    assert [weight.name for weight in lock.weights().values() if not weight.permissive] == ["vggface"]


@pytest.mark.parametrize("job", ["reenact", "prepare-data", "train", "evaluate"])
def test_every_job_has_weights(job: str) -> None:
    assert lock.for_job(job)


def test_unknown_names() -> None:
    with pytest.raises(UsageError, match=r"no weights are called big_lama \(did you mean big-lama\?\)"):
        lock.get("big_lama")
    with pytest.raises(UsageError, match="no weights are called zzzzzz; see avatarkit weights list"):
        lock.get("zzzzzz")
    with pytest.raises(UsageError, match=r"no job is called trian \(did you mean train\?\)"):
        lock.for_job("trian")


def test_reading() -> None:
    weight = lock.parse(ENTRY)["net"]
    assert (weight.name, weight.urls, weight.size) == (
        "net",
        ("https://example.org/net.pth",),
        "size not published",
    )
    assert (weight.sha256, weight.published_hash, weight.source) == (
        None,
        None,
        "https://example.org/net.pth",
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('licnce = "MIT"', r"net: unknown field licnce \(did you mean licence\?\)"),
        ('sha256 = "12"', "net: 12 is not a hash of 64 hexadecimal digits"),
        ('md5 = "E3AA4AAA15225A33EC84F9F4BC47E500"', "net: E3.* is not a hash of 32"),
        ('sha256_prefix = "xyz"', "net: xyz is not the start of a hash"),
    ],
)
def test_bad_fields(line: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        lock.parse(ENTRY + line)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('licence = "MIT"', "", "net: .*licence"),
        ('"state-dict"', '"state-dic"', r"unknown kind state-dic \(did you mean state-dict\?\)"),
        ('["train"]', '["trian"]', r"unknown job trian \(did you mean train\?\)"),
        ('urls = ["https://example.org/net.pth"]', "", "net: needs urls or how_to_get"),
        ('"net.pth"', '"../net.pth"', r"\.\./net\.pth is not a plain file name"),
        ('"net.pth"', '"pins.json"', r"pins\.json is taken"),
    ],
)
def test_bad_entries(old: str, new: str, words: str) -> None:
    assert old in ENTRY
    with pytest.raises(ValueError, match=words):
        lock.parse(ENTRY.replace(old, new, 1))


def test_sizes_to_read() -> None:
    assert lock.megabytes(205_669_692) == "205.7 MB"
    assert lock.megabytes(512) == "512 bytes"
