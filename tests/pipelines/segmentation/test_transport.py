"""The inner plan is feasible and as cheap as HiGHS finds it, on every path."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

from pipelines.segmentation.transport import (
    assignment_plan,
    cheapest_plan,
    copies,
    simplex_plan,
    single_mask_plan,
    transport_plan,
)


def highs_cost(cost_NM: np.ndarray, beta_M: np.ndarray, cap: float) -> float:
    num_samples, num_masks = cost_NM.shape
    row_sums = np.kron(np.eye(num_samples), np.ones(num_masks))
    column_sums = np.kron(np.ones(num_samples), np.eye(num_masks))
    result = linprog(
        cost_NM.ravel(),
        A_ub=row_sums,
        b_ub=np.full(num_samples, cap),
        A_eq=column_sums,
        b_eq=beta_M,
        method="highs",
    )
    assert result.status == 0
    return float(result.fun)


def assert_feasible(plan_NM: np.ndarray, beta_M: np.ndarray, cap: float) -> None:
    assert (plan_NM >= 0).all()
    np.testing.assert_allclose(plan_NM.sum(0), beta_M, atol=1e-12)
    assert plan_NM.sum(1).max() <= cap * (1 + 1e-9)


def random_problem(rng: np.random.Generator, num_masks: int) -> tuple[np.ndarray, np.ndarray]:
    """Half of the problems have a row effect, as samples of one expert do; a third have equal weights."""
    cost = rng.random((8, num_masks)) + rng.integers(2) * 4 * rng.random((8, 1))
    beta = np.full(num_masks, 1 / num_masks) if rng.random() < 0.34 else rng.dirichlet(np.ones(num_masks))
    return cost, beta


@pytest.mark.parametrize("gamma", [1 / 8, 0.2, 0.25, 1 / 3, 0.5, 0.77, 1.0])
@pytest.mark.parametrize("num_masks", [1, 2, 3, 4])
def test_every_path_is_as_cheap_as_linear_programming(gamma: float, num_masks: int) -> None:
    rng = np.random.default_rng([int(gamma * 1000), num_masks])
    problems = [random_problem(rng, num_masks) for _ in range(12)]
    plans = transport_plan(np.stack([c for c, _ in problems]), np.stack([b for _, b in problems]), gamma)
    for (cost, beta), plan in zip(problems, plans, strict=True):
        assert_feasible(plan, beta, gamma)
        assert (plan * cost).sum() == pytest.approx(highs_cost(cost, beta, gamma), abs=1e-9)


def test_paths_agree_where_more_than_one_applies() -> None:
    rng = np.random.default_rng(7)
    for num_masks, cap in ((2, 0.5), (4, 0.25), (4, 0.5), (2, 1 / 8), (4, 1 / 8)):
        beta = np.full(num_masks, 1 / num_masks)
        for _ in range(20):
            cost = rng.random((8, num_masks))
            by_assignment, by_simplex = assignment_plan(cost, cap), simplex_plan(cost, beta, cap)
            assert_feasible(by_assignment, beta, cap)
            assert (by_assignment * cost).sum() == pytest.approx((by_simplex * cost).sum(), abs=1e-12)
    cost = rng.random((8, 1))
    assert (single_mask_plan(cost[:, 0], 0.3) * cost[:, 0]).sum() == pytest.approx(
        (simplex_plan(cost, np.ones(1), 0.3) * cost).sum(), abs=1e-12
    )


def test_without_a_cap_each_mask_goes_to_its_cheapest_sample() -> None:
    cost = np.array([[[0.1, 0.9], [0.5, 0.2]]])
    np.testing.assert_array_equal(transport_plan(cost, np.array([[0.7, 0.3]]), 1.0), [[[0.7, 0], [0, 0.3]]])


def test_the_smallest_cap_is_the_plain_mean() -> None:
    cost = np.random.default_rng(0).random((2, 4, 1))
    np.testing.assert_allclose(transport_plan(cost, np.ones((2, 1)), 0.25), np.full((2, 4, 1), 0.25))
    np.testing.assert_allclose(transport_plan(cost, np.ones((2, 1)), 0.01), np.full((2, 4, 1), 0.25))


def test_equal_costs_share_their_mass() -> None:
    np.testing.assert_allclose(
        cheapest_plan(np.zeros((1, 4, 2)), np.array([[0.5, 0.5]])), np.full((1, 4, 2), 0.125)
    )
    np.testing.assert_allclose(single_mask_plan(np.array([0.0, 1, 1, 2]), 0.5), [0.5, 0.25, 0.25, 0])


@pytest.mark.parametrize("gamma", [0.125, 0.3, 0.5, 1.0])
def test_padding_changes_nothing(gamma: float) -> None:
    rng = np.random.default_rng(3)
    cost, beta = rng.random((1, 8, 3)), np.array([[0.2, 0.5, 0.3]])
    padded = transport_plan(
        np.concatenate([cost, np.zeros((1, 8, 1))], 2), np.append(beta, [[0.0]], 1), gamma
    )
    np.testing.assert_array_equal(padded[..., :3], transport_plan(cost, beta, gamma))
    assert not padded[..., 3].any()


def test_copies_of_the_assignment_problem() -> None:
    assert copies(8, 4, 0.5) == (2, 1)
    assert copies(8, 4, 1 / 8) == (1, 2)
    assert copies(8, 3, 1 / 8) is None
    with pytest.raises(ValueError, match="no assignment problem"):
        assignment_plan(np.zeros((8, 3)), 0.2)


def test_weights_must_sum_to_one() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        transport_plan(np.zeros((1, 2, 2)), np.array([[0.5, 0.4]]), 1.0)
