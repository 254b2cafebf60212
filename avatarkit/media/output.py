"""Outputs appear under their name only when they are complete, and never over something they must not
touch.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from avatarkit.atomic import begun, promise, settle
from avatarkit.errors import OutputError

_OURS = {
    "dataset": ("shards", (
        "manifest.json", "plan.json", "selection.json", "removed.json", "attribution.csv", "ledger.sqlite", "columns",
    )),
    "training": ("checkpoints", ("config.yaml", "log.jsonl", "pictures", "tensorboard")),
}  # fmt: skip
"""What commands make to be gone on with: the folder that marks it, and what lies beside that one."""
_OUR_FRAMES = re.compile(r"\d{6}\.png")


def check_distinct(output: Path | str, inputs: Iterable[Path | str]) -> None:
    """Raise OutputError if `output` is the same file as one of `inputs`, by whatever name, or a folder around one."""
    output = Path(output)
    for source in map(Path, inputs):
        if output.resolve() in source.resolve().parents:
            raise OutputError(f"{output}: holds an input, {source.name}; choose another name for the output")
        same = output.resolve() == source.resolve()
        if not same and output.exists() and source.exists():
            same = output.samefile(source)
        if same:
            raise OutputError(f"{output}: is also an input; choose another name for the output")


def check_output(path: Path | str, *, overwrite: bool, directory: bool = False) -> None:
    """Raise OutputError where `path` may not be written: it exists, or its folder is read-only or cannot be made.

    With `overwrite` a file replaces a file; a folder is only replaced if it is empty or holds nothing but
    numbered PNGs.
    """
    path = Path(path)
    check_not_ours(path)
    parent = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not parent.is_dir():
        raise OutputError(f"{path}: {parent} is not a folder; choose another")
    if path.is_dir() and not directory:
        raise OutputError(f"{path}: is a folder; give a file name")
    if os.path.lexists(path):
        if not overwrite:
            raise OutputError(f"{path}: exists already; choose another name or pass --overwrite")
        if directory and not path.is_dir():
            raise OutputError(f"{path}: exists and is not a folder; choose another name")
        if directory and not all(_OUR_FRAMES.fullmatch(name) for name in os.listdir(path)):
            raise OutputError(
                f"{path}: holds other files than numbered PNGs and is not overwritten; choose another name"
            )
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: no permission to write in {parent}")


def check_not_ours(path: Path) -> None:
    """Raise OutputError where `path` is, or would be, part of a dataset or of a training's run."""
    real = path.resolve()
    for folder in (real, *real.parents):
        for what, (mark, parts) in _OURS.items():
            if (folder / mark).is_dir() and any((folder / name).is_file() for name in parts):
                inner = real.relative_to(folder).parts
                if not inner or inner[0] in (mark, *parts):
                    raise OutputError(f"{path}: is part of the {what} in {folder}; choose another name for the output")


@contextlib.contextmanager
def pending_output(path: Path | str, *, overwrite: bool, directory: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path` with the same suffix; it takes the name of `path` when the block
    ends well.

    The file (or with `directory` the folder) exists from the start, so an unwritable place fails at once. On
    any exception, KeyboardInterrupt too, it is removed, and so are the folders that were made for it. Raises
    OutputError as `check_output`, and where the finished file cannot be moved into place.
    """
    path = Path(path)
    check_output(path, overwrite=overwrite, directory=directory)
    target = path.resolve() if path.is_symlink() else path
    with contextlib.ExitStack() as stack:
        stack.enter_context(parents_made(target))
        try:
            temporary = stack.enter_context(begun(target, directory=directory))
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
        try:
            yield temporary
        except OutputError as error:
            # Whoever wrote there knows the temporary name alone.
            raise OutputError(str(error).replace(str(temporary), str(path))) from error
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
        if not overwrite and os.path.lexists(path):
            raise OutputError(f"{path}: has appeared meanwhile; choose another name or pass --overwrite")
        try:
            promise(temporary, target)
            settle(temporary, target)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


@contextlib.contextmanager
def parents_made(path: Path) -> Iterator[None]:
    """Make the folders that `path` lies in; those made are removed again, where empty, if the block fails.

    Raises OutputError where one cannot be made.
    """
    made = [folder for folder in path.absolute().parents if not folder.exists()]
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for folder in made:
                folder.rmdir()
        raise
