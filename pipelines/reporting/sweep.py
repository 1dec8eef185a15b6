"""The tables of a sweep as a reader wants them: one page, and the same numbers as a CSV."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.evaluation.tables import PaperTable
from pipelines.evaluation.trials import FIXED, FOLDS, NONE, SPLITS, Tested, table
from pipelines.reporting.html import templates, written
from pipelines.reporting.papers import PAPERS, REMARKS
from storage.atomic import replacing, write_text

NAMES = {
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "auc": "AUC",
    "accuracy": "Accuracy",
    "auprc": "Average precision",
}
_INTERVALS = {
    FOLDS: "95 % intervals of differences: corrected resampled t over the folds (Nadeau and Bengio 2003)",
    SPLITS: "95 % intervals of differences: corrected resampled t over the seeds' splits (Nadeau and Bengio 2003)",
    FIXED: "95 % intervals of differences: bootstrap of the one test set's subjects, the trained models being given",
    NONE: "no intervals of differences: there is one test set and one seed, or the seeds' parts differ in number",
}
CONTROLS = {
    "init": "weights, order and views alone; the same subjects are tested",
    "split": "who is tested alone; weights, order and views begin the same",
    "both": "weights, order and views, and who is tested",
}


@dataclass(frozen=True, kw_only=True)
class SweepPage:
    """What the page is made of.

    predictions: by level (subject; or film and exam), trial and seed. left_out: why, by trial. protocol: how a seed
    tests, in words. figures: SVG files by caption.
    """

    title: str
    tables: Sequence[PaperTable]
    predictions: Mapping[str, Mapping[str, Tested]]
    left_out: Mapping[str, str]
    positive: str
    seed_controls: str
    protocol: str
    data_kinds: Sequence[str]
    figures: Mapping[str, Path] = field(default_factory=dict)

    @property
    def phantom(self) -> bool:
        """Whether any film is a phantom."""
        return "phantom" in self.data_kinds


def write_page(page: SweepPage, folder: Path) -> Path:
    """Write folder/table.csv and folder/table.html; returns the page's path."""
    found = [
        (level, asked, table(asked, tested))
        for level, tested in page.predictions.items()
        for asked in page.tables
    ]
    rows = [line for level, asked, results in found for line in _lines(page, level, asked, results)]
    with replacing(folder / "table.csv") as temporary:
        pd.DataFrame(rows, columns=_COLUMNS).to_csv(temporary, index=False)
    html = (
        templates()
        .get_template("sweep.html.j2")
        .render(
            page=page,
            tables=[_shown(page, *one) for one in found],
            papers=_papers(page.tables),
            controls=CONTROLS[page.seed_controls],
            figures={caption: b64encode(svg.read_bytes()).decode() for caption, svg in page.figures.items()},
        )
    )
    write_text(folder / "table.html", html)
    return folder / "table.html"


_COLUMNS = [
    *("data", "table", "level", "row", "measure", "mean", "sd", "seeds", "parts", "undefined"),
    *("minus", "difference", "low", "high", "interval", "paired"),
    *("n", "positive", "not_evaluable", "seed_controls"),
]


def _lines(
    page: SweepPage, level: str, asked: PaperTable, results: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """A line of the CSV per row and measure."""
    lines = []
    for result in results:
        for name in asked.measures:
            gain = result.get("difference", {}).get(name, {})
            lines.append(
                {
                    **{key: result[key] for key in ("row", "parts", "n", "positive", "not_evaluable")},
                    **{key: result[key][name] for key in ("mean", "sd", "undefined")},
                    **{"data": "+".join(page.data_kinds), "table": asked.title, "level": level},
                    **{"measure": name, "seeds": len(result["seeds"]), "minus": result.get("minus")},
                    **{"difference": gain.get("value"), "low": gain.get("low"), "high": gain.get("high")},
                    **{"interval": result.get("kind"), "paired": result.get("paired")},
                    "seed_controls": page.seed_controls,
                }
            )
    return lines


def _shown(
    page: SweepPage, level: str, asked: PaperTable, results: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """What the template prints of one table."""
    by_row = {result["row"]: result for result in results}
    names = {row.trial: row.name for asked in reversed(page.tables) for row in asked.rows}
    rows: list[dict[str, Any]] = []
    for row in asked.rows:
        result = by_row.get(row.name)
        if result is None:
            rows.append({"name": row.name, "cells": None, "why": page.left_out.get(row.trial, "not run")})
            continue
        gains = result.get("difference")
        cells = [
            {
                "value": _with_sd(result["mean"][name], result["sd"][name]),
                "gain": _gain(gains[name]) if gains else "",
                "undefined": result["undefined"][name],
            }
            for name in asked.measures
        ]
        minus = names.get(str(result.get("minus")), "")
        rows.append({"name": row.name, "cells": cells, "minus": minus, "counts": _counts(result)})
    return {
        "title": asked.title,
        "level": level,
        "measures": [NAMES[name] for name in asked.measures],
        "any_gain": any("difference" in result for result in results),
        "rows": rows,
        "counts": _shared([(row["name"], row["counts"]) for row in rows if row["cells"]]),
        "note": asked.note,
        "intervals": [_INTERVALS[kind] for kind in sorted({r["kind"] for r in results if "kind" in r})],
    }


def _counts(result: Mapping[str, Any]) -> str:
    n, positive, missing = (result[key] for key in ("n", "positive", "not_evaluable"))
    share = positive / n if n else np.nan
    return (
        f"n = {n}, {positive} positive (prevalence {_number(share)}, always the commoner class "
        f"{_number(max(share, 1 - share))}){f', {missing} not evaluable' if missing else ''}; {result['parts']} test "
        f"sets over seeds {', '.join(map(str, result['seeds']))}."
    )


def _shared(counts: Sequence[tuple[str, str]]) -> list[str]:
    """Sentences of rows with equal counts together."""
    by_text: dict[str, list[str]] = {}
    for name, text in counts:
        by_text.setdefault(text, []).append(name)
    return [f"{', '.join(names)}: {text}" for text, names in by_text.items()]


def _papers(tables: Sequence[PaperTable]) -> list[dict[str, Any]]:
    found = []
    for name in dict.fromkeys(asked.paper for asked in tables if asked.paper):
        measures, rows = PAPERS[name]
        paper, number = name.split()
        found.append(
            {
                "title": f"{paper} paper, table {number}",
                "measures": [NAMES[measure] for measure in measures],
                "rows": {row: [_minus(cell) for cell in cells] for row, cells in rows.items()},
                "remark": _minus(REMARKS[name]),
            }
        )
    return found


def _number(value: float) -> str:
    return "undefined" if np.isnan(value) else written(round(value, 3) + 0.0, "three")  # no minus before a 0


def _with_sd(mean: float, sd: float) -> str:
    return _number(mean) if np.isnan(sd) else f"{_number(mean)} ± {_number(sd)}"


def _gain(interval: Mapping[str, float]) -> str:
    value, low, high = (interval[name] for name in ("value", "low", "high"))
    sign = "+" if round(value, 3) > 0 else ""
    shown = f"{sign}{_number(value)}"
    return shown if np.isnan(low) else f"{shown} ({_number(low)} to {_number(high)})"


def _minus(text: str) -> str:
    """Text with a minus sign before numbers, where the source has a hyphen."""
    return text.replace(" -0", " \N{MINUS SIGN}0").replace("(-0", "(\N{MINUS SIGN}0")
