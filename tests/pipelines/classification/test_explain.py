"""Maps that find a planted reason, and checks that tell them from maps of a model that learnt nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from pipelines.classification.explain import check_maps, energy, grad_cam, has_places, randomised
from pipelines.classification.film_model import FilmNet
from pipelines.classification.supervised_config import SupervisedConfig

SIDE = 64


def squares(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every film holds a bright square, half of them a striped one too: images, outcomes, truth.

    The bright square catches the eye of any network; the stripes, no brighter than their surroundings, are
    the reason.
    """
    rng = np.random.default_rng(3)
    images = rng.integers(100, 120, (count, SIDE, SIDE)).astype(np.uint8)
    truth = np.zeros(images.shape, bool)
    outcome = np.arange(count) % 2
    for number in range(count):
        y, x = rng.integers(2, 16, 2)
        images[number, y : y + 12, x : x + 12] = 230
        if outcome[number]:
            y, x = rng.integers(34, SIDE - 16, 2)
            truth[number, y : y + 14, x : x + 14] = True
            images[number, y : y + 14 : 4, x : x + 14] += 60
            images[number, y + 2 : y + 14 : 4, x : x + 14] -= 60
    return images, outcome, truth


@pytest.fixture(scope="module")
def striped() -> FilmNet:
    """A network made by hand that looks for stripes four pixels apart, and for nothing else."""
    model = FilmNet(SupervisedConfig(backbone="resnet10t", embedding=2))
    look = nn.Conv2d(1, 2, 5, padding=2)
    model.encoder.backbone = nn.Sequential(look, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model.encoder.reduce = nn.Linear(2, 2)
    with torch.no_grad():
        rows = torch.tensor([1.0, 0, -2, 0, 1]) / 5
        look.weight.copy_(torch.stack([rows, -rows])[:, None, :, None].expand(2, 1, 5, 5))
        look.bias.fill_(-0.6)  # the edge of a bright square stays below
        model.encoder.reduce.weight.copy_(torch.eye(2))
        model.encoder.reduce.bias.zero_()
        model.head.classify.weight.fill_(1.0)
    return model.eval()


def test_energy_lies_on_the_planted_reason(striped: FilmNet) -> None:
    images, outcome, truth = squares(32)
    sick = outcome == 1
    found = check_maps(striped, images[sick], truth[sick])
    assert found["films"] == 16
    assert found["energy"] > 0.7 > 10 * found["covered"]
    assert found["energy"] > 3 * found["energy_randomised"]
    assert found["similarity"] < 0.7


def test_maps_are_shares(striped: FilmNet) -> None:
    images, _, _ = squares(4)
    maps = grad_cam(striped, images)
    assert maps.shape == images.shape and maps.min() >= 0
    totals = maps.sum(axis=(1, 2))
    np.testing.assert_allclose(totals[totals > 0], 1, rtol=1e-4)


def test_energy_is_the_share_inside() -> None:
    truth = np.zeros((2, 4, 4), bool)
    truth[:, :2] = True
    maps = np.stack([np.full((4, 4), 1 / 16, np.float32), np.zeros((4, 4), np.float32)])
    share = energy(maps, truth)
    assert share[0] == pytest.approx(0.5) and np.isnan(share[1])


def test_randomised_models_differ_in_every_layer_and_leave_the_first_alone(striped: FilmNet) -> None:
    before = {name: value.clone() for name, value in striped.state_dict().items()}
    other = randomised(striped, 1)
    kernels = [name for name, value in striped.named_parameters() if value.ndim > 1]
    assert all((before[name] != other.state_dict()[name]).any() for name in kernels)
    assert all(torch.equal(before[name], value) for name, value in striped.state_dict().items())
    again = randomised(striped, 1).state_dict()
    assert all(torch.equal(again[name], other.state_dict()[name]) for name in kernels)


@pytest.mark.parametrize(
    ("backbone", "expected"),
    [
        ("resnet10t", True),
        ("test_efficientnet", True),
        ("test_vit", False),
        ("swin_tiny_patch4_window7_224", False),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_maps_are_for_convolutions_alone(backbone: str, expected: bool, channels: int) -> None:
    model = FilmNet(SupervisedConfig(backbone=backbone, embedding=2, channels=channels))
    side = 224 if backbone.startswith("swin") else 160
    assert has_places(model, side) == expected
