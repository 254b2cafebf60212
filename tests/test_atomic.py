"""Files and folders appear whole, under names that nobody can guess, and through nobody's links."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from avatarkit.atomic import begun, discard_all, left_over_of, replaced, temporary_name, write_whole


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_mode_of_a_replaced_file_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "config.yaml"
    target.write_bytes(b"old")
    target.chmod(0o640)
    write_whole(target, b"new")
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"new", 0o640)
    assert left_in(tmp_path) == ["config.yaml"]


def test_new_file_has_the_usual_mode(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        write_whole(tmp_path / "new", b"x")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_a_link_is_replaced_and_its_target_left_alone(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"theirs")
    link = tmp_path / "config.yaml"
    link.symlink_to("elsewhere")
    write_whole(link, b"ours")
    assert not link.is_symlink()
    assert (link.read_bytes(), (tmp_path / "elsewhere").read_bytes()) == (b"ours", b"theirs")


def test_names_are_new_each_time_and_known_again(tmp_path: Path) -> None:
    names = {temporary_name(tmp_path / "report.json").name for _ in range(100)}
    assert len(names) == 100
    assert {left_over_of(name) for name in names} == {"report.json"}
    assert left_over_of("report.json") is left_over_of(".report.json") is left_over_of(".x-partial-1.json") is None


@pytest.mark.parametrize("name", ["n" * 251 + ".mp4", "ü" * 125 + ".mp4", "n" * 255])
def test_longest_names_have_room_for_the_temporary_one(tmp_path: Path, name: str) -> None:
    write_whole(tmp_path / name, b"x")
    assert left_in(tmp_path) == [name]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")

    def fill() -> None:
        with replaced(target) as temporary:
            temporary.write_bytes(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fill()
    assert target.read_bytes() == b"old"
    assert left_in(tmp_path) == ["a"]


def test_what_a_killed_program_left_is_swept_by_the_next(tmp_path: Path) -> None:
    script = "import os, sys; from pathlib import Path; from avatarkit.atomic import begun\n"
    script += "with begun(Path(sys.argv[1]), directory=True) as t: (t / 'x').write_bytes(b'x'); os._exit(9)"
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "out")], check=False)
    assert [left_over_of(name) for name in left_in(tmp_path)] == ["out"]
    with replaced(tmp_path / "other", directory=True):
        pass
    assert len(left_in(tmp_path)) == 2, "that of another output is not ours to sweep"
    with replaced(tmp_path / "out", directory=True):
        pass
    assert left_in(tmp_path) == ["other", "out"]


def test_two_at_once_leave_each_other_alone(tmp_path: Path) -> None:
    with begun(tmp_path / "a") as first:
        first.write_bytes(b"first")
        with replaced(tmp_path / "a") as second:
            second.write_bytes(b"second")
        assert first.read_bytes() == b"first"
    assert (tmp_path / "a").read_bytes() == b"second"


def test_nothing_behind_a_link_is_swept(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_bytes(b"x")
    (tmp_path / ".a-partial-00000000").symlink_to(kept)
    os.mkfifo(tmp_path / ".a-partial-00000001")
    write_whole(tmp_path / "a", b"x")
    assert (kept / "file").exists()


@pytest.mark.skipif(sys.platform == "darwin", reason="its names are UTF-8 in any locale")
def test_umlauts_are_written_in_an_ascii_locale(tmp_path: Path) -> None:
    code = "import sys, pathlib; from avatarkit.atomic import write_whole; write_whole(pathlib.Path(sys.argv[1]), b'x')"
    ascii_alone = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "größe.mp4")], check=True, env=ascii_alone)
    assert [path.name for path in tmp_path.iterdir()] == ["größe.mp4"]


@pytest.mark.parametrize("directory", [True, False])
def test_a_request_that_comes_while_it_is_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, directory: bool
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("avatarkit.atomic.fcntl.flock", interrupted)
    with pytest.raises(KeyboardInterrupt), begun(tmp_path / "o.mp4", directory=directory):
        pass
    assert len(list(tmp_path.iterdir())) == 1
    discard_all()
    assert list(tmp_path.iterdir()) == []
