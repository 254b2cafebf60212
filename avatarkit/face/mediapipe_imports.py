"""MediaPipe's modules, imported by one thread at a time.

They import each other in circles, and two threads that begin at the same time leave the package half made for the rest
of the process.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple

from avatarkit.errors import DependencyError

__all__ = ["Tasks", "import_tasks", "imported"]

_ONE_AT_A_TIME = threading.Lock()
_SOUND, _PLOTS = "sounddevice", "matplotlib.pyplot"


class Tasks(NamedTuple):
    """MediaPipe, its Tasks for pictures, and their basic options."""

    mediapipe: Any
    vision: Any
    options: Any


def imported(module: str) -> Any:
    """A module of MediaPipe by its whole name; ImportError or OSError, where native libraries are missing."""
    with _ONE_AT_A_TIME, _light():
        return importlib.import_module(module)


def import_tasks() -> Tasks:
    """What networks of MediaPipe's Tasks are made of; DependencyError without it."""
    try:
        tasks = imported("mediapipe.tasks.python.vision"), imported("mediapipe.tasks.python.core.base_options")
        return Tasks(imported("mediapipe"), tasks[0], tasks[1].BaseOptions)
    except (ImportError, OSError) as error:
        # OSError: native libraries that mediapipe loads itself are missing.
        raise DependencyError(f"mediapipe's Tasks cannot be imported ({error}): install mediapipe") from error


@contextmanager
def _light() -> Iterator[None]:
    """Spare MediaPipe's import what takes most of its time.

    It is for plots of landmarks, which come when somebody draws one, and for microphones, whose library it looks for
    with compilers, and which it can do without.
    """
    given: dict[str, Any] = {}
    if "mediapipe" not in sys.modules:
        given = {name: stand_in for name, stand_in in ((_SOUND, None), (_PLOTS, _Plots(_PLOTS)))
                 if name not in sys.modules}  # fmt: skip
    sys.modules.update(given)
    try:
        yield
    finally:
        for name, stand_in in given.items():
            if sys.modules.get(name, name) is stand_in:  # somebody may have taken it out, or the real one in
                del sys.modules[name]


class _Plots(ModuleType):
    """Stands in for pyplot, and loads it when it is used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked by the import itself
            raise AttributeError(name)
        if sys.modules.get(_PLOTS) is self:
            del sys.modules[_PLOTS]
        return getattr(importlib.import_module(_PLOTS), name)
