"""The engine itself: field, mesh, eyes and mouth put together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

import avatarkit
from avatarkit.errors import AvatarkitError
from avatarkit.geometry.sampling import sample
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.canvas import Canvas
from avatarkit.systems.landmark_warp.corner_lines import CornerLines
from avatarkit.systems.landmark_warp.eyes import EyeLayer
from avatarkit.systems.landmark_warp.field import HeadField
from avatarkit.systems.landmark_warp.hidden import HiddenSide
from avatarkit.systems.landmark_warp.lids import LidLayer
from avatarkit.systems.landmark_warp.limits import EdgeLimits, Tally, TurnLimits, WayLimits, shifted
from avatarkit.systems.landmark_warp.mesh import Cover, FaceMesh, Map
from avatarkit.systems.landmark_warp.mouth import MouthLayer
from avatarkit.systems.landmark_warp.openings import Region
from avatarkit.systems.landmark_warp.reduced import ReducedMap
from avatarkit.systems.options import EngineOptions
from avatarkit.systems.protocol import Drawn, Needs, SourceLayers


@dataclass(frozen=True)
class Provenance:
    """Where the pixels of a frame come from, all in pixels of the drawn part.

    places: (H, W, 2) what each pixel shows. alpha: (H, W) uint8, of what is there. known: left, top, right and bottom
    edge of what comes from the picture. reach_px: how far a subject that they cut off is continued beyond.
    face_places: (N, 2) what the face's pixels show that are the mesh's alone, face_corners: (N, 3, 2) the triangle of
    the source that each is in.
    """

    places: NDArray[np.float32]
    alpha: NDArray[np.uint8]
    known: tuple[float, float, float, float]
    reach_px: float
    face_places: NDArray[np.float32]
    face_corners: NDArray[np.float32]


class Feature(Protocol):
    """Something that is drawn into an opening of the face."""

    def draw(self, frame: NDArray[np.uint8], motion: DriveFrame) -> None:
        """Draw it into a frame (H, W, 3), in place."""
        ...


FEATURES: dict[str, Callable[[NDArray[np.uint8], NDArray[np.float64]], Feature]] = {
    "mouth": MouthLayer, "lids": LidLayer, "eyes": EyeLayer,
}  # fmt: skip
"""By name, in the order in which they are drawn; each is made of a picture and its landmarks (478, 3)."""
SOFTENED = 2
"""Rounds of smoothing along edges of the face that hide what lies behind them."""
LARGE_PX = 2048
"""Parts of frames with a longer side are drawn with a map of a third of their size, where no hidden side is drawn."""


class WarpEngine:
    """Moves the source's own pixels after the driver's landmarks.

    Args:
        features: eyes, lids and mouth of another picture of the same person; None makes them of the source.
    """

    def __init__(self, features: Sequence[Feature] | None = None) -> None:
        self._given = features
        self._canvas: Canvas | None = None
        self._tally = Tally()

    @property
    def name(self) -> str:
        """Name and version for reports."""
        return f"warp {avatarkit.__version__}"

    @property
    def needs(self) -> Needs:
        """Motion alone."""
        return Needs(alpha=True, forks=True)

    def prepare(self, source: SourceLayers) -> None:
        """Lay out the field and cut eyes and mouth out of one source."""
        self._canvas = canvas = Canvas.of(source, head_frame(source.landmarks).scale)
        self._field = HeadField(source, canvas)
        self._edges = EdgeLimits.of(self._field, canvas, source)
        # A whole picture around the drawn part shows where the head goes; there its way is the driver's.
        self._ways = None if source.anchored else WayLimits(head_frame(source.landmarks))
        self._mesh = FaceMesh(source.landmarks)
        self._hidden = HiddenSide.of(source, self._mesh)
        self._turns = TurnLimits(head_frame(source.landmarks).rotation, self._hidden)
        self._corners = CornerLines.of(canvas.pixels, source.landmarks + np.array([canvas.left, canvas.top, 0.0]))
        makes: dict[str, Callable[..., Feature]] = {**FEATURES, "mouth": partial(MouthLayer, teeth=source.teeth)}
        self._features: Sequence[Feature] = (
            [make(source.picture, source.landmarks) for make in makes.values()] if self._given is None else self._given
        )

    def sampling_map(self, motion: DriveFrame) -> NDArray[np.float32]:
        """For each pixel of the frame the source pixel (H, W, 2) that it shows, in pixels of the drawn picture."""
        canvas = self._prepared()
        motion = self.eased(motion)
        lattice = self._field.lattice
        whole = Region.whole(lattice.width, lattice.height)
        inverse = self._field.inverse(motion)
        if self._large(whole):
            columns, rows = self._reduced(motion, inverse, canvas, whole).enlarged(whole)
        else:
            columns, rows, _ = self._map(motion, inverse, canvas, whole)
        return np.stack([columns - np.float32(canvas.left), rows - np.float32(canvas.top)], axis=2)

    def provenance(self, motion: DriveFrame) -> Provenance:
        """Where the pixels of a frame come from, for measures of artefacts."""
        canvas = self._prepared()
        places = self.sampling_map(motion)
        cover = Cover.of(self._mesh.placed(self.eased(motion).landmarks), (places.shape[0], places.shape[1]))
        if cover is None:
            face = np.zeros((0, 2), np.float32), np.zeros((0, 3, 2), np.float32)
        else:
            inner = cover.pixels(self._mesh.alone)
            face = places[inner.window].reshape(-1, 2)[inner.places], self._mesh.corners[inner.triangles]
        # What the hidden side adds is of the picture by its making.
        corner = np.array([canvas.left, canvas.top], np.float32)
        matte = sample(np.ascontiguousarray(canvas.pixels[..., 3]), places + corner)
        return Provenance(places, matte, canvas.known, canvas.reach_px, *face)

    def drive(self, frames: Sequence[DriveFrame]) -> list[Drawn]:
        """See `Engine.drive`."""
        return [Drawn(*self.draw(frame)) for frame in frames]

    def draw(
        self, motion: DriveFrame, shown: DriveFrame | None = None, around: NDArray[np.float64] | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """One frame (H, W, 3) and its alpha (H, W), both uint8.

        Args:
            shown: `eased(motion)` where that is known. around: corners (N, 2) of a part of the frame where colours are
                wanted behind the subject too.
        """
        import cv2

        canvas = self._prepared()
        asked, motion = motion, shown or self.eased(motion)
        self._tally.add(asked, self._near(asked), motion)
        inverse, lattice = self._field.inverse(motion), self._field.lattice
        frame = np.zeros((lattice.height, lattice.width, 3), np.uint8)
        alpha = np.zeros((lattice.height, lattice.width), np.uint8)
        bands = self._bands(inverse, motion, canvas, around)
        if not bands:
            return frame, alpha
        part = reduce(Region.united, bands)
        local = shifted(motion, np.array([-part.left, -part.top]))
        if self._large(part):
            reduced = self._reduced(motion, inverse, canvas, part)
            for band in bands:
                places = reduced.enlarged(band)
                strip = cv2.remap(canvas.pixels, *places, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
                _split(np.asarray(strip, np.uint8), band.of(frame), band.of(alpha))
            if self._corners is not None:
                self._corners.lighten(
                    part.of(frame), lambda region: reduced.enlarged(region.moved(part.left, part.top)), local
                )
        else:
            columns, rows, face = self._map(motion, inverse, canvas, part)
            drawn = np.empty((*columns.shape, 4), np.uint8)
            within = [band.moved(-part.left, -part.top) for band in bands]
            for band in within:
                places = band.of(columns), band.of(rows)
                cv2.remap(canvas.pixels, *places, cv2.INTER_LINEAR, band.of(drawn), cv2.BORDER_REPLICATE)
            if face is not None:
                _soften(drawn, *face.seams(columns, rows))
            if self._corners is not None:
                self._corners.lighten(drawn, lambda region: (region.of(columns), region.of(rows)), local)
            for band in within:
                _split(band.of(drawn), band.of(part.of(frame)), band.of(part.of(alpha)))
            if self._hidden is not None and face is not None:
                self._hidden.draw(part.of(frame), part.of(alpha), local, self._mesh, face)
        for feature in self._features:
            feature.draw(frame, motion)
        return frame, alpha

    def notices(self) -> tuple[str, ...]:
        """What the summary should say about the frames drawn since it was last asked."""
        return self._tally.lines()

    def eased(self, motion: DriveFrame) -> DriveFrame:
        """The motion as far as it can be shown, which is what frames show."""
        return self._edges.eased(self._turns.eased(self._near(motion)))

    def _near(self, motion: DriveFrame) -> DriveFrame:
        return motion if self._ways is None else self._ways.eased(motion)

    def _prepared(self) -> Canvas:
        if self._canvas is None:
            raise AvatarkitError("WarpEngine.prepare must be called before frames are drawn")
        return self._canvas

    def _bands(
        self, inverse: Map, motion: DriveFrame, canvas: Canvas, around: NDArray[np.float64] | None
    ) -> list[Region]:
        """The parts of the frame that the subject may be seen in: what stands empty needs no drawing."""
        lattice = self._field.lattice
        beside = 0.0 if self._hidden is None else self._hidden.reach_px(motion)
        wanted = [(motion.landmarks[:, :2], 2.0 + beside), *([] if around is None else [(around, 0.0)])]
        others = [Region.around(points, pad, lattice.width, lattice.height) for points, pad in wanted]
        return lattice.bands(canvas.seen(inverse), [region for region in others if region is not None])

    def _large(self, part: Region) -> bool:
        return self._hidden is None and max(part.right - part.left, part.bottom - part.top) > LARGE_PX

    def _reduced(self, motion: DriveFrame, inverse: Map, canvas: Canvas, part: Region) -> ReducedMap:
        return ReducedMap.of(part, self._field.lattice, inverse, self._mesh, motion, (canvas.left, canvas.top))

    def _map(
        self, motion: DriveFrame, inverse: Map, canvas: Canvas, part: Region
    ) -> tuple[Map, Map, Cover | None]:
        """For each pixel of a part of the frame x and y (H, W) of the canvas pixel that it shows, and the face's cover.

        The cover is in pixels of the part.
        """
        lattice = self._field.lattice
        columns = lattice.enlarged(inverse[..., 0] + np.float32(canvas.left), part)
        rows = lattice.enlarged(inverse[..., 1] + np.float32(canvas.top), part)
        corner = canvas.left, canvas.top
        motion = replace(motion, landmarks=motion.landmarks - [part.left, part.top, 0.0])
        return columns, rows, self._mesh.draw(motion, columns, rows, corner)


def _split(drawn: NDArray[np.uint8], frame: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> None:
    """Copy RGBA (h, w, 4) to a part of a frame (h, w, 3) and of its alpha (h, w)."""
    import cv2

    cv2.cvtColor(drawn, cv2.COLOR_RGBA2RGB, frame)
    cv2.extractChannel(drawn, 3, alpha)


def _soften(drawn: NDArray[np.uint8], rows: NDArray[np.intp], columns: NDArray[np.intp]) -> None:
    """Smooth the steps of an edge at pixels (N,) of a picture (H, W, C), none of them at its rim, in place."""
    for _ in range(SOFTENED):
        total = np.zeros((len(rows), drawn.shape[2]), np.float32)
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                total += np.float32((2 - abs(down)) * (2 - abs(right)) / 16.0) * drawn[rows + down, columns + right]
        drawn[rows, columns] = np.round(total)


def open_warp(options: EngineOptions) -> WarpEngine:
    """The engine; it has no checkpoints, and runs on the CPU."""
    return WarpEngine()
