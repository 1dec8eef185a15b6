"""SwAV against the formula in float64; its Sinkhorn at the ends of precision, its queue, its frozen prototypes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipelines.pretraining.config import PretrainingConfig
from pipelines.pretraining.recipes import resolved
from pipelines.pretraining.swav import SwaV, prototypes_used, sinkhorn, swapped_prediction
from tests.pipelines.pretraining.embeddings import embeddings, facts


def swav(num_crops: int = 5, **changes: Any) -> SwaV:
    values: dict[str, Any] = {"method": "swav", "projection_size": 8, "num_prototypes": 6, "batch_size": 4}
    values |= {"queue_batches": 2, "queue_from_epoch": 1, "num_local": 2, "projection_hidden": 4}
    torch.manual_seed(0)
    return SwaV(4, resolved(PretrainingConfig(**(values | changes)), 4, num_crops)).double()


def textbook_codes(scores_NK: np.ndarray, epsilon: float) -> np.ndarray:
    """Listing 1 of the paper, in numpy."""
    q = np.exp(scores_NK / epsilon).T
    q /= q.sum()
    num_prototypes, num_rows = q.shape
    for _ in range(3):
        q /= q.sum(axis=1, keepdims=True)
        q /= num_prototypes
        q /= q.sum(axis=0, keepdims=True)
        q /= num_rows
    return (q * num_rows).T


def textbook(z_VND: Tensor, weight_KD: Tensor, num_global: int, past_GQD: Tensor | None = None) -> float:
    """The docstring's formula, crop by crop."""
    z = z_VND.numpy() / np.linalg.norm(z_VND.numpy(), axis=2, keepdims=True)
    prototypes = weight_KD.numpy() / np.linalg.norm(weight_KD.numpy(), axis=1, keepdims=True)
    scores = z @ prototypes.T
    num_views, num_crops = scores.shape[:2]
    total = 0.0
    for i in range(num_global):
        together = (
            scores[i] if past_GQD is None else np.concatenate((scores[i], past_GQD[i].numpy() @ prototypes.T))
        )
        codes = textbook_codes(together, 0.05)[:num_crops]
        for v in range(num_views):
            if v != i:
                p = np.exp(scores[v] / 0.1)
                p /= p.sum(axis=1, keepdims=True)
                total += -(codes * np.log(p)).sum(1).mean() / (num_views - 1)
    return total / num_global


def test_equals_the_formula() -> None:
    method, z_VND = swav(), embeddings(4, 5)
    expected = textbook(z_VND, method.prototypes.weight.detach(), 2)
    loss, figures = method.loss(z_VND, facts(5))
    assert loss.item() == pytest.approx(expected, rel=1e-10)
    assert figures["loss_of_untrained"] == pytest.approx(expected / math.log(6))


def test_the_queue_is_filled_before_it_is_used_and_takes_part_then() -> None:
    method = swav()
    weight = method.prototypes.weight.detach().clone()
    steps = [embeddings(4, 4, seed=seed) for seed in range(4)]
    losses = [
        method.loss(z_VND, facts(4, epoch=epoch))[0].item()
        for epoch, z_VND in zip((0, 1, 1, 1), steps, strict=True)
    ]
    unit = [torch.nn.functional.normalize(z_VND[:2], dim=2) for z_VND in steps]
    past = torch.cat((unit[2], unit[1]), dim=1)  # what came in epoch 0 is not in it
    assert losses[:3] == pytest.approx([textbook(z_VND, weight, 2) for z_VND in steps[:3]], rel=1e-10)
    assert losses[3] == pytest.approx(textbook(steps[3], weight, 2, past), rel=1e-10)
    assert losses[3] != pytest.approx(textbook(steps[3], weight, 2), rel=1e-6)
    torch.testing.assert_close(method.queue_GQD, torch.cat((unit[3], unit[2]), dim=1))
    assert {"queue_GQD", "num_queued"} <= method.state_dict().keys()


def test_no_queue_at_all() -> None:
    method, z_VND = swav(queue_batches=0), embeddings(4, 5)
    for _ in range(2):
        loss = method.loss(z_VND, facts(5, epoch=3))[0].item()
        assert loss == pytest.approx(textbook(z_VND, method.prototypes.weight.detach(), 2), rel=1e-10)


def test_prototypes_have_no_bias_stay_in_the_first_epoch_and_learn_after_it() -> None:
    method, z_VND = swav(), embeddings(4, 5)
    assert method.prototypes.bias is None
    for epoch, frozen in ((0, True), (1, False)):
        method.zero_grad()
        method.loss(z_VND, facts(5, epoch=epoch))[0].backward()
        gradient = method.prototypes.weight.grad
        assert gradient is not None and bool((gradient == 0).all()) == frozen
        torch.testing.assert_close(method.prototypes.weight.norm(dim=1), torch.ones(6, dtype=torch.float64))


def test_sinkhorn_uses_prototypes_equally_where_floats_would_overflow() -> None:
    scores = (
        torch.nn.functional.normalize(embeddings(1, 64, 16)[0], dim=1)
        @ torch.eye(16, dtype=torch.float64)[:, :8]
    )
    codes = sinkhorn(scores, 0.05)
    torch.testing.assert_close(
        codes, torch.from_numpy(textbook_codes(scores.numpy(), 0.05)), atol=1e-12, rtol=1e-10
    )
    torch.testing.assert_close(codes.sum(1), torch.ones(64, dtype=torch.float64))
    sharp = sinkhorn(scores.float() + 2, 0.02)
    assert sharp.isfinite().all()
    torch.testing.assert_close(sharp.sum(1), torch.ones(64), atol=1e-4, rtol=0)


def test_a_view_is_not_asked_for_its_own_code() -> None:
    codes = torch.eye(3, dtype=torch.float64)[None]
    scores = torch.stack((torch.eye(3), -torch.eye(3))).double()
    wrong = -torch.log_softmax(scores[1] / 0.1, dim=1).diagonal().mean()
    torch.testing.assert_close(swapped_prediction(scores, codes, 0.1), wrong)


def test_alike_embeddings_use_one_prototype() -> None:
    assert prototypes_used(torch.eye(8)[None]) == pytest.approx(1)
    assert prototypes_used(torch.ones(1, 8, 8)) == pytest.approx(1 / 8)
