"""The real processor in worker processes whose surroundings the environment describes.

KIT_AUTHORITY: a file of the certificate authority to trust; nothing but 127.0.0.1 can be reached then.
KIT_WEIGHTS: json, {name: [bytes, sha256]}: what the registry says of weight files.
KIT_DISK_BYTES: so many bytes of shards can be written, then the disk is full.
"""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import socket
from dataclasses import replace
from typing import Any

from avatarkit.pipelines.prepare.processor import Processor, open_processor
from avatarkit.prepare.config import PrepareConfig


def open_real(config: PrepareConfig) -> Processor:
    """Open the real tools; in the tests' own process pytest's monkeypatch has set what is needed."""
    if multiprocessing.parent_process() is not None:
        settle()
    return open_processor(config)


def settle() -> None:
    """Change this worker's surroundings as the environment asks for."""
    if "KIT_AUTHORITY" in os.environ:
        trust(os.environ["KIT_AUTHORITY"])
    if "KIT_WEIGHTS" in os.environ:
        register(json.loads(os.environ["KIT_WEIGHTS"]))
    if "KIT_DISK_BYTES" in os.environ:
        fill_disk(int(os.environ["KIT_DISK_BYTES"]))


def trust(authority: str) -> None:
    import certifi

    look_up = socket.getaddrinfo

    def guarded(host: Any, *args: Any, **options: Any) -> Any:
        if host not in ("127.0.0.1", b"127.0.0.1"):
            raise socket.gaierror("only 127.0.0.1 may be looked up in tests")
        return look_up(host, *args, **options)

    certifi.where = lambda: authority
    socket.getaddrinfo = guarded


def register(known: dict[str, list[Any]]) -> None:
    from avatarkit.weights import lock

    table = dict(lock.weights())
    for name, (size, sha256) in known.items():
        table[name] = replace(table[name], size_bytes=size, sha256=sha256, md5=None)
    lock.weights = lambda: table  # type: ignore[assignment]


def fill_disk(free: int) -> None:
    from avatarkit.data import writer

    class Disk:
        """A shard's file on a disk with so much room; what just fits is written, as disks do."""

        left = free

        def __init__(self, handle: Any) -> None:
            self._handle = handle

        def write(self, data: memoryview) -> int:
            if not Disk.left:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            count = int(self._handle.write(data[: Disk.left]))
            Disk.left -= count
            return count

        def __getattr__(self, name: str) -> Any:
            return getattr(self._handle, name)

    real = writer._Target.__init__
    writer._Target.__init__ = lambda target, handle: real(target, Disk(handle))  # type: ignore[method-assign,arg-type]
