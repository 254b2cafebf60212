"""MediaPipe's modules, imported by one thread at a time.

They import each other in circles, and two threads that begin at the same time leave the package half made for the rest
of the process.
"""

from __future__ import annotations

import importlib
import threading
from typing import Any, NamedTuple

from avatarkit.errors import DependencyError

__all__ = ["Tasks", "import_tasks", "imported"]

_ONE_AT_A_TIME = threading.Lock()


class Tasks(NamedTuple):
    """MediaPipe, its Tasks for pictures, and their basic options."""

    mediapipe: Any
    vision: Any
    options: Any


def imported(module: str) -> Any:
    """A module of MediaPipe by its whole name; ImportError or OSError, where native libraries are missing."""
    with _ONE_AT_A_TIME:
        return importlib.import_module(module)


def import_tasks() -> Tasks:
    """What networks of MediaPipe's Tasks are made of; DependencyError without it."""
    try:
        tasks = imported("mediapipe.tasks.python.vision"), imported("mediapipe.tasks.python.core.base_options")
        return Tasks(imported("mediapipe"), tasks[0], tasks[1].BaseOptions)
    except (ImportError, OSError) as error:
        # OSError: native libraries that mediapipe loads itself are missing.
        raise DependencyError(f"mediapipe's Tasks cannot be imported ({error}): install mediapipe") from error
