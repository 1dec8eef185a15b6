"""Penalty, threshold and calibration come from subjects that the layer has not seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

from pipelines.classification.aggregate import mean_over_bones
from pipelines.classification.config import ClassificationConfig
from pipelines.classification.probe import Segments, fit_heads
from pipelines.classification.select import fit_held_back, fit_selected
from pipelines.evaluation.cohort import Cohort
from pipelines.evaluation.discrimination import mean_auc
from pipelines.evaluation.intervals import bootstrap_weights
from storage.errors import ConfigError, TrainingError

Simulate = Callable[..., Segments]


def test_an_effect_is_found_and_noise_is_not_mistaken_for_one(segments: Simulate) -> None:
    config = ClassificationConfig()
    _, strong, _ = fit_selected(segments(effect=1.5), 7, config, seed=1)
    _, nothing, _ = fit_selected(segments(effect=0.0), 7, config, seed=1)
    assert strong.inner_auc > 0.8
    assert nothing.l2 == max(config.l2)
    assert strong.inner_log_loss < nothing.inner_log_loss


def test_null_cohorts_hold_one_half_over_the_whole_way(segments: Simulate) -> None:
    """Of 12 cohorts without effect, trained and tested in folds, at most 3 intervals miss .5."""
    config, missed = ClassificationConfig(l2=[0.1, 10.0], inner_folds=3), 0
    for seed in range(12):
        data = segments(effect=0.0, num_subjects=60, dimensions=12, seed=seed)
        names = np.unique(data.subject_N)
        outcome_S = data.outcome_N[::7]
        dealer = StratifiedKFold(4, shuffle=True, random_state=seed)
        probability_S1, fold_S1 = np.zeros((60, 1)), np.zeros((60, 1), dtype=np.int64)
        for fold, (train, test) in enumerate(dealer.split(names, outcome_S)):
            head, _, _ = fit_selected(data.of(names[train]), 7, config, seed)
            unseen = data.of(names[test])
            bones_N = head.probability(unseen.features_ND, unseen.region_N)
            probability_S1[test, 0], fold_S1[test, 0] = mean_over_bones(unseen.subject_N, bones_N)[1], fold
        cohort = Cohort(
            subjects=names.tolist(),
            outcome_N=outcome_S,
            probability_NR=probability_S1,
            fold_NR=fold_S1,
            prediction_NR=np.zeros_like(fold_S1),
        )
        interval = mean_auc(cohort, probability_S1, bootstrap_weights(outcome_S, seed))
        missed += not interval["low"] <= 0.5 <= interval["high"]
    assert missed <= 3


def test_same_seed_same_layer(segments: Simulate) -> None:
    data, config = segments(effect=1.0), ClassificationConfig()
    (first, one, _), (second, two, _) = (fit_selected(data, 7, config, seed=5) for _ in range(2))
    assert one == two
    np.testing.assert_array_equal(first.weight_D, second.weight_D)


def test_too_few_subjects_of_a_class(segments: Simulate) -> None:
    data = segments(effect=1.0, num_subjects=10)
    with pytest.raises(TrainingError) as caught:
        fit_selected(data, 7, ClassificationConfig(inner_folds=4), seed=1)
    assert str(caught.value) == (
        "A training part must hold at least classification.inner_folds=4 subjects of each class with a bone "
        "found, but has 3 with outcome 1; use fewer inner folds, or give more subjects."
    )
    one_class = replace(data, outcome_N=np.zeros_like(data.outcome_N))
    with pytest.raises(TrainingError, match=r"but has 0 with outcome 1"):
        fit_selected(one_class, 7, ClassificationConfig(inner_folds=2), seed=1)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"input_size": 8}, "classification.input_size must be at least 32, but is 8."),
        ({"l2": [0.1, 0.0]}, "classification.l2 must hold numbers above 0, but is [0.1, 0.0]."),
        ({"inner_folds": 1}, "classification.inner_folds must be at least 2, but is 1."),
        (
            {"threshold": "best"},
            "classification.threshold must be one of f1, youden, sensitivity, 0.5, but is best.",
        ),
        ({"batch_size": 0}, "classification.batch_size must be at least 1, but is 0."),
    ],
)
def test_config_names_the_field(setting: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ClassificationConfig(**setting)  # type: ignore[arg-type]
    assert str(caught.value) == sentence


def test_choices_on_those_held_back_hang_on_no_inner_folds(segments: Simulate) -> None:
    data, config = segments(effect=1.5), ClassificationConfig(l2=[0.01, 1.0, 100.0])
    names = sorted(set(data.subject_N.tolist()))
    train, held_back = data.of(names[::4] + names[1::4] + names[2::4]), data.of(names[3::4])
    head, chosen, inner = fit_held_back(train, held_back, 7, config)
    assert inner["subject"].tolist() == names[3::4] and chosen.subjects == 75
    bones_N = head.probability(held_back.features_ND, held_back.region_N)
    np.testing.assert_allclose(inner["probability"], bones_N.reshape(-1, 7).mean(1))
    losses = [
        log_loss(
            inner["outcome"],
            layer.probability(held_back.features_ND, held_back.region_N).reshape(-1, 7).mean(1),
        )
        for layer in fit_heads(train, 7, config.l2)
    ]
    assert chosen.l2 == config.l2[int(np.argmin(losses))]
    assert chosen.inner_log_loss == pytest.approx(min(losses))
    with pytest.raises(
        TrainingError, match=r"^The held back subjects with a bone found are all of one class"
    ):
        fit_held_back(train, data.of(names[-3:]), 7, config)
