"""Probes find what is there, don't find what isn't, and never judge a subject by itself."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.pretraining.probes import probe

LABEL_N = np.tile(np.arange(4), 60)
SUBJECT_N = np.repeat(np.arange(60), 4)


def test_a_label_that_features_carry_is_found_and_one_they_do_not_is_not() -> None:
    rng = np.random.default_rng(0)
    noise_ND = rng.normal(size=(240, 16))
    told = probe(noise_ND + 6 * np.eye(4, 16)[LABEL_N], LABEL_N, SUBJECT_N)
    assert told["knn"] > 0.95 and told["linear"] > 0.95 and told["chance"] == 0.25
    guessed = probe(noise_ND, LABEL_N, SUBJECT_N)
    assert guessed["knn"] == pytest.approx(0.25, abs=0.1) and guessed["linear"] == pytest.approx(
        0.25, abs=0.1
    )


def test_features_that_know_the_subject_alone_know_nothing_of_its_outcome() -> None:
    rng = np.random.default_rng(1)
    features_ND = rng.normal(size=(60, 32))[SUBJECT_N] + 0.01 * rng.normal(size=(240, 32))
    outcome_N = rng.permutation(np.repeat([0, 1], 30))[SUBJECT_N]
    told = probe(features_ND, outcome_N, SUBJECT_N)
    assert 0.3 < told["knn"] < 0.7 and 0.3 < told["linear"] < 0.7


def test_the_common_label_is_no_good_guess() -> None:
    rng = np.random.default_rng(2)
    rare_N = (np.arange(240) % 9 == 0).astype(np.int64)
    assert probe(rng.normal(size=(240, 16)), rare_N, np.arange(240))["knn"] == pytest.approx(0.5, abs=0.15)


def test_one_label_or_a_half_without_one_is_not_probed() -> None:
    features_ND = np.eye(4)
    assert probe(features_ND, np.zeros(4, np.int64), np.arange(4)) == {}
    assert probe(features_ND, np.array([0, 0, 0, 1]), np.arange(4)) == {}
    assert probe(features_ND[:0], np.zeros(0, np.int64), np.zeros(0, np.int64)) == {}
