"""A student outside of avatarkit: an ONNX file that draws chosen avatars, and the engine that runs such a file.

The file holds the network and, for each chosen avatar, the finished modulations of its norms. The identity tensors, the
convolutions that make modulations of them, and all other avatars stay behind: nobody can be added to the file.

    driver  float32 (B, 3, S, S), RGB in [0, 1]: the driver's head as `avatarkit.head` frames it
    avatar  int64 (), number of an avatar; only in files of several
    frame   float32 (B, 3, S, S), RGB in [0, 1]
"""

from __future__ import annotations

import inspect
import io
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avatarkit import __version__
from avatarkit.checkpoint import Checkpoint
from avatarkit.errors import AvatarkitError, DependencyError, InputError, UsageError
from avatarkit.nets.convs import fold_weights
from avatarkit.reading import check_list, check_text, check_whole, parse_json, read_bytes
from avatarkit.systems.megaportraits.avatar import AvatarEngine, chosen_avatar
from avatarkit.systems.megaportraits.equivalent import rearranged
from avatarkit.systems.megaportraits.load import avatars_of, load_student
from avatarkit.systems.megaportraits.student import Student
from avatarkit.systems.options import EngineOptions

__all__ = ["OPSET", "ExportedEngine", "export_student", "open_exported"]

FORMAT, VERSION = "avatarkit-student", 1
OPSET = 17
MOST_BYTES = 2**31 - 2**20
"""An ONNX file is a protobuf message, which ends there."""
OPERATORS = frozenset({
    "Add", "AveragePool", "Cast", "Clip", "Concat", "Constant", "Conv", "DepthToSpace", "Div", "Gather",
    "Identity", "InstanceNormalization", "MaxPool", "Mul", "Relu", "Reshape", "Resize", "Shape", "Sigmoid", "Slice",
    "Squeeze", "Sub", "Unsqueeze",
})  # fmt: skip
"""What students are made of. Files may come from strangers: others could loop, or read other files."""
_SMALLEST, _LARGEST = 16, 4096
_AT_ONCE_PIXELS = 256 * 256

Picture = NDArray[np.uint8]


class _Drawing(nn.Module):
    """A folded student, rearranged, with its avatars' modulations in place of what makes them."""

    def __init__(self, student: Student, numbers: Sequence[int]) -> None:
        super().__init__()
        with torch.no_grad():
            result = student.modulations(torch.tensor(numbers))
        self.student = rearranged(student)
        self.tensors = [tensor for block in result for pair in block for tensor in pair]

    def forward(self, driver: Tensor, avatar: Tensor | None = None) -> Tensor:
        chosen = self.tensors if avatar is None else [tensor[avatar][None] for tensor in self.tensors]
        rest = iter(chosen)
        pairs = [((next(rest), next(rest)), (next(rest), next(rest))) for _ in self.student.blocks]
        return self.student.draw(driver, pairs)


def export_student(checkpoint: Checkpoint, avatars: Sequence[str]) -> tuple[bytes, tuple[str, ...]]:
    """The ONNX file of a student's checkpoint, and the names of the avatars in it.

    Args:
        checkpoint: of train student. avatars: names; all of them if none is given.

    Raises:
        UsageError: an avatar that the student does not hold, or more of them than a file can hold.
        InputError: the checkpoint holds no student. DependencyError: package onnx is missing.
    """
    try:
        import onnx
    except ImportError as error:
        raise DependencyError("export needs package onnx: pip install 'avatarkit[onnx]'") from error
    student = fold_weights(load_student(checkpoint))
    known = avatars_of(checkpoint)
    numbers = [chosen_avatar(known, name, str(checkpoint.folder)) for name in dict.fromkeys(avatars)]
    numbers = numbers or list(range(len(known)))
    names = tuple(known[number] for number in numbers)
    drawing = _Drawing(student, numbers)
    needed = sum(tensor.numel() * 4 for tensor in (*drawing.tensors, *student.state_dict().values()))
    if needed > MOST_BYTES:
        raise UsageError(
            f"{len(names)} avatars need {needed / 1e9:.1f} GB, and an ONNX file holds {MOST_BYTES / 1e9:.1f}: choose"
            " some of them by --avatar NAME"
        )
    model = onnx.load_from_string(_translated(drawing, student.config.size, several=len(names) > 1))
    about = {
        "format": FORMAT, "version": VERSION, "size": student.config.size, "avatars": json.dumps(names),
        "checkpoint": checkpoint.sha256, "step": checkpoint.meta.step, "generator": f"avatarkit {__version__}",
    }  # fmt: skip
    onnx.helper.set_model_props(model, {key: str(value) for key, value in about.items()})
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data, names


def _translated(drawing: _Drawing, size: int, several: bool) -> bytes:
    example: list[Any] = [torch.zeros(1, 3, size, size), *([torch.tensor(0)] if several else [])]
    batch = {0: "batch"}
    options: dict[str, Any] = {
        "opset_version": OPSET,
        "input_names": ["driver", *(["avatar"] if several else [])],
        "output_names": ["frame"],
        "dynamic_axes": {"driver": batch, "frame": batch},
    }
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        options["dynamo"] = False
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(drawing, tuple(example), buffer, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


class ExportedEngine(AvatarEngine):
    """An exported file, by onnxruntime."""

    def __init__(self, session: Any, size: int, avatar: int | None, label: str) -> None:
        """Take an onnxruntime session, the side of its frames, and the avatar's number in files of several."""
        self._session, self._size, self._label = session, size, label
        self._avatar = {} if avatar is None else {"avatar": np.array(avatar, np.int64)}
        self._at_once = max(1, min(8, _AT_ONCE_PIXELS // (size * size)))

    def frames(self, pictures: Sequence[Picture]) -> list[Picture]:
        """The avatar as drivers' squares (S, S, 3) move it."""
        driver = np.stack(pictures).transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255.0)
        try:
            (result,) = self._session.run(["frame"], {"driver": np.ascontiguousarray(driver), **self._avatar})
        except Exception as error:  # onnxruntime raises types of its own, of no common base
            raise InputError(f"the exported file cannot draw: {next(iter(str(error).splitlines()), '')}") from error
        if result.shape != driver.shape:
            raise InputError(f"the exported file draws {result.shape}, expected {driver.shape}; export it again")
        levels = np.rint(np.clip(result, 0.0, 1.0) * 255.0).astype(np.uint8)
        return list(np.ascontiguousarray(levels.transpose(0, 2, 3, 1)))


def open_exported(path: Path, options: EngineOptions) -> ExportedEngine:
    """The engine of an exported file.

    Raises:
        InputError: no file of `export_student`, or a damaged one. UsageError: no such avatar, or a precision.
        DependencyError: package onnxruntime is missing, or it has no such device.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise DependencyError(f"{path}: needs packages onnx and onnxruntime: pip install 'avatarkit[onnx]'") from error
    if options.precision not in ("auto", "fp32") or options.compile:
        raise UsageError(f"{path}: an exported file runs as it is; leave out --precision and --compile")
    settings = onnxruntime.SessionOptions()
    # Threads spin while a batch is drawn; beyond it they would take the cores from matting and encoding.
    settings.add_session_config_entry("session.force_spinning_stop", "1")
    settings.log_severity_level = 3
    try:
        data = read_bytes(path, MOST_BYTES, links=True)
        _check_plain(onnx.load_from_string(data), path)
        session = onnxruntime.InferenceSession(data, settings, providers=_providers(onnxruntime, options.device))
        about = session.get_modelmeta().custom_metadata_map
        if about.get("format") != FORMAT:
            raise InputError(f"{path}: is no file of avatarkit export student")
        if about.get("version") != str(VERSION):
            raise InputError(
                f"{path}: is an export of version {about.get('version')}, this program reads {VERSION}; export it again"
            )
        listed = check_list(parse_json(about["avatars"].encode()), "avatars")
        names = tuple(check_text(name, "avatar") for name in listed)
        size = check_whole(int(about["size"][:9]), "size", _SMALLEST, _LARGEST)
    except AvatarkitError:
        raise
    except Exception as error:  # onnxruntime raises types of its own, of no common base
        raise InputError(f"{path}: cannot be read: {next(iter(str(error).splitlines()), '')}") from error
    number = chosen_avatar(names, options.avatar, str(path))
    label = f"exported step {about.get('step')} ({about.get('checkpoint', '')[:12]}), avatar {names[number]}"
    return ExportedEngine(session, size, number if len(names) > 1 else None, label)


def _check_plain(model: Any, path: Path) -> None:
    """Raise InputError unless a model is one graph of a student's operators with all its tensors in the file."""
    graph = model.graph
    strange = sorted({node.op_type for node in graph.node if node.domain or node.op_type not in OPERATORS})
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    tensors = [*graph.initializer, *(attribute.t for attribute in attributes if attribute.HasField("t"))]
    nested = any(
        item.HasField("g") or item.graphs or item.tensors or item.HasField("sparse_tensor") for item in attributes
    )
    if strange:
        raise InputError(f"{path}: is no exported student: it uses {strange[0][:40]!r}")
    if nested or graph.sparse_initializer or model.functions or model.training_info:
        raise InputError(f"{path}: is no exported student: it holds more than one plain graph")
    if any(tensor.data_location or tensor.external_data for tensor in tensors):
        raise InputError(f"{path}: is no exported student: its tensors lie in other files")


def _providers(onnxruntime: Any, device: str) -> list[str]:
    there = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device == "mps" or (device == "cuda" and not there):
        raise DependencyError(f"--device {device}: onnxruntime has none here; use --device cpu")
    return ["CUDAExecutionProvider", "CPUExecutionProvider"] if there and device != "cpu" else ["CPUExecutionProvider"]
