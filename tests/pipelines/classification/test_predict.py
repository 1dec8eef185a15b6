"""A finished model over new films: frozen, complete, refused where it would meet what it learnt from."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from pipelines.classification.embed import embed
from pipelines.classification.finished import FinishedModel
from pipelines.classification.predict import evaluate, predict
from pipelines.training.seen import written
from storage.errors import InputError
from storage.manifest import Store
from storage.schemas import EMBEDDINGS, EVALUABLE, REGIONS, SUBJECTS
from storage.tables import read_table


@pytest.fixture(scope="module")
def new_store(toys: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Sixteen subjects that the model has never met, twelve of them with outcome."""
    store: Store = toys.make_store(tmp_path_factory.mktemp("new") / "store", 12, 4, seed=2)
    return store


def renamed(store: Store, root: Path) -> Store:
    """The same films and outcomes in a store with another key: every pseudonym differs."""
    shutil.copytree(store.root / "shards", root / "shards")
    other = Store.create(root, "key2")
    subject = "t" + store.manifest["subject"]
    other.commit(store.manifest.assign(subject=subject), store.annotations, store.exclusions)
    other.write_outcomes(store.outcomes.assign(subject="t" + store.outcomes["subject"]))
    return other


def test_predict_reads_every_film_and_keeps_the_threshold(
    finished: Path, new_store: Store, toys: ModuleType, tmp_path: Path
) -> None:
    line = predict(finished, new_store, tmp_path, toys.STUDY)
    subjects = read_table(tmp_path / "subjects.parquet", SUBJECTS).set_index("subject")
    assert len(subjects) == 16 and "14 of 16 subjects evaluable" in line
    assert set(subjects["outcome"]) == {-1} and set(subjects["split"]) == {"new"}
    assert set(subjects["threshold"]) == {FinishedModel.load(finished).chosen.threshold}
    assert list(subjects.index[subjects["probability"].isna()]) == ["s2000", "s2001"]
    assert subjects.loc["s2001", "mci2_flag"] == "outside the intended population"
    embeddings = read_table(tmp_path / "embeddings.parquet", EMBEDDINGS)
    assert "s2001" in set(embeddings["subject"]) and "s2000" not in set(embeddings["subject"])


def test_evaluate_has_every_measure_at_the_frozen_threshold(
    finished: Path, new_store: Store, toys: ModuleType, tmp_path: Path
) -> None:
    evaluate(finished, new_store, tmp_path, toys.STUDY)
    metrics = json.loads((tmp_path / "metrics.json").read_text("utf-8"))
    tested = read_table(tmp_path / "subjects.parquet", SUBJECTS)
    known = tested[(tested["split"] == "test") & tested["probability"].notna()]
    assert (metrics["n"]["subjects"], metrics["n"]["evaluable"]) == (12, 10)
    assert metrics["auc"]["value"] == pytest.approx(roc_auc_score(known["outcome"], known["probability"]))
    assert sum(metrics["threshold"]["confusion"].values()) == 10
    assert "auc_calibrated" in metrics["pooled"]
    # age and sex would have to be fitted on those who are tested
    assert json.loads((tmp_path / "protocol.json").read_text("utf-8"))["contrast"] == "mci2"
    assert metrics["contrasts"]["primary"]["name"] == "mci2"


def test_a_model_is_not_evaluated_on_its_own_subjects(
    finished: Path, developed: Any, toys: ModuleType, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        evaluate(finished, developed.store, tmp_path, toys.STUDY)
    assert str(caught.value) == (
        f"The classifier of the model in {finished} has learnt from 48 of 48 subjects with outcome in "
        f"{developed.store.root}; evaluate it on others. Its own are predicted in the folds of the stage classify."
    )


def test_a_model_is_not_evaluated_on_its_own_films_under_another_key(
    finished: Path, developed: Any, toys: ModuleType, tmp_path: Path
) -> None:
    store = renamed(developed.store, tmp_path / "store")
    with pytest.raises(InputError) as caught:
        evaluate(finished, store, tmp_path, toys.STUDY)
    assert str(caught.value) == (
        f"The classifier of the model in {finished} has learnt from 48 of 48 films of subjects with "
        f"outcome in {store.root}; "
        "evaluate it on others. Its own are predicted in the folds of the stage classify."
    )


def with_outcome_of(store: Store, root: Path, subject: str, key: str) -> Store:
    """Another hospital's store, of another key, in which one of the model's unlabelled subjects now has an outcome."""
    other = renamed(store, root)
    films = other.manifest.assign(pixels_sha256=[f"new {key}" for key in other.manifest["key"]])
    mine = store.manifest["subject"] == subject
    films.loc[mine, "pixels_sha256"] = store.manifest.loc[mine, "pixels_sha256"]
    films.loc[mine, "subject"] = key
    other.commit(films, other.annotations, other.exclusions)
    row = other.outcomes.iloc[[0]].assign(subject=key)
    other.write_outcomes(pd.concat([other.outcomes, row], ignore_index=True))
    return other


@pytest.mark.parametrize("name", ["t-another", "s1050"])
def test_a_model_is_not_evaluated_on_whom_its_segmenter_learnt_from(
    finished: Path, developed: Any, toys: ModuleType, tmp_path: Path, name: str
) -> None:
    """Known by the film under another store's pseudonym, or by the pseudonym."""
    store = with_outcome_of(developed.store, tmp_path / "store", "s1050", name)
    with pytest.raises(InputError, match=r"The segmenter of the model in .* from masks of 1 of 49 subjects"):
        evaluate(finished, store, tmp_path, toys.STUDY)


def test_whom_pretraining_alone_has_met_is_a_warning(
    finished: Path, new_store: Store, toys: ModuleType, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(finished, model)
    document = json.loads((model / "model.json").read_text("utf-8"))
    assert document["seen"]["encoder"] == {"subjects": [], "pixels": []}  # an encoder as it was initialised
    met = new_store.manifest[new_store.manifest["subject"].isin(["s2003", "s2004", "s2013"])]
    document["seen"]["encoder"] = written(met)
    (model / "model.json").write_text(json.dumps(document))
    line = evaluate(model, new_store, tmp_path, toys.STUDY)
    assert "2 of 12 subjects with outcome were among the films that pretrained the encoder" in line
    found = json.loads((tmp_path / "metrics.json").read_text("utf-8"))["met_before"]
    assert [(one["part"], one["subjects"], one["of"]) for one in found] == [
        ("encoder", 2, 12)
    ]  # s2013 has none


def test_a_child_by_the_outcomes_age_alone_gets_no_probability(
    finished: Path, toys: ModuleType, tmp_path: Path
) -> None:
    store: Store = toys.make_store(tmp_path / "store", subjects=9, unlabelled=0, seed=8)
    films = store.manifest.assign(age_years=float("nan"))  # as of PNG and JPEG
    store.commit(films, store.annotations, store.exclusions)
    ages = [60.0, 60.0, 60.0, 12.0, *[60.0] * 5]
    store.write_outcomes(store.outcomes.assign(age_years=ages))
    for number, stage in enumerate((predict, evaluate)):
        folder = tmp_path / str(number)
        folder.mkdir()
        stage(finished, store, folder, toys.STUDY)
        subjects = read_table(folder / "subjects.parquet", SUBJECTS).set_index("subject")
        assert np.isnan(subjects.loc["s8003", "probability"])
        assert subjects.loc[["s8001", "s8002", "s8004"], "probability"].notna().all()
        reasons = read_table(folder / "evaluable.parquet", EVALUABLE).set_index("subject")["reason"]
        assert reasons["s8003"] == "outside the intended population"


def test_films_of_children_get_embeddings_but_no_probability(
    finished: Path, new_store: Store, toys: ModuleType, tmp_path: Path
) -> None:
    predict(finished, new_store, tmp_path, toys.STUDY, population="child")
    regions = read_table(tmp_path / "regions.parquet", REGIONS)
    assert not regions["evaluable"].any() and regions["probability"].isna().all()
    assert set(read_table(tmp_path / "evaluable.parquet", EVALUABLE)["reason"]) == {
        "outside the intended population"
    }
    assert len(read_table(tmp_path / "embeddings.parquet", EMBEDDINGS)) > 20


def test_embed_gives_vectors_and_says_why_nothing_more(
    developed: Any, toys: ModuleType, tmp_path: Path
) -> None:
    embed(developed.store, developed.segmentation, developed.encoder, tmp_path, toys.CONFIG, toys.STUDY)
    embeddings = read_table(tmp_path / "embeddings.parquet", EMBEDDINGS)
    assert len(embeddings) == developed.segmentation.regions["found"].sum()
    assert np.isfinite(np.stack(embeddings["vector"].tolist())).all()
    reasons = read_table(tmp_path / "evaluable.parquet", EVALUABLE).set_index("subject")["reason"]
    assert (reasons["s1000"], reasons["s1001"]) == ("no region found", "outside the intended population")
    assert reasons["s1002"] == "no outcomes to learn from"
    subjects = read_table(tmp_path / "subjects.parquet", SUBJECTS)
    assert set(subjects["prediction"]) == {-1} and len(subjects) == 56


def test_another_study_and_another_kind_of_model_are_refused(
    finished: Path, developed: Any, new_store: Store, toys: ModuleType, tmp_path: Path
) -> None:
    with pytest.raises(
        InputError, match=r"has study.positive osteoporosis, but study.positive is fracture\."
    ):
        predict(finished, new_store, tmp_path, replace(toys.STUDY, positive="fracture"))
    with pytest.raises(
        InputError, match=r"holds a model of kind encoder and format 1, but must hold a finished"
    ):
        predict(developed.encoder, new_store, tmp_path, toys.STUDY)
    with pytest.raises(InputError, match=r"must hold a finished model, but has no model\.json"):
        predict(tmp_path, new_store, tmp_path, toys.STUDY)
    with pytest.raises(InputError, match=r"holds no outcome of a subject with a film"):
        store = toys.make_store(tmp_path / "bare", subjects=0, unlabelled=2, seed=6)
        evaluate(finished, store, tmp_path, toys.STUDY)
