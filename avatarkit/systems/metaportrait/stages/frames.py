"""Frames of a batch as the stages use them, how they are drawn, and the losses of a drawn frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from avatarkit.head.regions import eyes_mask, mouth_mask
from avatarkit.losses.foreground import l1 as foreground_l1
from avatarkit.losses.foreground import over_background
from avatarkit.losses.perceptual import perceptual
from avatarkit.losses.pixel import pixel_loss
from avatarkit.losses.regions import identity_loss, region_loss
from avatarkit.nets.features.vgg import SMALLEST_PX, VGGFeatures
from avatarkit.systems.metaportrait.flow import landmark_error
from avatarkit.systems.metaportrait.portrait import Driven, Portrait
from avatarkit.systems.metaportrait.stages.config import PortraitLoss
from avatarkit.training.augment.pairs import augment_pair
from avatarkit.training.figures import face_mask, l1, psnr_figures
from avatarkit.training.seeds import sample_seeds

__all__ = ["Frames", "compared", "drawn_terms", "drive", "each", "look", "prepared", "recognised", "vgg_loss"]

Frames = Mapping[str, Tensor]
"""Frames of a batch: "image", "matte" and "lines" in [0, 1], "landmarks" in pixels, and the dataset's other columns."""

SCALES = 4
"""Pictures of the perceptual loss' pyramid, as far as the size allows."""


def look(batch: Mapping[str, Any], seed: int | None) -> dict[str, Frames]:
    """Sources and drivers of a batch, augmented where a seed is given; stacked ones get colours and sides alike.

    Returns:
        "source" and "driver", each as `prepared`, with the stacks of a sample behind one another: (B n) x ...
    """
    frames = {name: flat(batch[name]) for name in ("source", "driver")}
    if seed is not None:
        seeds = sample_seeds(seed, batch["positions"], "pair")
        for name, part in frames.items():
            repeats = len(part["image"]) // len(seeds)
            frames[name] = augment_pair({"source": part}, seeds.repeat_interleave(repeats))["source"]
    return {name: prepared(part) for name, part in frames.items()}


def flat(frames: Frames) -> dict[str, Tensor]:
    """Frames B x ... as they are, stacks of them B x n x ... behind one another."""
    if frames["image"].dim() == 4:
        return dict(frames)
    return {name: value.flatten(0, 1) for name, value in frames.items()}


def prepared(frames: Frames) -> dict[str, Tensor]:
    """Pictures as float in [0, 1]; of the landmark pictures the frame's own, without its mirror image's."""
    result = dict(frames)
    for name in ("image", "matte", "lines"):
        if name in result:
            result[name] = result[name].float() / 255 if result[name].dtype == torch.uint8 else result[name]
    if "lines" in result:
        result["lines"] = result["lines"][:, 0]
    return result


def each(frames: Frames, numbers: Tensor | Sequence[int] | slice) -> dict[str, Tensor]:
    """Some of the frames, by number."""
    return {name: value[numbers] for name, value in frames.items()}


def drive(portrait: Portrait, source: Frames, driver: Frames, identity: bool = True) -> tuple[Driven, Tensor]:
    """Draw sources with drivers; returns the frames and the identity vectors that they were drawn with.

    Args:
        source: one for each driver, or one for all of them. identity: False draws with vectors of zeros.
    """
    z_id = None if identity else source["image"].new_zeros(len(source["image"]), portrait.config.identity.code)
    code = portrait.encode_source(source["image"], source["lines"], source["landmarks"], z_id)
    if len(source["image"]) != len(driver["image"]):
        code = code.for_each(len(driver["image"]))
    return portrait.drive(code, driver["lines"], driver["landmarks"]), code.z_id


def drawn_terms(
    portrait: Portrait,
    source: Frames,
    driver: Frames,
    vgg: VGGFeatures | None,
    loss: PortraitLoss,
    *,
    squared: bool = False,
    identity: bool = True,
) -> tuple[Driven, dict[str, Tensor]]:
    """Draw sources with drivers of the same people, and all losses that have a weight; backgrounds do not count."""
    driven, z_id = drive(portrait, source, driver, identity)
    target, matte, size = driver["image"], driver["matte"], portrait.config.size
    terms: dict[str, Tensor] = {}
    if vgg is not None:
        terms["warp_vgg19"] = vgg_loss(vgg, driven.warped, target, matte)
        terms["vgg19"] = vgg_loss(vgg, driven.image, target, matte)
    if loss.warp_pixel:
        terms["warp_pixel"] = pixel_loss(driven.warped, target, matte)
    if loss.warp_landmarks:
        offset = driven.moved.offset
        terms["warp_landmarks"] = landmark_error(offset, source["landmarks"], driver["landmarks"], size)
    if loss.pixel:
        terms["pixel"] = pixel_loss(driven.image, target, matte)
    if loss.identity:
        wanted = z_id if identity else portrait.identity(source["image"], source["landmarks"])
        terms["identity"] = identity_loss(recognised(portrait, driven.image, driver), wanted)
    for name, region in (("eyes", eyes_mask), ("mouth", mouth_mask)):
        if getattr(loss, name):
            terms[name] = region_loss(driven.image, target, region(driver["landmarks"], size), squared=squared)
    if loss.matte:
        terms["matte"] = foreground_l1(driven.matte, matte)
    return driven, terms


def recognised(portrait: Portrait, drawn: Tensor, driver: Frames) -> Tensor:
    """Identity vectors of drawn heads before the drivers' backgrounds.

    The recogniser has learned from whole pictures, and the vectors that these are compared with are of such: even the
    true head would be another person to it where its background is black.
    """
    seen: Tensor = portrait.identity(over_background(drawn, driver["image"], driver["matte"]), driver["landmarks"])
    return seen


def vgg_loss(vgg: nn.Module, predicted: Tensor, target: Tensor, matte: Tensor | None = None) -> Tensor:
    """The paper's perceptual loss: mean absolute differences, summed over maps and scales without weights."""
    assert isinstance(vgg, VGGFeatures)
    size = target.shape[-1]
    scales = next(count for count in range(SCALES, 0, -1) if size >> (count - 1) >= SMALLEST_PX or count == 1)
    return perceptual(vgg, predicted, target, matte, scales=scales, layer_weights=(float(scales),) * 5)


def compared(predicted: Tensor, driver: Frames, copied: Tensor | None = None) -> dict[str, Tensor]:
    """`psnr_figures`, and L1 inside the face's hull, per sample."""
    face = face_mask(driver["landmarks"], *driver["image"].shape[-2:])
    return {**psnr_figures(predicted, driver, copied), "face_l1": l1(predicted, driver["image"], face)}
