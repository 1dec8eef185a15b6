"""Whose outcomes an encoder may learn from: never those it is tested or chosen on, by whatever splits."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from pipelines.classification.rounds import Round
from pipelines.classification.supervision import HELD_BACK, hold_back, pretraining_rounds
from storage.config import SplitConfig
from storage.errors import ConfigError
from storage.manifest import Store

OUTCOMES = {f"s{number:02d}": int(number % 3 == 0) for number in range(24)}


def a_round(subjects: list[str], seed: int = 1) -> Round:
    return Round(repeat=0, fold=1, seed=seed, train=subjects, validation=[], test=["other"])


def test_a_quarter_of_each_class_is_held_back_another_one_for_each_seed() -> None:
    held = [hold_back(a_round(sorted(OUTCOMES), seed), OUTCOMES) for seed in (1, 1, 2)]
    assert held[0] == held[1] and held[0].validation != held[2].validation
    for one in held:
        assert sorted(one.train + one.validation) == sorted(OUTCOMES)
        assert [OUTCOMES[subject] for subject in one.validation].count(1) == 8 // HELD_BACK
        assert len(one.validation) == 24 // HELD_BACK
    assert hold_back(held[0], {}) == held[0]  # it has some already


def test_too_few_of_a_class_is_a_sentence() -> None:
    with pytest.raises(
        ConfigError, match=r"needs 4 of each class, but repeat-0-fold-1 has 3 with outcome 1; use a method"
    ):
        hold_back(a_round([subject for subject in sorted(OUTCOMES) if subject < "s09"]), OUTCOMES)


@pytest.mark.parametrize(
    ("split", "names"),
    [
        (SplitConfig(folds=2, repeats=2), [f"repeat-{r}-fold-{f}" for r in (0, 1) for f in (0, 1)]),
        (SplitConfig(protocol="paper", repeats=3), [f"repeat-{r}-fold-0" for r in (0, 1, 2)]),
        (SplitConfig(by="site", repeats=1), [f"repeat-0-fold-{f}" for f in (0, 1, 2)]),
    ],
)
def test_every_round_of_the_splits_has_an_encoder_and_the_finished_model_one(
    split: SplitConfig, names: list[str], toys: ModuleType, tmp_path: Path
) -> None:
    store: Store = toys.make_store(tmp_path / "store", subjects=48, unlabelled=0, seed=3)
    devices = [f"machine {number // 3 % 3}" for number in range(48)]
    store.commit(store.manifest.assign(device=devices), store.annotations, store.exclusions)
    outcomes = dict(zip(store.outcomes["subject"], store.outcomes["outcome"], strict=True))
    *rounds, last = pretraining_rounds(store, split, outcomes, "supcon")
    assert [one.name for one in rounds] == names and last.name == "final" and not last.test
    for one in (*rounds, last):
        parts = [set(one.train), set(one.validation), set(one.test)]
        assert set.union(*parts) == set(outcomes) and sum(map(len, parts)) == 48
        for part in parts[:2]:
            assert {outcomes[subject] for subject in part} == {0, 1}
    if split.by == "site":
        device = dict(zip(store.manifest["subject"], devices, strict=True))
        assert [{device[subject] for subject in one.test} for one in rounds] == [
            {f"machine {number}"} for number in (0, 1, 2)
        ]
