"""What MetaPortrait's identity vector does: left out, and another person's in its place."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from typing import Any

import numpy as np
import torch
from learning_runs import ClipPairs, Found, pick_clips
from portrait_runs import train_chain, videos
from tables import Bar, Row, Verdict

from avatarkit.data.pairs import PairDataset
from avatarkit.losses.regions import identity_loss
from avatarkit.systems.metaportrait.load import load_portrait
from avatarkit.systems.metaportrait.portrait import FusedNorm, Portrait
from avatarkit.systems.metaportrait.stages.frames import compared, prepared, recognised
from avatarkit.training.feed import collate
from avatarkit.training.stage import Stage

LEARNED, HELD = (0.0, 0.8), (0.8, 1.0)
"""Parts of each clip."""
DRIVERS = 8
"""Of each clip, to which all identity vectors are given in turn."""
SHUT = 50.0
"""Of a mask's bias: its sigmoid is 1 and lets no gradient through."""


def identity(options: argparse.Namespace) -> Found:
    """What the identity vector gives: identity losses of drawn frames, beside those of the true ones.

    Two portraits differ by chance as well, so the one with vectors is also given strangers' and zeros.
    """
    dataset, unseen = videos(options, "train"), videos(options, "val")
    later = ClipPairs(dataset, _clips(dataset), options.seed, part=HELD)
    shown = {
        "unseen frames": [later[number] for number in range(options.pairs)],
        "unseen people": [unseen[number] for number in range(options.pairs)],
    }
    rows, losses = list[Row](), dict[tuple[str, str], np.ndarray]()
    for name, sets in (("with", []), ("without", ["identity=false"])):
        portrait = _portrait(options, dataset, name, sets)
        for people, pairs in shown.items():
            strangers = _strangers(unseen if people == "unseen people" else dataset, pairs)
            both = zip(pairs, strangers if name == "with" else [None] * len(pairs), strict=True)
            seen = [_likeness(portrait, pair, stranger) for pair, stranger in both]
            figures = {figure: np.array([one[figure] for one in seen]) for figure in seen[0]}
            rows.append({"run": f"{name} z_id", "shown": people} | {told: one.mean() for told, one in figures.items()})
            losses[name, people] = figures["id_loss"]
            if name == "with":
                losses["stranger's", people] = figures["strangers_id_loss"]
    verdicts = []
    for people in shown:
        given, without = losses["with", people], losses["without", people]
        lower = {"lower_with": given < without, "lower_than_strangers": given < losses["stranger's", people]}
        rows.append({"run": "both", "shown": people, **{told: float(one.mean()) for told, one in lower.items()}})
        told = f"ID loss without z_id over that with it, {people}"
        verdicts.append(Verdict(Bar(told, ">=", 1), float(without.mean() / given.mean())))
    return rows, verdicts


def swapped(options: argparse.Namespace) -> Found:
    """Another person's identity vector, where norms take it up, and where it enters by the first layer alone.

    The portraits learn from all clips, or with --few from the few that are shown.
    """
    dataset = videos(options, "train")
    clips = pick_clips(dataset, options.clips or "4")
    shown, rows = ClipPairs(dataset, clips, options.seed), list[Row]()
    for name, masks, change in (("with", "free", None), ("shut", "at 1", _shut)):
        portrait = _portrait(options, dataset, name, change=change, few=clips if options.few else ())
        for clip, other in permutations(range(len(clips)), 2):
            given = {"masks": masks, "source": clips[clip], "z_id of": clips[other]}
            rows.append({**given, "towards": _moved(portrait, shown, clip, other)})
    free, shut = np.split(np.array([row["towards"] for row in rows]), 2)
    rows += [{"masks": masks, "towards": float(part.mean())} for masks, part in (("free", free), ("at 1", shut))]
    more, told = int((free > shut).sum()), f"pairs of {len(free)} that move further with masks free"
    return rows, [
        Verdict(Bar("towards the other's identity: masks free less masks at 1", ">=", 0), float((free - shut).mean())),
        Verdict(Bar(told, ">=", len(free) // 2 + 1), more),
    ]


def _portrait(
    options: argparse.Namespace,
    dataset: PairDataset,
    name: str,
    sets: Sequence[str] = (),
    change: Callable[[Stage], None] | None = None,
    few: Sequence[str] = (),
) -> Portrait:
    """Trained on the first parts of all clips, or few, over a flow that learned from them too."""
    samples = ClipPairs(dataset, few or _clips(dataset), options.seed, part=LEARNED)
    run = "few" if few else "identity"
    _, made = train_chain(options, dataset, samples, f"{run}-{name}", sets, flow=f"{run}-flow", change=change)
    return load_portrait(made)


def _clips(dataset: PairDataset) -> list[str]:
    return [clip.clip_id for clip in dataset.clips]


def _shut(stage: Stage) -> None:
    """Masks at 1: all that norms add comes from the source's maps."""
    for module in stage.nets.modules():
        if isinstance(module, FusedNorm):
            assert module.mask.bias is not None
            torch.nn.init.constant_(module.mask.bias, SHUT)


@torch.no_grad()
def _moved(portrait: Portrait, samples: ClipPairs, clip: int, other: int) -> float:
    """How much likelier a clip's frames look to another's first frame when drawn with its identity vector: the rise
    of the cosine, a mean over frames that no training saw."""
    last = samples.clips[clip].frames - 1
    places = np.linspace(HELD[0] * (last + 1), last, DRIVERS).astype(int).tolist()
    source, stranger = (prepared(collate([{**samples.frame(number, 0), "position": 0}])) for number in (clip, other))
    driver = prepared(collate([{**samples.frame(clip, place), "position": 0} for place in places]))
    wanted = portrait.identity(stranger["image"], stranger["landmarks"])
    cosines = []
    for z_id in (None, wanted):
        code = portrait.encode_source(source["image"], source["lines"], source["landmarks"], z_id)
        drawn = portrait.drive(code.for_each(len(places)), driver["lines"], driver["landmarks"]).image
        cosines.append(float((recognised(portrait, drawn, driver) @ wanted.T).mean()))
    return cosines[1] - cosines[0]


def _strangers(dataset: PairDataset, pairs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """For each pair the next one of another person."""
    people = [dataset.clips[int(pair["clip"])].identity for pair in pairs]
    after = [[(number + step) % len(pairs) for step in range(1, len(pairs) + 1)] for number in range(len(pairs))]
    return [
        pairs[next((other for other in others if people[other] != people[number]), number)]
        for number, others in enumerate(after)
    ]


@torch.no_grad()
def _likeness(
    portrait: Portrait, sample: Mapping[str, Any], stranger: Mapping[str, Any] | None
) -> dict[str, float]:
    """A pair's identity loss, that of the true frame, and L1 in the face.

    With a stranger also the losses with his or her vector, and with zeros; without, all is drawn with zeros.
    """
    source, driver = (prepared(collate([{**sample, "position": 0}])[side]) for side in ("source", "driver"))
    wanted = portrait.identity(source["image"], source["landmarks"])

    def drawn(vector: torch.Tensor) -> torch.Tensor:
        code = portrait.encode_source(source["image"], source["lines"], source["landmarks"], vector)
        return portrait.drive(code, driver["lines"], driver["landmarks"]).image

    def loss(image: torch.Tensor) -> float:
        return float(identity_loss(recognised(portrait, image, driver), wanted))

    own = drawn(0 * wanted if stranger is None else wanted)
    figures = {"id_loss": loss(own), "true_id_loss": loss(driver["image"])}
    figures["face_l1"] = float(compared(own, driver)["face_l1"])
    if stranger is not None:
        other = prepared(collate([{**stranger, "position": 0}])["source"])
        far = portrait.identity(other["image"], other["landmarks"])
        figures |= {"strangers_id_loss": loss(drawn(far)), "zeros_id_loss": loss(drawn(0 * wanted))}
    return figures
