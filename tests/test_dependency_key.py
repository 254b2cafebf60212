"""The key that decides whether `make` installs again."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def key(folder: Path) -> str:
    script = folder / "dependency_key.py"
    return subprocess.run(
        [sys.executable, script], cwd=folder, text=True, capture_output=True, check=True
    ).stdout


@pytest.fixture
def checkout(tmp_path: Path, repo_root: Path) -> Path:
    shutil.copy(repo_root / "pyproject.toml", tmp_path)
    shutil.copy(repo_root / ".ci" / "dependency_key.py", tmp_path)
    return tmp_path


def changed(folder: Path, old: str, new: str) -> bool:
    path = folder / "pyproject.toml"
    before, text = key(folder), path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return key(folder) != before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"scipy>=1.10"', '"scipy>=1.11"'),
        ('    "h5py>=3.8",\n', ""),
        ('"pytest>=8"', '"pytest>=8.1"'),
        ('requires-python = ">=3.10', 'requires-python = ">=3.11'),
        ('requires = ["setuptools>=77"]', 'requires = ["setuptools>=78"]'),
        ("avatarkit.__main__:main", "avatarkit.cli.app:run"),
        ('"avatarkit.cli" = "cli"', '"avatarkit.cli" = "commands"'),
    ],
)
def test_dependencies_count(old: str, new: str, checkout: Path) -> None:
    assert changed(checkout, old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"scipy>=1.10",', '"scipy>=1.10",    # a reason'),
        ("line-length = 120", "line-length = 100"),
        ('    "avatarkit.motion",\n', '    "avatarkit.motion",\n    "avatarkit.novel",\n'),
        ('keywords = ["face', 'keywords = ["fake'),
        ("strict = true", "strict = false"),
        ("xfail_strict = true", 'xfail_strict = true\nrequired_plugins = ["x"]'),
    ],
)
def test_the_rest_does_not(old: str, new: str, checkout: Path) -> None:
    assert not changed(checkout, old, new)


def test_the_folder_counts(checkout: Path, repo_root: Path) -> None:
    assert key(checkout) == key(checkout)
    other = checkout / "copy"
    other.mkdir()
    for name in ("pyproject.toml", "dependency_key.py"):
        shutil.copy(checkout / name, other)
    assert key(other) != key(checkout)
