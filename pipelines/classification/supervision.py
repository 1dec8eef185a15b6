"""Encoders of which every round has its own: SupCon's, which know the outcomes of the round's training subjects, and
by splits.protocol=paper those of every method, which have seen their images.

    pretrain/                        the finished model's
    pretrain/repeat-<r>-fold-<f>/    the fold's
    each with subjects.parquet       who was to be tested, whom it learnt from (train), whom it was denied (validation)

SupCon's encoder sets the training subjects apart whether or not their films do, so folds within them would tell
nothing: penalty, threshold and calibration chosen there would suit outcomes that the encoder knows by heart. So a
quarter of the training part, dealt by outcome, is held back from encoder and layer, and they are chosen on it alone.
splits.protocol=paper has validation subjects of its own, which serve the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from sklearn.model_selection import StratifiedKFold

from pipelines.classification.rounds import FINAL, Round, final_round, rounds_of
from storage.config import SplitConfig
from storage.errors import ConfigError, InputError
from storage.manifest import Store
from storage.schemas import SPLITS
from storage.tables import read_table, write_table

METHOD = "supcon"  # the one method of pretraining that takes outcomes
FINE_TUNED = ", fine-tuned"  # behind the name of the method whose encoder was
HELD_BACK = 4  # one in so many training subjects
TABLE = "subjects.parquet"


def holds_back(method: str) -> bool:
    """Whether an encoder of this name (in the tables) learnt outcomes, so that others were held back from it."""
    return method == METHOD or method.endswith(FINE_TUNED)


@dataclass(frozen=True)
class Encoders:
    """The encoders that the stage pretrain left in a folder: one for all rounds, or one for each."""

    folder: Path
    method: str

    @property
    def by_round(self) -> bool:
        """Whether every round has its own."""
        return self.method == METHOD or (self.folder / TABLE).is_file()

    def of(self, one: Round) -> tuple[Path, Round]:
        """The round's encoder, and the round with those as validation whose outcomes it was denied.

        Raises InputError where the encoder learnt from other subjects than the round's.
        """
        if not self.by_round:
            return self.folder, one
        encoder = encoder_folder(self.folder, one)
        return encoder, _as_learnt(encoder, one)


def encoder_folder(folder: Path, one: Round) -> Path:
    """Where in the folder of the stage pretrain the round's encoder lies."""
    return folder if one.repeat == FINAL else folder / one.name


def pretraining_rounds(
    store: Store, split: SplitConfig, outcomes: Mapping[str, int], method: str
) -> list[Round]:
    """The rounds that have an encoder each, the finished model's last; for SupCon with who is held back."""
    rounds = [*rounds_of(store, split, outcomes), final_round(split, outcomes)]
    return [hold_back(one, outcomes) for one in rounds] if method == METHOD else rounds


def hold_back(one: Round, outcomes: Mapping[str, int]) -> Round:
    """The round with a quarter of its training subjects as validation, if it has none.

    Outcomes of test subjects play no part in it. ConfigError where there are too few subjects of a class.
    """
    if one.validation:
        return one
    outcome_S = [outcomes[subject] for subject in one.train]
    count, rare = min((outcome_S.count(value), value) for value in (1, 0))
    if count < HELD_BACK:
        raise ConfigError(
            f"pretraining.method={METHOD} holds back the outcomes of a quarter of the training subjects, to choose "
            f"the threshold on, so it needs {HELD_BACK} of each class, but {one.name} has {count} with outcome {rare}; "
            "use a method without outcomes, such as simclr."
        )
    dealer = StratifiedKFold(HELD_BACK, shuffle=True, random_state=one.inner_seed)
    kept, held = next(iter(dealer.split(one.train, outcome_S)))
    return replace(
        one, train=[one.train[index] for index in kept], validation=[one.train[index] for index in held]
    )


def write_subjects(encoder: Path, one: Round) -> Path:
    """Write down whom the encoder may learn from; returns the table's path."""
    sides = {"train": one.train, "validation": one.validation, "test": one.test}
    rows = [
        {"subject": subject, "fold": one.fold, "split": side}
        for side, subjects in sides.items()
        for subject in subjects
    ]
    write_table(encoder / TABLE, pd.DataFrame(rows), SPLITS)
    return encoder / TABLE


def learnt_from(table: Path) -> list[str]:
    """Whom an encoder may learn from, by the table that `write_subjects` wrote."""
    return _side(read_table(table, SPLITS), "train")


def _as_learnt(encoder: Path, one: Round) -> Round:
    if not (encoder / TABLE).is_file():
        raise InputError(
            f"{encoder} holds no encoder for {one.name}; run radmill pretrain with the same splits.* keys."
        )
    table = read_table(encoder / TABLE, SPLITS)
    train, validation, test = (_side(table, name) for name in ("train", "validation", "test"))
    if test != one.test or sorted(train + validation) != sorted(one.train + one.validation):
        raise InputError(
            f"The encoder in {encoder} learnt from other subjects than those that train in {one.name}; "
            "run radmill pretrain with the splits.* keys and the outcomes of now."
        )
    return replace(one, train=train, validation=validation)


def _side(table: pd.DataFrame, name: str) -> list[str]:
    return sorted(table.loc[table["split"] == name, "subject"].astype(str))
