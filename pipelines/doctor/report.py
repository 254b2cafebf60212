"""Whether the main jobs can run here, and what would make them better."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from avatarkit.pipelines.doctor import checks
from avatarkit.pipelines.doctor.checks import MISSING, OK, Check
from avatarkit.pipelines.weights import list_weights

Row = tuple[str, str, str]

_CORE = ("python", "numpy", "scipy", "opencv", "ffmpeg-python", "pillow", "platformdirs", "filelock", "ffmpeg",
         "encoder libx264", "tracker", "matting", "inpaint")  # fmt: skip
JOBS: dict[str, tuple[str, ...]] = {
    "reenact": _CORE,
    "prepare-data": (*_CORE, "h5py", "quality"),
    "train": ("python", "numpy", "opencv", "h5py", "torch", "torchvision", "accelerate", "omegaconf", "safetensors"),
}
"""The main jobs and the checks that each of them needs."""


@dataclass(frozen=True)
class DoctorReport:
    """What was found: checks of programs, packages, networks and the machine, and the state of each weight file."""

    checks: tuple[Check, ...]
    weights: tuple[Check, ...]

    @property
    def blocked(self) -> dict[str, list[str]]:
        """For each main job that cannot run, the names of the checks that stand in its way."""
        failed = {check.name for check in self.checks if check.state == MISSING}
        stops = {job: [name for name in needs if name in failed] for job, needs in JOBS.items()}
        return {job: names for job, names in stops.items() if names}

    @property
    def ok(self) -> bool:
        """Whether all main jobs can run."""
        return not self.blocked

    def rows(self) -> list[Row]:
        """Everything, a row each: the jobs first."""
        blocked = self.blocked
        jobs = [
            Check(f"job {job}", MISSING if job in blocked else OK, ", ".join(blocked.get(job, [])) or "can run")
            for job in JOBS
        ]
        return [(check.name, check.state, check.detail) for check in (*jobs, *self.checks, *self.weights)]

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        blocked = self.blocked
        return {
            "ok": self.ok,
            "jobs": {job: {"runs": job not in blocked, "lacks": blocked.get(job, [])} for job in JOBS},
            "checks": [asdict(check) for check in self.checks],
            "weights": [asdict(check) for check in self.weights],
        }


def diagnose() -> DoctorReport:
    """Look at programs, packages, networks, weights and the machine; every network that `auto` takes is opened once."""
    groups: tuple[Callable[[], list[Check]], ...] = (
        checks.python,
        checks.packages,
        checks.accelerators,
        checks.ffmpeg,
        checks.mediapipe_generation,
        checks.networks,
        checks.machine,
    )
    result = [check for group in groups for check in group()]
    return DoctorReport(tuple(result), tuple(_weights()))


def _weights() -> list[Check]:
    return [
        Check(
            f"weights {file.weight.name}",
            file.state,
            "; ".join(part for part in (file.weight.purpose, file.problem, file.remedy) if part),
        )
        for file in list_weights().files
    ]
