"""Which subjects train and which test, per fold: drawn once, shared by all stages, checked for leaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold, train_test_split

from storage import schemas, tables
from storage.errors import ConfigError, InputError
from storage.wording import counted

PAPER_LEAST = 10  # of each class, so that validation and test hold one


def make_splits(subject_outcomes: Mapping[str, int], folds: int, seed: int) -> pd.DataFrame:
    """Deal subjects into folds, stratified by outcome; each is in test once (schemas.SPLITS).

    The order of the mapping does not matter. ConfigError where folds outnumber a class.
    """
    subjects = sorted(subject_outcomes)
    outcomes = [subject_outcomes[subject] for subject in subjects]
    _check_classes(outcomes, folds)
    dealer = StratifiedKFold(folds, shuffle=True, random_state=seed)
    parts = []
    for fold, (_, test) in enumerate(dealer.split(np.zeros(len(subjects)), outcomes)):
        split = np.full(len(subjects), "train", dtype=object)
        split[test] = "test"
        parts.append(pd.DataFrame({"subject": subjects, "fold": np.int32(fold), "split": split}))
    return pd.concat(parts, ignore_index=True)


def make_paper_splits(subject_outcomes: Mapping[str, int], seed: int) -> pd.DataFrame:
    """One fold: 80 % train, 10 % validation, 10 % test, stratified by outcome (schemas.SPLITS).

    ConfigError where validation or test would lack a class.
    """
    subjects = sorted(subject_outcomes)
    outcomes = [subject_outcomes[subject] for subject in subjects]
    _check_classes(outcomes, 1)
    rare, count = min(Counter(outcomes).items(), key=lambda item: item[1])
    if count < PAPER_LEAST:
        raise ConfigError(
            f"splits.protocol=paper needs at least {PAPER_LEAST} subjects of each class, so that a tenth holds one, "
            f"but {count} have outcome {rare}; use splits.protocol=folds."
        )
    split = np.full(len(subjects), "train", dtype=object)
    rest, test = train_test_split(range(len(subjects)), test_size=0.1, stratify=outcomes, random_state=seed)
    kept = [outcomes[index] for index in rest]
    validation = train_test_split(rest, test_size=1 / 9, stratify=kept, random_state=seed)[1]
    split[test], split[validation] = "test", "validation"
    return pd.DataFrame({"subject": subjects, "fold": np.int32(0), "split": split})


def make_site_splits(subject_outcomes: Mapping[str, int], sites: Mapping[str, str]) -> pd.DataFrame:
    """A fold per site, in order of their names: it is tested, all others train (schemas.SPLITS).

    ConfigError with fewer than two sites, or where the others lack a class.
    """
    subjects = sorted(subject_outcomes)
    site_N = np.array([sites.get(subject) or "unknown" for subject in subjects])
    outcome_N = np.array([subject_outcomes[subject] for subject in subjects])
    names = sorted(set(site_N))
    if len(names) < 2:
        raise ConfigError(
            f"splits.by=site needs films of at least two X-ray machines, but all "
            f"{counted(len(subjects), 'subject')} with outcome are of {len(names)}; use splits.by=random."
        )
    parts = []
    for fold, name in enumerate(names):
        test_N = site_N == name
        if len(set(outcome_N[~test_N])) < 2:
            raise ConfigError(
                f"splits.by=site: without machine {fold} of {len(names)} all subjects have one outcome, so nothing can "
                "be learnt to test it; use splits.by=random."
            )
        split = np.where(test_N, "test", "train")
        parts.append(pd.DataFrame({"subject": subjects, "fold": np.int32(fold), "split": split}))
    return pd.concat(parts, ignore_index=True)


def load_or_make(
    store_root: Path,
    protocol: str,
    seed: int,
    subject_outcomes: Mapping[str, int],
    folds: int,
    sites: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """The splits of STORE/splits/<protocol>-<seed>.parquet, made at first use and never silently again.

    protocol: folds or paper. sites: machine by subject, where each is a fold (STORE/splits/site-<seed>.parquet).
    Raises InputError where the file was made for other subjects or another number of folds.
    """
    name = "site" if sites is not None else protocol
    path = store_root / "splits" / f"{name}-{seed}.parquet"
    if not path.exists():
        if sites is not None:
            made = make_site_splits(subject_outcomes, sites)
        elif protocol == "paper":
            made = make_paper_splits(subject_outcomes, seed)
        else:
            made = make_splits(subject_outcomes, folds, seed)
        tables.write_table(path, made, schemas.SPLITS)
    splits = tables.read_table(path, schemas.SPLITS)
    advice = "Choose another splits.seed, or remove the file and evaluate everything anew."
    known = set(splits["subject"])
    new, gone = len(subject_outcomes.keys() - known), len(known - subject_outcomes.keys())
    if new or gone:
        raise InputError(
            f"{path} was made for {counted(len(known), 'subject')} with outcome; since then {new} came "
            f"and {gone} went. {advice}"
        )
    if name == "folds" and splits["fold"].nunique() != folds:
        raise InputError(
            f"{path} has {counted(splits['fold'].nunique(), 'fold')}, but splits.folds is {folds}. {advice}"
        )
    return splits


def check_leaks(splits: pd.DataFrame, manifest: pd.DataFrame) -> None:
    """Raise InputError where a subject, or the same pixels, are in train and in test of one fold."""
    films = manifest[["subject", "pixels_sha256"]].drop_duplicates()
    seen = splits.merge(films, on="subject")
    for column, what in (("subject", "Subject"), ("pixels_sha256", "The film with pixels")):
        sides = (splits if column == "subject" else seen).groupby(["fold", column])["split"].nunique()
        leaks = sides[sides > 1]
        if len(leaks):
            fold, value = leaks.index[0]
            subjects = ", ".join(sorted(set(seen.loc[seen[column] == value, "subject"])))
            raise InputError(
                f"{what} {value[:16]} is in train and in test of fold {fold} "
                f"(subjects {subjects}; {len(leaks)} such cases in all). Give one person one patient id, "
                "ingest again and remove the splits file."
            )


def _check_classes(outcomes: list[int], folds: int) -> None:
    counts = Counter(outcomes)
    if len(counts) < 2:
        found = f"all {len(outcomes)} have outcome {outcomes[0]}" if outcomes else "no subject has an outcome"
        raise ConfigError(
            f"Folds need subjects of both classes, but {found}; check study.outcome_rule and outcomes=."
        )
    rare, count = min(counts.items(), key=lambda item: item[1])
    if count < folds:
        raise ConfigError(
            f"splits.folds must be at most {count}, the number of subjects with outcome {rare}, "
            f"but is {folds}."
        )
