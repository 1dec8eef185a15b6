"""Who trains, who is held back and who is tested, fold by fold, as the store's splits say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipelines.classification.labelled import people
from storage.config import SplitConfig
from storage.manifest import Store
from storage.splits import check_leaks, load_or_make

FINAL = -1  # repeat of the round that tests nobody


@dataclass(frozen=True, kw_only=True)
class Round:
    """One fold of one repeat, or the last one, which learns from everyone; subjects in order of their names."""

    repeat: int
    fold: int
    seed: int
    """Of the repeat's splits."""
    train: list[str]
    validation: list[str]
    """Of the training part, but learnt from by nobody: penalty, threshold and calibration are chosen on them."""
    test: list[str]

    @property
    def name(self) -> str:
        """Such as repeat-0-fold-3; final where nobody is tested."""
        return "final" if self.repeat == FINAL else f"repeat-{self.repeat}-fold-{self.fold}"

    @property
    def inner_seed(self) -> int:
        """Seed of what is dealt within the training part, another one for each fold."""
        return int(np.random.SeedSequence([self.seed, self.fold]).generate_state(1)[0])


def rounds_of(store: Store, split: SplitConfig, outcomes: Mapping[str, int]) -> list[Round]:
    """Every fold of every repeat, in order, by the store's splits, which are made at first use.

    Raises ConfigError where the outcomes can't be dealt so, InputError where the splits are of other subjects or leak.
    """
    found = []
    for repeat in range(split.repeats):
        seed = split.seed + repeat
        table = _splits(store, split, seed, outcomes)
        for fold in sorted(set(table["fold"])):
            part = table[table["fold"] == fold].set_index("subject")["split"]
            sides = {name: sorted(part.index[part == name]) for name in ("train", "validation", "test")}
            found.append(Round(repeat=repeat, fold=int(fold), seed=seed, **sides))
    return found


def final_round(split: SplitConfig, outcomes: Mapping[str, int]) -> Round:
    """The round of the finished model: all subjects with outcome train."""
    return Round(
        repeat=FINAL, fold=split.folds, seed=split.seed, train=sorted(outcomes), validation=[], test=[]
    )


def _splits(store: Store, split: SplitConfig, seed: int, outcomes: Mapping[str, int]) -> pd.DataFrame:
    sites = _sites(store) if split.by == "site" else None
    splits = load_or_make(store.root, split.protocol, seed, outcomes, split.folds, sites)
    check_leaks(splits, store.manifest)
    return splits


def _sites(store: Store) -> dict[str, str]:
    return {str(subject): str(device or "") for subject, device in people(store)["device"].items()}
