"""The gaze loss: features of the eyes, and gradients around them alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from avatarkit.errors import UsageError
from avatarkit.face import landmarks as lm
from avatarkit.systems.megaportraits.losses import eye_mask, gaze_loss

from .conftest import Blocks, PictureLossSuite

SIZE = 32


def landmarks(samples: int) -> Tensor:
    """A drawn face: eye corners, lids and irises at whole pixels, everything else in the middle."""
    points = torch.full((samples, 478, 3), SIZE / 2, dtype=torch.float64)
    for eye, middle in enumerate((9.0, 23.0)):
        for lids, side in ((lm.UPPER_LIDS[eye], -1.0), (lm.LOWER_LIDS[eye], 1.0)):
            # From the outer to the inner corner.
            across = torch.linspace(-4, 4, len(lids)).double() * (1 if eye == 0 else -1)
            points[:, lids, 0] = middle + across
            points[:, lids, 1] = 12 + side * (1 - (across / 4) ** 2)
        points[:, lm.IRIS_CENTRES[eye], :2] = torch.tensor([middle, 12.0]).double()
    return points


class TestGazeLoss(PictureLossSuite):
    size = SIZE

    def loss(self, prediction: Tensor, target: Tensor, matte: Tensor | None = None) -> Tensor:
        return gaze_loss(Blocks(), prediction, target, landmarks(len(prediction)), matte, crop_px=16)

    def test_gradients(self, picture) -> None:
        """Where the eyes are, the gradients are those of the loss; elsewhere none, whatever it does there."""
        target = picture(1, 3, SIZE, SIZE, seed=1)
        prediction, near = picture(1, 3, SIZE, SIZE), eye_mask(landmarks(1), SIZE, SIZE) > 0

        def loss_of_the_eyes(values: Tensor) -> Tensor:
            return self.loss(prediction.masked_scatter(near, values), target)

        values = prediction[near.expand_as(prediction)].clone().requires_grad_()
        assert torch.autograd.gradcheck(loss_of_the_eyes, (values,), fast_mode=True)


def test_gradients_stop_at_the_eyes(picture) -> None:
    prediction = picture(2, 3, SIZE, SIZE).requires_grad_()
    gaze_loss(Blocks(), prediction, picture(2, 3, SIZE, SIZE, seed=1), landmarks(2), crop_px=16).backward()
    near = eye_mask(landmarks(2), SIZE, SIZE).expand_as(prediction) > 0
    assert prediction.grad is not None
    assert prediction.grad[~near].abs().max() == 0
    assert (prediction.grad[near] != 0).double().mean() > 0.9


def test_each_eye_counts_and_the_chin_does_not(picture) -> None:
    target, points = picture(1, 3, SIZE, SIZE), landmarks(1)
    for x, y, counts in ((9, 12, True), (23, 12, True), (16, 30, False)):
        prediction = target.clone()
        prediction[..., y, x] += 0.5
        assert (gaze_loss(Blocks(), prediction, target, points, crop_px=16) > 0).item() is counts


def test_mask_is_an_ellipse_along_each_eye() -> None:
    mask = eye_mask(landmarks(1), SIZE, SIZE)[0, 0]
    assert mask.shape == (SIZE, SIZE)
    # 8 pixels wide eyes: 6 to either side of their middles, 4 up and down.
    for middle in (9, 23):
        assert mask[12, middle - 6 : middle + 7].all()
        assert mask[8:17, middle].all()
        assert not mask[12, middle - 7 : middle + 8].all()
        assert mask[7, middle] == mask[17, middle] == mask[8, middle + 6] == 0
    assert mask.sum().item() == pytest.approx(2 * torch.pi * 6 * 4, rel=0.05)


def test_mask_turns_with_the_head() -> None:
    points = landmarks(1)
    turned = points[..., [1, 0, 2]]
    assert torch.equal(eye_mask(turned, SIZE, SIZE), eye_mask(points, SIZE, SIZE).mT)


def test_eyes_outside_and_eyes_of_no_width_are_borne(picture) -> None:
    target, prediction = picture(1, 3, SIZE, SIZE), picture(1, 3, SIZE, SIZE, seed=1).requires_grad_()
    for points in (landmarks(1) - 500, torch.full((1, 478, 3), 8.0).double()):
        loss = gaze_loss(Blocks(), prediction, target, points, crop_px=16)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(prediction.grad).all()


def test_sizes_that_differ_are_refused(picture) -> None:
    with pytest.raises(UsageError, match="differ"):
        gaze_loss(Blocks(), picture(1, 3, 32, 32), picture(1, 3, 32, 16), landmarks(1))
