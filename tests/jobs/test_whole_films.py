"""The whole way of an HSG study, small: phantoms, run, another cohort predicted and evaluated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jobs.__main__ import main
from storage.manifest import Store
from storage.schemas import EVALUABLE, EXAMS, REGIONS
from storage.tables import read_table

SMALL = [
    "supervised.backbone=resnet10t",
    "supervised.input_size=64",
    "supervised.steps=30",
    "supervised.warmup_steps=3",
    "supervised.batch_size=16",
]


def phantoms(raw: Path, women: int, seed: int) -> list[str]:
    """Make a cohort; the words that name its films."""
    words = f"study=hsg out={raw} subjects={women} unlabelled=1 height=96 effect=demo seed={seed}"
    assert main(["phantoms", *words.split()]) == 0
    return [
        f"raw={raw}/films",
        f"outcomes={raw}/outcomes.csv",
        f"annotations={raw}/annotations",
        f"ingest.overrides={raw}/frames.csv",
    ]


@pytest.mark.slow
def test_from_phantoms_to_the_page_and_to_other_women(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, out = tmp_path / "store", tmp_path / "run"
    words = ["study=hsg", *phantoms(tmp_path / "raw", 40, 2023), f"store={store}", f"out={out}", *SMALL]
    assert main(["run", *words]) in (0, 3)

    films = read_table(out / "classify" / "regions.parquet", REGIONS)
    exams = read_table(out / "classify" / "exams.parquet", EXAMS)
    assert set(films["split"]) == {"validation", "test"} and set(films["region"]) == {"whole"}
    means = films.groupby(["subject", "exam"])["probability"].mean()
    assert exams.set_index(["subject", "exam"])["probability"].to_numpy() == pytest.approx(means.to_numpy())
    read = read_table(out / "classify" / "evaluable.parquet", EVALUABLE)
    assert set(read["key"]) == set(Store.open(store).manifest["key"])
    assert set(read["reason"]) == {"", "trained the model", "no outcome of its exam"}

    metrics = json.loads((out / "report" / "metrics.json").read_text())
    counts = metrics["flow"]["counts"]
    for unit in ("women", "exams", "films"):
        assert sum(counts[part][unit] for part in ("train", "validation", "test")) == counts["read"][unit]
    assert counts["with_outcome"]["exams"] + counts["without_outcome"]["exams"] == counts["store"]["exams"]
    assert (
        metrics["evaluation"]["oracle"]["value"] <= 1 and metrics["evaluation"]["film"]["oracle"] is not None
    )
    assert metrics["maps"]["energy"] > 0 and metrics["films"]["worst"][0]["key"]
    page = (out / "report" / "report.html").read_text()
    assert "PHANTOM DATA" in page and "data:image/webp" in page

    capsys.readouterr()
    assert main(["run", *words]) in (0, 3)
    assert "classify         skipped" in capsys.readouterr().err
    check_other_women(tmp_path, out / "classify", store, capsys)


def check_other_women(tmp_path: Path, model: Path, own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A finished model reads a second cohort, and refuses to be evaluated on its own."""
    store, out = tmp_path / "other", tmp_path / "new"
    assert main(["ingest", "study=hsg", *phantoms(tmp_path / "raw2", 12, 7), f"store={store}"]) in (0, 3)
    words = ["study=hsg", f"model={model}", f"out={out}"]
    assert main(["predict", *words, f"store={store}"]) == 0
    predicted = read_table(out / "predict" / "exams.parquet", EXAMS)
    assert set(predicted["split"]) == {"new"} and set(predicted["outcome"]) == {-1}
    assert predicted["subject"].nunique() == 13  # those without an outcome are read too
    assert main(["evaluate", *words, f"store={store}"]) == 0
    evaluated: dict[str, Any] = json.loads((out / "evaluate" / "metrics.json").read_text())
    exams = read_table(out / "evaluate" / "exams.parquet", EXAMS)
    assert evaluated["n"]["rows"] == (exams["split"] == "test").sum() < len(exams)
    assert exams["probability"].to_numpy() == pytest.approx(predicted["probability"].to_numpy())
    assert len(list((store / "splits").glob("evaluation-*.parquet"))) == 1
    assert main(["report", "study=hsg", f"store={store}", f"out={out}"]) == 0
    shown = json.loads((out / "report" / "metrics.json").read_text())["evaluation"]
    for level in (shown, shown["film"]):
        assert level["oracle"]["value"] >= 0.5 and not level["oracle"]["alarm"]
    capsys.readouterr()
    assert main(["evaluate", *words, f"store={own}"]) == 2
    assert "has learnt from" in capsys.readouterr().err


def test_what_has_no_effect_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "films").mkdir()
    words = [
        "study=hsg",
        f"raw={tmp_path}/films",
        f"store={tmp_path}/s",
        f"out={tmp_path}/o",
        "splits.repeats=2",
    ]
    assert main(["run", *words]) == 2
    said = capsys.readouterr().err
    assert "splits.repeats=2 has no effect on study=hsg" in said and "supervised.seed_controls" in said


def test_the_plan_counts_women_by_their_tubes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "film.dcm").write_bytes(b"film")
    rows = ["w1,e1,patent,patent", "w1,e2,distal,patent", "w2,,patent,patent", "w3,,not_seen,patent"]
    (tmp_path / "sheet.csv").write_text("\n".join(["patient_id,exam,right,left", *rows]))
    words = (
        f"study=hsg raw={tmp_path}/films outcomes={tmp_path}/sheet.csv store={tmp_path}/s out={tmp_path}/o"
    )
    assert main(["plan", "run", *words.split()]) == 0
    told = capsys.readouterr().out
    assert "outcomes: 2 subjects, 1 positive" in told
    assert (
        "a fifth of the women tested once" in told and "folds" not in told and "train-segmenter" not in told
    )
    assert "1 woman of the rarer class, but classify needs 7" in told
