"""What frozen features know of a label, at a glance: nearest neighbours and a linear layer, subject-wise.

Both are fitted anew each time on features without gradient, so they keep no state and teach the encoder nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import recall_score
from sklearn.preprocessing import StandardScaler

NEIGHBOURS = 10
SHARPNESS = 0.07  # of a neighbour's vote, e^{similarity / 0.07} (https://arxiv.org/abs/1805.01978)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def probe(features_ND: Floats, label_N: Ints, subject_N: Ints) -> dict[str, float]:
    """Balanced accuracies `knn` and `linear`, and that of guessing, `chance`; {} where there is one label alone.

    No sample is judged by samples of its own subject. The linear layer is fitted on every other subject and
    judged on the rest, and the other way round.
    """
    num_labels = len(np.unique(label_N))
    half_N = np.unique(subject_N, return_inverse=True)[1] % 2
    if num_labels < 2 or any(len(np.unique(label_N[half_N == half])) < num_labels for half in (0, 1)):
        return {}
    return {
        "knn": _balanced(label_N, nearest(features_ND, label_N, subject_N)),
        "linear": _balanced(label_N, linear(features_ND, label_N, half_N)),
        "chance": 1 / num_labels,
    }


def nearest(features_ND: Floats, label_N: Ints, subject_N: Ints) -> Ints:
    """The label that the nearest neighbours of other subjects vote for, each label's votes over its share."""
    unit_ND = features_ND / np.linalg.norm(features_ND, axis=1, keepdims=True).clip(1e-12)
    similarity_NN = np.where(subject_N[:, None] == subject_N, -np.inf, unit_ND @ unit_ND.T)
    nearest_NK = np.argsort(-similarity_NN, axis=1, kind="stable")[:, :NEIGHBOURS]
    vote_NK = np.exp(np.take_along_axis(similarity_NN, nearest_NK, 1) / SHARPNESS)
    labels, share = np.unique(label_N, return_counts=True)
    votes_NL = np.stack(
        [
            (vote_NK * (label_N[nearest_NK] == label)).sum(1) / count
            for label, count in zip(labels, share, strict=True)
        ],
        axis=1,
    )
    told_N: Ints = labels[votes_NL.argmax(1)]
    return told_N


def linear(features_ND: Floats, label_N: Ints, half_N: Ints) -> Ints:
    """The label by a ridge classifier that was fitted on the other half."""
    told_N = np.empty_like(label_N)
    for half in (0, 1):
        fitted, judged = half_N != half, half_N == half
        scaler = StandardScaler().fit(features_ND[fitted])
        layer = RidgeClassifier(alpha=features_ND.shape[1], class_weight="balanced")
        layer.fit(scaler.transform(features_ND[fitted]), label_N[fitted])
        told_N[judged] = layer.predict(scaler.transform(features_ND[judged]))
    return told_N


def _balanced(label_N: Ints, told_N: Ints) -> float:
    return float(recall_score(label_N, told_N, average="macro"))
