"""One address into one temporary file: resumed after cuts, ended when the server falls silent."""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import os
import re
import shutil
import time
import urllib.error
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from avatarkit.errors import OutputError
from avatarkit.runtime import Progress
from avatarkit.weights import cache
from avatarkit.weights.connection import Broken, connect, host, network_text
from avatarkit.weights.errors import DownloadError
from avatarkit.weights.identify import BLOCK_BYTES
from avatarkit.weights.lock import megabytes

_PASSING = (408, 425, 429, 500, 502, 503, 504)
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True)
class Patience:
    """How long a download goes on.

    Args:
        silence_s: seconds without a byte after which a connection is given up.
        tries: connections in a row that bring nothing new before the address is given up.
        pause_s: seconds before the second try; each further pause is twice as long.
    """

    silence_s: float = 30.0
    tries: int = 3
    pause_s: float = 1.0


@dataclass(frozen=True)
class _Note:
    """What the part so far belongs to: the address, and the mark by which its server tells versions apart."""

    url: str
    version: str


class Download:
    """Fetches `url` into `part`; a part that was left by an earlier run is continued where that is safe.

    Args:
        url: the address.
        part: the temporary file; a note beside it says what it belongs to.
        name: what the file is called in messages and progress.
        size_bytes: the exact size, if it is known beforehand.
        hash_known: whether a wrong mixture of two versions would be noticed later.
        patience: how long to go on.
        progress: told the bytes received, in one stage.
    """

    def __init__(
        self,
        url: str,
        part: Path,
        *,
        name: str,
        size_bytes: int | None,
        hash_known: bool,
        patience: Patience,
        progress: Progress,
    ) -> None:
        self.resumed = False
        self._url, self._part, self._name = url, part, name
        self._note_path = part.with_name(part.name + ".json")
        self._size_bytes, self._hash_known = size_bytes, hash_known
        self._patience, self._progress = patience, progress
        self._offset = 0
        self._furthest = 0
        self._version = ""
        self._can_continue = False
        self._announced = False

    def run(self) -> None:
        """Fetch the whole file.

        Raises:
            DownloadError: the server refuses, or broke off more often than patience allows. The part is kept
                only where the next run can continue it.
            OutputError: the part cannot be written; it is removed.
        """
        self._find_earlier_part()
        failures = 0
        try:
            while True:
                before = self._furthest
                try:
                    self._connect()
                    return
                except Broken as broken:
                    failures = 1 if self._furthest > before else failures + 1
                    if failures >= self._patience.tries:
                        raise DownloadError(f"{broken}{self._kept()}") from broken
                    self._progress.notice(f"{self._name}: {host(self._url)} {broken}; trying again")
                time.sleep(self._patience.pause_s * 2 ** (failures - 1))
        except KeyboardInterrupt:
            self._kept()
            raise
        except DownloadError as error:
            if not isinstance(error.__cause__, Broken):
                self.discard()
            raise
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Remove the part and its note."""
        for path in (self._part, self._note_path):
            path.unlink(missing_ok=True)
        self._offset = 0

    def _find_earlier_part(self) -> None:
        try:
            note = _Note(**json.loads(self._note_path.read_text(encoding="utf-8")))
            size_bytes = self._part.stat().st_size
        except (OSError, ValueError, TypeError):
            self.discard()
            return
        if note.url != self._url or not size_bytes or not (note.version or self._hash_known):
            self.discard()
            return
        self._offset = self._furthest = size_bytes
        self._version, self.resumed, self._can_continue = note.version, True, True

    def _connect(self) -> None:
        """One connection, from the part's end or from the beginning."""
        headers = {}
        if self._offset:
            headers["Range"] = f"bytes={self._offset}-"
            if self._version:
                headers["If-Range"] = self._version
        try:
            response = connect(self._url, headers, self._patience.silence_s)
        except urllib.error.HTTPError as error:
            with error:
                self._refused(error)
            return
        with response:
            total = self._begin(response)
            with self._storing(), self._part.open("ab") as handle:
                self._receive(response, handle, total)
        if total is not None and self._offset < total:
            raise Broken(f"broke off after {self._offset} of {total} bytes")

    def _refused(self, error: urllib.error.HTTPError) -> None:
        """Judge an answer that is not the file; a plain return means that the part is whole already."""
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and self._offset:
            if error.headers.get("Content-Range", "") == f"bytes */{self._offset}":
                return
            self.discard()
            raise Broken("has another file now") from error
        # Python's text for redirects in a circle has several lines.
        answer = " ".join(f"answers {error.code} {error.reason}".split())
        if error.code in _PASSING:
            raise Broken(answer) from error
        raise DownloadError(answer) from error

    def _begin(self, response: http.client.HTTPResponse) -> int | None:
        """Settle where the coming bytes belong; returns the size of the whole file, if the server tells."""
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        partial = response.status == http.client.PARTIAL_CONTENT
        if partial:
            result = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if result is None or int(result[1]) != self._offset:
                self.discard()
                raise Broken("sent another piece than the one asked for")
            total = None if result[2] == "*" else int(result[2])
        else:
            self.discard()
            self.resumed = False
        if total is not None and self._size_bytes is not None and total != self._size_bytes:
            raise DownloadError(f"offers {total} bytes, expected {self._size_bytes}")
        total = total if total is not None else self._size_bytes
        self._check_space((total or 0) - self._offset)
        tag = response.headers.get("ETag", "")
        self._version = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")
        ranges = partial or response.headers.get("Accept-Ranges") == "bytes"
        self._can_continue = ranges and bool(self._version or self._hash_known)
        with self._storing():
            self._note_path.write_text(json.dumps(asdict(_Note(self._url, self._version))), encoding="utf-8")
        if not (partial and self._announced):
            self._progress.stage(self._name, total, "bytes")
            self._progress.advance(self._offset)
            self._announced = True
        return total

    def _receive(self, response: http.client.HTTPResponse, handle: IO[bytes], total: int | None) -> None:
        while True:
            try:
                block = response.read1(BLOCK_BYTES)
            except (OSError, http.client.HTTPException) as error:
                raise Broken(network_text(error, self._patience.silence_s)) from error
            if not block:
                return
            if total is not None and self._offset + len(block) > total:
                raise DownloadError(f"sends more than the {total} bytes expected")
            handle.write(block)
            self._offset += len(block)
            self._furthest = max(self._furthest, self._offset)
            self._progress.advance(len(block))

    def _check_space(self, wanted_bytes: int) -> None:
        free_bytes = shutil.disk_usage(self._part.parent).free
        if wanted_bytes > free_bytes:
            detail = f"{megabytes(wanted_bytes)} needed, {megabytes(free_bytes)} free"
            raise _disk_full(self._part.parent, detail)

    @contextlib.contextmanager
    def _storing(self) -> Iterator[None]:
        """Tell what goes wrong with the disk apart from what goes wrong with the network."""
        try:
            yield
        except OSError as error:
            raise storage_error(self._part.parent, error) from error

    def _kept(self) -> str:
        """Keep the part if the next run can continue it; returns what to say about it."""
        if self._can_continue and self._offset:
            return f"; {megabytes(self._offset)} are kept, and the same command goes on from there"
        self.discard()
        return ""


def storage_error(folder: Path, error: OSError) -> OutputError:
    """The error for a file that cannot be written into the folder of weights."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _disk_full(folder, os.strerror(error.errno))
    return cache.unwritable(folder, error)


def _disk_full(folder: Path, detail: str) -> OutputError:
    remedy = f"free some space or set {cache.FOLDER_VARIABLE} to a folder elsewhere"
    return OutputError(f"{folder}: the disk is full ({detail}); {remedy}")
