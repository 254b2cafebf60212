"""What MediaPipe's import brings along: neither plots nor microphones, until somebody asks for plots."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("mediapipe")
ASKED = """
import sys
from avatarkit.face.mediapipe_imports import imported

mediapipe = imported("mediapipe")
print(*(name in sys.modules for name in ("matplotlib.pyplot", "matplotlib.figure", "sounddevice")))
plots = getattr(getattr(mediapipe, "solutions", None), "drawing_utils", None)
if plots is not None:
    import matplotlib.pyplot
    assert plots.plt.figure is matplotlib.pyplot.figure
"""


def test_plots_and_microphones_are_not_loaded_along() -> None:
    """In a process of its own: the packages of this one may have been loaded by others."""
    done = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["False"] * 3


def test_a_package_that_is_loaded_already_stays() -> None:
    """Whoever plots by themselves keeps their pyplot."""
    first = "import matplotlib.pyplot as mine\n"
    last = "\nassert sys.modules['matplotlib.pyplot'] is mine\n"
    done = subprocess.run([sys.executable, "-c", first + ASKED + last], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
