"""metrics.json of a study of exams: the tree of `summary`, with women, exams and films counted at every step."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.classification.exams import exam_table
from pipelines.classification.film_tables import flow as count_flow
from pipelines.classification.labelled import people
from pipelines.evaluation.exams import GROUPS, tube_group
from pipelines.reporting.collect import Inputs
from pipelines.reporting.flow import files, median_row, share_row
from pipelines.reporting.history import training_facts, training_panels
from pipelines.reporting.oracle import oracle_levels, oracle_of_films
from pipelines.reporting.spread import plain
from pipelines.reporting.summary import (
    FORMAT,
    SUBJECTS_SHOWN,
    histogram,
    run_numbers,
    study_numbers,
    with_interval,
)


def summarise_exams(inputs: Inputs, oracle: Path | None) -> dict[str, Any]:
    """The whole tree as plain JSON values, without the films, which the page adds as it draws them.

    oracle: oracle.json of the phantoms that the store was made of; films.csv lies beside it.
    """
    evaluation = _evaluation(inputs)
    table = oracle.parent / "films.csv" if oracle is not None and inputs.phantom else None
    if evaluation and table is not None and table.is_file():
        scores = oracle_of_films(table, inputs.regions, inputs.store)
        for level, found in oracle_levels(inputs.regions, inputs.exams, scores).items():
            (evaluation["film"] if level == "film" else evaluation)["oracle"] = found
    tree: dict[str, Any] = {
        "format": FORMAT,
        "study": study_numbers(inputs) | {"films": inputs.study.films},
        "data_kinds": sorted(set(inputs.store.manifest["data_kind"])),
        "phantom": inputs.phantom,
        "source": inputs.source,
        "methods": sorted(set(inputs.exams["method"])),
        "generation": inputs.store.generation,
        "flow": {**files(inputs), **_flow(inputs)},
        "cohort": _cohort(inputs),
        "tubes": _tubes(inputs),
        "segmentation": None,
        "evaluation": evaluation,
        "lock": {"id": (inputs.protocol or {}).get("id", ""), **asdict(inputs.looks)},
        "why_no_evaluation": "" if evaluation else _why_not(inputs),
        "maps": _document(inputs, "maps.json"),
        "training": training_panels(inputs.histories),
        "trained": training_facts(inputs.models),
        "embeddings": 0,
        "exams": _exam_rows(inputs),
        "run": run_numbers(inputs),
    }
    if evaluation:
        tree["histogram"] = histogram(inputs.exams[inputs.exams["split"] == "test"])
        tree["reliability"] = [with_interval(group) for group in evaluation["calibration"]["bins"]]
    result: dict[str, Any] = plain(tree)
    return result


def _evaluation(inputs: Inputs) -> dict[str, Any] | None:
    """What the stage wrote; None unless both outcomes are among the tested exams."""
    found = _document(inputs, "metrics.json")
    if found is None or not (found["n"]["positive"] and found["n"]["negative"]):
        return None
    paper = bool(found["warning"])
    earlier = {"calibrated": not paper, "thresholds": "half" if paper else "chosen"}  # which they did not say
    return earlier | found | {"oracle": None, "film": found["film"] | {"oracle": None}}


def _document(inputs: Inputs, name: str) -> dict[str, Any] | None:
    path = inputs.folder / name if inputs.folder else None
    if path is None or not path.is_file():
        return None
    loaded: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return loaded


def _flow(inputs: Inputs) -> dict[str, Any]:
    """The counts that the stage wrote; before it, those of the store."""
    counted = _document(inputs, "flow.json") or count_flow(inputs.store, {"test": inputs.regions}, ())
    parts = [name for name in ("train", "validation", "new", "test") if name in counted["counts"]]
    unmet = [
        {"reason": reason, "count": count}
        for reason, count in sorted(counted["outcomes_without_exam"].items())
    ]
    return {"counts": counted["counts"], "parts": parts, "unmet": unmet}


def _cohort(inputs: Inputs) -> dict[str, Any]:
    """Table 1 by exam: one column per group, one row per characteristic, missing values counted."""
    exams = exam_table(inputs.store)
    known = people(inputs.store)
    told = inputs.store.outcomes.drop_duplicates(["subject", "exam"]).set_index(["subject", "exam"])[
        "age_years"
    ]
    own = told.reindex(pd.MultiIndex.from_frame(exams[["subject", "exam"]])).to_numpy(np.float64)
    exams["age_years"] = np.where(np.isfinite(own), own, exams["subject"].map(known["age_years"]))
    groups = {
        "All exams": exams,
        "Positive": exams[exams["outcome"] == 1],
        "Negative": exams[exams["outcome"] == 0],
        "Without outcome": exams[exams["outcome"] == -1],
    }
    groups = {name: group for name, group in groups.items() if len(group)}
    counts = {
        "Women": [group["subject"].nunique() for group in groups.values()],
        "Exams": [len(group) for group in groups.values()],
        "Films": [int(group["films"].sum()) for group in groups.values()],
    }
    manifest = inputs.store.manifest
    films = [manifest.merge(group[["subject", "exam"]], on=["subject", "exam"]) for group in groups.values()]
    rows: list[dict[str, Any]] = [
        {"name": name, "kind": "count", "cells": [{"count": count} for count in cells]}
        for name, cells in counts.items()
    ]
    rows.append(median_row("Age, years", "age_years", groups))
    rows.append(share_row("Frames of loops, films", [_loops(part) for part in films]))
    rows.append(
        share_row("Pixel spacing known, films", [f["spacing_mm"].notna().astype(float) for f in films])
    )
    return {"groups": list(groups), "rows": rows}


def _loops(films: pd.DataFrame) -> pd.Series[float]:
    sizes: pd.Series[float] = (films.groupby("token")["key"].transform("size") > 1).astype(float)
    return sizes


def _tubes(inputs: Inputs) -> list[dict[str, Any]]:
    """Exams with outcome by what was read of both tubes: a unilateral block is a positive, and easy to miss."""
    exams = exam_table(inputs.store)
    known = exams[exams["outcome"] != -1]
    named = [tube_group(right, left) for right, left in zip(known["right"], known["left"], strict=True)]
    tested = {row["group"]: row for row in (_document(inputs, "metrics.json") or {}).get("tubes", [])}
    blank = {"exams": 0, "called": 0, "probability": None}
    return [
        {"group": group, "exams": named.count(group), "tested": tested.get(group, blank)}
        for group in GROUPS
        if group in named
    ]


def _why_not(inputs: Inputs) -> str:
    if not inputs.source:
        return "There are no predictions yet; the stage classify comes first."
    if not (inputs.exams["split"] == "test").any():
        return "No exam here has an outcome, so there is nothing to compare a prediction with."
    return "All exams with a prediction have the same outcome; an evaluation needs both."


def _exam_rows(inputs: Inputs) -> dict[str, Any]:
    """Tested and new exams, the most probable first; at most SUBJECTS_SHOWN, all of them are in exams.parquet."""
    exams = inputs.exams[inputs.exams["split"].isin(("test", "new")) & inputs.exams["probability"].notna()]
    ordered = exams.sort_values(["probability", "subject", "exam"], ascending=[False, True, True])
    columns = ["subject", "exam", "outcome", "probability", "prediction", "films_used", "right", "left"]
    rows = ordered[columns][:SUBJECTS_SHOWN].to_dict("records")
    return {"total": len(exams), "shown": len(rows), "rows": rows}
