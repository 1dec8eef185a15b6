"""The transport loss against the formulas written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pipelines.segmentation.experts import SampledLogits
from pipelines.segmentation.loss import anneal, coarse_loss, iou_cost, mixture_loss, router_loss
from pipelines.segmentation.transport import transport_plan


def output(num_films: int = 2, num_samples: int = 4, experts: int = 2) -> SampledLogits:
    torch.manual_seed(0)
    logits = torch.randn(num_films, num_samples, 3, 6, 5, requires_grad=True)
    log_pi = torch.randn(num_films, experts, requires_grad=True)
    return SampledLogits(logits, log_pi.log_softmax(1))


def masks(num_masks: int, num_films: int = 2) -> torch.Tensor:
    return torch.from_numpy(
        np.random.default_rng(1).integers(0, 3, (num_films, num_masks, 6, 5), dtype=np.uint8)
    )


def test_the_cost_is_one_minus_soft_iou() -> None:
    probability = output().logits_BNCHW.softmax(2).detach()
    onehot = F.one_hot(masks(3).long(), 3).permute(0, 1, 4, 2, 3).float()
    cost = iou_cost(probability.flatten(3), onehot.flatten(3))
    for b, n, m in ((0, 0, 0), (1, 3, 2), (1, 0, 1)):
        by_class = []
        for c in (1, 2):
            s, y = probability[b, n, c], onehot[b, m, c]
            shared = (s * y).sum()
            by_class.append((shared + 1) / (s.sum() + y.sum() - shared + 1))
        assert cost[b, n, m].item() == pytest.approx(1 - sum(by_class).item() / 2, abs=1e-6)


def test_a_class_absent_from_both_costs_nothing() -> None:
    background = torch.zeros(1, 1, 3, 10)
    background[:, :, 0] = 1
    assert iou_cost(background, background).item() == pytest.approx(0)


@pytest.mark.parametrize("num_masks", [1, 3])
def test_the_parts_are_those_of_the_equation(num_masks: int) -> None:
    model_output, label_maps = output(), masks(num_masks)
    beta = torch.full((2, num_masks), 1 / num_masks)
    parts = mixture_loss(model_output, label_maps, beta, gamma=0.5)
    probability = model_output.logits_BNCHW.softmax(2)
    onehot = F.one_hot(label_maps.long(), 3).permute(0, 1, 4, 2, 3).float()
    cost = iou_cost(probability.flatten(3), onehot.flatten(3))
    plan = torch.from_numpy(transport_plan(cost.detach().numpy(), beta.numpy(), 0.5)).float()
    torch.testing.assert_close(parts.transport_B, (plan * cost).sum((1, 2)))
    carried, alpha = plan.sum(2), model_output.alpha_BN
    divergence = torch.xlogy(carried, carried).sum(1) - (carried * alpha.log()).sum(1)
    torch.testing.assert_close(parts.router_B, divergence, rtol=1e-4, atol=1e-5)
    mean = torch.einsum("bn,bnchw->bchw", alpha, probability)
    bone_share = onehot[:, :, 1:].mean(1).sum(1).mean((1, 2))
    cross_entropy = -(onehot.mean(1) * mean.log()).sum(1).mean((1, 2))
    torch.testing.assert_close(parts.presence_B + bone_share * parts.identity_B, cross_entropy)


def test_coarse_levels_learn_the_share_of_each_class() -> None:
    consensus = F.one_hot(masks(1)[:, 0].long(), 3).permute(0, 3, 1, 2).float()
    share = F.adaptive_avg_pool2d(consensus, (3, 2))
    right, wrong = (share + 1e-4).log(), torch.zeros_like(share)
    assert (coarse_loss((right,), consensus) < coarse_loss((wrong,), consensus)).all()
    torch.testing.assert_close(coarse_loss((), consensus), torch.zeros(2))


def test_gradients_reach_predictions_by_transport_and_weights_by_the_router_term() -> None:
    model_output = output()
    parts = mixture_loss(model_output, masks(2), torch.full((2, 2), 0.5), gamma=1.0)
    inputs = (model_output.logits_BNCHW, model_output.log_pi_BK)
    by_transport = torch.autograd.grad(parts.transport_B.sum(), inputs, retain_graph=True, allow_unused=True)
    assert by_transport[0] is not None and by_transport[0].abs().sum() > 0 and by_transport[1] is None
    by_router = torch.autograd.grad(parts.router_B.sum(), inputs, allow_unused=True)
    assert by_router[0] is None and by_router[1] is not None


def test_padding_changes_nothing() -> None:
    model_output, label_maps = output(), masks(3)
    beta = torch.tensor([[0.5, 0.5, 0.0], [0.2, 0.8, 0.0]])
    padded = mixture_loss(model_output, label_maps, beta, gamma=0.4)
    for part, alone in zip(
        padded, mixture_loss(model_output, label_maps[:, :2], beta[:, :2], 0.4), strict=True
    ):
        torch.testing.assert_close(part, alone)


def test_the_router_loss_is_zero_where_the_weights_carry_what_the_plan_says() -> None:
    carried = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    torch.testing.assert_close(router_loss(carried, carried), torch.zeros(2), atol=1e-4, rtol=0)


def test_the_cap_grows_from_its_start_to_one() -> None:
    assert [anneal(step, 4, 0.2) for step in (0, 2, 4, 9)] == pytest.approx([0.2, 0.6, 1.0, 1.0])
    assert anneal(0, 0, 0.2) == 1.0
