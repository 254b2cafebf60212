"""Motion files and the doctor, as whole jobs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avatarkit.face.types import FaceChoice
from avatarkit.media.image import read_image, write_image
from avatarkit.motion.file import read_motion
from avatarkit.pipelines.doctor.checks import MISSING, NOTE, OK, Check
from avatarkit.pipelines.doctor.report import JOBS, DoctorReport, diagnose
from avatarkit.pipelines.faces import list_faces
from avatarkit.pipelines.motion import extract_motion, plot_motion, show_motion
from avatarkit.runtime import NullProgress

from .conftest import FRAMES, RATE, SIZE, Notices


def test_extract(driver: Path, tmp_path: Path) -> None:
    progress = Notices()
    output = tmp_path / "a.motion"
    summary = extract_motion(
        driver, output, face=FaceChoice(), on_missing="fail", overwrite=False, progress=progress
    )
    assert (summary.frames, summary.missing, summary.cuts, summary.rate) == (FRAMES, 0, 0, "30000/1001")
    assert summary.size_bytes == output.stat().st_size < 1e6
    assert progress.done == FRAMES
    motion = read_motion(output)
    assert (len(motion), motion.rate, motion.width, motion.height) == (FRAMES, RATE, SIZE, SIZE)
    assert motion.driver == driver.name
    assert [path.name for path in tmp_path.iterdir()] == ["a.motion"]


def test_extracting_twice_gives_the_same_bytes(driver: Path, motion_file: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.motion"
    extract_motion(
        driver, again, face=FaceChoice(), on_missing="interpolate", overwrite=False, progress=NullProgress()
    )
    assert again.read_bytes() == motion_file.read_bytes()


def test_show_and_plot(motion_file: Path, tmp_path: Path) -> None:
    overview = show_motion(motion_file)
    rows = dict(overview.rows())
    assert rows["frames"].startswith(f"{FRAMES} at 30000/1001 fps")
    assert all(len(values) == FRAMES for values in overview.series.values())
    assert max(overview.series["mouth_opening"]) > 0.05
    plot_motion(motion_file, tmp_path / "plot.png")
    picture = read_image(tmp_path / "plot.png")
    assert min(picture.shape[:2]) > 300
    assert picture.std() > 5


def test_a_photo_has_a_motion_too(photo: Path, tmp_path: Path) -> None:
    summary = extract_motion(
        photo,
        tmp_path / "p.motion",
        face=FaceChoice(),
        on_missing="hold",
        overwrite=False,
        progress=NullProgress(),
    )
    assert summary.frames == 1


def test_doctor_finds_everything_here() -> None:
    report = diagnose()
    assert report.ok, report.rows()
    names = [name for name, _, _ in report.rows()]
    assert len(set(names)) == len(names)
    assert {f"job {job}" for job in JOBS} <= set(names)
    looked_at = {check.name for check in report.checks}
    assert {need for needs in JOBS.values() for need in needs} <= looked_at
    weights = {check.name: check for check in report.weights}
    assert "avatarkit weights fetch modnet" in weights["weights modnet"].detail
    content = report.to_json()
    assert content["ok"] is True
    assert content["jobs"]["train"] == {"runs": True, "lacks": []}


def test_doctor_says_which_job_cannot_run() -> None:
    checks = (Check("torch", MISSING, "pip install torch"), Check("ray", NOTE, "-"), Check("ffmpeg", OK, "here"))
    report = DoctorReport(checks, (Check("weights modnet", "missing", "-"),))
    assert report.blocked == {"train": ["torch"]}
    assert not report.ok
    states = {name: (state, detail) for name, state, detail in report.rows()}
    assert states["job reenact"] == (OK, "can run")
    assert states["job train"] == (MISSING, "torch")


def test_doctor_lists_faces(grace_hopper: np.ndarray, astronaut: np.ndarray, tmp_path: Path) -> None:
    both = np.full((600, 1024, 3), 120, np.uint8)
    both[:512, :512], both[:, 512:] = astronaut, grace_hopper
    write_image(tmp_path / "both.png", both)
    left, right = list_faces(tmp_path / "both.png")
    assert (left.index, right.index) == (0, 1)
    assert left.box[2] < right.box[0]
    assert right.inter_ocular_px == pytest.approx(130, abs=25)
    assert abs(left.yaw_deg) < 35
    write_image(tmp_path / "none.png", np.full((100, 100, 3), 50, np.uint8))
    assert list_faces(tmp_path / "none.png") == []
