"""What the adapters of other people's networks share: weights from a file or from the registry, and their hash."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, TypeVar

from avatarkit.runtime import sha256_file

__all__ = ["Adapter"]

A = TypeVar("A", bound="Adapter")


class Adapter(ABC):
    """A network of others behind one of our protocols.

    Attributes:
        weights_name: what the registry calls its weights.
        weights_sha256: hash of the file they came from; None for a network built in memory.
    """

    weights_name: ClassVar[str]
    weights_sha256: str | None = None

    @classmethod
    def from_file(cls: type[A], path: Path, device: str = "cpu") -> A:
        """Load a file as its authors published it. TorchScript is code, and runs: give only one that you trust.

        Raises:
            InputError: the file cannot be read, or is not what this network needs; the message says how that
                was seen (wrong keys are listed).
        """
        return cls._hashed(path, path, device)

    @classmethod
    def from_registry(cls: type[A], device: str = "cpu") -> A:
        """Load the weights from the cache after their hash matched; nothing is downloaded.

        Raises:
            DependencyError: they are missing or damaged; the message says how to get them.
        """
        from avatarkit.weights.load import require

        return cls._hashed(cls.weights_name, require(cls.weights_name), device)

    @classmethod
    def _hashed(cls: type[A], source: str | Path, path: Path, device: str) -> A:
        loaded = cls._load(source, path, device)
        loaded.weights_sha256 = sha256_file(path)
        return loaded

    @classmethod
    @abstractmethod
    def _load(cls: type[A], source: str | Path, path: Path, device: str) -> A:
        """Build the adapter.

        Args:
            source: the registry's name, or the file: what `weights.load` takes.
            path: the file, as errors name it.
            device: where it runs.
        """
