"""SupCon's L_out against the formula in float64 and against pytorch-metric-learning."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from torch import Tensor

from pipelines.pretraining.config import PretrainingConfig
from pipelines.pretraining.recipes import resolved
from pipelines.pretraining.supcon import SupCon, alignment, classes, sup_con
from tests.pipelines.pretraining.embeddings import embeddings, facts

OUTCOMES = [0, 1, -1, 0, 1, -1, 0]


def textbook(z_RD: Tensor, class_R: Tensor, temperature: float, subject_R: Tensor | None = None) -> float:
    """The docstring's formula, anchor by anchor."""
    z, size = torch.nn.functional.normalize(z_RD, dim=1), len(z_RD)
    losses = []
    for i in range(size):
        positives = [p for p in range(size) if p != i and class_R[p] == class_R[i]]
        if not positives:
            continue
        kept = [
            a
            for a in range(size)
            if a != i and (subject_R is None or subject_R[a] != subject_R[i] or class_R[a] == class_R[i])
        ]
        below = sum(math.exp(float(z[i] @ z[a]) / temperature) for a in kept)
        logs = [math.log(math.exp(float(z[i] @ z[p]) / temperature) / below) for p in positives]
        losses.append(-sum(logs) / len(logs))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("num_views", [1, 2, 6])
@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_equals_the_formula(num_views: int, temperature: float) -> None:
    z_RD = embeddings(num_views, 7).flatten(0, 1)
    class_R = classes(torch.arange(7), torch.tensor(OUTCOMES)).repeat(num_views)
    expected = textbook(z_RD, class_R, temperature)
    assert float(sup_con(z_RD, class_R, temperature)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("num_views", [2, 6])
def test_equals_pytorch_metric_learning_with_its_gradient(num_views: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pytorch_metric_learning.losses import SupConLoss
    z_RD = embeddings(num_views, 7, seed=1).flatten(0, 1)
    class_R = classes(torch.arange(7), torch.tensor(OUTCOMES)).repeat(num_views)
    ours, theirs = (z_RD.clone().requires_grad_() for _ in range(2))
    loss, reference = sup_con(ours, class_R, 0.1), SupConLoss(temperature=0.1)(theirs, class_R)
    torch.testing.assert_close(loss, reference, atol=1e-10, rtol=1e-10)
    loss.backward()
    reference.backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-10, rtol=1e-10)


def test_crops_without_outcome_and_of_the_majority_are_classes_of_their_own() -> None:
    crop_N, outcome_N = torch.arange(7), torch.tensor(OUTCOMES)
    assert classes(crop_N, outcome_N).tolist() == [0, 1, -3, 0, 1, -6, 0]
    assert classes(crop_N, outcome_N, minority=1).tolist() == [-1, 1, -3, -4, 1, -6, -7]


def test_the_method_is_the_loss_with_its_options() -> None:
    z_VND, known = embeddings(4, 7), facts(7, OUTCOMES)
    config = PretrainingConfig(method="supcon", mask_same_subject=True, temperature=0.2)
    method = SupCon(4, resolved(config, 4, 7), minority=1)
    class_R = classes(known.crop_N, known.outcome_N, 1).repeat(4)
    expected = textbook(z_VND.flatten(0, 1), class_R, 0.2, known.subject_N.repeat(4))
    assert float(method.loss(z_VND, known)[0]) == pytest.approx(expected, rel=1e-10)


def test_alignment_tells_instances_and_outcomes_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    crop_N, outcome_N = torch.arange(40), torch.arange(40) % 2
    crops, outcomes = torch.randn(40, 64, generator=generator), torch.randn(2, 64, generator=generator)
    noise = 0.05 * torch.randn(3, 40, 64, generator=generator)

    def figures(z_ND: Tensor) -> dict[str, float]:
        z_RD = (z_ND + noise).flatten(0, 1)
        return alignment(z_RD, crop_N.repeat(3), outcome_N.repeat(3))

    only_crops, only_outcomes = figures(crops), figures(outcomes[outcome_N])
    assert only_crops["same_crop_nearest"] == 1 and 0.3 < only_crops["same_outcome_near"] < 0.7
    assert only_outcomes["same_crop_nearest"] < 0.2 and only_outcomes["same_outcome_near"] == 1


def test_a_lone_crop_without_positives_counts_for_nothing() -> None:
    z_RD = torch.randn(3, 8, requires_grad=True)
    loss = sup_con(z_RD, torch.arange(3), 0.1)
    loss.backward()
    assert loss.item() == 0 and z_RD.grad is not None and (z_RD.grad == 0).all()
