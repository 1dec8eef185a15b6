"""Folds are stratified, whole, made once and free of leaks; every refusal is a sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import ConfigError, InputError
from storage.splits import check_leaks, load_or_make, make_paper_splits, make_site_splits, make_splits

OUTCOMES = {f"s{i:02d}": int(i % 3 == 0) for i in range(30)}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10), st.integers(0, 10), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_laws(more_positive: int, more_negative: int, folds: int, seed: int) -> None:
    positive, negative = folds + more_positive, folds + more_negative
    outcomes = {f"p{i}": 1 for i in range(positive)} | {f"n{i}": 0 for i in range(negative)}
    splits = make_splits(outcomes, folds, seed)
    assert len(splits) == folds * len(outcomes)
    tests = splits[splits["split"] == "test"]
    assert sorted(tests["subject"]) == sorted(outcomes)  # in test exactly once
    for _, fold in tests.groupby("fold"):
        found = fold["subject"].map(outcomes).sum()
        assert positive // folds <= found <= -(-positive // folds)
    backwards = dict(reversed(list(outcomes.items())))
    pd.testing.assert_frame_equal(make_splits(backwards, folds, seed), splits)


def test_another_seed_gives_other_folds() -> None:
    assert not make_splits(OUTCOMES, 5, 1).equals(make_splits(OUTCOMES, 5, 2))


def test_made_once_and_then_read(tmp_path: Path) -> None:
    made = load_or_make(tmp_path, "folds", 2023, OUTCOMES, 5)
    path = tmp_path / "splits" / "folds-2023.parquet"
    before = path.read_bytes()
    corrected = OUTCOMES | {"s01": 1}  # a corrected outcome moves nobody
    pd.testing.assert_frame_equal(load_or_make(tmp_path, "folds", 2023, corrected, 5), made)
    assert path.read_bytes() == before
    path.unlink()
    load_or_make(tmp_path, "folds", 2023, OUTCOMES, 5)
    assert path.read_bytes() == before


def test_changed_subjects_and_folds_are_refused(tmp_path: Path) -> None:
    load_or_make(tmp_path, "folds", 2023, OUTCOMES, 5)
    changed = {subject: outcome for subject, outcome in OUTCOMES.items() if subject != "s00"} | {
        "x": 1,
        "y": 0,
    }
    advice = "Choose another splits.seed, or remove the file and evaluate everything anew."
    with pytest.raises(InputError) as caught:
        load_or_make(tmp_path, "folds", 2023, changed, 5)
    assert str(caught.value) == (
        f"{tmp_path}/splits/folds-2023.parquet was made for 30 subjects with outcome; "
        f"since then 2 came and 1 went. {advice}"
    )
    with pytest.raises(InputError, match=re.escape(f"has 5 folds, but splits.folds is 4. {advice}")):
        load_or_make(tmp_path, "folds", 2023, OUTCOMES, 4)


@pytest.mark.parametrize(
    ("outcomes", "sentence"),
    [
        ({}, "Folds need subjects of both classes, but no subject has an outcome; "),
        ({"a": 0, "b": 0}, "Folds need subjects of both classes, but all 2 have outcome 0; "),
        (
            {"a": 0, "b": 0, "c": 0, "d": 1, "e": 1},
            "splits.folds must be at most 2, the number of subjects with outcome 1, but is 3.",
        ),
    ],
)
def test_too_few_subjects_are_refused(outcomes: dict[str, int], sentence: str) -> None:
    with pytest.raises(ConfigError, match="^" + re.escape(sentence)):
        make_splits(outcomes, 3, 0)


def test_the_papers_split_is_eight_to_one_to_one(tmp_path: Path) -> None:
    outcomes = {f"s{i:03d}": int(i < 54) for i in range(192)}
    splits = load_or_make(tmp_path, "paper", 2023, outcomes, 5)
    counts = splits.groupby("split")["subject"].agg(["size", lambda names: names.map(outcomes).sum()])
    assert {name: tuple(row) for name, *row in counts.itertuples()} == {
        "train": (152, 42),
        "validation": (20, 6),
        "test": (20, 6),
    }
    assert splits["subject"].is_unique and set(splits["fold"]) == {0}
    assert not make_paper_splits(outcomes, 2024).equals(splits)
    check_leaks(splits, pd.DataFrame({"subject": list(outcomes), "pixels_sha256": list(outcomes)}))
    with pytest.raises(
        ConfigError, match=r"^splits\.protocol=paper needs at least 10 subjects of each class"
    ):
        make_paper_splits({f"s{i}": int(i < 9) for i in range(40)}, 2023)


def test_every_site_is_tested_by_the_others(tmp_path: Path) -> None:
    sites = {subject: "AB"[index % 3 == 0] for index, subject in enumerate(OUTCOMES)} | {"s01": ""}
    outcomes = OUTCOMES | {"s03": 0, "s01": 1}
    splits = load_or_make(tmp_path, "folds", 2023, outcomes, 5, sites)
    tested = splits[splits["split"] == "test"]
    assert sorted(tested["subject"]) == sorted(outcomes)
    for _, part in tested.groupby("fold"):
        assert len({sites[subject] for subject in part["subject"]}) == 1
    assert (tmp_path / "splits" / "site-2023.parquet").is_file()
    with pytest.raises(ConfigError, match=r"at least two X-ray machines, but all 30 .* are of 1; use"):
        make_site_splits(OUTCOMES, dict.fromkeys(OUTCOMES, "A"))
    alone = {subject: "AB"[outcome] for subject, outcome in OUTCOMES.items()}
    with pytest.raises(ConfigError, match=r"without machine 0 of 2 all subjects have one outcome"):
        make_site_splits(OUTCOMES, alone)


def test_leaks() -> None:
    splits = pd.DataFrame({"subject": ["a", "b", "c"], "fold": 0, "split": ["train", "train", "test"]})
    manifest = pd.DataFrame({"subject": ["a", "a", "b", "c"], "pixels_sha256": ["1", "2", "2", "3"]})
    check_leaks(splits, manifest)  # b shows a's pixels again, and both train
    leak = manifest.assign(pixels_sha256=["1", "2", "3", "2"])
    with pytest.raises(InputError) as caught:
        check_leaks(splits, leak)
    assert str(caught.value) == (
        "The film with pixels 2 is in train and in test of fold 0 (subjects a, c; 1 such cases in all). "
        "Give one person one patient id, ingest again and remove the splits file."
    )
    with pytest.raises(InputError, match=r"^Subject a is in train and in test of fold 0"):
        check_leaks(splits.assign(subject=["a", "b", "a"]), manifest)


def test_made_splits_have_no_leak() -> None:
    manifest = pd.DataFrame({"subject": list(OUTCOMES) * 2, "pixels_sha256": [str(i) for i in range(60)]})
    check_leaks(make_splits(OUTCOMES, 5, 0), manifest)
