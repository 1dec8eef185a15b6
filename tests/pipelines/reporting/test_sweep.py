"""A sweep's page and CSV: the same numbers, what was left out and why, the paper's numbers apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.evaluation.tables import PaperTable, TableRow
from pipelines.reporting.sweep import SweepPage, write_page


def predicted(quality: float, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    outcome_N = np.arange(60) % 3 == 0
    probability_N = 1 / (1 + np.exp(-(quality * (outcome_N - 0.5) + rng.normal(size=60))))
    names = [f"s{number:02d}" for number in range(60)]
    return pd.DataFrame(
        {"unit": names, "subject": names, "outcome": outcome_N.astype(int), "probability": probability_N}
        | {"prediction": (probability_N > 0.5).astype(int), "repeat": 0, "fold": np.arange(60) % 5}
        | {"train": 48}
    )


@pytest.fixture
def page() -> SweepPage:
    rows = [
        TableRow(name="SimCLR", trial="simclr", minus="none"),
        TableRow(name="SupCon", trial="supcon", minus="none"),
        TableRow(name="untrained", trial="none"),
    ]
    predictions = {
        "simclr": {seed: predicted(3, seed) for seed in (1, 2, 3)},
        "none": {seed: predicted(1, seed) for seed in (1, 2, 3)},
    }
    return SweepPage(
        title="hand_methods",
        tables=[PaperTable(title="Table 1", rows=rows, measures=["f1", "auc"], paper="hand 1")],
        predictions={"subject": predictions},
        left_out={"supcon": "no outcomes <for it>"},
        positive="osteoporosis",
        seed_controls="both",
        protocol="5 folds by subject, each tested once",
        data_kinds=["phantom"],
    )


def test_csv_and_page_hold_the_same_numbers(page: SweepPage, tmp_path: Path) -> None:
    html = write_page(page, tmp_path).read_text()
    table = pd.read_csv(tmp_path / "table.csv").set_index(["row", "measure"])
    assert list(table.index) == [(row, name) for row in ("SimCLR", "untrained") for name in ("f1", "auc")]
    row = table.loc[("SimCLR", "auc")]
    assert f"{row['mean']:.3f} ± {row['sd']:.3f}" in html
    assert f"+{row['difference']:.3f} ({row['low']:.3f} to {row['high']:.3f})" in html
    assert row["difference"] == pytest.approx(row["mean"] - table.loc[("untrained", "auc"), "mean"])
    assert row["n"] == 60 and row["positive"] == 20 and row["interval"] == "folds"


def test_the_page_says_what_a_reader_must_know(page: SweepPage, tmp_path: Path) -> None:
    html = write_page(page, tmp_path).read_text()
    assert "PHANTOM DATA" in html and "seed_controls=both" in html
    assert "left out: no outcomes &lt;for it&gt;" in html
    assert "n = 60, 20 positive (prevalence 0.333, always the commoner class 0.667)" in html
    ours, papers = html.split("What the paper prints")
    assert "0.85 ± 0.01" in papers and "0.85 ± 0.01" not in ours


def test_equal_inputs_give_equal_bytes(page: SweepPage, tmp_path: Path) -> None:
    first = write_page(page, tmp_path).read_bytes(), (tmp_path / "table.csv").read_bytes()
    assert (write_page(page, tmp_path).read_bytes(), (tmp_path / "table.csv").read_bytes()) == first
