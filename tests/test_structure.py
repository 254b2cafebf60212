"""The shape of the code base: import direction, packaging, start-up cost, size and house rules.

Each rule is a function from a checkout's folder to a list of complaints; each is also shown a bad checkout.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDERS = {"avatarkit": "avatarkit", "cli": "avatarkit.cli", "pipelines": "avatarkit.pipelines"}
LAYERS = (
    ("", "errors", "runtime", "devices", "atomic", "reading", "escaping"),
    ("media", "geometry"),
    ("weights", "checkpoint", "cache"),
    ("face", "background", "quality"),
    ("head",),
    ("nets", "losses", "metrics", "data"),
    ("motion",),
    ("training", "prepare", "work"),
    ("systems",),
    ("pipelines",),
    ("cli", "__main__"),
)
LEVEL = {package: level for level, packages in enumerate(LAYERS) for package in packages}
LIGHT_FOR_CLI = (
    "avatarkit", "avatarkit.atomic", "avatarkit.errors", "avatarkit.runtime", "avatarkit.cli",
    "avatarkit.systems.registry", "typer", "rich",
)  # fmt: skip
MAX_LINES = 350

Import = tuple[str, bool]


def sources(root: Path, *folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(path for path in (root / folder).rglob("*.py") if "build" not in path.parts)


def module_name(root: Path, path: Path) -> str:
    top, *rest = path.relative_to(root).with_suffix("").parts
    return ".".join([FOLDERS[top], *(part for part in rest if part != "__init__")])


def imports(root: Path, path: Path) -> Iterator[Import]:
    """Each imported module's full name, and whether the import runs when the module is loaded."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = {id(inner) for outer in ast.walk(tree) if is_deferred(outer) for inner in ast.walk(outer)}
    package = module_name(root, path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(tree):
        at_load = id(node) not in late
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_load) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            # `from avatarkit import face` imports a package, `from avatarkit import __version__` does not.
            yield from (
                (f"{name}.{alias.name}" if name == "avatarkit" and alias.name in LEVEL else name, at_load)
                for alias in node.names
            )


def is_deferred(node: ast.AST) -> bool:
    typing_only = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
    return typing_only or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def package_of(module: str) -> str | None:
    """The package below avatarkit, "" for avatarkit itself, None for other projects' modules."""
    head, _, rest = module.partition(".")
    return rest.split(".")[0] if head == "avatarkit" else None


def wrong_arrows(root: Path) -> list[str]:
    """Imports that go up the layers, unknown packages, and packages of one layer that import in a circle."""
    found: list[str] = []
    arrows: dict[str, set[str]] = {}
    for path in sources(root, *FOLDERS):
        importer = package_of(module_name(root, path)) or ""
        for name, _ in imports(root, path):
            imported = package_of(name)
            if imported is None or imported == importer:
                continue
            where = f"{path.relative_to(root)}: {importer or 'avatarkit'} imports {name}"
            if importer not in LEVEL or imported not in LEVEL:
                found.append(f"{where}: not in the list of layers")
            elif LEVEL[imported] > LEVEL[importer]:
                found.append(f"{where}: from a higher layer")
            else:
                arrows.setdefault(importer, set()).add(imported)
    circles = [name for name in arrows if name in reachable(name, arrows)]
    return found + [f"packages import each other: {', '.join(sorted(circles))}"] * bool(circles)


def reachable(start: str, arrows: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    todo = list(arrows.get(start, ()))
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += arrows.get(name, ())
    return seen


def circles_of_files(root: Path) -> list[str]:
    """Files that import each other, also inside functions and for types alone."""
    arrows: dict[str, set[str]] = {}
    for path in sources(root, *FOLDERS):
        own = module_name(root, path)
        arrows[own] = {name for name, _ in imports(root, path) if package_of(name) is not None and name != own}
    return [f"{name}: imports itself by way of others" for name in sorted(arrows) if name in reachable(name, arrows)]


def bare_imports(root: Path) -> list[str]:
    """Imports of cli or pipelines by their folder's name, which would load a second copy."""
    found = []
    for path in sources(root, *FOLDERS, "tests", "examples", "benchmarks"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names = [node.module]
            if any(name.split(".")[0] in ("cli", "pipelines") for name in names):
                found.append(f"{path.relative_to(root)}:{node.lineno}: import avatarkit.{names[0]} instead")
    return found


def eager_imports(root: Path) -> list[str]:
    """Modules of the command line that load more than Typer before a command runs."""
    found = []
    for path in sources(root, "cli"):
        for name, at_load in imports(root, path):
            light = name.split(".")[0] in sys.stdlib_module_names or any(
                name == known or (known != "avatarkit" and name.startswith(known + "."))
                for known in LIGHT_FOR_CLI
            )
            if at_load and not light:
                found.append(f"{path.relative_to(root)}: imports {name} before a command runs")
    return found


def forbidden_calls(root: Path) -> list[str]:
    """print() in the library or the pipelines, and .cuda() anywhere."""
    found = []
    for path in sources(root, *FOLDERS):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            call = ast.unparse(node.func)
            prints = call == "print" and path.relative_to(root).parts[0] != "cli"
            if prints or call.endswith(".cuda"):
                found.append(f"{path.relative_to(root)}:{node.lineno}: {call}()")
    return found


def long_files(root: Path) -> list[str]:
    return [
        f"{path.relative_to(root)}: {lines} lines"
        for path in sources(root, *FOLDERS, "tests", "examples", "benchmarks")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MAX_LINES
    ]


def unlisted_packages(root: Path) -> list[str]:
    """Packages that pyproject.toml does not list, listed ones without code, and missing __init__.py."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    listed = set(settings["tool"]["setuptools"]["packages"])
    folders = {path.parent for path in sources(root, *FOLDERS)}
    present = {module_name(root, folder / "__init__.py") for folder in folders}
    found = [f"{name}: not in the package list of pyproject.toml" for name in sorted(present - listed)]
    found += [f"{name}: listed in pyproject.toml, but has no code" for name in sorted(listed - present)]
    return found + [
        f"{folder.relative_to(root)}: no __init__.py"
        for folder in sorted(folders)
        if not (folder / "__init__.py").is_file()
    ]


RULES = [
    wrong_arrows, circles_of_files, bare_imports, eager_imports, forbidden_calls, long_files, unlisted_packages,
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_code_base_follows(rule, repo_root: Path) -> None:
    assert rule(repo_root) == []


@pytest.mark.parametrize(
    ("rule", "file", "text"),
    [
        (wrong_arrows, "avatarkit/media/a.py", "from avatarkit.face import tracker"),
        (wrong_arrows, "avatarkit/media/a.py", "def f():\n    from ..motion import config"),
        (wrong_arrows, "avatarkit/face/a.py", "from avatarkit import pipelines"),
        (wrong_arrows, "pipelines/a.py", "import avatarkit.cli.app"),
        (wrong_arrows, "avatarkit/novel/a.py", "import avatarkit.errors"),
        (bare_imports, "tests/a.py", "import cli"),
        (bare_imports, "avatarkit/a.py", "from pipelines.reenact import reenact"),
        (eager_imports, "cli/a.py", "import numpy"),
        (eager_imports, "cli/a.py", "from avatarkit.pipelines.demo import run_demo"),
        (forbidden_calls, "pipelines/a.py", "print(1)"),
        (forbidden_calls, "avatarkit/nets/a.py", "net.cuda()"),
        (long_files, "avatarkit/a.py", "x = 1\n" * (MAX_LINES + 1)),
    ],
)
def test_rule_can_fail(rule, file: str, text: str, tmp_path: Path) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(text)
    assert len(rule(tmp_path)) == 1


def test_circle_in_one_layer_is_found(tmp_path: Path) -> None:
    for package, other in (("face", "quality"), ("quality", "face")):
        (tmp_path / "avatarkit" / package).mkdir(parents=True)
        (tmp_path / "avatarkit" / package / "a.py").write_text(f"import avatarkit.{other}.a")
    assert wrong_arrows(tmp_path) == ["packages import each other: face, quality"]


def test_a_circle_of_files_is_found(tmp_path: Path) -> None:
    (tmp_path / "avatarkit" / "face").mkdir(parents=True)
    for file, other in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")):
        text = f"def f():\n    from avatarkit.face.{other} import x"
        (tmp_path / "avatarkit" / "face" / f"{file}.py").write_text(text)
    assert [line.split(":")[0] for line in circles_of_files(tmp_path)] == [f"avatarkit.face.{name}" for name in "abc"]


def test_wrong_package_list_is_found(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.setuptools]\npackages = ["avatarkit", "avatarkit.old"]')
    for file in ("avatarkit/__init__.py", "avatarkit/novel/__init__.py", "cli/app.py"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert unlisted_packages(tmp_path) == [
        "avatarkit.cli: not in the package list of pyproject.toml",
        "avatarkit.novel: not in the package list of pyproject.toml",
        "avatarkit.old: listed in pyproject.toml, but has no code",
        "cli: no __init__.py",
    ]


def test_deferred_imports_of_the_command_line_are_allowed(tmp_path: Path) -> None:
    (tmp_path / "cli").mkdir()
    (tmp_path / "cli" / "a.py").write_text(
        "if TYPE_CHECKING:\n    import numpy\ndef f():\n    import torch\nimport typer, json\n"
    )
    assert eager_imports(tmp_path) == []
