"""The two networks of the figures: against their authors' own, and what every such network must hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avatarkit.errors import UsageError
from avatarkit.metrics.face_embedding import CHIP_PX, FaceEmbedding, ResNet29, face_chip
from avatarkit.metrics.lpips import LPIPS
from avatarkit.weights.errors import WrongFile

DLIB = "dlib_face_recognition_resnet_model_v1.dat"


@pytest.fixture(scope="module")
def shared_weights(parity_dir: Path) -> Path:
    return parity_dir.parents[1] / "weights"


@pytest.fixture(scope="module")
def parity(parity_dir: Path) -> dict[str, np.ndarray]:
    with np.load(parity_dir / "face-embedding-and-lpips.npz") as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def embedding(shared_weights: Path) -> FaceEmbedding:
    return FaceEmbedding.from_file(shared_weights / DLIB)


@pytest.fixture(scope="module")
def lpips(shared_weights: Path) -> LPIPS:
    from safetensors.torch import load_file

    net = LPIPS()
    files = (shared_weights / f"{name}.safetensors" for name in ("alexnet-features", "lpips-alexnet-heads"))
    net.load(*map(load_file, files))
    return net


@pytest.mark.media
def test_embeddings_are_dlibs_own(embedding: FaceEmbedding, parity: dict[str, np.ndarray]) -> None:
    chips = torch.from_numpy(parity["dlib_in"]).float()
    np.testing.assert_allclose(embedding.net(chips).numpy(), parity["dlib_out"], atol=1e-5)
    assert embedding.weights_sha256 is not None


@pytest.mark.media
def test_one_person_is_nearer_than_another(
    embedding: FaceEmbedding, grace_hopper: np.ndarray, hopper_landmarks: np.ndarray, astronaut: np.ndarray, tracker
) -> None:
    other = tracker.detect(astronaut)[0].landmarks
    darker = (0.7 * grace_hopper).astype(np.uint8)
    pictures, points = [grace_hopper, darker, astronaut], [hopper_landmarks, hopper_landmarks, other]
    codes = embedding.embed(pictures, points, batch=2)
    same, different = np.linalg.norm(codes[0] - codes[1]), np.linalg.norm(codes[0] - codes[2])
    assert same < 0.3 < 0.6 < different


@pytest.mark.media
def test_lpips_is_its_authors_own(lpips: LPIPS, parity: dict[str, np.ndarray]) -> None:
    pair = [(torch.from_numpy(parity[f"lpips_in_{name}"]) + 1) / 2 for name in ("a", "b")]
    assert float(lpips(*pair)) == pytest.approx(float(parity["lpips_alexnet"]), abs=1e-5)
    with torch.no_grad():
        assert float(lpips(*pair)) == pytest.approx(float(parity["lpips_alexnet"]), abs=1e-5)


@pytest.mark.media
def test_lpips_grows_with_blur_and_shift(lpips: LPIPS, astronaut: np.ndarray) -> None:
    import cv2

    def tensor(picture: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(picture[:256, 100:356].copy()).permute(2, 0, 1)[None].float() / 255

    for change in (lambda n: cv2.GaussianBlur(astronaut, (0, 0), 0.5 + n), lambda n: np.roll(astronaut, 3 * n, 1)):
        values = [float(lpips(tensor(astronaut), tensor(change(step)))) for step in (1, 2, 4)]
        assert 0 < values[0] < values[1] < values[2]


def test_a_chip_shows_the_face_upright_wherever_it_is(grace_hopper: np.ndarray, hopper_landmarks: np.ndarray) -> None:
    chip = face_chip(grace_hopper, hopper_landmarks)
    assert chip.shape == (CHIP_PX, CHIP_PX, 3)
    turned = np.ascontiguousarray(np.rot90(grace_hopper))
    points = np.stack([hopper_landmarks[:, 1], grace_hopper.shape[1] - 1 - hopper_landmarks[:, 0]], 1)
    assert np.abs(face_chip(turned, points).astype(int) - chip).mean() < 2
    large = np.repeat(np.repeat(grace_hopper, 4, 0), 4, 1)
    assert np.abs(face_chip(large, 4 * hopper_landmarks[:, :2] + 1.5).astype(int) - chip).mean() < 4


TAG = b"\x01\x05con_4"


@pytest.mark.parametrize("data", [b"", TAG, TAG + b"\x01\x02\x09", TAG + b"\x04\xff\xff\xff\x7f" * 9])
def test_files_that_are_no_such_network_are_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(WrongFile, match=r"net\.dat: is (not dlib's|cut off)"):
        ResNet29().load(data, tmp_path / "net.dat")


def test_equal_pictures_have_no_distance_and_others_do() -> None:
    net = LPIPS()
    one, other = torch.rand(2, 2, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    assert net(one, one).tolist() == [0, 0]
    torch.testing.assert_close(net(one, other), net(other, one))
    assert (net(one, other) > 0).all()
    for pair in ((one, other[:1]), (one[..., :20], other[..., :20])):
        with pytest.raises(UsageError, match="two pictures of one size"):
            net(*pair)
    with pytest.raises(WrongFile):
        net.load({}, {})


def test_lpips_of_pictures_is_that_of_their_values() -> None:
    torch.manual_seed(0)
    net = LPIPS()
    one, other = np.random.default_rng(0).integers(0, 256, (2, 40, 48, 3), np.uint8)
    tensors = (torch.from_numpy(item).permute(2, 0, 1)[None].float() / 255 for item in (one, other))
    assert net.of_pictures(one, other) == pytest.approx(float(net(*tensors)), abs=1e-6)
    assert net.of_pictures(one, one) == 0
