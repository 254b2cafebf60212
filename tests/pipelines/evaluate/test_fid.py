"""FID of an evaluation: torch-fidelity's network and value, each driver once, and refused for too few pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatarkit.metrics import inception
from avatarkit.metrics.frechet import Gaussian, frechet_distance
from avatarkit.metrics.inception import InceptionFeatures
from avatarkit.pipelines.evaluate import results as results_module
from avatarkit.pipelines.evaluate.results import add_fid
from avatarkit.pipelines.evaluate.worker import read_features, write_features

LENGTH, COUNT = 12, 80


def features(seed: int, count: int = COUNT) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return (draw.normal(size=(count, LENGTH)) @ draw.normal(size=(LENGTH, LENGTH)) + seed).astype(np.float32)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results_module, "FEATURES_LENGTH", LENGTH)
    monkeypatch.setattr(results_module, "FEWEST_PICTURES", 100)


def methods() -> dict[str, Any]:
    return {"warp": {"figures": {}, "clips": 2}}


def clips(drivers: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{"key": f"k{number}", "method": "warp", "driver": driver} for number, driver in enumerate(drivers)]


@pytest.mark.usefixtures("small")
def test_fid_is_that_of_all_frames(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    fidelity = pytest.importorskip("torch_fidelity.metric_fid")
    for number in range(2):
        write_features(tmp_path / f"k{number}.safetensors", features(number), features(10 + number))
    given = methods()
    assert add_fid(given, clips(("a", "b")), tmp_path) == {}
    sets = [np.concatenate([features(first + number) for number in range(2)]).astype(np.float64) for first in (0, 10)]
    stats = [fidelity.fid_features_to_statistics(torch.from_numpy(item)) for item in sets]
    wanted = fidelity.fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"]
    assert given["warp"]["figures"]["fid"]["mean"] == pytest.approx(wanted, rel=1e-6, abs=1e-3)


@pytest.mark.usefixtures("small")
def test_a_driver_counts_once_and_too_few_are_refused(tmp_path: Path) -> None:
    for number in range(2):
        write_features(tmp_path / f"k{number}.safetensors", features(number), features(10, 120))
    given = methods()
    assert add_fid(given, clips(("a", "a")), tmp_path) == {}
    own, real = Gaussian(LENGTH), Gaussian(LENGTH)
    for number in range(2):
        own.add(features(number))
    real.add(features(10, 120))
    wanted = frechet_distance(own.mean, own.covariance, real.mean, real.covariance)
    assert given["warp"]["figures"]["fid"]["mean"] == pytest.approx(wanted)
    given = methods()
    assert add_fid(given, clips(("a",)), tmp_path) == {
        "fid": "80 pictures of warp or its drivers; FID needs 100 of each"
    }
    assert given["warp"]["figures"] == {}
    (tmp_path / "k0.safetensors").write_bytes(b"PK")
    assert read_features(tmp_path / "k0.safetensors") is None
    assert "weights fetch inception-fid" in add_fid(methods(), clips(("a",)), tmp_path)["fid"]


def test_inception_takes_checked_weights_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    extractor = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    net_class = extractor.FeatureExtractorInceptionV3
    with monkeypatch.context() as patch:
        patch.setattr(extractor, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(net_class, "load_state_dict", lambda *_: None)
        state = net_class("inception", ["2048"]).state_dict()
    (tmp_path / "weights.pth").write_bytes(b"checked elsewhere")
    monkeypatch.setattr(inception, "load_state_dict", lambda name: state)
    monkeypatch.setattr(inception, "require", lambda name: tmp_path / "weights.pth")
    net = InceptionFeatures.from_registry()
    pictures = [np.full((64, 64, 3), level, np.uint8) for level in (0, 200)]
    seen = net(pictures)
    assert seen.shape == (2, 2048)
    assert np.isfinite(seen).all()
    np.testing.assert_allclose(net(pictures[1:])[0], seen[1], rtol=1e-3, atol=1e-5)
    assert net([]).shape == (0, 2048)
    assert torch.is_grad_enabled()
