"""From objects of a fluoroscopy room to the paper's table, small: split by woman, resumed, the same again."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from jobs.compose import settings_for
from jobs.flow import Flow
from jobs.registry import JOBS
from jobs.sweep_results import classify_films as classify_trial
from pipelines.classification.exams import FilmSet, exam_outcomes, exam_table, labelled_films, unmet
from pipelines.classification.film_classify import classify_films
from pipelines.classification.film_maps import as_cropped
from pipelines.classification.film_model import FilmNet, load_net, views
from pipelines.classification.film_predict import evaluate_films, predict_films
from pipelines.classification.film_trial import at_level, split_films
from pipelines.classification.hsg_losses import (
    PREDICTIONS,
    hsg_trial,
    measures,
    pr_figure,
)
from pipelines.classification.rows import OUTSIDE
from pipelines.classification.supervised import FilmLearner, check_input
from pipelines.classification.supervised_config import SupervisedConfig
from pipelines.config import StudyConfig
from pipelines.ingest.run import ingest
from pipelines.phantoms.config import PhantomsConfig
from pipelines.phantoms.hsg.cohort import exams_of, write_cohort
from pipelines.pretraining.backbone import build_backbone
from pipelines.training.loop import save_weights
from pipelines.training.session import LocalSession
from storage.config import IngestConfig
from storage.errors import ConfigError, InputError
from storage.manifest import Store
from storage.schemas import EVALUABLE, EXAMS, REGIONS
from storage.tables import read_table

STUDY = StudyConfig(
    name="hsg",
    regions=["whole"],
    positive="occlusion",
    outcome_column="occlusion",
    outcome_rule="any_tube",
    unit="exam",
    films="mid2",
    minimum_age_years=0,
)
PHANTOMS = PhantomsConfig(subjects=26, unlabelled=1, height=64 + 32, effect="demo", seed=11)
TINY: dict[str, Any] = {
    "backbone": "resnet10t",
    "input_size": 32,
    "steps": 6,
    "head_steps": 6,
    "batch_size": 8,
    "warmup_steps": 1,
    "checkpoint_every_steps": 2,
    "loader_workers": 0,
}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hsg")
    write_cohort(out / "raw", PHANTOMS)
    # the two in the middle by hand: the table that the phantoms come with
    config = IngestConfig(overrides=str(out / "raw" / "frames.csv"))
    ingest(
        out / "raw" / "films",
        out / "store",
        config,
        STUDY,
        outcomes=out / "raw" / "outcomes.csv",
        annotations=out / "raw" / "annotations",
    )
    return out


@pytest.fixture
def films(cohort: Path) -> FilmSet:
    return labelled_films(Store.open(cohort / "store"), STUDY, 32)


def test_frames_by_table_and_outcomes_by_exam(cohort: Path, films: FilmSet) -> None:
    store = Store.open(cohort / "store")
    exams = [exam for number in range(27) for exam in exams_of(PHANTOMS, number)]
    assert len(store.manifest) == 2 * len(exams)
    assert set(store.exclusions["reason"]) <= {"excluded", "not_selected", "wrong_modality", "no_film"}
    known = [e for n in range(26) for e in exams_of(PHANTOMS, n) if e.occluded is not None]
    assert sorted(exam_outcomes(store, STUDY).values()) == sorted(e.occluded for e in known)
    assert len(films.rows) == 2 * len(known)
    assert (films.rows.groupby(["subject", "exam"])["outcome"].nunique() == 1).all()
    assert set(store.manifest["data_kind"]) == {"phantom"} and set(store.manifest["modality"]) <= {"XA", "RF"}


def test_women_are_split_never_films(cohort: Path, films: FilmSet) -> None:
    manifest = Store.open(cohort / "store").manifest
    parts = split_films(films, SupervisedConfig(seed=2024), manifest)
    women = [set(part.rows["subject"]) for part in parts]
    assert sum(map(len, women)) == len(set.union(*women)) == films.rows["subject"].nunique()
    assert [set(part.outcome_N) for part in parts] == [{0, 1}] * 3
    # by default the seed changes weights, not who is tested
    again = split_films(films, SupervisedConfig(seed=2025), manifest)
    assert set(again[2].rows["subject"]) == women[2]
    other = split_films(films, SupervisedConfig(seed=2025, seed_controls="both"), manifest)
    assert set(other[2].rows["subject"]) != women[2]


def test_exams_and_outcomes_that_do_not_meet_are_counted(cohort: Path, tmp_path: Path) -> None:
    shutil.copytree(cohort / "store", tmp_path / "store")
    store = Store.open(tmp_path / "store")
    before, rows = exam_table(store), store.outcomes
    several = before.groupby("subject").filter(lambda own: len(own) > 1)["subject"].iloc[0]
    lost = rows.iloc[:1]  # its exam keeps its films and loses its outcome
    nowhere = lost.assign(exam="an exam that nobody filmed")
    unnamed = rows[rows["subject"] == several].iloc[:1].assign(exam="")
    store.write_outcomes(pd.concat([rows.iloc[1:], nowhere, unnamed]))
    store = Store.open(tmp_path / "store")
    assert unmet(store) == {"no film of the exam": 1, "no exam named, and the woman has several": 1}
    after = exam_table(store)
    assert len(after) == len(before) and (after["outcome"] == -1).sum() == (before["outcome"] == -1).sum() + 1
    assert len(exam_outcomes(store, STUDY)) == (before["outcome"] != -1).sum() - 1


def test_a_finished_model_reads_films_as_its_stage_did(cohort: Path, tmp_path: Path) -> None:
    store, config = Store.open(cohort / "store"), SupervisedConfig(**TINY)
    classify_films(store, tmp_path / "model", config, STUDY, LocalSession())
    said = read_table(tmp_path / "model" / "regions.parquet", REGIONS).set_index("key")["probability"]
    predict_films(tmp_path / "model", store, tmp_path / "new", STUDY)
    read = read_table(tmp_path / "new" / "regions.parquet", REGIONS).set_index("key")["probability"]
    assert len(read) == len(store.manifest) > len(said)
    np.testing.assert_allclose(read[said.index], said, rtol=1e-6)
    with pytest.raises(InputError, match=r"has learnt from \d+ of \d+ subjects with outcome"):
        evaluate_films(tmp_path / "model", store, tmp_path / "evaluated", STUDY)
    evaluated_again(store, tmp_path, exams=read_table(tmp_path / "model" / "exams.parquet", EXAMS))
    settings = json.loads((tmp_path / "model" / "model.json").read_text())
    settings["supervised"]["backbone"] = "resnet18"
    (tmp_path / "model" / "model.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match="are not those of resnet18"):
        predict_films(tmp_path / "model", store, tmp_path / "other", STUDY)


def evaluated_again(store: Store, place: Path, exams: pd.DataFrame) -> None:
    """The women who tested a model, in a store of their own, may test it again, and are known."""
    women = set(exams.loc[exams["split"] == "test", "subject"])
    shutil.copytree(store.root, place / "theirs")
    theirs = Store.open(place / "theirs")
    theirs.commit(
        theirs.manifest[theirs.manifest["subject"].isin(women)], theirs.annotations[:0], theirs.exclusions
    )
    theirs.write_outcomes(theirs.outcomes[theirs.outcomes["subject"].isin(women)])
    line = evaluate_films(place / "model", theirs, place / "again", STUDY)
    assert f"; {len(women)} of {len(women)} subjects with outcome tested this model in the study" in line
    (met,) = json.loads((place / "again" / "metrics.json").read_text())["met_before"]
    assert (met["part"], met["subjects"], met["of"]) == ("test", len(women), len(women))


def test_the_young_neither_train_nor_test_nor_get_a_probability(cohort: Path, tmp_path: Path) -> None:
    store = Store.open(cohort / "store")
    ages = store.manifest.set_index("key")["age_years"].astype(float)
    study = replace(STUDY, minimum_age_years=float(ages.min()) + 0.5)
    young = set(ages.index[ages < study.minimum_age_years])
    films = labelled_films(store, study, 32)
    assert young and not young & set(films.rows["key"]) and len(films.images_NSS) == len(films.rows)
    classify_films(store, tmp_path / "model", SupervisedConfig(**TINY), study, LocalSession())
    predict_films(tmp_path / "model", store, tmp_path / "new", study)
    read = read_table(tmp_path / "new" / "evaluable.parquet", EVALUABLE).set_index("key")
    assert set(read.index[~read["evaluable"]]) == young
    assert set(read["reason"][~read["evaluable"]]) == {OUTSIDE}
    counts = json.loads((tmp_path / "new" / "flow.json").read_text())["counts"]
    assert counts["outside"]["films"] == len(young) and counts["new"]["films"] == len(read) - len(young)


def test_a_size_that_the_backbone_does_not_take_is_refused_before_any_film_is_read() -> None:
    with pytest.raises(
        ConfigError, match=r"^supervised\.backbone=vit_tiny_patch16_224 takes no images of 96 x 96"
    ):
        check_input(SupervisedConfig(backbone="vit_tiny_patch16_224", input_size=96))


def test_too_few_women_of_a_class_are_refused(films: FilmSet, cohort: Path) -> None:
    positive = films.rows[films.rows["outcome"] == 1]["subject"].unique()
    few = films.of(set(films.rows["subject"]) - set(positive[6:]))
    with pytest.raises(
        ConfigError, match=r"need at least 7 women of each class.* but 6 of \d+ have outcome 1"
    ):
        split_films(few, SupervisedConfig(), Store.open(cohort / "store").manifest)


@pytest.mark.parametrize("supcon", [False, True])
def test_a_trial_is_a_function_of_its_parameters(cohort: Path, tmp_path: Path, supcon: bool) -> None:
    params = {"store": cohort / "store", "study": STUDY, "supcon": supcon, "loss": "asl", **TINY}
    rows = hsg_trial({**params, "out": tmp_path / "one"})
    assert [row["level"] for row in rows] == ["film", "exam"]
    assert {row["method"] for row in rows} == {"SupCon+ASL" if supcon else "ASL"}
    assert rows[0]["n"] == 2 * rows[1]["n"] and 0 <= rows[0]["auprc"] <= 1
    assert hsg_trial({**params, "out": tmp_path / "two"}) == rows
    # trained already: the same result, from its checkpoints
    before = (tmp_path / "one" / PREDICTIONS).read_bytes()
    assert hsg_trial({**params, "out": tmp_path / "one"}) == rows
    assert (
        (tmp_path / "one" / PREDICTIONS).read_bytes()
        == before
        == (tmp_path / "two" / PREDICTIONS).read_bytes()
    )


def test_the_papers_protocol_says_so(cohort: Path, tmp_path: Path) -> None:
    params = {"store": cohort / "store", "study": STUDY, "out": tmp_path, "protocol": "paper", **TINY}
    rows = hsg_trial(params)
    assert {row["protocol"] for row in rows} == {"paper"} and {row["threshold"] for row in rows} == {0.5}
    assert {row["warning"] for row in rows} == {"selected on the test set, optimistic"}
    assert json.loads((tmp_path / "trial.json").read_text()) == rows


def test_a_truth_lies_where_its_film_lies() -> None:
    truth_HW = np.zeros((40, 20), np.bool_)
    truth_HW[:, 10:] = True
    expected_SS = np.zeros((40, 40), np.bool_)
    expected_SS[:, 20:30] = True  # a film of 20 columns lies in the columns 10 to 29 of the square
    assert np.array_equal(as_cropped(truth_HW, 40), expected_SS)
    assert not as_cropped(np.zeros((40, 20), np.bool_), 40).any()


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^A trial of hsg_losses has no parameter gamma\.$"):
        hsg_trial({"gamma": 1})


def predictions() -> pd.DataFrame:
    outcome = [1, 1, 0, 0, 0, 0]
    probability = [0.9, 0.3, 0.4, 0.2, 0.1, 0.2]
    names = {"subject": list("aabbcc"), "exam": ["e"] * 6, "key": list("uvwxyz")}
    return pd.DataFrame({**names, "outcome": outcome, "probability": probability})


def test_measures_at_both_levels() -> None:
    film = measures(predictions(), 0.35)
    assert (film["precision"], film["recall"], film["f1"]) == (0.5, 0.5, 0.5)
    assert film["accuracy"] == pytest.approx(4 / 6) and film["majority_accuracy"] == pytest.approx(4 / 6)
    assert film["auprc"] == pytest.approx((1 + 2 / 3) / 2)
    exam = measures(at_level(predictions(), "exam"), 0.5)
    assert (exam["n"], exam["positive"], exam["f1"], exam["auprc"]) == (3, 1, 1, 1)
    nobody = measures(predictions(), 0.95)
    assert nobody["precision"] is None and nobody["recall"] == 0


def test_pr_curves_are_one_figure(tmp_path: Path) -> None:
    curves = {method: [predictions()] * 3 for method in ("CE", "Focal", "ASL", "SupCon+ASL")}
    first = pr_figure(tmp_path / "a.svg", curves, "PHANTOM DATA").read_text()
    assert first == pr_figure(tmp_path / "b.svg", curves, "PHANTOM DATA").read_text()
    assert (
        "PHANTOM DATA" in first and all(method in first for method in curves) and "prevalence 0.33" in first
    )


def test_pr_curves_differ_in_color_or_style(tmp_path: Path) -> None:
    for methods in (("CE", "Focal", "SupCon+CE", "SupCon+Focal"), ("ce", "focal", "asl", "supcon-ce")):
        curves = {method: [predictions()] for method in methods}
        drawn = pr_figure(tmp_path / "a.svg", curves, "").read_text()
        styles = re.findall(r'<path d="[^"]+" clip-path="[^"]+" style="([^"]*stroke: #[^"]+)"', drawn)
        assert len({style for style in styles if "#999999" not in style}) == len(methods)


def test_a_film_left_over_has_another_beside_it() -> None:
    images = np.random.default_rng(0).integers(0, 255, (3, 32, 32), np.uint8)
    films = FilmSet(pd.DataFrame({"key": list("abc"), "outcome": [0, 1, 0]}), images)
    learner = FilmLearner(FilmNet(SupervisedConfig(**TINY)), films, films, SupervisedConfig(**TINY))
    batch = learner.batch(np.array([2, 0]), np.array([1, 0], np.float32), epoch=0)
    assert len(batch["input"]) == 2 and not torch.equal(batch["input"][0], batch["input"][1])


@pytest.mark.parametrize("name", ["focal_gamma", "asl_positive", "asl_negative"])
def test_exponents_without_a_gradient_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"supervised.{name} must be 0 or at least 1, but is 0.5"):
        SupervisedConfig(**{name: 0.5})


def test_views_do_not_depend_on_the_batch() -> None:
    images = np.random.default_rng(0).integers(0, 255, (4, 32, 32), np.uint8)
    together = views(images, np.arange(4), 1, 5, 2)
    alone = views(images[2:3], np.array([2]), 1, 5, 2)
    assert together.shape == (8, 1, 32, 32)
    torch.testing.assert_close(together[[2, 6]], alone)
    assert (views(images, np.arange(4), 1, 6, 2) != together).any()


def test_embeddings_have_the_papers_sizes() -> None:
    model = FilmNet(SupervisedConfig())
    assert (model.encoder.reduce.in_features, model.encoder.reduce.out_features) == (1280, 128)


def test_trials_that_differ_in_the_head_alone_share_supcons_encoder(cohort: Path, tmp_path: Path) -> None:
    store = cohort / "store"

    def trial(name: str, *words: str, twins: tuple[str, ...] = ()) -> Path:
        typed = ["sweep=hsg_losses", "study=hsg", f"store={store}", f"out={tmp_path / name}"]
        typed += [f"supervised.{key}={value}" for key, value in (TINY | {"supcon": True}).items()]
        settings = settings_for(JOBS["sweep"], [*typed, *(f"supervised.{word}" for word in words)])
        return classify_trial(Flow(tmp_path / name, settings), store, [tmp_path / twin for twin in twins])

    def curve(folder: Path) -> bytes:
        """With the time of every step: no two trainings leave the same."""
        return (folder / "supcon" / "metrics.jsonl").read_bytes()

    ce, alone = trial("ce", "loss=ce"), trial("alone", "loss=focal")
    shared = trial("shared", "loss=focal", "focal_gamma=2", twins=("none", "ce"))
    assert curve(shared) == curve(ce) != curve(alone)
    assert (shared / PREDICTIONS).read_bytes() == (alone / PREDICTIONS).read_bytes()
    assert (shared / PREDICTIONS).read_bytes() != (ce / PREDICTIONS).read_bytes()
    other = trial("other", "loss=focal", "seed=7", twins=("ce",))
    assert curve(other) != curve(ce)


def test_a_film_model_begins_from_weights_of_ones_own(cohort: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    own, store = build_backbone("resnet10t", 3), Store.open(cohort / "store")
    save_weights(own, tmp_path / "mine.safetensors")
    asked = {
        "initial_weights": str(tmp_path / "mine.safetensors"),
        "channels": 3,
        "lr": 1e-9,
        "weight_decay": 0.0,
    }
    config = SupervisedConfig(**TINY | asked)
    classify_films(store, tmp_path / "model", config, STUDY, LocalSession())
    weights = dict(load_net(tmp_path / "model", config).encoder.backbone.named_parameters())
    for name, value in own.named_parameters():
        torch.testing.assert_close(weights[name], value, rtol=0, atol=1e-6)
    written = json.loads((tmp_path / "model" / "model.json").read_text())["supervised"]
    assert written["initial_weights"].startswith("sha256:")
    with pytest.raises(InputError, match=r"they are for 3 channels; set supervised\.channels=3"):
        gray = SupervisedConfig(**TINY | asked | {"channels": 1})
        classify_films(store, tmp_path / "gray", gray, STUDY, LocalSession())
