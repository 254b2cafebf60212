"""The engine itself: field, mesh, eyes and mouth put together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import avatarkit
from avatarkit.errors import AvatarkitError
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.canvas import Canvas
from avatarkit.systems.landmark_warp.eyes import EyeLayer
from avatarkit.systems.landmark_warp.field import HeadField
from avatarkit.systems.landmark_warp.hidden import HiddenSide
from avatarkit.systems.landmark_warp.lids import LidLayer
from avatarkit.systems.landmark_warp.limits import EdgeLimits, Tally, TurnLimits
from avatarkit.systems.landmark_warp.mesh import Cover, FaceMesh, Map
from avatarkit.systems.landmark_warp.mouth import MouthLayer
from avatarkit.systems.options import EngineOptions
from avatarkit.systems.protocol import Drawn, Needs, SourceLayers


@dataclass(frozen=True)
class Provenance:
    """Where the pixels of a frame come from, all in pixels of the drawn part.

    places: (H, W, 2) what each pixel shows. alpha: (H, W) uint8. known: left, top, right and bottom edge of what comes
    from the picture. reach_px: how far a subject that they cut off is continued beyond. face_places: (N, 2) what the
    face's pixels show that are the mesh's alone, face_corners: (N, 3, 2) the triangle of the source that each is in.
    """

    places: NDArray[np.float32]
    alpha: NDArray[np.uint8]
    known: tuple[float, float, float, float]
    reach_px: float
    face_places: NDArray[np.float32]
    face_corners: NDArray[np.float32]

LARGE_PX = 2048
"""In frames with a longer side the face's part of the map is made at a third of the size."""


class WarpEngine:
    """Moves the source's own pixels after the driver's landmarks."""

    def __init__(self) -> None:
        self._canvas: Canvas | None = None
        self._tally = Tally()

    @property
    def name(self) -> str:
        """Name and version for reports."""
        return f"warp {avatarkit.__version__}"

    @property
    def needs(self) -> Needs:
        """Motion alone."""
        return Needs(alpha=True)

    def prepare(self, source: SourceLayers) -> None:
        """Lay out the field and cut eyes and mouth out of one source."""
        self._canvas = canvas = Canvas.of(source, head_frame(source.landmarks).scale)
        self._field = HeadField(source, canvas)
        self._edges = EdgeLimits.of(self._field, canvas, source)
        self._mesh = FaceMesh(source.landmarks)
        self._hidden = HiddenSide.of(source, self._mesh)
        self._turns = TurnLimits(head_frame(source.landmarks).rotation, self._hidden)
        self._eyes = EyeLayer(source.picture, source.landmarks)
        self._lids = LidLayer(source.picture, source.landmarks)
        self._mouth = MouthLayer(source.picture, source.landmarks)

    def sampling_map(self, motion: DriveFrame) -> NDArray[np.float32]:
        """For each pixel of the frame the source pixel (H, W, 2) that it shows, in pixels of the drawn picture."""
        canvas = self._prepared()
        columns, rows, _ = self._map(self._eased(motion), canvas)
        return np.stack([columns - np.float32(canvas.left), rows - np.float32(canvas.top)], axis=2)

    def provenance(self, motion: DriveFrame) -> Provenance:
        """Where the pixels of a frame come from, for measures of artefacts."""
        canvas = self._prepared()
        places = self.sampling_map(motion)
        cover = Cover.of(self._eased(motion).landmarks[self._mesh.triangles], (places.shape[0], places.shape[1]))
        if cover is None:
            face = np.zeros((0, 2), np.float32), np.zeros((0, 3, 2), np.float32)
        else:
            inner = cover.pixels(self._mesh.alone)
            face = places[inner.window].reshape(-1, 2)[inner.places], self._mesh.corners[inner.triangles]
        return Provenance(places, self.draw(motion)[1], canvas.known, canvas.reach_px, *face)

    def drive(self, frames: Sequence[DriveFrame]) -> list[Drawn]:
        """See `Engine.drive`."""
        return [Drawn(*self.draw(frame)) for frame in frames]

    def draw(self, motion: DriveFrame) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """One frame (H, W, 3) and its alpha (H, W), both uint8."""
        import cv2

        canvas = self._prepared()
        asked, motion = motion, self._eased(motion)
        self._tally.add(asked, motion)
        columns, rows, face = self._map(motion, canvas)
        drawn = cv2.remap(canvas.pixels, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        frame = np.asarray(cv2.cvtColor(drawn, cv2.COLOR_RGBA2RGB), np.uint8)
        alpha = np.asarray(cv2.extractChannel(drawn, 3), np.uint8)
        if self._hidden is not None and face is not None:
            self._hidden.draw(frame, alpha, motion, self._mesh, face)
        self._mouth.draw(frame, motion)
        self._lids.draw(frame, motion)
        self._eyes.draw(frame, motion)
        return frame, alpha

    def notices(self) -> tuple[str, ...]:
        """What the summary should say about the frames drawn since it was last asked."""
        return self._tally.lines()

    def _eased(self, motion: DriveFrame) -> DriveFrame:
        """The motion as far as it can be shown."""
        return self._edges.eased(self._turns.eased(motion))

    def _prepared(self) -> Canvas:
        if self._canvas is None:
            raise AvatarkitError("WarpEngine.prepare must be called before frames are drawn")
        return self._canvas

    def _map(self, motion: DriveFrame, canvas: Canvas) -> tuple[Map, Map, Cover | None]:
        """For each pixel of the frame x and y (H, W) of the canvas pixel that it shows; and what the face covers."""
        inverse, lattice = self._field.inverse(motion), self._field.lattice
        columns = lattice.enlarged(inverse[..., 0] + np.float32(canvas.left))
        rows = lattice.enlarged(inverse[..., 1] + np.float32(canvas.top))
        corner = canvas.left, canvas.top
        if self._hidden is None and max(columns.shape) > LARGE_PX:
            self._mesh.draw_reduced(motion, columns, rows, corner, 3)
            return columns, rows, None
        return columns, rows, self._mesh.draw(motion, columns, rows, corner)


def open_warp(options: EngineOptions) -> WarpEngine:
    """The engine; it has no checkpoints, and runs on the CPU."""
    return WarpEngine()
