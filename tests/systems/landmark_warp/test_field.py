"""The head's field and the face's mesh: nothing folds, nothing tears, what stands still stands still."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from avatarkit.errors import AvatarkitError
from avatarkit.face import landmarks as lm
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.canvas import Canvas
from avatarkit.systems.landmark_warp.engine import WarpEngine
from avatarkit.systems.landmark_warp.field import HeadField
from avatarkit.systems.landmark_warp.mesh import FaceMesh
from avatarkit.systems.protocol import SourceLayers

from ..conftest import SIZE, Move, without_motion

SWEEP = [
    *[{"yaw_deg": angle} for angle in (-40.0, -25.0, -10.0, 10.0, 25.0, 40.0)],
    *[{"pitch_deg": angle} for angle in (-40.0, -20.0, 20.0, 40.0)],
    *[{"roll_deg": angle} for angle in (-40.0, -20.0, 20.0, 40.0)],
    *[{"dx": dx, "dy": dy} for dx, dy in ((30.0, 0.0), (-30.0, 10.0), (0.0, 25.0), (0.0, -25.0))],
    *[{"scale": scale} for scale in (0.7, 1.4)],
    {"mouth": 0.5},
    {"mouth": 0.5, "yaw_deg": 40.0},
    {"yaw_deg": 40.0, "pitch_deg": 25.0, "roll_deg": 20.0, "dx": 20.0},
    {"yaw_deg": -40.0, "pitch_deg": -25.0, "roll_deg": 30.0, "dy": 20.0, "scale": 1.3},
    {"yaw_deg": 30.0, "pitch_deg": -40.0, "mouth": 0.4, "scale": 0.8},
]


def head_field(source: SourceLayers) -> HeadField:
    return HeadField(source, Canvas.of(source, head_frame(source.landmarks).scale))


@pytest.fixture(scope="module", params=[False, True], ids=["free", "anchored"])
def field(request: pytest.FixtureRequest, source: SourceLayers) -> HeadField:
    """The field of a portrait of its own, and of one that is part of a larger picture."""
    return head_field(replace(source, anchored=request.param))


def pixels(size: int = SIZE) -> np.ndarray:
    x = np.arange(size, dtype=np.float32)
    return np.stack(np.meshgrid(x, x), axis=2)


def cell_areas(grid: np.ndarray) -> np.ndarray:
    """Signed areas of both triangles of each cell of a grid (rows, columns, 2); negative in a fold."""
    right, down = grid[:-1, 1:] - grid[:-1, :-1], grid[1:, :-1] - grid[:-1, :-1]
    left, up = grid[1:, :-1] - grid[1:, 1:], grid[:-1, 1:] - grid[1:, 1:]

    def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]

    return np.stack([cross(right, down), cross(left, up)])


@pytest.mark.parametrize("options", SWEEP, ids=str)
def test_the_field_never_folds(field: HeadField, move: Move, options: dict[str, float]) -> None:
    motion = move(**options)
    moved = field.lattice.nodes() + field.displacement(motion)
    assert cell_areas(moved).min() > 0.0


@pytest.mark.parametrize("options", SWEEP, ids=str)
def test_the_sampling_map_never_folds(field: HeadField, move: Move, options: dict[str, float]) -> None:
    """The map of the drawn frame to the source, on the nodes that lie in the frame."""
    inverse = field.inverse(move(**options))
    nodes = field.lattice.nodes()[field.lattice.shown]
    inside = np.all((nodes[1:, 1:] > 0) & (nodes[:-1, :-1] < SIZE - 1), axis=2)
    assert cell_areas(inverse)[:, inside].min() > 0.0


def test_without_motion_the_field_is_still(field: HeadField, source: SourceLayers) -> None:
    motion = without_motion(source.landmarks)
    assert np.abs(field.displacement(motion)).max() < 0.01
    np.testing.assert_allclose(field.inverse(motion), field.lattice.nodes()[field.lattice.shown], atol=0.02)


def test_what_points_do_is_a_share_of_one_number(field: HeadField) -> None:
    """A hold, or what sets a point free, that differed sideways and downwards would be read for one of them alone."""
    surface = field._surface
    assert surface.hold.shape == surface.free.shape == surface.round_off.shape == (*surface.places.shape[:2], 1)


def test_the_field_follows_the_face(field: HeadField, source: SourceLayers, move: Move) -> None:
    for dx, dy in ((20.0, 0.0), (0.0, -15.0)):
        shift = field.lattice.sample(field.displacement(move(dx=dx, dy=dy)), pixels())
        for landmark in (4, 10, 33, 263):
            x, y = source.landmarks[landmark, :2].round().astype(int)
            np.testing.assert_allclose(shift[y, x], (dx, dy), atol=0.5)
        # Nothing goes farther than the head itself, and nothing the other way.
        along = shift @ np.array([dx, dy]) / np.hypot(dx, dy)
        assert along.max() < 1.05 * np.hypot(dx, dy)
        assert along.min() > -0.05 * np.hypot(dx, dy)


def test_shoulders_take_no_part_in_a_turn(field: HeadField, move: Move) -> None:
    for options in ({"yaw_deg": 35.0}, {"pitch_deg": 25.0}, {"roll_deg": 25.0}, {"mouth": 0.4}):
        shift = field.lattice.sample(field.displacement(move(**options)), pixels())
        assert np.abs(shift[-8:]).max() < 3.0, options


def test_the_subject_does_not_leave_the_lower_edge(
    field: HeadField, source: SourceLayers, move: Move
) -> None:
    cut_off = source.alpha[-1] > 0.5
    assert cut_off.any()
    shift = field.lattice.sample(field.displacement(move(dx=10.0, dy=-25.0)), pixels())
    assert np.abs(shift[-1, cut_off, 1]).max() < 1.0


def test_anchored_edges_stay(source: SourceLayers, move: Move) -> None:
    """A head pasted back into a picture moves, the picture around it does not."""
    field = head_field(replace(source, anchored=True, alpha=np.ones_like(source.alpha)))
    for options in ({"dx": 12.0}, {"roll_deg": 6.0}, {"yaw_deg": 30.0, "dy": -10.0}, {"scale": 1.1}):
        shift = field.lattice.sample(field.displacement(move(**options)), pixels())
        edges = np.concatenate([shift[0], shift[-1], shift[:, 0], shift[:, -1]])
        assert np.abs(edges).max() < 1.0, options


def test_shoulders_of_an_anchored_picture_stand_still(source: SourceLayers, move: Move) -> None:
    """Beside and below the chin hardly anything follows a shift of the head; the chin itself does."""
    field = head_field(replace(source, anchored=True))
    pose = head_frame(source.landmarks)
    chin = source.landmarks[lm.CHIN, :2]
    displacement, nodes = field.displacement(move(dx=20.0)), field.lattice.nodes()
    moved = [
        displacement[np.unravel_index(np.argmin(np.sum((nodes - place) ** 2, axis=2)), nodes.shape[:2])][0]
        for place in (chin, chin + pose.scale * np.array([1.6, 0.35]), chin + pose.scale * np.array([-1.6, 0.35]))
    ]
    assert moved[0] > 10.0
    assert max(moved[1:]) < 6.0


def test_engine_must_be_prepared(source: SourceLayers) -> None:
    with pytest.raises(AvatarkitError, match="prepare"):
        WarpEngine().draw(without_motion(source.landmarks))


# The mesh alone.


def drawn(source: SourceLayers, motion: DriveFrame, base: np.ndarray) -> np.ndarray:
    columns, rows = (np.ascontiguousarray(base[..., k]) for k in (0, 1))
    FaceMesh(source.landmarks).draw(motion, columns, rows)
    return np.stack([columns, rows], axis=2)


def shifted(source: SourceLayers, dx: float, dy: float) -> DriveFrame:
    still = without_motion(source.landmarks)
    return replace(still, landmarks=still.landmarks + np.array([dx, dy, 0.0]))


def test_mesh_without_motion_is_the_identity(source: SourceLayers) -> None:
    np.testing.assert_allclose(drawn(source, without_motion(source.landmarks), pixels()), pixels(), atol=0.02)


@pytest.mark.parametrize("shift", [(7.0, 0.0), (0.0, -5.0), (-3.5, 2.25)])
def test_mesh_shift_is_exact(source: SourceLayers, shift: tuple[float, float]) -> None:
    grid = drawn(source, shifted(source, *shift), np.full((SIZE, SIZE, 2), -999.0, np.float32))
    # The outer ring is blended into what was there; all pixels further inside are the mesh's alone.
    low, high = source.landmarks[:468, :2].min(0) + shift, source.landmarks[:468, :2].max(0) + shift
    inside = np.sum(((pixels() - (low + high) / 2) / ((high - low) / 2)) ** 2, axis=2) < 0.5
    np.testing.assert_allclose(grid[inside], (pixels() - np.float32(shift))[inside], atol=0.02)


def test_mesh_leaves_the_rest_of_the_map(source: SourceLayers) -> None:
    grid = drawn(source, without_motion(source.landmarks), np.full((SIZE, SIZE, 2), -999.0, np.float32))
    low = np.floor(source.landmarks[:468, :2].min(0)).astype(int) - 2
    high = np.ceil(source.landmarks[:468, :2].max(0)).astype(int) + 3
    outside = np.ones((SIZE, SIZE), bool)
    outside[low[1] : high[1], low[0] : high[0]] = False
    assert np.all(grid[outside] == -999.0)


def test_mesh_outside_the_map_is_ignored(source: SourceLayers) -> None:
    for shift in ((1000.0, 0.0), (0.0, -1000.0), (-1000.0, 1000.0)):
        np.testing.assert_array_equal(drawn(source, shifted(source, *shift), pixels()), pixels())
