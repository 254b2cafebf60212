"""The engine itself: field, mesh, eyes and mouth put together."""

from threading import Lock

import numpy as np
from numpy.typing import NDArray

import avatarkit
from avatarkit.errors import AvatarkitError
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.canvas import Canvas
from avatarkit.systems.landmark_warp.eyes import EyeLayer
from avatarkit.systems.landmark_warp.field import HeadField
from avatarkit.systems.landmark_warp.lids import LidLayer
from avatarkit.systems.landmark_warp.limits import EdgeLimits
from avatarkit.systems.landmark_warp.mesh import FaceMesh
from avatarkit.systems.landmark_warp.mouth import MouthLayer
from avatarkit.systems.protocol import SourceLayers

NOTICED = 0.05
"""A head kept back by this many head units is worth a line in the summary."""


class WarpEngine:
    """Moves the source's own pixels after the driver's landmarks."""

    def __init__(self) -> None:
        self._canvas: Canvas | None = None
        self._counting = Lock()
        self._drawn = self._held = 0

    @property
    def name(self) -> str:
        """Name and version for reports."""
        return f"warp {avatarkit.__version__}"

    def prepare(self, source: SourceLayers) -> None:
        """Lay out the field and cut eyes and mouth out of one source."""
        self._canvas = canvas = Canvas.of(source, head_frame(source.landmarks).scale)
        self._field = HeadField(source, canvas)
        self._limits = EdgeLimits.of(self._field, canvas, source)
        self._mesh = FaceMesh(source.landmarks)
        self._eyes = EyeLayer(source.picture, source.landmarks)
        self._lids = LidLayer(source.picture, source.landmarks)
        self._mouth = MouthLayer(source.picture, source.landmarks)

    def sampling_map(self, motion: DriveFrame) -> NDArray[np.float32]:
        """For each pixel of the frame the source pixel (H, W, 2) that it shows, in pixels of the drawn picture."""
        canvas = self._prepared()
        columns, rows = self._map(self._limits.eased(motion), canvas)
        return np.stack([columns - np.float32(canvas.left), rows - np.float32(canvas.top)], axis=2)

    def drive(self, motion: DriveFrame) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """One frame (H, W, 3) and its alpha (H, W), both uint8."""
        import cv2

        canvas = self._prepared()
        motion = self._counted(motion)
        drawn = cv2.remap(
            canvas.pixels, *self._map(motion, canvas), interpolation=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        frame = np.asarray(cv2.cvtColor(drawn, cv2.COLOR_RGBA2RGB), np.uint8)
        self._mouth.draw(frame, motion)
        self._lids.draw(frame, motion)
        self._eyes.draw(frame, motion)
        return frame, np.asarray(cv2.extractChannel(drawn, 3), np.uint8)

    def notices(self) -> tuple[str, ...]:
        """What the summary should say about the frames drawn since it was last asked."""
        (drawn, held), (self._drawn, self._held) = (self._drawn, self._held), (0, 0)
        if not held:
            return ()
        return (
            f"the picture's edge cuts the head off: in {held} of {drawn} frames it is kept at that edge"
            " instead of moving away from it; a picture with room around the head shows the whole motion",
        )

    def _counted(self, motion: DriveFrame) -> DriveFrame:
        """The motion as it can be shown, and a count of the frames in which that is less."""
        eased = self._limits.eased(motion)
        held = float(np.abs(eased.pose.translation - motion.pose.translation).max()) > NOTICED * motion.pose.scale
        with self._counting:
            self._drawn, self._held = self._drawn + 1, self._held + held
        return eased

    def _prepared(self) -> Canvas:
        if self._canvas is None:
            raise AvatarkitError("WarpEngine.prepare must be called before frames are drawn")
        return self._canvas

    def _map(self, motion: DriveFrame, canvas: Canvas) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """For each pixel of the frame x and y (H, W) of the canvas pixel that it shows."""
        inverse, lattice = self._field.inverse(motion), self._field.lattice
        columns = lattice.enlarged(inverse[..., 0] + np.float32(canvas.left))
        rows = lattice.enlarged(inverse[..., 1] + np.float32(canvas.top))
        self._mesh.draw(motion, columns, rows, (canvas.left, canvas.top))
        return columns, rows
