"""Stage classify on a real store: all are tested once a repeat, nobody is dropped, a rerun is equal."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from pipelines.classification.finished import FinishedModel
from pipelines.classification.labelled import outside_population, subject_outcomes
from pipelines.classification.probe import Segments
from pipelines.classification.regress import predicted_scores
from pipelines.classification.rows import Origin
from pipelines.classification.train import classify
from pipelines.evaluation.ledger import looks
from pipelines.evaluation.paper import paper_table
from pipelines.evaluation.protocols import evaluate_subjects
from storage.atomic import remove_folder
from storage.config import SplitConfig
from storage.errors import ConfigError, InputError, TrainingError
from storage.manifest import Store
from storage.schemas import EVALUABLE, FOLDS, INNER, REGIONS, SCORES, SUBJECTS
from storage.tables import read_table

TABLES = {
    "regions": REGIONS,
    "subjects": SUBJECTS,
    "folds": FOLDS,
    "evaluable": EVALUABLE,
    "inner": INNER,
    "scores": SCORES,
}


def run(developed: Any, toys: ModuleType, folder: Path, **changes: Any) -> str:
    """classify with the toys' settings, some of them changed."""
    arguments = {
        "store": developed.store,
        "segmentation": developed.segmentation,
        "segmenter": developed.segmenter,
        "encoder": developed.encoder,
        "folder": folder,
        "config": toys.CONFIG,
        "split": toys.SPLIT,
        "study": toys.STUDY,
    }
    return classify(**(arguments | changes))


def test_everybody_is_tested_once_in_every_repeat_and_nobody_is_dropped(finished: Path) -> None:
    tables = {name: read_table(finished / f"{name}.parquet", schema) for name, schema in TABLES.items()}
    subjects, regions = tables["subjects"], tables["regions"]
    assert (subjects.groupby(["subject", "repeat"]).size() == 1).all()
    assert subjects.groupby("repeat").size().tolist() == [48, 48]
    assert len(regions) == 2 * 48 * 2 and len(tables["folds"]) == 8
    unread = subjects[subjects["probability"].isna()]
    assert set(unread["subject"]) == {"s1000", "s1001"}
    assert set(unread["prediction"]) == {-1} and set(unread["regions_used"]) == {0}
    evaluable = tables["evaluable"].set_index("subject")
    assert evaluable.loc["s1000", "reason"] == "no region found"
    assert evaluable.loc["s1001", "reason"] == "outside the intended population"
    assert evaluable["evaluable"].sum() == 46 and (evaluable["reason"] == "").sum() == 46


def test_a_subject_is_the_mean_of_its_bones_called_at_the_threshold_of_its_fold(finished: Path) -> None:
    subjects = read_table(finished / "subjects.parquet", SUBJECTS).set_index(["subject", "repeat"])
    regions = read_table(finished / "regions.parquet", REGIONS)
    mean = regions[regions["evaluable"]].groupby(["subject", "repeat"])["probability"].mean()
    known = subjects[subjects["probability"].notna()]
    pd.testing.assert_series_equal(known["probability"].sort_index(), mean, check_names=False)
    assert (known["prediction"] == (known["probability"] >= known["threshold"])).all()
    assert known["spread"].isna().all()
    folds = read_table(finished / "folds.parquet", FOLDS).set_index(["repeat", "fold"])["threshold"]
    assert all(folds[row.Index[1], row.fold] == row.threshold for row in subjects.itertuples())


def test_planted_stripes_are_found(finished: Path) -> None:
    regions, subjects, folds, *_ = (
        read_table(finished / f"{name}.parquet", schema) for name, schema in TABLES.items()
    )
    metrics = evaluate_subjects(subjects, 1, regions, folds)
    assert metrics["auc"]["value"] > 0.65
    assert metrics["n"]["not_evaluable"] == 2
    assert {entry["region"] for entry in metrics["regions"]} == {"disc", "metacarpal2"}


@pytest.mark.parametrize("cached", [True, False])
def test_a_rerun_writes_the_same_bytes_with_and_without_cached_features(
    developed: Any, toys: ModuleType, finished: Path, tmp_path: Path, cached: bool
) -> None:
    if not cached:
        for cache in (developed.store.root / "arrays").glob("features-*.zarr"):
            remove_folder(cache)
    run(developed, toys, tmp_path)
    names = sorted(path.name for path in finished.iterdir())
    assert names == sorted(
        [f"{name}.parquet" for name in TABLES] + ["model.json", "model.safetensors", "protocol.json"]
    )
    for name in names:
        assert (tmp_path / name).read_bytes() == (finished / name).read_bytes()


def test_the_finished_model_holds_its_parts_and_no_pseudonym(developed: Any, finished: Path) -> None:
    text = (finished / "model.json").read_text("utf-8")
    document, tensors = json.loads(text), load_file(finished / "model.safetensors")
    assert document["trained_on"]["data_kind"] == ["phantom"]
    assert not any(subject in text for subject in developed.store.manifest["subject"])
    for part, folder in (("segmenter", developed.segmenter), ("encoder", developed.encoder)):
        for name, weights in load_file(folder / "model.safetensors").items():
            np.testing.assert_array_equal(tensors[f"{part}.{name}"], weights)
    model = FinishedModel.load(finished)
    assert model.trained_with(["s1002", "s1003", "stranger"]) == 2
    assert model.trained_with_films(["k1002", "k1003", "k1050", "stranger"]) == 2  # k1050 has no outcome
    assert 0 < model.chosen.threshold < 1


def test_inner_predictions_and_the_regression_are_of_other_subjects(finished: Path) -> None:
    inner, scores = (read_table(finished / f"{name}.parquet", TABLES[name]) for name in ("inner", "scores"))
    subjects = read_table(finished / "subjects.parquet", SUBJECTS)
    tested = set(zip(subjects["subject"], subjects["repeat"], subjects["fold"], strict=True))
    assert not tested & set(zip(inner["subject"], inner["repeat"], inner["fold"], strict=True))
    assert inner.groupby(["repeat", "fold"]).size().between(33, 36).all()
    assert scores.empty  # the toys have outcomes without a measured value


def test_the_protocol_is_locked_and_each_look_counted_once(
    developed: Any, toys: ModuleType, finished: Path
) -> None:
    protocol = json.loads((finished / "protocol.json").read_text())
    assert protocol["contrast"] == "age_sex" and protocol["splits"]["folds"] == 4
    counted = looks(developed.store.root, protocol["id"])
    assert counted.of_this_protocol == 1
    assert (developed.store.root / "splits" / f"protocol-{protocol['id']}.parquet").is_file()


def test_the_papers_protocol_tests_a_tenth_per_seed(developed: Any, toys: ModuleType, tmp_path: Path) -> None:
    line = run(developed, toys, tmp_path, split=SplitConfig(protocol="paper", repeats=3, seed=11))
    assert re.match(r"AUC 0\.\d{3} \(SD 0\.\d{3}\) over 3 seeds as in the paper", line)
    subjects = read_table(tmp_path / "subjects.parquet", SUBJECTS)
    assert subjects.groupby("seed").size().to_dict() == {11: 5, 12: 5, 13: 5}
    assert set(subjects["threshold"]) == {0.5}
    assert read_table(tmp_path / "inner.parquet", INNER).empty
    table = paper_table(subjects)
    assert table["mean"]["auc"] == pytest.approx(np.mean([row["auc"] for row in table["seeds"]]))


def test_a_site_without_the_others_is_a_sentence(developed: Any, toys: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"splits\.by=site needs films of at least two X-ray machines"):
        run(developed, toys, tmp_path, split=SplitConfig(by="site", repeats=1))


def test_measured_values_are_predicted_where_they_are_known(
    developed: Any, toys: ModuleType, tmp_path: Path
) -> None:
    values = developed.store.outcomes["outcome"].map({1: -3.0, 0: -1.0})
    outcomes = developed.store.outcomes.assign(t_score=values)
    outcomes.loc[3, "t_score"] = float("nan")
    scores = pd.concat(
        predicted_scores(
            *(toys_segments(outcomes, fold, part) for part in (False, True)),
            outcomes.set_index("subject")["t_score"].to_dict(),
            2,
            Origin(fold=fold, repeat=0, seed=1, method="none", split="test"),
        )
        for fold in range(3)
    )
    assert len(scores) == len(outcomes) - 1 and scores["subject"].is_unique
    assert np.corrcoef(scores["measured"], scores["predicted"])[0, 1] > 0.8


def toys_segments(outcomes: pd.DataFrame, fold: int, test: bool) -> Segments:
    """Two bones of every third subject, or of the others; their features follow the outcome."""
    chosen = outcomes[(np.arange(len(outcomes)) // 3 % 3 == fold) == test]
    outcome_N = np.repeat(chosen["outcome"].to_numpy(np.int64), 2)
    rng = np.random.default_rng(fold)
    return Segments(
        features_ND=outcome_N[:, None] + rng.normal(0, 0.5, (len(outcome_N), 4)),
        region_N=np.tile([0, 1], len(chosen)),
        subject_N=np.repeat(chosen["subject"].to_numpy(str), 2),
        outcome_N=outcome_N,
    )


def test_more_folds_than_subjects_of_a_class(developed: Any, toys: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"folds must be at most 16, the number of subjects with outcome 1, but is 20"
    ):
        run(developed, toys, tmp_path, split=SplitConfig(folds=20, repeats=1, seed=7))


def test_a_store_without_outcomes_has_nothing_to_learn(
    developed: Any, toys: ModuleType, tmp_path: Path
) -> None:
    store = toys.make_store(tmp_path / "store", subjects=0, unlabelled=4, seed=3)
    with pytest.raises(ConfigError, match=r"no subject has an outcome"):
        run(developed, toys, tmp_path / "out", store=store)


def test_films_that_came_after_the_segmentation_are_asked_for(
    developed: Any, toys: ModuleType, tmp_path: Path
) -> None:
    store = toys.make_store(tmp_path / "store", subjects=48, unlabelled=0, seed=4)
    with pytest.raises(InputError) as caught:
        run(developed, toys, tmp_path / "out", store=store)
    assert str(caught.value) == (
        f"48 of 48 films in generation 000001 of {store.root} have not been segmented; "
        "run radmill segment again."
    )


def test_no_subject_to_read_is_a_sentence(developed: Any, toys: ModuleType, tmp_path: Path) -> None:
    grown_up = toys.StudyConfig(name="toy", regions=toys.STUDY.regions, minimum_age_years=99)
    with pytest.raises(
        TrainingError, match=r"Of 48 subjects with outcome none has a region that can be read"
    ):
        run(developed, toys, tmp_path, study=grown_up)


def test_the_outcome_nearest_to_the_film_counts(toys: ModuleType, tmp_path: Path) -> None:
    store: Store = toys.make_store(tmp_path / "store", subjects=6, unlabelled=0, seed=5)
    late, early = store.outcomes.assign(exam="e1", days=200), store.outcomes.assign(exam="e2", days=-30)
    unknown = store.outcomes.head(1).assign(subject="no film", exam="e1", days=1)
    store.write_outcomes(pd.concat([late, early.assign(outcome=1 - early["outcome"]), unknown]))
    assert list(subject_outcomes(store, toys.STUDY).values()) == [0, 1, 1, 0, 1, 1]


def test_outcomes_by_another_rule_are_refused(toys: ModuleType, tmp_path: Path) -> None:
    store: Store = toys.make_store(tmp_path / "store", subjects=6, unlabelled=0, seed=5)
    assert len(subject_outcomes(store, replace(toys.STUDY, outcome_rule="<=-2,5"))) == 6
    with pytest.raises(ConfigError) as caught:
        subject_outcomes(store, replace(toys.STUDY, outcome_rule="<= -1"))
    assert str(caught.value) == (
        f"study.outcome_rule is '<= -1', but the outcomes in {store.root} were made by '<= -2.5'; "
        "ingest again with the new rule."
    )


def test_a_film_without_age_has_its_subjects_of_the_nearest_exam(toys: ModuleType, tmp_path: Path) -> None:
    store: Store = toys.make_store(tmp_path / "store", subjects=5, unlabelled=1, seed=5)
    films = store.manifest.assign(age_years=[float("nan"), 10.0, 60.0, *[float("nan")] * 3])
    ages = {"age_years": [12.0, 60.0, 12.0, 12.0, float("nan")]}
    near, far = store.outcomes.assign(exam="e1", days=3, **ages), store.outcomes.assign(exam="e2", days=-900)
    outcomes = pd.concat([far.assign(age_years=[60.0, 60.0, 60.0, 60.0, 15.0]), near])
    assert outside_population(films, toys.STUDY, "adult", outcomes.iloc[:0]) == {"k5001"}
    # The header's age comes first, then the nearest exam's that tells one; k5005 has neither.
    assert outside_population(films, toys.STUDY, "adult", outcomes) == {"k5000", "k5001", "k5003", "k5004"}
    assert outside_population(films, toys.STUDY, "child", outcomes) == set(films["key"])


def test_a_segmenter_that_did_not_segment_is_refused_before_any_work(
    developed: Any, toys: ModuleType, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(InputError, match=r"other must hold a model, but has no model\.safetensors\.$"):
        run(developed, toys, tmp_path / "out", segmenter=other)
    (other / "model.safetensors").write_bytes(b"another")
    made_by = developed.segmentation.model_id
    sentence = re.escape(
        f"{other} holds segmenter ae448ac86c4e, but the films were segmented by {made_by}; run radmill segment "
        f"with model={other}, or classify with the segmenter {made_by}."
    )
    with pytest.raises(InputError, match=f"^{sentence}$"):
        run(developed, toys, tmp_path / "out", segmenter=other)
    assert not (tmp_path / "out").exists()
