"""The sheet of pictures and the chess board through a grid."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from avatarkit.training.pictures import GAP, TITLE, sheet, warped_checks


def test_columns_and_rows() -> None:
    columns = {"one": torch.zeros(2, 3, 8, 8), "two": torch.full((2, 3, 140, 140), 1.5)}
    found = sheet(columns)
    assert found.shape == (TITLE + 2 * (140 + GAP), 2 * (140 + GAP), 3)
    assert (found[TITLE : TITLE + 140, :140] == 0).all()
    assert (found[TITLE : TITLE + 140, 140 + GAP : 280 + GAP] == 255).all()


def test_cells_keep_their_limits() -> None:
    assert sheet({"one": torch.zeros(1, 3, 16, 16)}).shape == (TITLE + 128 + GAP, 128 + GAP, 3)
    assert sheet({"one": torch.zeros(1, 3, 600, 600)}).shape == (TITLE + 256 + GAP, 256 + GAP, 3)


def test_an_identity_grid_shows_an_even_board() -> None:
    theta = torch.eye(3, 4)[None]
    board = warped_checks(F.affine_grid(theta, [1, 1, 4, 32, 32], align_corners=False), 32)
    red, green, blue = board[0]
    assert board.shape == (1, 3, 32, 32)
    assert torch.equal(red, green.T)
    assert (blue > 0).all()
    # Eight squares of four pixels each way.
    bright = blue[0] > blue[0].mean()
    assert bright.reshape(8, 4).all(1).tolist() == [number % 2 == 1 for number in range(8)]


def test_places_outside_are_black() -> None:
    grid = torch.full((1, 2, 8, 8, 3), 1.5)
    assert (warped_checks(grid, 8) == 0).all()
