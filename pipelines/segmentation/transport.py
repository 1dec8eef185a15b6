"""The exact inner plan of the transport loss: which sample of the model explains which annotator's mask.

For each film, with N samples, M masks of weights beta (sum 1) and a cap gamma on what one sample may carry:

    min <T, C>   subject to   T >= 0,   sum_j T_ij <= gamma,   sum_i T_ij = beta_j

(Hwang, Lee and Yoon, appendix A). It can be met iff N * gamma >= 1; gamma = 1 / N forces every sample to
carry the same, gamma = 1 leaves all to the best one. A mask of weight 0 is padding: its column of the plan
is 0. Four ways lead to an optimal plan, the first that fits is taken:

1. every mask goes to its cheapest samples, where that respects the cap (always at gamma = 1);
2. one mask: the cheapest samples are filled up to the cap;
3. equal weights with gamma * M whole, or gamma = 1 / N with N / M whole: an assignment problem;
4. anything else: network simplex with a slack column that takes what the cap leaves free.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

TOLERANCE = 1e-9  # relative slack within which a load counts as equal to the cap


def transport_plan(cost_BNM: np.ndarray, beta_BM: np.ndarray, gamma: float) -> np.ndarray:
    """The optimal plan of every film as float64 (B, N, M).

    Equal costs share their mass on paths 1 and 2. gamma is raised to 1 / N where it is smaller. Raises
    ValueError if the weights of a film don't sum to 1.
    """
    cost_BNM = np.asarray(cost_BNM, np.float64)
    beta_BM = np.asarray(beta_BM, np.float64)
    if (beta_BM < 0).any() or not np.allclose(beta_BM.sum(1), 1, atol=1e-5):
        raise ValueError("The weights of each film's masks must be 0 or more and sum to 1.")
    beta_BM = beta_BM / beta_BM.sum(1, keepdims=True)
    cap = min(1.0, max(gamma, 1 / cost_BNM.shape[1]))
    plan_BNM = cheapest_plan(cost_BNM, beta_BM)
    over_cap_B = plan_BNM.sum(2).max(1) > cap * (1 + TOLERANCE)
    for film in np.flatnonzero(over_cap_B):
        masks = np.flatnonzero(beta_BM[film])
        plan_BNM[film][:, masks] = _capped_plan(cost_BNM[film][:, masks], beta_BM[film][masks], cap)
    return plan_BNM


def _capped_plan(cost_NM: np.ndarray, beta_M: np.ndarray, cap: float) -> np.ndarray:
    """The plan of one film without padding, by path 2, 3 or 4."""
    num_masks = len(beta_M)
    if num_masks == 1:
        return single_mask_plan(cost_NM[:, 0], cap).reshape(-1, 1)
    if np.allclose(beta_M, 1 / num_masks, rtol=TOLERANCE) and copies(len(cost_NM), num_masks, cap):
        return assignment_plan(cost_NM, cap)
    return simplex_plan(cost_NM, beta_M, cap)


def cheapest_plan(cost_BNM: np.ndarray, beta_BM: np.ndarray) -> np.ndarray:
    """Path 1: each mask's weight in equal parts on the samples of its lowest cost, whatever the cap says."""
    cheapest_BNM = cost_BNM == cost_BNM.min(1, keepdims=True)
    plan_BNM: np.ndarray = beta_BM[:, None] * cheapest_BNM / cheapest_BNM.sum(1, keepdims=True)
    return plan_BNM


def single_mask_plan(cost_N: np.ndarray, cap: float) -> np.ndarray:
    """Path 2: the samples get the cap each, cheapest first, until a mass of 1 is spent; ties share."""
    plan_N = np.zeros(len(cost_N))
    left = 1.0
    for cost in np.unique(cost_N):
        tied_N = cost_N == cost
        spent = min(left, cap * tied_N.sum())
        plan_N[tied_N] = spent / tied_N.sum()
        left -= spent
        if left <= 0:
            break
    return plan_N


def copies(num_samples: int, num_masks: int, cap: float) -> tuple[int, int] | None:
    """How often path 3 repeats a sample and a mask (rows, columns); None where it doesn't apply."""
    rows = round(cap * num_masks)
    if rows >= 1 and abs(cap * num_masks - rows) <= TOLERANCE * rows:
        return rows, 1
    if num_samples % num_masks == 0 and abs(cap * num_samples - 1) <= TOLERANCE:
        return 1, num_samples // num_masks
    return None


def assignment_plan(cost_NM: np.ndarray, cap: float) -> np.ndarray:
    """Path 3, for masks of equal weight: exact, since the corners of this polytope are assignments."""
    num_samples, num_masks = cost_NM.shape
    repeats = copies(num_samples, num_masks, cap)
    if repeats is None:
        raise ValueError(f"A cap of {cap} makes {num_samples} x {num_masks} no assignment problem.")
    rows, columns = repeats
    repeated: np.ndarray = np.repeat(np.repeat(cost_NM, rows, axis=0), columns, axis=1)
    sample, mask = linear_sum_assignment(repeated)
    plan_NM = np.zeros_like(cost_NM)
    np.add.at(plan_NM, (sample // rows, mask // columns), 1 / (num_masks * columns))
    return plan_NM


def simplex_plan(cost_NM: np.ndarray, beta_M: np.ndarray, cap: float) -> np.ndarray:
    """Path 4: a balanced problem with one more column of cost 0 that takes the unused part of every cap."""
    from ot.lp import emd  # POT probes every array library at import: seconds that only a training should pay

    num_samples = len(cost_NM)
    slack = max(0.0, num_samples * cap - 1.0)
    with_slack = np.hstack([cost_NM, np.zeros((num_samples, 1))])
    plan: np.ndarray = emd(
        np.full(num_samples, cap),
        np.append(beta_M * (num_samples * cap - slack), slack),
        np.ascontiguousarray(with_slack),
        center_dual=False,
        check_marginals=False,
    )
    return plan[:, :-1]
