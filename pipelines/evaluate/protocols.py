"""Published ways to measure by name: sizes, counts, masks and figures, what was published, and what is our choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["PROTOCOLS", "Kind", "Protocol"]

Kind = Literal["self", "cross", "videos"]
Row = Mapping[str, float]

OTHER_NETWORKS = (
    "identity by another network than its ArcFace, motion by landmarks instead of coefficients of a face model"
)


@dataclass(frozen=True)
class Protocol:
    """A published way to measure, as far as it is known.

    size: side of the pictures that are compared, pixels. every: frames from one measured frame to the next. limit:
    clips or pairs. fid: whether FID is in its table. about: where it was published, and what we chose where that is
    open. published: rows of its table as printed, by method; of other crops, masks and networks than ours.
    """

    name: str
    kind: Kind
    size: int
    about: str
    every: int = 1
    limit: int | None = None
    fid: bool = False
    published: Mapping[str, Row] = field(default_factory=dict)


def _named(*protocols: Protocol) -> Mapping[str, Protocol]:
    return {protocol.name: protocol for protocol in protocols}


PROTOCOLS = _named(
    Protocol(
        "megaportraits-self-512", "self", 512,
        "MegaPortraits (2022), table 1: raw figures, and masked ones of face, ears and hair; the clips are not"
        " published, our source is the first frame",
        published={"MegaPortraits": {"PSNR": 20.2, "SSIM": 0.72, "LPIPS": 0.22, "masked PSNR": 30.2,
                                     "masked SSIM": 0.89, "masked LPIPS": 0.07}},
    ),
    Protocol("megaportraits-self-256", "self", 256, "MegaPortraits (2022): the same at 256 px"),
    Protocol(
        "megaportraits-cross-512", "cross", 512,
        "MegaPortraits (2022), table 1: sources by drivers of other people; its pairs are not published, all are taken;"
        f" FID against the drivers' frames; {OTHER_NETWORKS}",
        fid=True, published={"MegaPortraits": {"FID": 58.8, "CSIM": 0.73}},
    ),
    Protocol(
        "megaportraits-cross-1024", "cross", 1024,
        f"MegaPortraits (2022), table 2: the same at 1024 px on sources of high resolution; {OTHER_NETWORKS}",
        fid=True, published={"MegaPortraits": {"FID": 39.2, "CSIM": 0.67, "IQA": 49.3},
                             "bicubic": {"FID": 51.4, "CSIM": 0.67, "IQA": 35.1}},
    ),
    Protocol(
        "few-shot-self-256", "self", 256,
        "few-shot heads (2019): 50 clips of unseen people, 32 frames of each, one source frame; ours are every eighth"
        " frame after the first, and FID is left out of self-reenactment",
        every=8, limit=50,
        published={"VoxCeleb2, feed-forward, 1 frame": {"FID": 46.1, "SSIM": 0.61, "CSIM": 0.42}},
    ),
    Protocol(
        "bilayer-self-256", "self", 256,
        "bi-layer avatars (2020): 50 clips of unseen people, a frame a second (every 25th here), first frame as source;"
        " our AKD is of 468 landmarks over the eyes' distance, its NME of 68",
        every=25, limit=50,
        published={"VoxCeleb2": {"LPIPS": 0.370, "CSIM": 0.595, "NME": 0.441},
                   "VoxCeleb2, updater": {"LPIPS": 0.358, "CSIM": 0.653, "NME": 0.433}},
    ),
    Protocol(
        "metaportrait-self-256", "self", 256,
        f"MetaPortrait (2023): 500 clips of VoxCeleb2's test part, first frame as source; {OTHER_NETWORKS}",
        limit=500, published={"MetaPortrait": {"FID": 11.95, "LPIPS": 0.226, "AED": 0.0942, "APD": 0.0124}},
    ),
    Protocol(
        "metaportrait-self-512", "self", 512, f"MetaPortrait (2023): the same at 512 px; {OTHER_NETWORKS}",
        limit=500, published={"MetaPortrait": {"FID": 21.50, "LPIPS": 0.208, "AED": 0.0904, "APD": 0.0121}},
    ),
    Protocol(
        "metaportrait-cross-256", "cross", 256,
        f"MetaPortrait (2023): the same 500 clips, shuffled; our pairs are drawn by the seed; {OTHER_NETWORKS}",
        limit=500, fid=True, published={"MetaPortrait": {"FID": 77.50, "AED": 0.2524, "APD": 0.0258}},
    ),
    Protocol(
        "metaportrait-cross-512", "cross", 512, f"MetaPortrait (2023): the same at 512 px; {OTHER_NETWORKS}",
        limit=500, fid=True, published={"MetaPortrait": {"FID": 49.60, "AED": 0.2737, "APD": 0.0242}},
    ),
    Protocol(
        "rome-self-256", "self", 256,
        "ROME (2022): VoxCeleb2's hold-out inside face and hair; counts are not published; compare the masked figures",
        published={"ROME": {"LPIPS": 0.08, "SSIM": 0.86, "PSNR": 26.2}},
    ),
    Protocol(
        "rome-cross-256", "cross", 256, f"ROME (2022): the same, by other people; {OTHER_NETWORKS}",
        fid=True, published={"ROME": {"FID": 45.32, "CSIM": 0.62, "IQA": 66.3}},
    ),
    Protocol(
        "goha-self-512", "self", 512,
        "GOHA (2023): HDTF's test part, every frame, first frame as source, black background (ours is the clip's own);"
        f" {OTHER_NETWORKS}",
        published={"GOHA": {"PSNR": 22.15, "SSIM": 0.868, "LPIPS": 0.117, "L1": 0.037, "CSIM": 0.789, "AED": 0.129,
                            "APD": 0.010, "AKD, px": 2.596, "FID": 21.60}},
    ),
    Protocol(
        "goha-cross-512", "cross", 512,
        "GOHA (2023): 60 photos by the first 100 frames of 19 videos; ours take whole videos;"
        f" {OTHER_NETWORKS}",
        limit=1140, fid=True, published={"GOHA": {"CSIM": 0.551, "AED": 0.274, "APD": 0.017, "FID": 59.48}},
    ),
)  # fmt: skip
