"""The built wheel and the cost of starting the command, each tried in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

FOLDERS = {"avatarkit": "avatarkit", "cli": "avatarkit/cli", "pipelines": "avatarkit/pipelines"}
HEAVY = ("torch", "torchvision", "cv2", "mediapipe", "numpy", "scipy", "matplotlib", "skimage", "decord")


def python(code: str, *, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def build_wheel(root: Path, work: Path) -> set[str]:
    """Build a wheel from a copy of the checkout, without network, and unpack it; returns the files in it."""
    copy = work / "checkout"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, copy)
    for name in FOLDERS:
        shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    code = f"from setuptools import build_meta; build_meta.build_wheel({str(work)!r})"
    built = python(code, cwd=copy)
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
        wheel.extractall(work / "unpacked")
        return set(wheel.namelist())


def expected_files(root: Path) -> set[str]:
    return {
        f"{inside}/{path.relative_to(root / folder).as_posix()}"
        for folder, inside in FOLDERS.items()
        for path in (root / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def wheel(repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    work = tmp_path_factory.mktemp("wheel")
    names = build_wheel(repo_root, work)
    return work / "unpacked", names


def test_wheel_holds_every_file(wheel: tuple[Path, set[str]], repo_root: Path) -> None:
    assert expected_files(repo_root) - wheel[1] == set()


def test_wheel_adds_one_name_to_site_packages(wheel: tuple[Path, set[str]]) -> None:
    tops = {name.split("/")[0] for name in wheel[1]}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"avatarkit"}


def test_wheel_runs_from_another_folder(wheel: tuple[Path, set[str]], tmp_path: Path) -> None:
    code = (
        "import avatarkit.cli.app as app, avatarkit.pipelines, avatarkit.runtime as runtime\n"
        "print(app.__file__); print(runtime.__file__); raise SystemExit(app.run(['--version']))"
    )
    done = python(code, cwd=tmp_path, path=wheel[0])
    assert done.returncode == 0, done.stderr
    app_file, runtime_file, version = done.stdout.splitlines()
    assert Path(app_file) == wheel[0] / "avatarkit" / "cli" / "app.py"
    assert Path(runtime_file) == wheel[0] / "avatarkit" / "runtime.py"
    assert version.startswith("avatarkit ")


def test_missing_package_is_noticed(repo_root: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "source"
    checkout.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repo_root / name, checkout)
    for folder in FOLDERS:
        (checkout / folder).mkdir()
        (checkout / folder / "__init__.py").write_text('__version__ = "0"\n')
    settings = (checkout / "pyproject.toml").read_text(encoding="utf-8")
    start, end = settings.index("packages = ["), settings.index("]", settings.index("packages = ["))
    listed = 'packages = ["avatarkit", "avatarkit.cli", "avatarkit.pipelines"'
    (checkout / "pyproject.toml").write_text(settings[:start] + listed + settings[end:], encoding="utf-8")
    (checkout / "avatarkit" / "novel").mkdir()
    (checkout / "avatarkit" / "novel" / "__init__.py").touch()
    missing = expected_files(checkout) - build_wheel(checkout, tmp_path)
    assert missing == {"avatarkit/novel/__init__.py"}


LOADED = "print(*[name for name in {heavy!r} if name in sys.modules])"


def test_help_loads_nothing_heavy(tmp_path: Path, repo_root: Path) -> None:
    code = (
        "import contextlib, io, sys\n"
        "from avatarkit.cli.app import run\n"
        "with contextlib.redirect_stdout(io.StringIO()) as out:\n"
        "    code = run(['--help']) or run(['reenact', '--help']) or run(['--version'])\n"
        "assert 'reenact' in out.getvalue()\n" + LOADED.format(heavy=HEAVY) + "\nraise SystemExit(code)"
    )
    done = python(code, cwd=repo_root)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr


def test_heavy_module_would_be_noticed(repo_root: Path) -> None:
    done = python("import sys, numpy\n" + LOADED.format(heavy=HEAVY), cwd=repo_root)
    assert done.stdout.split() == ["numpy"]


def test_module_runs_as_a_command(repo_root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "avatarkit", "--version"],
        cwd=repo_root,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout.split()[0], done.stderr) == (0, "avatarkit", "")


def test_bare_import_of_cli_is_refused(repo_root: Path) -> None:
    done = python("import cli", cwd=repo_root)
    assert done.returncode == 1
    assert "ImportError: import avatarkit.cli instead of cli" in done.stderr
