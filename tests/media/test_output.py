"""Outputs appear whole or not at all."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from avatarkit.errors import OutputError
from avatarkit.media.containers import output_kind
from avatarkit.media.output import check_distinct, check_output, pending_output


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fill(target: Path, content: bytes, *, overwrite: bool, error: type[BaseException] | None = None) -> None:
    """Write an output and raise `error`, if any, before it is finished."""
    with pending_output(target, overwrite=overwrite) as temporary:
        temporary.write_bytes(content)
        if error is not None:
            raise error


def test_file_appears_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    with pending_output(target, overwrite=False) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".mp4"
        temporary.write_bytes(b"video")
        assert not target.exists()
    assert target.read_bytes() == b"video"
    assert left_in(tmp_path) == ["out.mp4"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_after_an_error(tmp_path: Path, error: type[BaseException]) -> None:
    def fail_in_folder() -> None:
        with pending_output(tmp_path / "frames", overwrite=False, directory=True) as temporary:
            (temporary / "000000.png").write_bytes(b"half")
            raise error

    with pytest.raises(error):
        fill(tmp_path / "out.mp4", b"half", overwrite=False, error=error)
    with pytest.raises(error):
        fail_in_folder()
    assert left_in(tmp_path) == []


def test_errors_name_the_output_and_not_its_temporary_name(tmp_path: Path) -> None:
    path = tmp_path / "o.mp4"
    with (
        pytest.raises(OutputError, match=re.escape(f"{path}: cannot be written: full")),
        pending_output(path, overwrite=False) as temporary,
    ):
        raise OutputError(f"{temporary}: cannot be written: full")
    assert list(tmp_path.iterdir()) == []


def test_existing_file(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    target.write_bytes(b"old")
    with pytest.raises(OutputError, match=r"exists already.*--overwrite"):
        fill(target, b"new", overwrite=False)
    with pytest.raises(RuntimeError):
        fill(target, b"half", overwrite=True, error=RuntimeError)
    assert target.read_bytes() == b"old"
    fill(target, b"new", overwrite=True)
    assert target.read_bytes() == b"new"
    assert left_in(tmp_path) == ["out.mp4"]


def test_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"

    def with_a_rival() -> None:
        with pending_output(target, overwrite=False) as temporary:
            temporary.write_bytes(b"ours")
            target.write_bytes(b"theirs")

    with pytest.raises(OutputError, match="meanwhile"):
        with_a_rival()
    assert target.read_bytes() == b"theirs"
    assert left_in(tmp_path) == ["out.mp4"]


def test_folder(tmp_path: Path) -> None:
    target = tmp_path / "frames"
    for content in (b"one", b"two"):
        with pending_output(target, overwrite=content == b"two", directory=True) as temporary:
            assert temporary.is_dir()
            assert output_kind(temporary) == "folder"
            (temporary / "000000.png").write_bytes(content)
        assert (target / "000000.png").read_bytes() == content
    assert left_in(tmp_path) == ["frames"]


def test_folder_with_other_files_is_never_replaced(tmp_path: Path) -> None:
    target = tmp_path / "frames"
    target.mkdir()
    (target / "thesis.doc").write_bytes(b"precious")
    with (
        pytest.raises(OutputError, match="other files"),
        pending_output(target, overwrite=True, directory=True),
    ):
        pass
    assert (target / "thesis.doc").exists()


def test_file_over_folder_and_folder_over_file(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(OutputError, match="is a folder"), pending_output(tmp_path / "a.mp4", overwrite=True):
        pass
    (tmp_path / "b").write_bytes(b"")
    with (
        pytest.raises(OutputError, match="not a folder"),
        pending_output(tmp_path / "b", overwrite=True, directory=True),
    ):
        pass


def test_folders_are_made_and_removed_again_when_the_block_fails(tmp_path: Path) -> None:
    output = tmp_path / "no" / "such" / "out.mp4"

    def fail() -> None:
        with pending_output(output, overwrite=False):
            assert output.parent.is_dir()
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert list(tmp_path.iterdir()) == []
    with pending_output(output, overwrite=False) as temporary:
        temporary.write_text("done")
    assert output.read_text() == "done"


def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file is not a folder"):
        check_output(tmp_path / "file" / "more" / "out.mp4", overwrite=False)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_parent(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with pytest.raises(OutputError, match="no permission"), pending_output(folder / "o.mp4", overwrite=False):
        pass


def test_unwritable_place_fails_at_once() -> None:
    with (
        pytest.raises(OutputError, match=r"permission|cannot be written"),
        pending_output(Path("/proc/out.mp4"), overwrite=False),
    ):
        pytest.fail("the block must not start")


def test_symlink_keeps_pointing(tmp_path: Path) -> None:
    (tmp_path / "real.mp4").write_bytes(b"old")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "real.mp4")
    with pending_output(tmp_path / "link.mp4", overwrite=True) as temporary:
        temporary.write_bytes(b"new")
    assert (tmp_path / "link.mp4").is_symlink()
    assert (tmp_path / "real.mp4").read_bytes() == b"new"


def test_distinct(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "driver.mp4"
    source.write_bytes(b"x")
    (tmp_path / "hard.mp4").hardlink_to(source)
    monkeypatch.chdir(tmp_path)
    for output in ("driver.mp4", tmp_path / "x" / ".." / "driver.mp4", "hard.mp4"):
        with pytest.raises(OutputError, match="also an input"):
            check_distinct(output, [tmp_path / "face.png", source])
    check_distinct("other.mp4", [source])


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.mp4", "video"), ("a.MOV", "video"), ("a.webm", "video"), ("a.jpg", "image"), ("a", "folder")],
)
def test_output_kind(name: str, kind: str) -> None:
    assert output_kind(Path(name)) == kind


def test_unknown_extension_lists_the_known() -> None:
    with pytest.raises(OutputError, match=r"\.xyz; use \.mp4 \.mov \.mkv \.webm .*\.png .*folder"):
        output_kind(Path("a.xyz"))


def test_folder_around_an_input_is_no_output(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    source = tmp_path / "frames" / "000000.png"
    source.write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "frames")
    for output in (tmp_path / "frames", tmp_path / "link", tmp_path):
        with pytest.raises(OutputError, match="holds an input"):
            check_distinct(output, [source])


@pytest.mark.parametrize("name", ["manifest.json", "selection.json", "shards/train-00000.h5", "shards/new", "."])
def test_nothing_of_a_dataset_is_an_output(tmp_path: Path, name: str) -> None:
    (tmp_path / "set" / "shards").mkdir(parents=True)
    (tmp_path / "set" / "manifest.json").write_text("{}")
    with pytest.raises(OutputError, match="is part of the dataset"):
        check_output(tmp_path / "set" / name, overwrite=True)
    check_output(tmp_path / "set" / "table.csv", overwrite=True)


@pytest.mark.parametrize("name", ["config.yaml", "log.jsonl", "checkpoints/step-000000001/meta.json"])
def test_nothing_of_a_training_is_an_output(tmp_path: Path, name: str) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "config.yaml").write_text("batch: 1")
    with pytest.raises(OutputError, match="is part of the training"):
        check_output(tmp_path / "run" / name, overwrite=True)
