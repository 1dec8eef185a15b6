"""What a finished demo leaves: tables by their schemas, a model that reads new films, children without probability."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.__main__ import main
from jobs.classify import classify
from jobs.compose import settings_for
from jobs.flow import Flow
from jobs.pretrain import pretrain
from jobs.registry import JOBS
from jobs.report import report
from jobs.segment import segment
from jobs.train_segmenter import train_segmenter
from pipelines.outcomes.rule import parse_rule
from storage import schemas
from storage.manifest import Store
from storage.tables import read_table

pytestmark = pytest.mark.slow


def test_tables_follow_their_schemas(small_demo: Any) -> None:
    report = small_demo.out / "report"
    subjects = read_table(report / "subjects.parquet", schemas.SUBJECTS)
    read_table(report / "regions.parquet", schemas.REGIONS)
    store = Store.open(small_demo.out / "store")
    assert set(subjects["subject"]) == set(store.outcomes["subject"])
    assert set(store.manifest["data_kind"]) == {"phantom"}
    assert "PHANTOM DATA" in (report / "report.html").read_text()


def test_every_stage_says_how_it_was_made(small_demo: Any) -> None:
    for stage in ("ingest", "train-segmenter", "segment", "pretrain", "classify", "report"):
        done = json.loads((small_demo.out / stage / "DONE.json").read_text())
        provenance = json.loads((small_demo.out / stage / "provenance.json").read_text())
        assert done["format"] == 1 and done["summary"]
        assert provenance["stage"] == stage and provenance["seconds"] >= 0


def test_a_finished_model_reads_new_films_and_refuses_its_own(
    small_demo: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, store, out = tmp_path / "raw", tmp_path / "store", tmp_path / "out"
    model = small_demo.out / "classify"
    assert (
        main(f"phantoms out={raw} subjects=8 unlabelled=0 height=256 width=200 annotators=0 seed=7".split())
        == 0
    )
    assert main(f"ingest raw={raw}/films outcomes={raw}/outcomes.csv store={store}".split()) == 0
    capsys.readouterr()
    assert main(f"predict model={model} store={store} out={out}".split()) == 0
    assert "(probability at least 0." in capsys.readouterr().err
    predicted = read_table(out / "predict" / "subjects.parquet", schemas.SUBJECTS)
    assert len(predicted) == 8 and set(predicted["threshold"]) == {predicted["threshold"].iloc[0]}
    assert main(f"evaluate model={model} store={store} out={out}".split()) == 0
    assert "; at the frozen threshold of 0." in capsys.readouterr().err
    assert main(f"report store={store} out={out}".split()) == 0
    shown = json.loads((out / "report" / "metrics.json").read_text())
    found, films = shown["segmentation"], shown["films"]
    assert found["films"] == films["worst_shown"] + films["rest_shown"] >= 8
    assert (found["films_tested"], found["films_trained_on"]) == (0, 0)
    evaluated = read_table(out / "evaluate" / "subjects.parquet", schemas.SUBJECTS)
    np.testing.assert_array_equal(evaluated["probability"], predicted["probability"])
    capsys.readouterr()
    assert main(f"evaluate model={model} store={small_demo.out}/store out={tmp_path}/again".split()) == 2
    assert "has learnt from 24 of 24 subjects" in capsys.readouterr().err


def test_a_corrected_outcome_reruns_what_reads_it_alone(
    small_demo: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither segmenter nor encoder learns again for one T-score, nor for another rule."""
    out = tmp_path / "out"
    shutil.copytree(small_demo.out, out)
    store = Store.open(out / "store")
    words = [word for word in small_demo.words if "=" in word]
    for change, study in (("value", "study.outcome_rule=<= -2.5"), ("rule", "study.outcome_rule=<= -2.0")):
        settings = settings_for(JOBS["demo"], [*words, f"out={out}", study])
        outcomes = store.outcomes.copy()
        outcomes.loc[0, "t_score"] -= 0.01
        rule = parse_rule(settings.study.outcome_rule)
        outcomes = outcomes.assign(outcome=outcomes["t_score"].map(rule.outcome), rule=rule.text)
        store.write_outcomes(outcomes, store.outcome_exclusions)
        flow, root = Flow(out, settings), out / "store"
        capsys.readouterr()
        train_segmenter(flow, root)
        segment(flow, root, out / "train-segmenter")
        pretrain(flow, root)
        said = capsys.readouterr().err
        assert said.count("skipped, nothing changed") == 3, (change, said)
        classify(flow, root)
        report(flow, root)
        said = capsys.readouterr().err
        assert said.count("runs again, changed: ") == 2, (change, said)
        assert "skipped" not in said


def test_children_get_overlays_and_embeddings_but_no_probability(small_demo: Any, tmp_path: Path) -> None:
    raw, store, out = tmp_path / "raw", tmp_path / "store", tmp_path / "out"
    words = "subjects=0 unlabelled=4 population=child height=256 width=200 annotators=0 format=png"
    assert main([*f"phantoms out={raw} {words}".split()]) == 0
    shutil.rmtree(raw / "annotations")
    run = f"run raw={raw}/films store={store} out={out} segmenter={small_demo.out}/train-segmenter population=child"
    pretraining = [word for word in small_demo.words if word.startswith("pretraining.")]
    assert main([*run.split(), *pretraining, "classification.input_size=48"]) == 0
    assert (out / "classify" / "embeddings.parquet").is_file()
    assert read_table(out / "classify" / "subjects.parquet", schemas.SUBJECTS)["probability"].isna().all()
    page = (out / "report" / "report.html").read_text()
    assert "outside the intended population" in page.lower()
