"""The layer minimises the loss it names, on features standardised by the training part alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import minimize

from pipelines.classification.aggregate import mean_over_bones
from pipelines.classification.probe import Segments, fit_heads

Simulate = Callable[..., Segments]


def test_layer_minimises_mean_log_loss_and_half_the_squared_norm(segments: Simulate) -> None:
    data, l2 = segments(effect=1.0, num_subjects=30, dimensions=4), 0.1
    head = fit_heads(data, num_regions=7, l2=[l2])[0]
    x_ND = (data.features_ND - head.mean_RD[data.region_N]) / head.scale_RD[data.region_N]

    def objective(parameters: np.ndarray) -> float:
        weight_D, bias = parameters[:-1], parameters[-1]
        margin_N = (2 * data.outcome_N - 1) * (x_ND @ weight_D + bias)
        return float(np.logaddexp(0, -margin_N).mean() + l2 / 2 * weight_D @ weight_D)

    best = minimize(objective, np.zeros(5), tol=1e-12).x
    np.testing.assert_allclose(np.append(head.weight_D, head.bias), best, atol=2e-3)


def test_every_region_is_standardised_by_itself(segments: Simulate) -> None:
    data = segments(effect=0.0)
    head = fit_heads(data, num_regions=7, l2=[1.0])[0]
    for region in range(7):
        members_MD = data.features_ND[data.region_N == region]
        np.testing.assert_allclose(head.mean_RD[region], members_MD.mean(axis=0))
        np.testing.assert_allclose(head.scale_RD[region], members_MD.std(axis=0))


def test_a_region_never_seen_takes_the_moments_of_all_and_a_constant_feature_stays_finite(
    segments: Simulate,
) -> None:
    data = segments(effect=1.0)
    data.features_ND[:, 3] = 7.0
    head = fit_heads(data, num_regions=8, l2=[1.0])[0]
    np.testing.assert_allclose(head.mean_RD[7], data.features_ND.mean(axis=0))
    assert np.isfinite(head.probability(data.features_ND[:1], np.array([7]))).all()


def test_penalties_keep_their_order_and_shrink_the_weights(segments: Simulate) -> None:
    heads = fit_heads(segments(effect=1.0), num_regions=7, l2=[0.01, 10.0, 0.1])
    norms = [float(np.linalg.norm(head.weight_D)) for head in heads]
    assert norms[0] > norms[2] > norms[1]


def test_the_mean_is_over_the_bones_present() -> None:
    names, means = mean_over_bones(np.array(["b", "a", "b", "b"]), np.array([0.1, 0.5, 0.2, 0.6]))
    assert names == ["a", "b"]
    assert means == pytest.approx([0.5, 0.3])
