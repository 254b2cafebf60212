"""What can be wrong with a weight file; unwritable caches and full disks are OutputError."""

from __future__ import annotations

from avatarkit.errors import DependencyError, InputError


class WeightError(DependencyError):
    """A weight file that a job needs cannot be had or used."""


class MissingWeights(WeightError):
    """The weight file is not in the cache; the message says how to get it."""


class DamagedWeights(WeightError):
    """The weight file in the cache is not the one that was published or pinned."""


class DownloadError(WeightError):
    """No source gave the file: refused, cut, stalled, or the file was not what it should be."""


class HashMismatch(DownloadError):
    """The downloaded file has another hash than the published or pinned one; nothing of it was kept."""


class OfflineError(MissingWeights):
    """The file is missing and the network may not be used."""


class WrongFile(InputError):
    """A given file is not what it is said to be; the message says how that was seen."""
