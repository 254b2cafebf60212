"""What LaMa gets to see, what is pasted back, and which files are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from avatarkit.background.lama import LaMaInpainter
from avatarkit.errors import DependencyError, InputError
from avatarkit.runtime import sha256_file

Image = NDArray[np.uint8]


class Witness(torch.nn.Module):
    """Keeps what it is given and fills with one level."""

    def __init__(self, level: float = 0.5) -> None:
        super().__init__()
        self.level = level
        self.seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        self.seen.append((image, mask))
        return torch.full_like(image, self.level)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        return [(image.shape[2], image.shape[3]) for image, _ in self.seen]


@pytest.fixture
def witness() -> Witness:
    return Witness()


def noise(height: int, width: int) -> Image:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def hole_at(shape: tuple[int, int], *boxes: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """Hole of boxes (left, top, width, height)."""
    hole = np.zeros(shape, bool)
    for left, top, width, height in boxes:
        hole[top : top + height, left : left + width] = True
    return hole


def test_picture_and_hole_arrive_as_lama_expects(witness: Witness) -> None:
    image, hole = noise(101, 83), hole_at((101, 83), (30, 40, 20, 20))
    out = LaMaInpainter(witness).inpaint(image, hole)
    picture, mask = witness.seen[0]
    assert picture.shape == (1, 3, 104, 88)
    assert mask.shape == (1, 1, 104, 88)
    seen = picture[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(seen[:101, :83], image / 255, atol=1e-6)
    np.testing.assert_allclose(seen[101:, :83], image[:-4:-1] / 255, atol=1e-6)
    np.testing.assert_allclose(seen[:101, 83:], image[:, :-6:-1] / 255, atol=1e-6)
    assert np.array_equal(mask[0, 0].numpy()[:101, :83], hole)
    assert (out[hole] == 128).all()
    assert np.array_equal(out[~hole], image[~hole])


def test_sides_that_fit_are_not_padded(witness: Witness) -> None:
    LaMaInpainter(witness).inpaint(noise(96, 160), hole_at((96, 160), (30, 40, 20, 20)))
    assert witness.sizes == [(96, 160)]


def test_small_picture_is_padded_to_what_the_network_can_halve(witness: Witness) -> None:
    assert LaMaInpainter(witness).inpaint(noise(3, 5), hole_at((3, 5), (1, 1, 2, 1))).shape == (3, 5, 3)
    assert witness.sizes == [(64, 64)]


def test_large_picture_is_cropped_around_the_hole(witness: Witness) -> None:
    image, hole = noise(900, 1400), hole_at((900, 1400), (700, 400, 40, 24))
    out = LaMaInpainter(witness).inpaint(image, hole)
    assert witness.sizes == [(24 + 2 * 128, 40 + 2 * 128)]
    assert np.array_equal(out[~hole], image[~hole])
    assert (out[hole] == 128).all()


def test_margin_grows_with_the_hole_and_ends_at_the_border(witness: Witness) -> None:
    LaMaInpainter(witness).inpaint(noise(640, 1600), hole_at((640, 1600), (600, 240, 400, 400)))
    assert witness.sizes == [(600, 800)]


def test_far_holes_are_filled_each_and_near_ones_together(witness: Witness) -> None:
    image, hole = (
        noise(400, 1600),
        hole_at((400, 1600), (150, 150, 20, 20), (300, 150, 20, 20), (1400, 150, 20, 20)),
    )
    out = LaMaInpainter(witness).inpaint(image, hole)
    assert len(witness.seen) == 2
    assert (out[hole] == 128).all()
    assert np.array_equal(out[~hole], image[~hole])


def test_many_specks_take_one_run(witness: Witness) -> None:
    image, hole = noise(300, 3000), np.zeros((300, 3000), bool)
    hole[150, 10::20] = True
    out = LaMaInpainter(witness, largest_side_px=256).inpaint(image, hole)
    assert len(witness.seen) == 1
    assert (out[hole] == 128).all()


def test_working_size_is_bounded_and_known_pixels_stay(witness: Witness) -> None:
    image, hole = noise(700, 900), hole_at((700, 900), (100, 100, 600, 500))
    out = LaMaInpainter(witness, largest_side_px=256).inpaint(image, hole)
    assert witness.sizes == [(200, 256)]
    assert np.array_equal(out[~hole], image[~hole])
    assert (out[hole] == 128).all()


def test_color_of_the_hole_does_not_leak_when_scaled_down(lama_path: Path) -> None:
    image = np.full((600, 600, 3), 90, np.uint8)
    hole = hole_at((600, 600), (101, 103, 301, 299))
    image[hole] = (255, 0, 0)
    lama = LaMaInpainter(torch.jit.load(str(lama_path)), largest_side_px=200)
    assert (lama.inpaint(image, hole) == 90).all()


@pytest.mark.parametrize("level", [-3.0, 7.0])
def test_levels_out_of_range_are_cut(level: float) -> None:
    hole = hole_at((64, 64), (20, 20, 9, 9))
    out = LaMaInpainter(Witness(level)).inpaint(noise(64, 64), hole)
    assert (out[hole] == (0 if level < 0 else 255)).all()


def test_no_hole_needs_no_run(witness: Witness) -> None:
    image = noise(40, 40)
    assert np.array_equal(LaMaInpainter(witness).inpaint(image, np.zeros((40, 40), bool)), image)
    assert witness.seen == []


def test_file_and_its_hash(lama: LaMaInpainter, lama_path: Path) -> None:
    assert (lama.name, lama.weights_sha256) == ("lama", sha256_file(lama_path))


class OneInput(torch.nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image


class MatteNotPicture(torch.nn.Module):
    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return mask


class Pair(torch.nn.Module):
    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return image, mask


@pytest.mark.parametrize("module", [OneInput, MatteNotPicture, Pair])
def test_other_torchscript_is_refused(module: type[torch.nn.Module], tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.jit.script(module()).save(str(path))
    with pytest.raises(InputError, match=r"other\.pt: is not LaMa") as caught:
        LaMaInpainter.from_file(path)
    assert "\n" not in str(caught.value)


def test_file_that_is_no_torchscript_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big-lama.pt"
    path.write_bytes(b"<html>moved</html>")
    with pytest.raises(InputError, match="TorchScript"):
        LaMaInpainter.from_file(path)
    with pytest.raises(InputError, match="absent"):
        LaMaInpainter.from_file(tmp_path / "absent.pt")


def test_missing_weights_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AVATARKIT_WEIGHTS", str(tmp_path))
    with pytest.raises(DependencyError, match="avatarkit weights fetch big-lama"):
        LaMaInpainter.from_registry()
