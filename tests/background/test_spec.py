"""Reading and loading the background option."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from avatarkit.background.spec import BackgroundSpec, load_background, parse_background
from avatarkit.errors import UsageError


@pytest.mark.parametrize("kind", ["plate", "keep", "transparent"])
def test_names(kind: str) -> None:
    spec = parse_background(kind)
    assert (spec.kind, spec.color, spec.image) == (kind, None, None)


@pytest.mark.parametrize(
    ("text", "color"), [("#00b140", (0, 177, 64)), ("#FFF", (255, 255, 255)), ("#1a2", (17, 170, 34))]
)
def test_colors(text: str, color: tuple[int, int, int]) -> None:
    assert parse_background(text) == BackgroundSpec("color", color=color)


@pytest.mark.parametrize("name", ["room.png", "-odd 'name' é.jpg", "#fff"])
def test_existing_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"x")
    assert parse_background(str(path)) == BackgroundSpec("image", image=path)


@pytest.mark.parametrize("text", ["", " ", "#12", "#12345g", "#1234567", "red", "missing.png", "Plate"])
def test_refuses_what_it_cannot_read(text: str) -> None:
    with pytest.raises(UsageError, match="use plate, keep, transparent, a colour") as caught:
        parse_background(text)
    assert repr(text) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_refuses_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="folder"):
        parse_background(str(tmp_path))


def never(path: Path) -> NDArray[np.uint8]:
    raise AssertionError(path)


@pytest.mark.parametrize("kind", ["plate", "keep", "transparent"])
def test_nothing_to_load(kind: str) -> None:
    assert load_background(parse_background(kind), 4, 4, never) is None


def test_flat_color() -> None:
    out = load_background(parse_background("#0a141e"), 3, 2, never)
    assert out is not None
    assert out.dtype == np.uint8
    assert out.tolist() == [[[10, 20, 30]] * 3] * 2


@pytest.mark.parametrize(("width", "height"), [(40, 40), (16, 32), (80, 10)])
def test_picture_covers_the_size_about_its_center(width: int, height: int) -> None:
    y, x = np.mgrid[:60, :120]
    picture = np.dstack([x, 2 * y, np.zeros_like(x)]).astype(np.uint8)
    spec = BackgroundSpec("image", image=Path("any"))
    out = load_background(spec, width, height, lambda path: picture)
    assert out is not None
    assert out.shape == (height, width, 3)
    center = out.reshape(-1, 3).mean(0)
    assert abs(center[0] - 59.5) < 1.5
    assert abs(center[1] - 59) < 2
    scale = max(width / 120, height / 60)
    assert abs(np.ptp(out[..., 0]) - (width - 1) / scale) < 3
