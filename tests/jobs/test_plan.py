"""The plan's counts and what they promise: never more than an AUC can be, and a warning before classify refuses."""

import re
from pathlib import Path

import pytest

from jobs.__main__ import main
from jobs.counts import auc_half_width
from jobs.steps import STEPS


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "film.dcm").write_bytes(b"film")
    return tmp_path / "raw"


def planned(raw: Path, t_scores: list[float], capsys: pytest.CaptureFixture[str], *more: str) -> str:
    sheet = raw.parent / "dxa.csv"
    lines = [f"p{number},{value}" for number, value in enumerate(t_scores)]
    sheet.write_text("\n".join(["patient_id,t_score", *lines]))
    words = [
        f"raw={raw}",
        f"annotations={raw}",
        f"outcomes={sheet}",
        f"store={raw.parent}/s",
        f"out={raw.parent}/o",
    ]
    assert main(["plan", "run", *words, *more]) == 0
    assert sorted(path.name for path in raw.parent.iterdir()) == ["dxa.csv", "raw"]
    return capsys.readouterr().out


def test_an_interval_ends_where_an_auc_does(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = planned(raw, [-3.0] * 6 + [-1.0] * 14, capsys)
    assert "outcomes: 20 subjects, 6 positive" in told
    assert "an AUC of 0.80 would have the 95 % interval 0.45 to 1.00" in told
    assert "WARNING" not in told


def test_without_outcomes_nothing_is_evaluated(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"raw={raw}", f"annotations={raw}", f"store={raw.parent}/s", f"out={raw.parent}/o"]
    assert main(["plan", "run", *words]) == 0
    told = capsys.readouterr().out
    assert "outcomes: none, so embeddings alone come out, no probability" in told
    assert "evaluation:" not in told and "pretrain: 14,000 steps" in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "pretrain: 14,000 steps of 128"),
        (
            ("pretraining.method=supcon",),
            "16 encoders, one for each of 15 folds and one for all, each of 14,000",
        ),
        (
            ("pretraining.method=supcon", "splits.protocol=paper"),
            "4 encoders, one for each of 3 folds and one for all, each of 14,000",
        ),
        (
            ("splits.protocol=paper",),
            "4 encoders, one for each of 3 folds and one for all, each of 14,000",
        ),
        (
            ("splits.protocol=paper", "pretraining.subjects=all"),
            "pretrain: 14,000 steps of",
        ),
        (
            ("pretraining.method=supcon", "splits.by=site", "splits.repeats=1"),
            "an encoder for each X-ray machine and one for all, each of 14,000",
        ),
    ],
)
def test_encoders_are_counted(
    words: tuple[str, ...], said: str, raw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in planned(raw, [-3.0] * 10 + [-1.0] * 20, capsys, *words)


@pytest.mark.parametrize("t_scores", [[-3.0], [-1.0], [-3.0, -1.0], [-3.0, -1.0, -1.0]])
def test_too_few_are_said_to_be_too_few(
    t_scores: list[float], raw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = planned(raw, t_scores, capsys)
    assert "expected precision: too few to say" in told
    assert "nan" not in told


@pytest.mark.parametrize(
    ("positives", "negatives", "warning"),
    [
        (3, 9, "WARNING: 5 folds, but only 3 positive: classify would refuse; set splits.folds=3"),
        (9, 4, "WARNING: 5 folds, but only 4 negative: classify would refuse; set splits.folds=4"),
        (1, 9, "WARNING: 5 folds, but only 1 positive: classify would refuse; more subjects are needed"),
    ],
)
def test_folds_that_outnumber_a_class_are_warned_of(
    positives: int, negatives: int, warning: str, raw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert warning in planned(raw, [-3.0] * positives + [-1.0] * negatives, capsys)


def test_as_many_folds_as_positives_are_fine(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "WARNING" not in planned(raw, [-3.0] * 3 + [-1.0] * 9, capsys, "splits.folds=3")


def test_children_get_no_probability(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "embeddings alone" in planned(raw, [-3.0] * 9 + [-1.0] * 9, capsys, "population=child")


def test_half_width_is_hanley_and_mcneils() -> None:
    # Hanley and McNeil, Radiology 1982;143:29-36: area .893 with 51 abnormal and 58 normal has the error .032
    assert auc_half_width(0.893, 51, 58) == pytest.approx(1.96 * 0.0322, abs=0.001)


@pytest.mark.parametrize(("method", "widening"), [("simclr", 1.5), ("supcon", 1.633)])
def test_the_interval_foretold_is_widened_as_the_reports_is(
    method: str, widening: float, raw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = planned(raw, [-3.0] * 60 + [-1.0] * 120, capsys, f"pretraining.method={method}")
    half = widening * auc_half_width(0.8, 60, 120)
    assert f"an AUC of 0.80 would have the 95 % interval {0.8 - half:.2f} to {0.8 + half:.2f}" in text


def test_the_sbatch_script_of_every_node_is_shown(
    raw: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    words = ["cluster=slurm", "cluster.array_width=7", "cluster.workers=2", "cluster.partition=main"]
    told = planned(raw, [-3.0] * 6 + [-1.0] * 14, capsys, *words)
    assert re.findall(r"\n\n  (\S+?)(?:, \d+ tasks)?:\n    #!/bin/bash", told) == list(STEPS)
    assert "ingest-scan, 7 tasks:" in told and "#SBATCH --array=0-6%7" in told
    assert told.count("#SBATCH --partition=main") == len(STEPS) and told.count("#SBATCH --nodes=2") == 2
    assert told.endswith("Slurm is not on this machine, so whether it would take them was not asked.\n")


def test_a_secret_that_would_be_made_where_one_was_named_is_told(
    raw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing, other = raw.parent / "absent.key", raw / "film.key"
    words = ["plan", "ingest", f"raw={raw}", f"store={raw.parent}/s"]
    assert main([*words, f"key_file={missing}"]) == 0
    assert f"key_file={missing} does not exist, so a new secret is made there" in capsys.readouterr().out
    assert not missing.exists()
    other.write_text("ab" * 32)
    for more in ([], [f"key_file={other}"]):
        assert main([*words, *more]) == 0
        assert "secret" not in capsys.readouterr().out


@pytest.mark.parametrize("words", [["info"], ["status", "out=x"], ["logs", "out=x"], ["doctor"]])
def test_of_a_job_that_only_looks_there_is_nothing_to_plan(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", *words]) == 0
    name = " ".join(word for word in words if "=" not in word)
    told = capsys.readouterr().out
    assert (
        told.startswith(f"radmill {name} only looks, so there is nothing to plan") and told.count("\n") == 1
    )


def test_one_is_no_plural(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = planned(raw, [-3.0] * 10 + [-1.0] * 20, capsys, "splits.repeats=1")
    assert "ingest: 1 file, 0 MB, about 1 shard\n" in told and "evaluation: 1 repeat of 5 folds" in told
