"""What MediaPipe's multi-class segmenter does beyond the suite of all mattings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skimage import data

from avatarkit.background.choice import open_matting
from avatarkit.background.multiclass_matting import CLASSES, MulticlassMatting
from avatarkit.errors import DependencyError, InputError
from avatarkit.weights import cache, lock

from .conftest import MULTICLASS, needs_multiclass

pytestmark = list(needs_multiclass)


def test_classes_are_where_they_are_named(multiclass: MulticlassMatting) -> None:
    """On the astronaut (512 px, so two pixels a cell): wall, hair, face, suit."""
    likely = multiclass.classes(np.asarray(data.astronaut(), np.uint8))
    assert likely.shape == (6, 256, 256)
    found = {name: CLASSES[int(likely[:, y, x].argmax())] for name, (x, y) in PLACES.items()}
    assert found == {name: name for name in PLACES}


PLACES = {"background": (20, 20), "hair": (112, 14), "face skin": (112, 62), "clothes": (100, 200)}


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(b"no network")
    with pytest.raises(InputError, match=r"net\.tflite: mediapipe cannot use it"):
        MulticlassMatting.from_file(path)
    with pytest.raises(InputError, match="cannot be read"):
        MulticlassMatting(tmp_path / "missing.tflite")


def test_auto_takes_it_where_its_weights_are(
    multiclass_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AVATARKIT_WEIGHTS", str(tmp_path))
    assert open_matting().model.name != "multiclass"
    with pytest.raises(DependencyError, match=f"avatarkit weights fetch {MULTICLASS}"):
        open_matting("multiclass")
    cache.path_of(lock.get(MULTICLASS)).write_bytes(multiclass_path.read_bytes())
    choice = open_matting()
    assert choice.model.name == "multiclass"
    assert choice.advice is None
