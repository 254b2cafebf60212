"""An avatar's file: whom it shows, what was learned of that person, and how it was made; one file, safetensors.

    picture    uint8 (H, W, 3)   the source, RGB: head and shoulders
    alpha      uint8 (H, W)      its matte
    landmarks  float32 (478, 3)  in its pixels
    net.*      float32           the weights of the network that draws

Its metadata holds one entry, `avatarkit`: json with format, version, `system`, whose network it is, the network's
sizes, `teeth`: their colour and edge as the footage showed them, or null, and `about`: consent, footage (names and
hashes), figures. It holds no other person's picture or identity vector.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from avatarkit.atomic import write_whole
from avatarkit.errors import InputError, OutputError
from avatarkit.face.types import check_landmarks
from avatarkit.nets.plain import from_plain, to_plain
from avatarkit.nets.trained import filled
from avatarkit.reading import check_table, check_text, open_file, parse_json, read_tensors, shown, tensor_header
from avatarkit.systems.protocol import SeenTeeth

__all__ = ["Avatar", "StoredNet", "plain_teeth", "read_about", "read_avatar", "teeth_of_plain", "write_avatar"]

FORMAT, VERSION = "avatarkit-avatar", 11
MOST_BYTES = 1 << 30
"""The largest published portrait takes half of it."""
SIDES = (64, 8192)
_KEY = "avatarkit"

Config = TypeVar("Config")
Net = TypeVar("Net", bound=nn.Module)


@dataclass(frozen=True)
class StoredNet:
    """A network as plain values. system: whose it is, a name of `registry.SYSTEMS`. config: its sizes; weights."""

    system: str
    config: Mapping[str, Any]
    weights: Mapping[str, torch.Tensor]

    @classmethod
    def of(cls, system: str, net: nn.Module) -> StoredNet:
        """Of a network that has a `config`."""
        weights = {name: tensor.detach().cpu().float().contiguous() for name, tensor in net.state_dict().items()}
        return cls(system, to_plain(net.config), weights)

    def built(self, kind: type[Config], make: Callable[[Config], Net], path: Path) -> Net:
        """The network, frozen, ready for evaluation.

        Args:
            kind: its configuration's dataclass. make: builds it from that. path: of the file, for errors.

        Raises:
            InputError: sizes that cannot be, or weights that are others, or no numbers.
        """
        config = from_plain(kind, self.config, f"{path}: config")
        return filled(lambda: make(config), self.weights, path, "net")


@dataclass(frozen=True)
class Avatar:
    """What a file holds. picture: RGB uint8 (H, W, 3). alpha: float32 (H, W) in [0, 1]. landmarks: float32 (478, 3).

    net: draws it; not checked before it is built. about: how it was made, plain values; `consent` says who confirmed
    what. teeth: as the footage showed them, None where it did not.
    """

    picture: NDArray[np.uint8]
    alpha: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    net: StoredNet
    about: Mapping[str, Any]
    teeth: SeenTeeth | None = None


def plain_teeth(teeth: SeenTeeth | None) -> dict[str, Any] | None:
    """Teeth as json keeps them."""
    return None if teeth is None else to_plain(teeth)


def teeth_of_plain(values: Any) -> SeenTeeth | None:
    """The teeth of which `plain_teeth` made `values`. Raises InputError for anything else."""
    return None if values is None else from_plain(SeenTeeth, values, "teeth")


def write_avatar(path: Path, avatar: Avatar) -> None:
    """Write it; the file appears whole or not at all. Raises OutputError where it cannot be written."""
    net = avatar.net
    about = {
        "format": FORMAT, "version": VERSION, "system": net.system, "config": dict(net.config),
        "teeth": plain_teeth(avatar.teeth), "about": dict(avatar.about),
    }  # fmt: skip
    tensors = {
        "picture": torch.from_numpy(np.ascontiguousarray(avatar.picture)),
        "alpha": torch.from_numpy(np.round(avatar.alpha * 255.0).astype(np.uint8)),
        "landmarks": torch.from_numpy(np.ascontiguousarray(avatar.landmarks, np.float32)),
    }
    for name, tensor in net.weights.items():
        tensors[f"net.{name}"] = tensor
    data = save(tensors, {_KEY: json.dumps(about, sort_keys=True)})
    try:
        write_whole(path, data)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


def read_avatar(path: Path) -> Avatar:
    """Read and check it; InputError for what is missing, damaged, foreign or of another version."""
    try:
        header, data = read_tensors(path, MOST_BYTES, links=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    try:
        about = _about(header)
        tensors = load(data)
        picture, alpha, landmarks = _picture(tensors)
        system = check_text(about["system"], "system")
        teeth = teeth_of_plain(about["teeth"])
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise InputError(f"{path}: is damaged, or no avatar: {str(error)[:200]}; make it again") from error
    weights = {name[4:]: tensor for name, tensor in tensors.items() if name.startswith("net.")}
    net = StoredNet(system, about.get("config", {}), weights)
    return Avatar(picture, alpha, landmarks, net, about["about"], teeth)


def read_about(path: Path) -> dict[str, Any]:
    """How an avatar was made, without its pictures and weights. Raises as `read_avatar`."""
    try:
        with open_file(path, links=True) as file:
            about: dict[str, Any] = _about(tensor_header(file)[0])["about"]
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: is damaged, or no avatar: {error}") from error
    return about


def _about(header: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata, before any tensor is looked at."""
    text = check_table(header.get("__metadata__", {}), "metadata").get(_KEY)
    if not isinstance(text, str):
        raise ValueError("its header does not say what it is")
    about = check_table(parse_json(text.encode()), "description")
    if about.get("format") != FORMAT:
        raise InputError(f"is no avatar of avatarkit (its format is {shown(about.get('format'))})")
    if about.get("version") != VERSION:
        raise InputError(
            f"is an avatar of version {shown(about.get('version'))}, this program reads {VERSION}; make it again"
        )
    check_table(about["about"], "about")
    return about


def _picture(
    tensors: Mapping[str, torch.Tensor],
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    picture, alpha, landmarks = (tensors[name] for name in ("picture", "alpha", "landmarks"))
    if picture.dtype != torch.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError("its picture is none")
    height, width = picture.shape[:2]
    if not all(SIDES[0] <= side <= SIDES[1] for side in (height, width)):
        raise ValueError(f"its picture of {width} x {height} px is too small or too large")
    if alpha.dtype != torch.uint8 or alpha.shape != picture.shape[:2]:
        raise ValueError("its matte does not fit its picture")
    points = check_landmarks(landmarks.numpy(), width, height)
    return picture.numpy(), alpha.numpy().astype(np.float32) / np.float32(255.0), points
