"""The parser of VoxCeleb2's metadata on the documented format, and on what is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit.data.voxceleb import Problem, parse_utterance, read_meta, read_text, walk
from avatarkit.errors import InputError

HEADER = (
    "Identity  : \tid00012\nReference : \t21Uxsk56VDQ\nOffset    : \t-2\nFV Conf   : \t16.715\t(1)\n"
    "ASD Conf  : \t3.456\n\nFRAME \tX \tY \tW \tH \n"
)
ROWS = "000060 \t0.392 \t0.169 \t0.186 \t0.330 \n000061 \t0.393 \t0.170 \t0.186 \t0.330 \n"

OUTSIDE = "the box is wholly outside the frame (boxes are shares of the frame, not pixels)"


def problems_of(rows: str) -> list[str]:
    return [str(problem) for problem in parse_utterance(HEADER + ROWS + rows, "a.txt")[1]]


def test_documented_format() -> None:
    utterance, problems = parse_utterance(HEADER + ROWS, "a.txt")
    assert (utterance.identity, utterance.video) == ("id00012", "21Uxsk56VDQ")
    assert utterance.frames.tolist() == [60, 61]
    assert utterance.frames.dtype == np.int64
    assert utterance.boxes.tolist() == [[0.392, 0.169, 0.186, 0.330], [0.393, 0.170, 0.186, 0.330]]
    assert problems == []


def test_windows_line_ends_and_missing_last_one() -> None:
    utterance, problems = parse_utterance((HEADER + ROWS).replace("\n", "\r\n").rstrip(), "a.txt")
    assert utterance.frames.tolist() == [60, 61]
    assert problems == []


def test_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(HEADER + ROWS, encoding="utf-8-sig")
    assert parse_utterance(read_text(tmp_path / "a.txt", "a.txt"), "a.txt")[0].identity == "id00012"


def test_boxes_may_reach_over_the_edge() -> None:
    utterance, problems = parse_utterance(HEADER + "3\t-0.1\t0.8\t0.3\t0.4\n", "a.txt")
    assert utterance.boxes.tolist() == [[-0.1, 0.8, 0.3, 0.4]]
    assert problems == []


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("62\t0.1\t0.1\t0.1\n", "4 cells, expected FRAME X Y W H"),
        ("62\t0.1\t0.1\t0.1\tx\n", "'62\\t0.1\\t0.1\\t0.1\\tx' is not five numbers"),
        ("62\t0.1\tnan\t0.1\t0.1\n", "a number is not finite"),
        ("62.5\t0.1\t0.1\t0.1\t0.1\n", "frame number 62.5 cannot be"),
        ("-1\t0.1\t0.1\t0.1\t0.1\n", "frame number -1 cannot be"),
        ("61\t0.1\t0.1\t0.1\t0.1\n", "frame 61 does not come after frame 61"),
        ("62\t0.1\t0.1\t0\t0.1\n", "the box is 0.0 wide and 0.1 high"),
        ("62\t1.2\t0.1\t0.1\t0.1\n", OUTSIDE),
        ("62\t-0.2\t0.1\t0.1\t0.1\n", OUTSIDE),
    ],
)
def test_bad_row_is_left_out_with_its_line(row: str, what: str) -> None:
    assert problems_of(row + "63\t0.1\t0.1\t0.1\t0.1\n") == [f"a.txt:10: {what}"]
    utterance, _ = parse_utterance(HEADER + ROWS + row + "63\t0.1\t0.1\t0.1\t0.1\n", "a.txt")
    assert utterance.frames.tolist() == [60, 61, 63]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "a.txt:1: expected the header line 'Identity', found ''"),
        (HEADER.replace("Offset", "Ofset"), "a.txt:3: expected the header line 'Offset', found 'Ofset    : \\t-2'"),
        (HEADER.replace("id00012", "../../x"), "a.txt:1: Identity '../../x' is no such id"),
        (HEADER.replace("21Uxsk56VDQ", "../21Uxsk56"), "a.txt:2: Reference '../21Uxsk56' is no such id"),
        (HEADER.replace("FRAME", "Frame"), "a.txt:7: expected the columns FRAME X Y W H"),
        (HEADER[: HEADER.index("FRAME")], "a.txt:7: the table FRAME X Y W H is missing"),
        (HEADER, "a.txt:8: the table has no usable row"),
        (HEADER + "x\n", "a.txt:8: the table has no usable row (1 cells, expected FRAME X Y W H)"),
    ],
)
def test_unusable_file_is_refused_with_its_line(text: str, what: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_utterance(text, "a.txt")
    assert str(caught.value).startswith(what)


def test_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"Identity\xff")
    with pytest.raises(InputError, match=r"a\.txt: is not text \(byte 8"):
        read_text(tmp_path / "a.txt", "a.txt")
    with pytest.raises(InputError, match=r"b\.txt: cannot be read: No such file"):
        read_text(tmp_path / "b.txt", "b.txt")


@given(st.lists(st.tuples(st.integers(-3, 40), *[st.floats(-2, 2) | st.just(float("nan"))] * 4), max_size=12))
def test_fast_and_careful_reading_agree(rows: list[tuple[float, ...]]) -> None:
    text = "".join("\t".join(map(str, row)) + "\n" for row in rows)
    try:
        whole, problems = parse_utterance(HEADER + text, "a.txt")
    except InputError:
        return
    # A row of a wrong form at the end sends all of them through the careful way.
    careful, more = parse_utterance(HEADER + text + "x\n", "a.txt")
    assert careful.frames.tolist() == whole.frames.tolist()
    assert careful.boxes.tolist() == whole.boxes.tolist()
    assert len(more) == len(problems) + 1


@given(st.text(max_size=200))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for candidate in (text, HEADER + text):
        try:
            utterance, _ = parse_utterance(candidate, "a.txt")
        except InputError:
            continue
        assert (np.diff(utterance.frames) > 0).all()


def tree(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")


def test_walk_is_sorted_and_reports_strangers(tmp_path: Path) -> None:
    tree(tmp_path, "id00013/21Uxsk56VDQ/00002.txt", "id00013/21Uxsk56VDQ/00001.txt", "id00012/-0xsk56VDQ_/00001.txt")
    tree(tmp_path, "id00012/short/00001.txt", "id00012/-0xsk56VDQ_/1.txt", "id00012/-0xsk56VDQ_/.hidden", "README")
    problems: list[Problem] = []
    assert [file.path for file in walk(tmp_path, problems)] == [
        "id00012/-0xsk56VDQ_/00001.txt", "id00013/21Uxsk56VDQ/00001.txt", "id00013/21Uxsk56VDQ/00002.txt",
    ]  # fmt: skip
    assert [str(problem) for problem in problems] == [
        "id00012/-0xsk56VDQ_/1.txt: the name has an unexpected form; left out",
        "id00012/short: the name has an unexpected form; left out",
    ]


def test_walk_takes_the_folder_above(tmp_path: Path) -> None:
    tree(tmp_path, "dev/txt/id00013/21Uxsk56VDQ/00002.txt", "test/txt/id00012/21Uxsk56VDQ/00001.txt")
    assert [file.path for file in walk(tmp_path, [])] == [
        "test/txt/id00012/21Uxsk56VDQ/00001.txt",
        "dev/txt/id00013/21Uxsk56VDQ/00002.txt",
    ]


def test_walk_follows_links(tmp_path: Path) -> None:
    tree(tmp_path, "out/00001.txt", "in/id00012/21Uxsk56VDQ/00001.txt")
    root = tmp_path / "in"
    (root / "id00012" / "31Uxsk56VDQ").symlink_to(tmp_path / "out")
    (root / "id00012" / "21Uxsk56VDQ" / "00002.txt").symlink_to(tmp_path / "out" / "00001.txt")
    (root / "id00012" / "21Uxsk56VDQ" / "00003.txt").symlink_to("00001.txt")
    (root / "id00012" / "21Uxsk56VDQ" / "00004.txt").symlink_to("nothing.txt")
    (root / "id00012" / "21Uxsk56VDQ" / "00005.txt").symlink_to("00005.txt")
    problems: list[Problem] = []
    found = [file.path for file in walk(root, problems)]
    assert found == [f"id00012/21Uxsk56VDQ/0000{n}.txt" for n in (1, 2, 3)] + ["id00012/31Uxsk56VDQ/00001.txt"]
    assert [str(problem) for problem in problems] == [
        "id00012/21Uxsk56VDQ/00004.txt: is a link that leads nowhere; left out",
        "id00012/21Uxsk56VDQ/00005.txt: is a link that leads nowhere; left out",
    ]


def test_folder_without_people_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no folders such as id00012"):
        list(walk(tmp_path, []))
    with pytest.raises(InputError, match="is not a folder"):
        list(walk(tmp_path / "none", []))


def test_table_of_people_with_padded_cells(tmp_path: Path) -> None:
    path = tmp_path / "vox2_meta.csv"
    path.write_text(
        "VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \nid00012 ,n000012 ,m ,dev \nid00013 ,n13 ,f , test\n\n"
        "x ,y ,m ,dev\nid00014 ,n14 ,f ,eval \nid00015\nid00012 ,n000012 ,m ,test\n"
    )
    sets, problems = read_meta(path)
    assert sets == {"id00012": "dev", "id00013": "test"}
    assert [str(problem) for problem in problems] == [
        "vox2_meta.csv:5: 'x' is no VoxCeleb2 id",
        "vox2_meta.csv:6: set 'eval' is neither dev nor test",
        "vox2_meta.csv:7: 1 cells, expected 4 or more",
        "vox2_meta.csv:8: id00012 was dev before",
    ]


def test_table_without_its_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "meta.csv"
    path.write_text("ID,Set\nid00012,dev\n")
    with pytest.raises(InputError, match=r"meta\.csv:1: expected the columns VoxCeleb2 ID and Set, found id, set"):
        read_meta(path)
    path.write_text("VoxCeleb2 ID,Set\n")
    with pytest.raises(InputError, match="names nobody"):
        read_meta(path)
