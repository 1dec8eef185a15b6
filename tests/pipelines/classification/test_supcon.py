"""SupCon by the command line's functions: an encoder per fold, blind to whom it is tested on; the same after a kill."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from jobs.classify import classify
from jobs.compose import settings_for
from jobs.flow import Flow
from jobs.pretrain import check_method, pretrain
from jobs.progress import shown
from jobs.registry import JOBS
from pipelines.classification import regress
from pipelines.classification.finished import FinishedModel
from pipelines.classification.supervised_config import SupervisedConfig
from pipelines.classification.supervision import learnt_from
from pipelines.evaluation.protocols import evaluate_subjects
from pipelines.progress import Progress
from pipelines.training.seen import Seen, seen_by
from storage.errors import InputError
from storage.manifest import Store
from storage.schemas import FOLDS, INNER, SCORES, SPLITS, SUBJECTS
from storage.tables import read_table

SMALL = ["method=supcon", "backbone=test_resnet", "steps=4", "batch_size=16", "warmup_steps=1", "bf16=false"]
SMALL += ["checkpoint_every_steps=1", "threads=1", "crop_pixels=40", "global_size=32", "local_size=32"]
SMALL += ["num_local=1", "projection_hidden=16", "projection_size=8", "splits.folds=2", "splits.repeats=1"]
SUPERVISED = SupervisedConfig(
    steps=6, warmup_steps=1, batch_size=16, loss="ce", checkpoint_every_steps=2, threads=1
)
FOLD = ["repeat-0-fold-0", "repeat-0-fold-1"]
ENCODERS = [*FOLD, "."]

Place = Callable[..., Flow]


def flow_in(developed: Any, toys: ModuleType, place: Path, out: str, *words: str, watch: Any = shown) -> Flow:
    """A flow into place/out, of the toys' study, whose segmenter has segmented place/store."""
    typed = [f"store={place}/store", f"out={place / out}", *SMALL, *words]
    settings = settings_for(JOBS["pretrain"], typed)
    settings = replace(settings, study=toys.STUDY, classification=replace(toys.CONFIG, l2=[0.1]))
    segmented = {"model_id": developed.segmentation.model_id, "model": str(developed.segmenter)}
    (place / out / "segment").mkdir(parents=True, exist_ok=True)
    (place / out / "segment" / "segmentation.json").write_text(json.dumps(segmented))
    return Flow(place / out, settings, watch)


@pytest.fixture(scope="module")
def trained(developed: Any, toys: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with store and out, in which SupCon has been trained in two folds; tests only read it."""
    place = tmp_path_factory.mktemp("trained")
    shutil.copytree(developed.store.root, place / "store")
    shutil.rmtree(place / "store" / "splits", ignore_errors=True)  # other tests deal more folds
    pretrain(flow_in(developed, toys, place, "out"), place / "store")
    return place


@pytest.fixture
def place(trained: Path, developed: Any, toys: ModuleType, tmp_path: Path) -> Place:
    """place(out, *words) -> a flow into tmp_path/out; tmp_path holds copies of store and out."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return partial(flow_in, developed, toys, tmp_path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The store of `place`."""
    return tmp_path / "store"


def weights(flow: Flow) -> list[bytes]:
    """Of every fold's encoder and of the finished model's."""
    return [(flow.out / "pretrain" / name / "model.safetensors").read_bytes() for name in ENCODERS]


def test_a_folds_encoder_does_not_hang_on_the_outcomes_of_whom_it_is_tested_on(
    place: Place, root: Path
) -> None:
    flow = place("out")
    known = {name: set(learnt_from(flow.out / "pretrain" / name / "subjects.parquet")) for name in ENCODERS}
    splits = read_table(next((root / "splits").glob("folds-*.parquet")), SPLITS)
    tested = [
        set(splits.loc[(splits["fold"] == fold) & (splits["split"] == "test"), "subject"]) for fold in (0, 1)
    ]
    assert tested[0] | tested[1] == set(Store.open(root).outcomes["subject"])
    for name, test in zip(FOLD, tested, strict=True):
        assert not known[name] & test
        assert len(known[name]) == 18  # of 24, the rest are held back
        films = Store.open(root).manifest.set_index("subject", drop=False)
        seen = Seen.of(seen_by(flow.out / "pretrain" / name, "encoder"))
        unlabelled = sorted(set(films["subject"]) - tested[0] - tested[1])
        assert seen.among(films.loc[sorted(test)]) == 0
        assert seen.among(films.loc[sorted(known[name])]) >= 16  # a film is empty, another too badly drawn
        assert seen.among(films.loc[unlabelled]) == len(unlabelled) == 8
    assert len(known["."]) == 36

    store = Store.open(root)
    outcomes = store.outcomes.copy()
    of_fold = outcomes["subject"].isin(tested[0])
    outcomes.loc[of_fold, "outcome"] = outcomes.loc[of_fold, "outcome"].to_numpy()[::-1]
    assert not outcomes["outcome"].equals(store.outcomes["outcome"])
    store.write_outcomes(outcomes)
    other = place("permuted")
    pretrain(other, root)
    same = [one == two for one, two in zip(weights(flow), weights(other), strict=True)]
    assert same == [True, False, False]


def test_killed_in_the_midst_of_a_fold_it_goes_on_bit_for_bit(
    place: Place, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Killed(BaseException):
        pass

    def until(last: int) -> Callable[[str], AbstractContextManager[Progress]]:
        @contextmanager
        def watch(stage: str) -> Iterator[Progress]:
            def progress(done: int, total: int, note: str) -> None:
                if "loss" in note and done == last:
                    raise Killed

            yield progress

        return watch

    killed = place("killed", watch=until(4 + 3))  # after step 3 of the second encoder, before its checkpoint
    with pytest.raises(Killed):
        pretrain(killed, root)
    first = killed.out / "pretrain" / FOLD[0] / "model.safetensors"
    before = first.stat().st_mtime_ns
    checkpoints = killed.out / "pretrain" / FOLD[1] / "checkpoints"
    assert sorted(path.name for path in checkpoints.iterdir()) == ["step-00000001", "step-00000002"]
    again = place("killed")
    pretrain(again, root)
    assert weights(again) == weights(place("out"))
    assert first.stat().st_mtime_ns == before
    assert not list((again.out / "pretrain").rglob("checkpoints"))
    capsys.readouterr()
    pretrain(again, root)
    assert (
        "skipped, nothing changed: 3 encoders, one for every fold and one for all" in capsys.readouterr().err
    )


def test_each_fold_is_read_by_its_own_encoder_and_chosen_on_whom_it_held_back(
    place: Place, root: Path
) -> None:
    flow = place("out")
    classified = classify(flow, root).path
    subjects = read_table(classified / "subjects.parquet", SUBJECTS)
    assert set(subjects["method"]) == {"supcon"} and len(subjects) == 48
    inner, folds = (
        read_table(classified / f"{name}.parquet", schema)
        for name, schema in (("inner", INNER), ("folds", FOLDS))
    )
    for fold, name in enumerate(FOLD):
        table = read_table(flow.out / "pretrain" / name / "subjects.parquet", SPLITS).set_index("subject")[
            "split"
        ]
        chosen_on = set(inner.loc[inner["fold"] == fold, "subject"])
        assert chosen_on and set(table[list(chosen_on)]) == {"validation"}
        assert folds.loc[folds["fold"] == fold, "train"].item() <= (table == "train").sum()
    assert np.isfinite(folds[["threshold", "slope", "intercept"]].to_numpy()).all()
    assert FinishedModel.load(classified).chosen.subjects <= 36  # it too is chosen on whom it held back
    finished, encoder = (
        load_file(folder / "model.safetensors") for folder in (classified, flow.out / "pretrain")
    )
    for part, tensor in encoder.items():
        np.testing.assert_array_equal(finished[f"encoder.{part}"], tensor)

    swapped = place("swapped")
    shutil.copytree(flow.out / "pretrain", swapped.out / "pretrain")
    shutil.copy(
        flow.out / "pretrain" / "model.safetensors", swapped.out / "pretrain" / FOLD[1] / "model.safetensors"
    )
    other = read_table(classify(swapped, root).path / "subjects.parquet", SUBJECTS)
    same = (
        subjects.set_index("subject")["probability"].sub(other.set_index("subject")["probability"]).abs()
        < 1e-12
    )
    tested = subjects.dropna(subset="probability").set_index("subject")["fold"]
    assert same[tested.index[tested == 0]].all() and not same[tested.index[tested == 1]].any()


def test_the_t_score_is_learnt_from_whom_the_encoder_was_denied(
    place: Place, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regress, "LEAST_SUBJECTS", 4)  # six are held back
    known = learnt_from(place("out").out / "pretrain" / FOLD[0] / "subjects.parquet")
    store, rng = Store.open(root), np.random.default_rng(0)
    predicted = []
    for out, whose in (("first", []), ("second", list(known)), ("third", list(store.outcomes["subject"]))):
        outcomes = store.outcomes
        if out == "first":
            outcomes = outcomes.assign(t_score=rng.normal(-2, 1, len(outcomes)))
        drawn_anew = outcomes["subject"].isin(whose)
        outcomes.loc[drawn_anew, "t_score"] = rng.normal(-2, 1, drawn_anew.sum())
        store.write_outcomes(outcomes)
        flow = place(out)
        shutil.copytree(root.parent / "out" / "pretrain", flow.out / "pretrain")
        scores = read_table(classify(flow, root).path / "scores.parquet", SCORES)
        predicted.append(scores.loc[scores["fold"] == 0, "predicted"].to_numpy())
    first, second, third = predicted
    assert len(first) >= 20
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(second, third)


def test_fine_tuning_begins_from_the_folds_own_encoder_and_trains_on_whom_it_knows(
    place: Place, root: Path
) -> None:
    flow = place("out")

    def tuned(out: str, second: str) -> Path:
        """Classified, the second fold's encoder having the weights of another folder."""
        begun = place(out)
        begun.settings.classification = replace(begun.settings.classification, encoder="fine_tuned")
        begun.settings.supervised = SUPERVISED
        shutil.copytree(flow.out / "pretrain", begun.out / "pretrain")
        weights_of = [flow.out / "pretrain" / second, begun.out / "pretrain" / FOLD[1]]
        shutil.copy(*(folder / "model.safetensors" for folder in weights_of))
        check_method(begun.settings)
        return classify(begun, root).path

    found = {name: tuned(f"tuned-{name}", name) for name in (FOLD[1], ".")}
    tables = [
        read_table(folder / "subjects.parquet", SUBJECTS).set_index("subject") for folder in found.values()
    ]
    assert set(tables[0]["method"]) == {"supcon, fine-tuned"}
    differ = (tables[0]["probability"] - tables[1]["probability"]).abs() > 1e-9
    read = tables[0]["probability"].notna()
    assert not differ[tables[0]["fold"] == 0].any() and differ[read & (tables[0]["fold"] == 1)].all()
    folds = read_table(found["."] / "folds.parquet", FOLDS)
    assert (folds["train"] <= 18).all()  # of 24: it is chosen on whom the encoder was denied


def test_encoders_of_other_splits_are_refused(place: Place, root: Path) -> None:
    for words, sentence in (
        (
            ["splits.seed=7"],
            r"repeat-0-fold-0 learnt from other subjects than those that train",
        ),
        (
            ["splits.repeats=2"],
            r"repeat-1-fold-0 holds no encoder for repeat-1-fold-0; run radmill",
        ),
    ):
        with pytest.raises(InputError, match=sentence):
            classify(place("out", *words), root)
    untrained = place("none", "method=none", "splits.seed=7")
    pretrain(untrained, root)
    assert classify(untrained, root).summary().startswith("AUC 0.")  # one encoder serves all splits


def test_the_papers_validation_subjects_are_held_back(place: Place, root: Path) -> None:
    flow = place("paper", "splits.protocol=paper")
    pretrain(flow, root)
    splits = read_table(next((root / "splits").glob("paper-*.parquet")), SPLITS).set_index("subject")["split"]
    known = learnt_from(flow.out / "pretrain" / FOLD[0] / "subjects.parquet")
    assert sorted(splits.index[splits == "train"]) == known
    subjects = read_table(classify(flow, root).path / "subjects.parquet", SUBJECTS)
    assert sorted(subjects["subject"]) == sorted(splits.index[splits == "test"])
    assert set(subjects["threshold"]) == {0.5}


def test_the_answers_to_imbalance_change_the_encoders(place: Place, root: Path) -> None:
    found = [weights(place("out"))]
    for word in ("class_balance=false", "supervised_minority=true"):
        flow = place(word, word)
        pretrain(flow, root)
        found.append(weights(flow))
    for encoders in zip(*found, strict=True):
        assert len(set(encoders)) == 3


@pytest.mark.slow
def test_outcomes_by_lot_predict_nobody(place: Place, root: Path) -> None:
    words = ["steps=100", "batch_size=32", "checkpoint_every_steps=100", "splits.folds=3", "splits.seed=7"]
    flow = place("null", *words)
    store = Store.open(root)
    lot = np.random.default_rng(5).permutation(store.outcomes["outcome"].to_numpy())
    store.write_outcomes(store.outcomes.assign(outcome=lot))
    pretrain(flow, root)
    subjects = read_table(classify(flow, root).path / "subjects.parquet", SUBJECTS)
    auc = evaluate_subjects(subjects, 1)["auc"]
    assert auc["low"] < 0.5 < auc["high"]


def test_by_the_papers_protocol_every_methods_encoder_sees_its_training_subjects_and_no_test_subject(
    place: Place, root: Path
) -> None:
    flow = place("simclr", "method=simclr", "splits.protocol=paper")
    assert pretrain(flow, root).summary().startswith("2 encoders, one for every fold and one for all")
    films = Store.open(root).manifest.set_index("subject", drop=False)
    splits = read_table(next((root / "splits").glob("paper-*.parquet")), SPLITS).set_index("subject")["split"]
    side = {name: films.loc[sorted(splits.index[splits == name])] for name in ("train", "validation", "test")}
    seen = Seen.of(seen_by(flow.out / "pretrain" / FOLD[0], "encoder"))
    assert seen.among(side["test"]) == seen.among(side["validation"]) == 0
    assert seen.among(side["train"]) >= len(set(side["train"]["subject"])) - 2  # two have no bone
    assert seen.among(films.drop(splits.index)) == 8
    everyone = Seen.of(seen_by(flow.out / "pretrain", "encoder"))
    assert everyone.among(side["test"]) > 0  # the finished model's
    subjects = read_table(classify(flow, root).path / "subjects.parquet", SUBJECTS)
    assert sorted(subjects["subject"]) == sorted(set(side["test"]["subject"]))
    assert set(subjects["method"]) == {"simclr"}
    one = place("all", "method=simclr", "splits.protocol=paper", "subjects=all")
    assert "encoders" not in pretrain(one, root).summary()
