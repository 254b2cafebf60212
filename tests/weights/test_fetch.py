"""Downloads from a server that goes wrong: the right error, nothing half-done, a cache that still works."""

from __future__ import annotations

import hashlib
import socket
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError

import pytest

from avatarkit.errors import OutputError, UsageError
from avatarkit.weights import cache
from avatarkit.weights.connection import _Redirects
from avatarkit.weights.errors import DownloadError, HashMismatch, MissingWeights, OfflineError
from avatarkit.weights.fetch import Patience, fetch
from avatarkit.weights.lock import WeightFile

BODY = bytes(range(256)) * 2048
Weight = Callable[..., WeightFile]
Kept = Callable[[], list[str]]


class Recorded:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int | None, str]] = []
        self.counts: list[int] = []
        self.notices: list[str] = []

    def stage(self, name: str, total: int | None, unit: str = "frames") -> None:
        self.stages.append((name, total, unit))

    def advance(self, count: int = 1) -> None:
        self.counts.append(count)

    def notice(self, text: str) -> None:
        self.notices.append(text)


def test_right_file(server, weight: Weight, folder: Path, kept: Kept) -> None:
    server.serve()
    progress = Recorded()
    path = fetch(weight(), progress=progress)
    assert path == folder / "net.pth"
    assert path.read_bytes() == BODY
    assert kept() == ["net.pth", "pins.json"]
    assert cache.state(weight()) == "present"
    assert (progress.stages, sum(progress.counts)) == ([("net", len(BODY), "bytes")], len(BODY))
    assert fetch(weight()) == path
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "known",
    [
        {"sha256": None, "sha256_prefix": hashlib.sha256(BODY).hexdigest()[:8]},
        {"sha256": None, "md5": hashlib.md5(BODY).hexdigest()},
        {"size_bytes": None},
    ],
    ids=["prefix", "md5", "no size"],
)
def test_less_known(known: dict[str, object], server, weight: Weight) -> None:
    server.serve()
    assert fetch(weight(**known)).read_bytes() == BODY
    assert cache.state(weight(**known)) == "present"


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"sha256": "0" * 64}, ["0" * 64, hashlib.sha256(BODY).hexdigest()]),
        ({"sha256": None, "sha256_prefix": "00000000"}, ["00000000", hashlib.sha256(BODY).hexdigest()]),
        ({"sha256": None, "md5": "0" * 32}, ["0" * 32, hashlib.md5(BODY).hexdigest()]),
    ],
    ids=["sha256", "prefix", "md5"],
)
def test_wrong_hash_keeps_nothing_and_shows_both(
    known: dict[str, object], words: list[str], server, weight: Weight, kept: Kept
) -> None:
    server.serve()
    with pytest.raises(HashMismatch) as caught:
        fetch(weight(**known))
    assert all(
        word in str(caught.value) for word in [*words, "nothing was kept", "weights import FILE --as net"]
    )
    assert kept() == []
    assert fetch(weight()).read_bytes() == BODY


def test_every_fault_leaves_a_usable_cache(server, weight: Weight, kept: Kept, patience: Patience) -> None:
    faults = {
        "truncated": {"ranges": False, "cut_always": len(BODY) // 2},
        "shorter": {"body": BODY[:1000]},
        "longer": {"body": BODY + b"x"},
        "not found": {"status": 404},
        "gone": {"status": 410},
        "forbidden": {"status": 403},
        "failing": {"status": 503},
        "redirect in a circle": {"redirect": server.url("/net.pth")},
        "redirect to nowhere": {"redirect": server.url("/gone.pth")},
        "redirect to a file": {"redirect": "file:///etc/hostname"},
    }
    for name, fault in faults.items():
        server.serve(**fault)
        with pytest.raises(DownloadError) as caught:
            fetch(weight(), patience=patience)
        assert (kept(), "\n" in str(caught.value)) == ([], False), name
        assert caught.value.exit_code == 5
    server.serve()
    assert fetch(weight(), patience=patience).read_bytes() == BODY


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"status": 404}, "answers 404 Not Found"),
        ({"status": 503}, "answers 503 Service Unavailable"),
        ({"ranges": False, "cut_always": 1000}, f"broke off after 1000 of {len(BODY)} bytes"),
        ({"body": BODY[:1000]}, f"offers 1000 bytes, expected {len(BODY)}"),
    ],
)
def test_the_fault_is_named(
    fault: dict[str, object], words: str, server, weight: Weight, patience: Patience
) -> None:
    server.serve(**fault)
    with pytest.raises(DownloadError, match=words) as caught:
        fetch(weight(), patience=patience)
    assert all(
        word in str(caught.value) for word in ("net could not be fetched: 127.0.0.1", "net.pth (0.5 MB)")
    )


def test_truncated_without_any_known_size(server, weight: Weight, kept: Kept, patience: Patience) -> None:
    server.serve(cut_always=1000, length=1000, ranges=False)
    with pytest.raises(HashMismatch):
        fetch(weight(size_bytes=None), patience=patience)
    assert kept() == []


def test_passing_failure_is_tried_again(server, weight: Weight, patience: Patience) -> None:
    server.serve(statuses=[503])
    progress = Recorded()
    assert fetch(weight(), patience=patience, progress=progress).read_bytes() == BODY
    assert progress.notices[0].startswith("net: 127.0.0.1")
    assert progress.notices[0].endswith("answers 503 Service Unavailable; trying again")


def test_redirect_is_followed(server, weight: Weight) -> None:
    server.serve(redirect=server.url("/there.pth"))
    server.serve("/there.pth")
    assert fetch(weight()).read_bytes() == BODY


def test_redirect_keeps_the_range(server, weight: Weight, patience: Patience) -> None:
    server.serve(redirect=server.url("/there.pth"))
    server.serve("/there.pth", cuts=[1000])
    assert fetch(weight(), patience=patience).read_bytes() == BODY
    assert server.requests[-1] == ("/there.pth", "bytes=1000-")


def test_redirect_to_an_unencrypted_address_is_refused() -> None:
    request = urllib.request.Request("https://127.0.0.1/net.pth")
    with pytest.raises(HTTPError, match="unencrypted"):
        _Redirects().redirect_request(request, None, 302, "Found", {}, "http://127.0.0.1/net.pth")


def test_addresses_are_tried_in_order(server, weight: Weight, patience: Patience) -> None:
    server.serve("/wrong.pth", body=BODY[::-1])
    server.serve()
    urls = tuple(map(server.url, ("/gone.pth", "/wrong.pth", "/net.pth")))
    assert fetch(weight(urls=urls), patience=patience).read_bytes() == BODY
    assert [path for path, _ in server.requests] == ["/gone.pth", "/wrong.pth", "/net.pth"]


def test_all_addresses_are_named_when_all_fail(server, weight: Weight, kept: Kept) -> None:
    server.serve("/wrong.pth", body=BODY[::-1])
    with pytest.raises(HashMismatch, match=r"answers 404 Not Found; .* sent another file"):
        fetch(weight(urls=tuple(map(server.url, ("/gone.pth", "/wrong.pth")))))
    assert kept() == []


def test_slow_is_not_silent(server, weight: Weight) -> None:
    server.serve(pieces=24, pause_s=0.15)
    progress = Recorded()
    # In all it takes longer than the silence that is allowed.
    assert fetch(weight(), progress=progress, patience=Patience(3.0, 1, 0)).read_bytes() == BODY
    assert len(progress.counts) >= 6


@pytest.mark.parametrize("fault", [{"silent_after": 1000, "ranges": False}, {"silent_before": True}])
def test_a_silent_server_is_given_up(fault: dict[str, object], server, weight: Weight, kept: Kept) -> None:
    server.serve(**fault)
    with pytest.raises(DownloadError, match=r"sent nothing for 0\.3 s"):
        fetch(weight(), patience=Patience(0.3, 2, 0))
    until_s = time.monotonic() + 60  # a busy server hears of a request when whoever asked is gone
    while len(server.requests) < 2 and time.monotonic() < until_s:
        time.sleep(0.02)
    assert (len(server.requests), kept()) == (2, [])


def test_no_network(weight: Weight, kept: Kept, patience: Patience) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/net.pth"
        with pytest.raises(DownloadError, match="is not reachable") as caught:
            fetch(weight(urls=(url,)), patience=patience)
    words = ("net.pth", "0.5 MB", url, "`avatarkit weights import FILE --as net`")
    assert all(word in str(caught.value) for word in words)
    assert kept() == []


@pytest.mark.parametrize("how", ["option", "variable"])
def test_offline_touches_nothing(
    how: str, server, weight: Weight, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.serve()
    if how == "variable":
        monkeypatch.setenv("AVATARKIT_OFFLINE", "1")
    with pytest.raises(OfflineError) as caught:
        fetch(weight(), offline=how == "option")
    words = ("net.pth", "0.5 MB", server.url("/net.pth"), "`avatarkit weights import FILE --as net`")
    assert all(word in str(caught.value) for word in words)
    assert (server.requests, kept(), caught.value.exit_code) == ([], [], 5)


@pytest.mark.parametrize("value", ["", "0", "false", "No"])
def test_offline_can_be_off(value: str, server, weight: Weight, monkeypatch: pytest.MonkeyPatch) -> None:
    server.serve()
    monkeypatch.setenv("AVATARKIT_OFFLINE", value)
    assert fetch(weight()).is_file()


def test_offline_uses_what_is_here(server, weight: Weight) -> None:
    server.serve()
    path = fetch(weight())
    assert fetch(weight(), offline=True) == path


def test_no_address(weight: Weight) -> None:
    with pytest.raises(
        MissingWeights, match=r"ask the author, then run `avatarkit weights import FILE --as net`"
    ):
        fetch(weight(urls=(), how_to_get="ask the author"))


def test_restricted_weights_are_refused_by_name(server, weight: Weight, kept: Kept) -> None:
    server.serve()
    with pytest.raises(UsageError, match=r"--permissive-only refuses net \(research only"):
        fetch(weight(permissive=False, licence="research only"), permissive_only=True)
    assert (server.requests, kept()) == ([], [])
    assert fetch(weight(), permissive_only=True).is_file()


def test_damaged_file_is_replaced(server, weight: Weight, folder: Path) -> None:
    server.serve()
    folder.mkdir(parents=True)
    (folder / "net.pth").write_bytes(BODY[::-1])
    assert cache.state(weight()) == "damaged"
    assert fetch(weight()).read_bytes() == BODY
    assert cache.state(weight()) == "present"


def test_damaged_file_stays_when_it_cannot_be_replaced(server, weight: Weight, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "net.pth").write_bytes(BODY[::-1])
    with pytest.raises(DownloadError):
        fetch(weight())
    assert (folder / "net.pth").read_bytes() == BODY[::-1]


def test_cache_that_cannot_be_written(
    server, weight: Weight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.serve()
    (tmp_path / "file").touch()
    monkeypatch.setenv("AVATARKIT_WEIGHTS", str(tmp_path / "file" / "weights"))
    with pytest.raises(OutputError, match="set AVATARKIT_WEIGHTS to a folder that can be written"):
        fetch(weight())
    assert server.requests == []
