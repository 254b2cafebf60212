"""The networks that split a source into layers, opened when they are first needed, their results kept in a cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.background.choice import INPAINTERS, MATTINGS, open_inpainter, open_matting
from avatarkit.background.composite import foreground_colors
from avatarkit.background.inpaint import Inpainter
from avatarkit.background.matting import Matting
from avatarkit.background.plate import make_plate
from avatarkit.cache import Cache
from avatarkit.reading import check_text, read_array, read_json
from avatarkit.weights.choice import AUTO, Candidate
from avatarkit.weights.load import present

Picture = NDArray[np.uint8]
ARRAY, ABOUT = "array.npy", "about.json"


class LayerTools:
    """Matting and inpainting by name; "auto" takes the best whose weights are here.

    One asked for by its name is opened at once, so that missing weights are told before any work is done.
    `advice` says, for those used so far, what would be better and by which command. With a cache, what was computed
    before from the same pixels is read from there, and its network is not even opened.

    Raises:
        UsageError: unknown name. DependencyError: the one named cannot run here.
    """

    def __init__(self, matting: str = AUTO, inpaint: str = AUTO, cache: Cache | None = None) -> None:
        self._matting, self._inpaint, self._cache = matting, inpaint, cache
        self.advice: list[str] = []
        named = (matting, lambda: self.matting), (inpaint, lambda: self.inpainter)
        for name, open_now in named:
            if name != AUTO:
                open_now()

    @cached_property
    def matting(self) -> Matting:
        """Splits the person from the rest."""
        return self._matting_choice[0]

    @cached_property
    def frame_matting(self) -> Matting:
        """Splits frames of a video, many of them: the same, or a faster form of it."""
        if self.matting.name != "mediapipe":
            return self.matting
        from avatarkit.prepare.video_matte import VideoMatting

        return VideoMatting()

    @cached_property
    def inpainter(self) -> Inpainter:
        """Paints what the person hides."""
        return self._inpaint_choice[0]

    def matte(self, picture: Picture, landmarks: NDArray[np.float64]) -> tuple[NDArray[np.float32], str]:
        """The matte of a picture (H, W, 3), float32 (H, W), and the name of what made it."""

        def compute() -> tuple[NDArray[Any], str, str]:
            model, advice = self._matting_choice
            return model.matte(picture, landmarks), model.name, advice

        return self._kept("mattes", [picture, landmarks], method(self._matting, MATTINGS), compute)

    def foreground(self, picture: Picture, alpha: NDArray[np.float32]) -> Picture:
        """The subject's colours, spread outwards; see `foreground_colors`."""
        return self._kept(
            "foregrounds", [picture, alpha], "", lambda: (foreground_colors(picture, alpha), "", "")
        )[0]

    def plate(self, picture: Picture, alpha: NDArray[np.float32], grow_px: int) -> tuple[Picture, str]:
        """The picture with the subject painted over, its matte grown by `grow_px`, and the name of what painted."""

        def compute() -> tuple[NDArray[Any], str, str]:
            model, advice = self._inpaint_choice
            return make_plate(picture, alpha, model, grow_px), model.name, advice

        return self._kept("plates", [picture, alpha], f"{method(self._inpaint, INPAINTERS)} {grow_px}", compute)

    @cached_property
    def _matting_choice(self) -> tuple[Matting, str]:
        choice = open_matting(self._matting)
        return choice.model, choice.advice or ""

    @cached_property
    def _inpaint_choice(self) -> tuple[Inpainter, str]:
        choice = open_inpainter(self._inpaint)
        return choice.model, choice.advice or ""

    def _kept(
        self, kind: str, inputs: Sequence[NDArray[Any]], way: str, compute: Callable[[], tuple[NDArray[Any], str, str]]
    ) -> tuple[NDArray[Any], str]:
        if self._cache is None:
            array, name, advice = compute()
        else:
            key = {"method": way, "inputs": [digest(array) for array in inputs]}

            def read(folder: Path) -> tuple[NDArray[Any], str, str]:
                kept = _load(folder, 4 * inputs[0].size)
                # Mattes are float32 (H, W), foregrounds and plates pictures, of the picture's size.
                shape = inputs[0].shape[:2] if kind == "mattes" else inputs[0].shape
                if kept[0].shape != shape or kept[0].dtype != (np.float32 if kind == "mattes" else np.uint8):
                    raise ValueError(f"{kind} of another form")
                if kind == "mattes" and not (kept[0].min() >= 0.0 and kept[0].max() <= 1.0):
                    raise ValueError("a matte beyond 0 and 1, or no number")
                return kept

            array, name, advice = self._cache.fetch(kind, key, lambda folder: _save(folder, *compute()), read)
        if advice and advice not in self.advice:
            self.advice.append(advice)
        return array, name


def method(wanted: str, candidates: Sequence[Candidate[Any]]) -> str:
    """Which method a name stands for here: for "auto" also which weights are present."""
    here = [item.name for item in candidates if item.weights is None or present(item.weights)]
    return f"auto of {', '.join(here)}" if wanted == AUTO else wanted


def digest(array: NDArray[Any]) -> str:
    """SHA-256 of an array's type, shape and values."""
    head = f"{array.dtype.str} {array.shape} ".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()


def _save(folder: Path, array: NDArray[Any], name: str, advice: str) -> None:
    np.save(folder / ARRAY, array, allow_pickle=False)
    (folder / ABOUT).write_text(json.dumps({"name": name, "advice": advice}), encoding="utf-8")


def _load(folder: Path, most: int) -> tuple[NDArray[Any], str, str]:
    about = read_json(folder / ABOUT)
    return read_array(folder / ARRAY, most), check_text(about["name"], "name"), check_text(about["advice"], "advice")
