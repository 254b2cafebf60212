"""What a batch says of itself while it runs."""

from __future__ import annotations

from avatarkit.pipelines.batch.status import Status, WorkerStatus


def test_status_tells_how_far_each_worker_is() -> None:
    workers = {"worker-1": WorkerStatus("ann--b.mp4", "render", 30, 75), "worker-10": WorkerStatus("source ann.jpg")}
    status = Status(12, 2, 3, 4, frames_per_s=20.04, left_s=75.2, reasons={"InputError": 4}, workers=workers, host="x")
    assert status.table() == [
        "20.0 frames/s, about 0:01:15 left, 2 made before, 4 refused as InputError",
        "worker-1   render 30/75       ann--b.mp4",
        "worker-10  prepare            source ann.jpg",
    ]
    assert status.lines()[0].startswith("5 of 12 pairs made; no sign of life for ")
