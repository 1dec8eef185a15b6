"""metrics.json: every number that the page shows, in one tree; times and versions apart, under `run`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd

from pipelines.classification.labelled import people
from pipelines.classification.supervision import HELD_BACK, METHOD, holds_back
from pipelines.config import BONES
from pipelines.evaluation.config import EvaluationConfig
from pipelines.evaluation.intervals import BOOTSTRAP_SEED, wilson
from pipelines.evaluation.paper import paper_table
from pipelines.evaluation.protocols import Background, evaluate_subjects, oracle_check
from pipelines.evaluation.thresholds import SENSITIVITY
from pipelines.outcomes.rule import parse_rule
from pipelines.reporting.bones import populations, region_means, subject_means
from pipelines.reporting.collect import Inputs
from pipelines.reporting.flow import cohort, flow, subject_frame
from pipelines.reporting.history import training_facts, training_panels
from pipelines.reporting.quality import segmentation_numbers
from pipelines.reporting.spread import plain

FORMAT = 1
SUBJECTS_SHOWN = 300
_READ = ("test", "new")  # who was no part of the training, with an outcome and without


def summarise(inputs: Inputs, config: EvaluationConfig) -> dict[str, Any]:
    """The whole tree as plain JSON values, without the films, which the page adds as it draws them."""
    kinds = sorted(set(inputs.store.manifest["data_kind"]))
    flowed = flow(inputs)
    means = subject_means(inputs.subjects)
    # A patch is another place on every film, and a whole film is its subject: nothing to tell apart.
    named = inputs.study.regions if inputs.read == BONES else []
    by_region = region_means(inputs.regions, named)
    paper = paper_table(inputs.subjects) if _as_in_the_paper(inputs) else None
    evaluation = None if paper else _evaluation(inputs, flowed, config)
    tree: dict[str, Any] = {
        "format": FORMAT,
        "study": study_numbers(inputs),
        "data_kinds": kinds,
        "phantom": inputs.phantom,
        "source": inputs.source,
        "fixed": inputs.source in ("predict", "evaluate"),  # one finished model, nothing dealt into folds
        "methods": sorted(set(inputs.subjects["method"])),
        "held_back": _held_back(inputs),
        "generation": inputs.store.generation,
        "outside_population": flowed["subjects"] > 0 and flowed["subjects_outside"] == flowed["subjects"],
        "flow": flowed,
        "cohort": cohort(inputs),
        "segmentation": segmentation_numbers(inputs),
        "evaluation": evaluation,
        "paper": paper,
        "lock": {"id": (inputs.protocol or {}).get("id", ""), **asdict(inputs.looks)},
        "why_no_evaluation": _why_not(inputs, flowed) if evaluation is None else "",
        "training": training_panels(inputs.histories),
        "trained": training_facts(inputs.models),
        "embeddings": inputs.embeddings,
        "subjects": _subject_rows(inputs, named),
        "run": run_numbers(inputs),
    }
    if evaluation:
        if inputs.read == BONES:
            tree["region_probability"] = populations(means, by_region)
        tree["histogram"] = histogram(means)
        tree["reliability"] = [with_interval(group) for group in evaluation["calibration"]["bins"]]
    result: dict[str, Any] = plain(tree)
    return result


def study_numbers(inputs: Inputs) -> dict[str, Any]:
    """The study, as far as the page names it."""
    return {
        "name": inputs.study.name,
        "unit": inputs.study.unit,
        "positive": inputs.study.positive,
        "regions": inputs.study.regions,
        "num_regions": len(inputs.study.regions),
        "read": inputs.read,
        "rule": f"{inputs.study.outcome_column} {_rule(inputs)}",
        "score": inputs.study.outcome_column.replace("_", "-").capitalize(),
        "minimum_age_years": inputs.study.minimum_age_years,
    }


def _evaluation(inputs: Inputs, flowed: Mapping[str, Any], config: EvaluationConfig) -> dict[str, Any] | None:
    """What the stage evaluate wrote, else the same computed here; None unless both outcomes are there."""
    if not (flowed["positive"] and flowed["negative"]):
        return None
    evaluation = inputs.evaluation if inputs.source == "evaluate" else None
    if evaluation is None:
        tested = inputs.subjects[inputs.subjects["outcome"].isin((0, 1))]
        # What was locked before the outcomes were opened counts, not what is asked for now.
        locked = (inputs.protocol or {}).get("contrast", config.contrast)
        chosen = (inputs.protocol or {}).get("classification", {})
        background = Background(
            inner=inputs.inner,
            scores=inputs.scores,
            people=people(inputs.store),
            limit=parse_rule(inputs.study.outcome_rule).limit,
            num_regions=len(inputs.study.names(inputs.read)),
            sensitivity=float(chosen.get("sensitivity", SENSITIVITY)),
            scores_share=_scores_share(inputs, chosen),
            config=replace(config, contrast=locked),
        )
        evaluation = evaluate_subjects(
            tested, BOOTSTRAP_SEED, inputs.regions, inputs.folds, background=background
        )
    auc = evaluation["auc"]["value"]
    oracle = oracle_check(auc, inputs.oracle) if inputs.oracle and auc is not None else None
    alone = evaluation.get("regions", []) if inputs.read == BONES else []
    return {**evaluation, "regions": alone, "oracle": oracle}


def _held_back(inputs: Inputs) -> bool:
    return any(map(holds_back, set(inputs.subjects["method"])))


def _scores_share(inputs: Inputs, chosen: Mapping[str, Any]) -> float:
    """The regression learns from those held back alone, the layer from the others."""
    if not _held_back(inputs):
        return 1.0
    parts = (
        HELD_BACK if METHOD in set(inputs.subjects["method"]) else int(chosen.get("inner_folds", HELD_BACK))
    )
    return 1 / (parts - 1)


def _rule(inputs: Inputs) -> str:
    """The rule by which the store's outcomes were made; the study's where there are none."""
    return ", ".join(sorted(set(inputs.store.outcomes["rule"].dropna()))) or inputs.study.outcome_rule


def _as_in_the_paper(inputs: Inputs) -> bool:
    splits = (inputs.protocol or {}).get("splits", {})
    return inputs.source == "classify" and splits.get("protocol") == "paper"


def _why_not(inputs: Inputs, flowed: Mapping[str, Any]) -> str:
    """Why there is no evaluation, and what would change that."""
    if _as_in_the_paper(inputs):
        return "These are small test sets drawn anew per seed, as in the paper; splits.protocol=folds gives intervals."
    positive = inputs.study.positive
    if flowed["subjects_outside"] == flowed["subjects"]:
        return f"These films are outside the intended population, so no probability of {positive} is given."
    if not flowed["with_outcome"]:
        return (
            "The store holds no outcomes of these subjects, so there is nothing to compare a prediction with."
        )
    if not inputs.source:
        return "There are no predictions yet; the stage classify comes first."
    return f"All {flowed['evaluable']} evaluable subjects have the same outcome; an evaluation needs both."


def histogram(means: pd.DataFrame, bins: int = 20) -> dict[str, Any]:
    edges = np.linspace(0, 1, bins + 1)
    return {
        "edges": edges,
        **{
            name: np.histogram(means["probability"][means["outcome"] == outcome].dropna(), edges)[0]
            for name, outcome in (("positive", 1), ("negative", 0))
        },
    }


def with_interval(group: Mapping[str, Any]) -> dict[str, Any]:
    share = wilson(int(group["positive"]), int(group["n"]))
    return {**group, "low": share.low, "high": share.high}


def _subject_rows(inputs: Inputs, regions: list[str]) -> dict[str, Any]:
    """The most probable first; at most SUBJECTS_SHOWN, all of them are in subjects.parquet."""
    means = subject_means(inputs.subjects, _READ)
    by_region = region_means(inputs.regions, regions, _READ)
    known = means[means["probability"].notna()]
    ordered = known.iloc[np.lexsort((known.index, -known["probability"]))][:SUBJECTS_SHOWN]
    t_scores = subject_frame(inputs)["t_score"]
    rows = [
        {
            "subject": str(name),
            "t_score": t_scores.get(name, np.nan),
            **row[
                ["outcome", "probability", "probability_sd", "called", "spread", "regions_used", "mci2"]
            ].to_dict(),
            "regions": [by_region[region].get(name, np.nan) for region in by_region.columns],
        }
        for name, row in ordered.iterrows()
    ]
    return {"total": len(known), "shown": len(rows), "rows": rows}


def run_numbers(inputs: Inputs) -> dict[str, Any]:
    """How it was made: the only part that differs between two runs of the same configuration."""
    stages = [
        {name: record.get(name) for name in ("stage", "started", "seconds", "peak_memory_mb")}
        for record in inputs.stages
    ]
    versions = {
        name: version for record in inputs.stages for name, version in record.get("versions", {}).items()
    }
    pythons = sorted({str(record["python"]) for record in inputs.stages if "python" in record})
    return {
        "stages": stages,
        "seconds": sum(float(stage["seconds"] or 0) for stage in stages),
        "peak_memory_mb": max((float(stage["peak_memory_mb"] or 0) for stage in stages), default=0.0),
        "versions": {**({"python": ", ".join(pythons)} if pythons else {}), **versions},
    }
