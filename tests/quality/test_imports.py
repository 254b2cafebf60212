"""The adapters of networks can be imported without loading torch, which takes seconds."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "avatarkit.background.lama",
        "avatarkit.background.modnet",
        "avatarkit.quality.hyperiqa",
        "avatarkit.quality.patches",
    ],
)
def test_import_loads_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
