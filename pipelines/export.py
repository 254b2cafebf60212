"""A student's checkpoint in, an ONNX file out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avatarkit.checkpoint import open_checkpoint
from avatarkit.errors import OutputError
from avatarkit.media.output import check_distinct, check_output, pending_output


@dataclass(frozen=True)
class ExportReport:
    """What was written."""

    output: Path
    size_bytes: int
    avatars: tuple[str, ...]
    opset: int

    def summary_lines(self) -> list[str]:
        """The closing lines of the command."""
        some = ", ".join(self.avatars[:5]) + (", ..." if len(self.avatars) > 5 else "")
        return [
            f"{self.output}: {self.size_bytes / 1e6:.1f} MB, ONNX opset {self.opset},"
            f" {len(self.avatars)} avatar{'s' if len(self.avatars) > 1 else ''}: {some}",
            "the file draws these alone: it holds no way to add an identity",
        ]


def export(checkpoint: Path, output: Path, avatars: tuple[str, ...], *, overwrite: bool = False) -> ExportReport:
    """Write a student as an ONNX file.

    Args:
        checkpoint: of train student, or its run. avatars: names; all of them if none is given.

    Raises:
        UsageError: no such avatar, or too many for one file. InputError: no student's checkpoint.
        OutputError: the file exists, has another ending or cannot be written. DependencyError: package onnx is
            missing.
    """
    if output.suffix.lower() != ".onnx":
        raise OutputError(f"{output}: use a name that ends with .onnx")
    check_distinct(output, [checkpoint])
    check_output(output, overwrite=overwrite)
    opened = open_checkpoint(checkpoint)
    from avatarkit.systems.megaportraits.export import OPSET, export_student

    data, names = export_student(opened, avatars)
    with pending_output(output, overwrite=overwrite) as temporary:
        temporary.write_bytes(data)
    return ExportReport(output, len(data), names, OPSET)
