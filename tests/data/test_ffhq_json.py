"""FFHQ's json read piece by piece, and the folder of attributes; what has another shape is refused with where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit.data import ffhq_json
from avatarkit.data.ffhq_json import Faces, read_faces, read_record, read_records
from avatarkit.errors import InputError


def photo(folder: str, number: int, size: int) -> dict[str, Any]:
    points = [[number + at, 2.0 * at] for at in range(68)]
    return {"file_path": f"{folder}/00000/{number:05d}.png", "file_size": size, "face_landmarks": points}


def record(number: int, category: str = "training") -> dict[str, Any]:
    about = {"photo_url": "https://x/1", "photo_title": "Tïtle ☺", "author": "Ann", "license": "CC BY 2.0"}
    return {
        "category": category,
        "metadata": {**about, "license_url": "https://l"},
        "image": photo("images1024x1024", number, 100),
        "in_the_wild": {**photo("in-the-wild-images", number, 200), "face_rect": [0, 0, 1, 1]},
    }


def write(path: Path, values: Any, **how: Any) -> Path:
    path.write_text(values if isinstance(values, str) else json.dumps(values, **how), encoding="utf-8")
    return path


@pytest.mark.parametrize("piece", [7, 1000, 1 << 20])
@pytest.mark.parametrize("how", [{}, {"indent": 2}, {"ensure_ascii": False}])
def test_records_and_their_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int, how: dict[str, Any]
) -> None:
    monkeypatch.setattr(ffhq_json, "PIECE_BYTES", piece)
    path = write(tmp_path / "f.json", {"0": record(0), "69999": record(69999, "validation")}, **how)
    found = list(read_records(path))
    assert [(one.number, one.split) for one, _ in found] == [("00000", "train"), ("69999", "val")]
    first, place = found[1]
    assert (first.wild.path, first.wild.bytes) == ("in-the-wild-images/00000/69999.png", 200)
    assert first.wild.landmarks68[3].tolist() == [70002.0, 6.0]
    assert (first.author, first.licence, first.title) == ("Ann", "CC BY 2.0", "Tïtle ☺")
    assert first.attribution == {"photo_url": "https://x/1", "licence_url": "https://l", "title": "Tïtle ☺"}
    raw = path.read_bytes()[place.start : place.start + place.length]
    assert json.loads(raw)["category"] == "validation"
    again = read_record(path, "69999", place)
    assert again.title == first.title
    assert (again.aligned.landmarks68 == first.aligned.landmarks68).all()


def test_file_that_changed_is_seen(tmp_path: Path) -> None:
    path = write(tmp_path / "f.json", {"0": record(0)})
    _, place = next(read_records(path))
    write(path, {"0": record(1)})
    with pytest.raises(InputError, match="has changed since the plan was made, at photo 00000"):
        read_record(path, "00000", place)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[]", "expected { at byte 0, found '['"),
        ("{}", "a key at byte 1 is not JSON"),
        ('{"0": {', "photo 0 at byte 5 is not JSON"),
        ('{"0"', "ends at byte 4, in the middle; fetch it again"),
        ('{"0": 5}', "photo 0: expected a table, found int"),
        ("", "ends at byte 0, in the middle"),
        ('{"a": {}}', "photo a: the key is not a number"),
        ('{"0": {}}', "photo 0: category is None, expected training or validation"),
        ('{"0": {"category": "training"}}', "photo 0, metadata: expected a table, found NoneType"),
    ],
)
def test_other_shapes_are_refused_with_where(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(InputError) as caught:
        list(read_records(write(tmp_path / "f.json", text)))
    assert what in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("file_path", "../../etc/passwd", "file_path is '../../etc/passwd', expected a path inside"),
        ("file_path", "/etc/passwd", "expected a path inside"),
        ("file_path", 5, "expected a path inside"),
        ("file_size", "5", "file_size is '5'"),
        ("file_size", 10**30, "file_size is 1000"),
        ("file_size", 10**3000, "file_size is inf"),
        ("face_landmarks", [[0, 0]] * 67, "face_landmarks have shape (67, 2), expected 68 points"),
        ("face_landmarks", [["x", 0]] * 68, "face_landmarks are not numbers"),
        ("face_landmarks", [[1e999, 0]] * 68, "face_landmarks have shape (68, 2)"),
    ],
)
def test_bad_record_is_left_out_and_named(tmp_path: Path, field: str, value: Any, what: str) -> None:
    bad = record(7)
    bad["in_the_wild"][field] = value
    path = write(tmp_path / "f.json", {"7": bad, "8": record(8)})
    problems: list[tuple[str, str]] = []
    assert [one.number for one, _ in read_records(path, problems)] == ["00008"]
    assert problems[0][0] == "7"
    assert problems[0][1].startswith("photo 7, in_the_wild: ")
    assert what in problems[0][1]


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffhq_json, "PIECE_BYTES", 4096)
    monkeypatch.setattr(ffhq_json, "LARGEST_RECORD", 20000)
    path = write(tmp_path / "f.json", {str(number): record(number) for number in range(50)})
    assert len(list(read_records(path))) == 50
    path.write_text('{"0": {"x": "' + "y" * 100000)
    with pytest.raises(InputError, match="photo 0 at byte 5 is not JSON"):
        list(read_records(path))


def test_faces_of_the_attributes(tmp_path: Path) -> None:
    folder = tmp_path / "json"
    folder.mkdir()
    write(folder / "00003.json", [{"faceAttributes": {"age": 41.0}}, {"faceAttributes": {"age": 3}}])
    write(tmp_path / "00004.json", [])
    write(tmp_path / "00005.json", [{"faceAttributes": {}}])
    assert read_faces(tmp_path, "00003") == Faces((41.0, 3.0))
    assert read_faces(folder, "00003") == Faces((41.0, 3.0))
    two, nobody, unknown = (read_faces(tmp_path, name) for name in ("00003", "00004", "00005"))
    assert two is not None
    assert (two.count, two.youngest) == (2, 3.0)
    assert nobody is not None
    assert (nobody.count, nobody.youngest) == (0, None)
    assert unknown is not None
    assert (unknown.count, unknown.youngest) == (1, None)
    assert read_faces(tmp_path, "00006") is None


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{}", "expected a list with one entry per face, found dict"),
        ("[3]", "face 0: expected a table, found int"),
        ('[{"faceAttributes": 3}]', "face 0, faceAttributes: expected a table"),
        ('[{"faceAttributes": {"age": "old"}}]', "face 0: the age is 'old'"),
        ('[{"faceAttributes": {"age": -1}}]', "face 0: the age is -1"),
        ("[", "is not JSON"),
    ],
)
def test_attributes_of_another_shape_are_refused(tmp_path: Path, text: str, what: str) -> None:
    path = write(tmp_path / "00001.json", text)
    with pytest.raises(InputError) as caught:
        read_faces(tmp_path, "00001")
    assert str(caught.value).startswith(str(path))
    assert what in str(caught.value)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
)


@given(ANY_JSON)
def test_any_json_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = write(tmp_path_factory.mktemp("any") / "f.json", value)
    with pytest.raises(InputError):
        list(read_records(path))
