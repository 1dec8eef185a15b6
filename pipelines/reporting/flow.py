"""What went in, what was left out and why, and who the subjects are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pipelines.classification.labelled import nearest_exams, outside_population, people
from pipelines.outcomes.rule import parse_rule
from pipelines.reporting.collect import Inputs

REASONS = {
    "not_an_image": "neither DICOM nor a raster image",
    "unreadable": "damaged or refused by every decoder",
    "unsupported": "readable, but not a radiograph",
    "too_large": "more pixels or bytes than the cap",
    "too_small": "fewer pixels than any radiograph has",
    "timeout": "the decoder ran out of time or memory",
    "wrong_modality": "another modality or kind of object",
    "wrong_body_part": "another part of the body",
    "wrong_view": "another view",
    "not_selected": "a frame that was not asked for",
    "excluded": "excluded by a person who looked at it",
    "no_patient": "neither its header nor its path tells whose it is",
    "twin": "the same exposure, processed the other way",
    "duplicate": "the same pixels are already in the store",
    "near_duplicate": "the same film, resized, windowed or compressed anew",
    "blank": "one gray value only",
    "mask_mismatch": "a mask whose size or classes do not fit its film",
    "no_film": "a mask or an outcome without its film",
    "undecided": "an exam whose outcome hangs on a tube that was not seen",
    "vanished": "the file went away, changed or could not be read just then",
    "no_permission": "whoever ran the ingest may not read the file",
    "outside_window": "an outcome too far in time from its film",
    "superseded": "an outcome of another day than the one nearest to the film",
    "z_score": "a Z-score alone, which is no T-score",
    "erased": "its person was erased from the store",
}

# Exclusions of these stages are masks and outcomes, not films: they stand beside the flow, not in it.
_BESIDE = ("annotations", "outcomes")


def flow(inputs: Inputs) -> dict[str, Any]:
    """Counts from files to evaluable subjects; every step is the step before minus what was left out."""
    subjects = subject_frame(inputs)
    known = subjects[subjects["outcome"].notna()]
    evaluable = known[known["evaluable"]]
    outside = known["outside"] & ~known["evaluable"]
    return {
        **files(inputs),
        "films_annotated": int(inputs.store.annotations["key"].nunique()),
        "subjects": len(subjects),
        "subjects_outside": int(subjects["outside"].sum()),
        "subjects_age_unknown": int(subjects["age_years"].isna().sum()),
        "without_outcome": int(subjects["outcome"].isna().sum()),
        "with_outcome": len(known),
        "predicted": int(subjects["evaluable"].sum()),
        "not_evaluable": len(known) - len(evaluable),
        "not_evaluable_outside": int(outside.sum()),
        "not_evaluable_other": int((~known["evaluable"] & ~outside).sum()),
        "evaluable": len(evaluable),
        "positive": int((evaluable["outcome"] == 1).sum()),
        "negative": int((evaluable["outcome"] == 0).sum()),
        "on_limit": int(known["t_score"].map(parse_rule(inputs.study.outcome_rule).tied).sum()),
    }


def files(inputs: Inputs) -> dict[str, Any]:
    """What the store took of the files below raw=, and what it left out."""
    manifest, exclusions = inputs.store.manifest, inputs.store.all_exclusions
    beside = exclusions["stage"].isin(_BESIDE)
    return {
        "files": len(manifest) + int((~beside).sum()),
        "excluded": int((~beside).sum()),
        "excluded_by_reason": _by_reason(exclusions[~beside]),
        "beside": _by_reason(exclusions[beside]),
        "films": len(manifest),
    }


def subject_frame(inputs: Inputs) -> pd.DataFrame:
    """One row per subject with a film: age, sex, outcome, T-score, outside the population, evaluable."""
    manifest = inputs.store.manifest
    frame = people(inputs.store)[["age_years", "sex"]]
    frame = frame.join(manifest.groupby("subject").agg(films=("key", "size")))
    frame = frame.join(nearest_exams(inputs.store.outcomes)[["outcome", "t_score", "days"]])
    inside = ~manifest["key"].isin(
        outside_population(manifest, inputs.study, inputs.population, inputs.store.outcomes)
    )
    frame["outside"] = ~frame.index.isin(manifest["subject"][inside])
    tested = inputs.subjects[inputs.subjects["probability"].notna()]
    frame["evaluable"] = frame.index.isin(tested["subject"])
    frame["days"] = frame["days"].abs()
    return frame


def cohort(inputs: Inputs) -> dict[str, Any]:
    """Table 1: one column per group, one row per characteristic, missing values counted."""
    frame = subject_frame(inputs)
    groups = {
        "All subjects": frame,
        "Positive": frame[frame["outcome"] == 1],
        "Negative": frame[frame["outcome"] == 0],
        "Without outcome": frame[frame["outcome"].isna()],
    }
    groups = {name: group for name, group in groups.items() if len(group)}
    manifest = inputs.store.manifest
    rows: list[dict[str, Any]] = [
        {"name": "Subjects", "kind": "count", "cells": [{"count": len(g)} for g in groups.values()]},
        {
            "name": "Films",
            "kind": "count",
            "cells": [{"count": int(g["films"].sum())} for g in groups.values()],
        },
        median_row("Age, years", "age_years", groups),
        share_row("Female", [g["sex"].map({"F": 1.0, "M": 0.0}) for g in groups.values()]),
        median_row("T-score", "t_score", groups),
        median_row("Days between film and DXA", "days", groups),
    ]
    films = [manifest[manifest["subject"].isin(g.index)] for g in groups.values()]
    left = {"L": 1.0, "R": 0.0}
    rows.append(share_row("Left hand, films", [f["laterality"].map(left) for f in films]))
    rows.append(
        share_row("Pixel spacing known, films", [f["spacing_mm"].notna().astype(float) for f in films])
    )
    known = [row for row in rows if any(cell.get("n", 1) for cell in row["cells"])]
    return {"groups": list(groups), "rows": known}


def _by_reason(exclusions: pd.DataFrame) -> list[dict[str, Any]]:
    counts = exclusions["reason"].value_counts()
    ordered = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    return [
        {"reason": str(reason), "meaning": REASONS.get(str(reason), ""), "count": int(count)}
        for reason, count in ordered
    ]


def median_row(name: str, column: str, groups: dict[str, pd.DataFrame]) -> dict[str, Any]:
    cells = []
    for group in groups.values():
        values = group[column].astype(float).dropna().to_numpy()
        low, middle, high = np.quantile(values, (0.25, 0.5, 0.75)) if len(values) else (np.nan,) * 3
        cells.append(
            {"median": middle, "q25": low, "q75": high, "n": len(values), "missing": len(group) - len(values)}
        )
    return {"name": name, "kind": "median", "cells": cells}


def share_row(name: str, columns: list[pd.Series[float]]) -> dict[str, Any]:
    cells = []
    for column in columns:
        known = column.dropna()
        share = float(known.mean()) if len(known) else np.nan
        cells.append(
            {"count": int(known.sum()), "share": share, "n": len(known), "missing": len(column) - len(known)}
        )
    return {"name": name, "kind": "share", "cells": cells}
