"""Losses of one logit against their formulas in float64, against one another and against timm."""

from __future__ import annotations

import math

import pytest
import torch
from timm.loss import AsymmetricLossMultiLabel
from torch import Tensor

from pipelines.classification.losses import LOSSES, asymmetric, build_loss, cross_entropy, focal
from storage.errors import ConfigError

LOGIT_N = torch.linspace(-7, 7, 29, dtype=torch.float64)
OUTCOME_N = (torch.arange(29) % 3 == 0).long()


def textbook(gamma_positive: float, gamma_negative: float, clip: float) -> float:
    """The docstring's formula, one by one."""
    total = 0.0
    for logit, outcome in zip(LOGIT_N.tolist(), OUTCOME_N.tolist(), strict=True):
        p = 1 / (1 + math.exp(-logit))
        shifted = max(p - clip, 0)
        if outcome:
            total -= (1 - p) ** gamma_positive * math.log(p)
        else:
            total -= shifted**gamma_negative * math.log(1 - shifted)
    return total / len(LOGIT_N)


@pytest.mark.parametrize("steps", [(0, 0, 0), (2, 2, 0), (1, 2, 0), (1, 4, 0), (1, 4, 0.05)])
def test_asymmetric_is_the_formula(steps: tuple[float, float, float]) -> None:
    assert float(asymmetric(LOGIT_N, OUTCOME_N, *steps)) == pytest.approx(textbook(*steps), rel=1e-10)


def test_cross_entropy_and_focal_are_the_formula() -> None:
    assert float(cross_entropy(LOGIT_N, OUTCOME_N)) == pytest.approx(textbook(0, 0, 0), rel=1e-10)
    for gamma in (0.0, 1.0, 2.0):
        assert float(focal(LOGIT_N, OUTCOME_N, gamma)) == pytest.approx(textbook(gamma, gamma, 0), rel=1e-10)


@pytest.mark.parametrize(("gamma", "other"), [(0.0, cross_entropy), (2.0, build_loss("focal"))])
def test_without_asymmetry_it_is_cross_entropy_and_focal_with_their_gradients(
    gamma: float, other: object
) -> None:
    assert callable(other)
    gradients = []
    for loss in (lambda x: asymmetric(x, OUTCOME_N, gamma, gamma, 0), lambda x: other(x, OUTCOME_N)):
        logit_N = LOGIT_N.clone().requires_grad_()
        loss(logit_N).backward()
        gradients.append(logit_N.grad)
    torch.testing.assert_close(*gradients, atol=1e-12, rtol=1e-10)


def test_the_defaults_are_timm_s_and_the_authors() -> None:
    logit_N1 = LOGIT_N.float()[:, None]
    expected = AsymmetricLossMultiLabel()(logit_N1, OUTCOME_N[:, None])
    torch.testing.assert_close(build_loss("asl")(logit_N1[:, 0], OUTCOME_N), expected)


@pytest.mark.parametrize("name", LOSSES)
def test_a_confident_mistake_still_has_a_gradient(name: str) -> None:
    def gradient(logit: float, outcome: int) -> Tensor:
        logit_N = torch.tensor([logit], requires_grad=True)
        build_loss(name)(logit_N, torch.tensor([outcome])).backward()
        assert logit_N.grad is not None
        return logit_N.grad

    assert gradient(-60.0, 1) < -0.5 and gradient(60.0, 0).isfinite()
    assert (gradient(-60.0, 0) == 0 or name != "asl") and gradient(60.0, 1).isfinite()


def test_an_unknown_loss_is_told() -> None:
    with pytest.raises(ConfigError, match=r"^loss must be one of ce, focal, asl, but is hinge\.$"):
        build_loss("hinge")
