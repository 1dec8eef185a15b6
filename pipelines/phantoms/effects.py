"""The planted effect: how the T-score goes with cortical bone, and the best that any reader could reach.

T ~ N(-1.7, 1.4). The subject's cortical index (combined cortex over width at mid-shaft, mean of seven bones)
is .47 + SD * (r z_T + sqrt(1 - r^2) z), the form found for the second metacarpal by Patel (r = .54, n =
206). Porosity and trabeculae follow the index, so the index holds all that a film tells about T.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.phantoms.arrays import Floats

T_MEAN, T_SD = -1.7, 1.4
OUTCOME_THRESHOLD = -2.5
INDEX_MEAN = 0.47
CORRELATION = {"null": 0.0, "paper": 0.65, "demo": 0.80}
# demo's wider index keeps the cortex' differences above half a pixel on films of 512 rows
INDEX_SD = {"null": 0.077, "paper": 0.077, "demo": 0.10}
BONE_SD = 0.018
BOOTSTRAP_ROUNDS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class BoneHealth:
    """What the outcome does to one subject's skeleton.

    t_score: NaN for children; cortical_index: mean over the seven bones; bone_index_7: per region in the
    study's order; porosity: share of cortical mineral lost; scalloping: relative roughness of the endosteal
    surface; trabecular_density: 1 on average; trabecular_spacing_mm: distance between visible trabeculae.
    """

    t_score: float
    cortical_index: float
    bone_index_7: Floats
    porosity: float
    scalloping: float
    trabecular_density: float
    trabecular_spacing_mm: float


def draw_health(rng: np.random.Generator, effect: str) -> BoneHealth:
    """Draw an adult's T-score and the skeleton that goes with it."""
    t_score, own = rng.standard_normal(2)
    r = CORRELATION[effect]
    quality = r * t_score + np.sqrt(1 - r**2) * own
    index = float(np.clip(INDEX_MEAN + INDEX_SD[effect] * quality, 0.16, 0.80))
    return _health(rng, float(T_MEAN + T_SD * t_score), index, float(quality))


def draw_child_health(rng: np.random.Generator) -> BoneHealth:
    """Draw a growing skeleton: no T-score, cortices of any thickness."""
    quality = float(rng.normal())
    return _health(rng, float("nan"), float(rng.uniform(0.25, 0.72)), quality)


def _health(rng: np.random.Generator, t_score: float, index: float, quality: float) -> BoneHealth:
    per_bone = rng.normal(0, BONE_SD, 7)
    per_bone -= per_bone.mean()
    return BoneHealth(
        t_score=t_score,
        cortical_index=index,
        bone_index_7=index + per_bone,
        porosity=float(np.clip(0.07 - 0.03 * quality + rng.normal(0, 0.02), 0, 0.25)),
        scalloping=float(np.clip(0.10 - 0.04 * quality + rng.normal(0, 0.03), 0.02, 0.30)),
        trabecular_density=float(np.clip(1 + 0.12 * quality + rng.normal(0, 0.08), 0.55, 1.5)),
        trabecular_spacing_mm=float(np.clip(1.1 - 0.15 * quality + rng.normal(0, 0.10), 0.7, 1.8)),
    )


def oracle_auc(index_n: Floats, t_score_n: Floats, seed: int) -> dict[str, float | int | None]:
    """AUC of the true index against T <= -2.5 with its 95 % stratified bootstrap interval over subjects.

    auc, low and high are None where the outcome has one class only.
    """
    positive_n = t_score_n <= OUTCOME_THRESHOLD
    counts = {"n": len(positive_n), "positives": int(positive_n.sum())}
    if counts["positives"] in (0, counts["n"]):
        return {"auc": None, "low": None, "high": None, **counts}
    sick_S, healthy_H = index_n[positive_n], index_n[~positive_n]
    # the AUC is the share of pairs in which the sick subject has the thinner cortex, ties counted half
    wins_SH = (sick_S[:, None] < healthy_H) + 0.5 * (sick_S[:, None] == healthy_H)
    rng = np.random.default_rng(seed)
    draws_RS, draws_RH = (_resampled(rng, size) for size in wins_SH.shape)
    scores_R = np.einsum("rs,sh,rh->r", draws_RS, wins_SH, draws_RH, optimize=True)
    low, high = np.quantile(scores_R, [0.025, 0.975])
    return {"auc": float(wins_SH.mean()), "low": float(low), "high": float(high), **counts}


def _resampled(rng: np.random.Generator, size: int) -> Floats:
    """Weights of a bootstrap sample per round, R x size, each row summing to 1."""
    weights_RN: Floats = rng.multinomial(size, np.full(size, 1 / size), BOOTSTRAP_ROUNDS) / size
    return weights_RN
