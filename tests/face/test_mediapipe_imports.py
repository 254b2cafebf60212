"""MediaPipe without what it draws plots with."""

from __future__ import annotations

import subprocess
import sys


def test_plots_are_imported_when_they_are_used() -> None:
    code = (
        "import sys; from avatarkit.face.mediapipe_imports import imported\n"
        "imported('mediapipe'); assert not [name for name in sys.modules if name.startswith('matplotlib')]\n"
        "from mediapipe.python.solutions import drawing_utils\n"
        "import matplotlib.pyplot\n"
        "assert drawing_utils.plt.figure is matplotlib.pyplot.figure\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if "No module named 'mediapipe.python.solutions'" in done.stderr:
        return  # from 0.10.30 on there are none
    assert done.returncode == 0, done.stderr
