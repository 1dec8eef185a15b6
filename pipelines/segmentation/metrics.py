"""How good a predicted label map, or a weighted set of them, is. A class absent from both maps is NaN."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from scipy.stats import rankdata

BAND_PX = 5.0  # width of the band on either side of an edge in which uncertainty is judged


def confusion(first: np.ndarray, second: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts of pixels (C, C) by class in `first` (row) and in `second` (column), label maps of one size."""
    pairs: np.ndarray = first.ravel().astype(np.intp) * num_classes + second.ravel()
    counts: np.ndarray = np.bincount(pairs, minlength=num_classes**2)
    square: np.ndarray = counts.reshape(num_classes, num_classes)
    return square


def dice_per_class(prediction: np.ndarray, reference: np.ndarray, num_classes: int) -> np.ndarray:
    """Dice of classes 1 .. C - 1, float64; NaN where a class is absent from both label maps."""
    counts = confusion(prediction, reference, num_classes)
    total = (counts.sum(0) + counts.sum(1))[1:].astype(np.float64)
    shared = 2.0 * np.diag(counts)[1:]
    dice: np.ndarray = np.divide(shared, total, out=np.full(len(total), np.nan), where=total > 0)
    return dice


def iou_distance(first: np.ndarray, second: np.ndarray, num_classes: int) -> float:
    """1 - IoU, mean over the classes but background that are in either map; 0 if there is none."""
    counts = confusion(first, second, num_classes)
    shared = np.diag(counts)[1:]
    either = counts.sum(0)[1:] + counts.sum(1)[1:] - shared
    present = either > 0
    return float(1 - (shared[present] / either[present]).mean()) if present.any() else 0.0


class EnergyDistance(NamedTuple):
    """Generalised energy distance 2 E d(s, y) - E d(s, s') - E d(y, y') with d = 1 - IoU."""

    unbiased: float
    """Pairs of one and the same sample left out; NaN with one code per expert."""
    v_statistic: float
    """All pairs, as the literature reports it; too large by E d(s, s') / N."""


def energy_distance(
    samples_NHW: np.ndarray, pi_K: np.ndarray, masks_MHW: np.ndarray, beta_M: np.ndarray, num_classes: int
) -> EnergyDistance:
    """GED (https://arxiv.org/abs/1806.05034) between N = K * S sampled label maps and M weighted masks.

    Sample n belongs to expert n // S. Unbiased: pairs of different experts weigh pi_k pi_l / S^2, pairs
    within an expert pi_k^2 / (S (S - 1)).
    """
    num_samples, num_experts = len(samples_NHW), len(pi_K)
    codes = num_samples // num_experts
    alpha_N = np.repeat(pi_K, codes) / codes
    across = distance_matrix(samples_NHW, masks_MHW, num_classes)
    between = distance_matrix(samples_NHW, samples_NHW, num_classes)
    annotators = distance_matrix(masks_MHW, masks_MHW, num_classes)
    fixed = 2 * alpha_N @ across @ beta_M - beta_M @ annotators @ beta_M
    v_statistic = fixed - alpha_N @ between @ alpha_N
    if codes == 1:
        return EnergyDistance(float("nan"), float(v_statistic))
    same_expert = np.kron(np.eye(num_experts, dtype=bool), np.ones((codes, codes), dtype=bool))
    weight_NN = np.outer(alpha_N, alpha_N) * np.where(same_expert, codes / (codes - 1), 1.0)
    return EnergyDistance(float(fixed - (weight_NN * between).sum()), float(v_statistic))


def distance_matrix(first_XHW: np.ndarray, second_YHW: np.ndarray, num_classes: int) -> np.ndarray:
    """IoU distances of all pairs, (X, Y)."""
    return np.array([[iou_distance(a, b, num_classes) for b in second_YHW] for a in first_XHW])


class DisagreementAuroc(NamedTuple):
    """How well three scores find the pixels on which annotators disagree."""

    entropy: float
    own_edge: float
    """Closeness to the edge of the prediction, which a reader has without any annotator."""
    annotators_edge: float
    """Closeness to the edge of the annotators' own consensus: it has seen the answer."""


def disagreement_auroc(
    entropy_HW: np.ndarray, label_map_HW: np.ndarray, masks_MHW: np.ndarray
) -> DisagreementAuroc:
    """AUROCs in the band of BAND_PX around the edges of the consensus (the class most annotators chose).

    Far from any edge everything is easy. NaN where the band holds only agreement or only disagreement.
    """
    distance_HW = edge_distance(consensus(masks_MHW))
    band_HW = distance_HW <= BAND_PX
    disagree = (masks_MHW != masks_MHW[0]).any(0)[band_HW]
    scores = entropy_HW, -edge_distance(label_map_HW), -distance_HW
    return DisagreementAuroc(*(auroc(score_HW[band_HW], disagree) for score_HW in scores))


def consensus(masks_MHW: np.ndarray) -> np.ndarray:
    """The class that most masks have at each pixel (HW uint8); the lowest index of equals."""
    classes = np.arange(int(masks_MHW.max()) + 1)
    votes = np.stack([(masks_MHW == index).sum(0) for index in classes])
    chosen: np.ndarray = votes.argmax(0)
    return chosen.astype(np.uint8)


def edge_distance(label_map: np.ndarray) -> np.ndarray:
    """Distance of each pixel to the nearest pixel at an edge, in pixels; both sides of an edge are 0."""
    edge = np.zeros(label_map.shape, dtype=bool)
    for first, second in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        differs = label_map[first] != label_map[second]
        edge[first] |= differs
        edge[second] |= differs
    if not edge.any():
        return np.full(label_map.shape, np.inf)
    distance: np.ndarray = cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return distance


def auroc(score: np.ndarray, positive: np.ndarray) -> float:
    """Probability that a positive scores above a negative, ties count half; NaN without both."""
    num_positive = int(positive.sum())
    num_negative = len(positive) - num_positive
    if num_positive == 0 or num_negative == 0:
        return float("nan")
    rank_sum = rankdata(score)[positive].sum()
    return float((rank_sum - num_positive * (num_positive + 1) / 2) / (num_positive * num_negative))
