"""What is reported of a set of test predictions, and which figure is the primary one.

`evaluate_subjects` returns plain numbers for metrics.json; NaN (null in the file) stands for undefined. An
interval is {value, low, high} at 95 %, a difference has p beside; n and positive count subjects.

    n                subjects, positive, negative, evaluable, not_evaluable, not_evaluable_positive, repeats,
                     folds (of all repeats), folds_used (those with both classes)
    prevalence       share of positives among the evaluable: the no-skill line of the PR curve
    auc              PRIMARY: mean within-fold AUC over all repeats, interval by subject bootstrap
    auc_delong       the same by DeLong; only where one model tested one fixed set
    auc_folds        per repeat and fold: repeat, fold, n, positive, auc
    auc_all_regions  the primary measure among subjects with every region found: n, positive and an interval
    pooled           intervals auc, average_precision, brier: over all folds of a repeat together, mean over
                     repeats; auc_calibrated and brier_calibrated: after the logit calibration that each
                     training part fitted for its fold
    threshold        first repeat, where each subject counts once: confusion {tp, fp, fn, tn}; sensitivity,
                     specificity, ppv, npv, accuracy: Wilson interval with count and total; sensitivity_all,
                     specificity_all: the same with who is not evaluable as an error; f1, macro_f1,
                     balanced_accuracy: bootstrap interval; majority_accuracy; mean_over_repeats {measure: value}
    thresholds       per rule (f1, youden, sensitivity, 0.5): see `thresholds.by_rule`
    calibration      intervals slope, intercept (and slope_calibrated, intercept_calibrated),
                     expected_over_observed; expected, observed; bins [{n, positive, probability, observed}]
    utility          prevalence, ppv and npv at it, and the decision curve: see `utility.utility`
    curves           roc {fpr, tpr, low, high}; pr {recall, precision, low, high}: lists of equal length
    regions          per region: region, auc (interval), without (interval, difference): the mean over all other
                     bones; n_ and probability_ of true_positive, positive, all
    regions_found    per number of regions found: regions, n, positive, correct, auc
    missing          who lacks some or all bones, by outcome: see `missing.missing_by_outcome`
    baselines        per baseline: name, label, n, positive, auc, difference (network minus baseline)
    added_value      what the network adds to age and sex: see `baselines.added_value`; net_benefit beside it
    contrasts        the one fixed beforehand and the others with p by Holm: primary, others [{name, ..., p_holm}]
    subgroups        see `subgroups.subgroups`
    clear_cases      the primary AUC without measured values next to the limit: see `agreement.clear_cases`
    score            agreement of the predicted with the measured value: see `agreement.agreement`
    oracle           value, low, high, alarm, sentence; only where the phantoms' oracle is given
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from pipelines.evaluation.agreement import agreement, clear_cases, three_classes
from pipelines.evaluation.baselines import added_value, baseline_scores, compare
from pipelines.evaluation.calibration import calibrated, summary
from pipelines.evaluation.cohort import Cohort
from pipelines.evaluation.config import EvaluationConfig
from pipelines.evaluation.curves import pr_curve, roc_curve
from pipelines.evaluation.decisions import at_threshold
from pipelines.evaluation.delong import delong_interval
from pipelines.evaluation.discrimination import auc_all_regions, auc_per_fold, mean_auc, pooled
from pipelines.evaluation.intervals import LEVEL, RESAMPLES, bootstrap_weights, holm
from pipelines.evaluation.metrics import Floats
from pipelines.evaluation.missing import missing_by_outcome
from pipelines.evaluation.regions import evaluate_regions, regions_found
from pipelines.evaluation.subgroups import subgroups
from pipelines.evaluation.thresholds import SENSITIVITY, by_rule
from pipelines.evaluation.utility import net_benefit_difference, utility


@dataclass(frozen=True, kw_only=True)
class Background:
    """What is known beside the predictions; whatever is absent is None, and its figures are left out.

    inner: INNER, what the inner folds predicted of each training part. scores: SCORES, the regression. people: by
    subject age_years, sex (F, M or empty), weight_kg, device, score (the measured value). limit: of the study's rule.
    sensitivity: that the threshold rule of this name asks for. num_regions: of the study; None:
    the most that anyone has. scores_share: how many the regression learnt from, of those that the layer did.
    """

    inner: pd.DataFrame | None = None
    scores: pd.DataFrame | None = None
    people: pd.DataFrame | None = None
    limit: float | None = None
    sensitivity: float = SENSITIVITY
    num_regions: int | None = None
    scores_share: float = 1.0
    config: EvaluationConfig = field(default_factory=EvaluationConfig)


def evaluate_subjects(
    subjects: pd.DataFrame,
    seed: int,
    regions: pd.DataFrame | None = None,
    folds: pd.DataFrame | None = None,
    oracle: Mapping[str, Any] | None = None,
    background: Background | None = None,
) -> dict[str, Any]:
    """Every measure of the module's docstring.

    subjects, regions: tables in the schemas SUBJECTS and REGIONS; rows of other splits than test are ignored.
    folds: FOLDS, one row per repeat and fold: `train`, how many subjects its layer learnt from, and `slope` and
    `intercept` of the calibration fitted in its training part. oracle: {auc, low, high} of the phantom cohort. seed:
    of the bootstrap.
    """
    subjects = subjects[subjects["split"] == "test"].sort_values(["repeat", "subject"], ignore_index=True)
    cohort = Cohort.from_table(subjects, folds)
    most = max(subjects["regions_used"], default=0)
    num_regions = (background.num_regions if background else None) or int(most)
    weights_BN = bootstrap_weights(cohort.outcome_N, seed)
    auc = mean_auc(cohort, cohort.probability_NR, weights_BN)
    result: dict[str, Any] = {
        "format": 1,
        "level": LEVEL,
        "resamples": RESAMPLES,
        "seed": seed,
        "n": _counts(subjects, cohort),
        "prevalence": float(cohort.outcome_N.mean()) if len(cohort.subjects) else np.nan,
        "auc": auc,
        "auc_folds": auc_per_fold(cohort),
        "auc_all_regions": auc_all_regions(subjects, cohort, weights_BN, num_regions),
        "pooled": pooled(cohort, cohort.probability_NR, weights_BN),
        "threshold": at_threshold(subjects, cohort, weights_BN),
        "calibration": summary(cohort, cohort.probability_NR, weights_BN),
        "curves": {"roc": roc_curve(cohort, weights_BN), "pr": pr_curve(cohort, weights_BN)},
        "regions_found": regions_found(subjects, cohort),
        "missing": missing_by_outcome(subjects, num_regions),
    }
    if cohort.is_fixed:
        result["auc_delong"] = delong_interval(cohort, cohort.probability_NR).to_dict()
    if regions is not None:
        result["regions"] = evaluate_regions(cohort, regions, weights_BN)
    probability_NR = cohort.probability_NR
    if folds is not None:
        probability_NR = calibrated(cohort, folds)
        measures, fit = (
            pooled(cohort, probability_NR, weights_BN),
            summary(cohort, probability_NR, weights_BN),
        )
        result["pooled"] |= {"auc_calibrated": measures["auc"], "brier_calibrated": measures["brier"]}
        result["calibration"] |= {f"{name}_calibrated": fit[name] for name in ("slope", "intercept")}
    background, share = background or Background(), _learnt_share(cohort, folds)
    result |= _beside(subjects, cohort, probability_NR, weights_BN, background, seed, share)
    if oracle is not None:
        result["oracle"] = oracle_check(auc["value"], oracle)
    return result


def _beside(
    subjects: pd.DataFrame,
    cohort: Cohort,
    calibrated_NR: Floats,
    weights_BN: Floats,
    background: Background,
    seed: int,
    learnt_share: float | None,
) -> dict[str, Any]:
    """Baselines, added value, contrasts, utility, thresholds, subgroups, and the measured value."""
    config, people = background.config, background.people
    scores = baseline_scores(cohort, subjects, people, background.inner)
    baselines = compare(cohort, scores, weights_BN)
    models = {"network": calibrated_NR}
    models |= {name: scores[name] for name in ("age_sex", "network_age_sex") if name in scores}
    result: dict[str, Any] = {
        "baselines": baselines,
        "contrasts": _contrasts(baselines, config.contrast),
        "utility": utility(cohort, models, config.prevalence, weights_BN, learnt_share),
    }
    if background.inner is not None and len(background.inner):
        result["thresholds"] = by_rule(cohort, background.inner, background.sensitivity)
    if people is not None:
        result["subgroups"] = subgroups(cohort, people, calibrated_NR, config.subgroup_floor, weights_BN)
        if {"age_sex", "network_age_sex"} <= scores.keys():
            with_it, without = scores["network_age_sex"], scores["age_sex"]
            result["added_value"] = added_value(cohort, scores, people, weights_BN)
            result["added_value"]["net_benefit"] = net_benefit_difference(
                cohort, with_it, without, config.prevalence, weights_BN
            )
        if background.limit is not None and people["score"].notna().any():
            result["clear_cases"] = clear_cases(cohort, people, background.limit, config.margin, weights_BN)
    if background.scores is not None and background.scores["subject"].nunique() > 2:
        result["score"] = agreement(background.scores, cohort.widened(background.scores_share), seed)
        if background.limit is not None:
            result["score"]["classes"] = three_classes(background.scores)
    return result


def _learnt_share(cohort: Cohort, folds: pd.DataFrame | None) -> float | None:
    """Positives among those whom the one model of a fixed test set learnt from; None over folds, or where unknown."""
    if folds is None or not cohort.is_fixed or not folds["train"].sum():
        return None
    return float(folds["train_positive"].sum() / folds["train"].sum())


def _contrasts(baselines: list[dict[str, Any]], primary: str) -> dict[str, Any]:
    """The comparison fixed beforehand, and the others with p values corrected for their number (Holm)."""
    rows = [
        {"name": entry["name"], "label": entry["label"], **entry["difference"]}
        for entry in baselines
        if entry["name"] != "network_age_sex"  # what it adds is a question of its own
    ]
    others = [row for row in rows if row["name"] != primary]
    corrected = holm([row["p"] for row in others])
    return {
        "primary": next((row for row in rows if row["name"] == primary), None),
        "others": [row | {"p_holm": p} for row, p in zip(others, corrected, strict=True)],
    }


def oracle_check(auc: float, oracle: Mapping[str, Any]) -> dict[str, Any]:
    """Compare an AUC with that of a perfect reader of the phantoms' true geometry ({auc, low, high}).

    Better than perfect is a leak: `alarm` is true where the AUC lies above the oracle's interval. Where the cohort
    has a planted shortcut ({shortcut, shortcut_auc}), the sentence names it.
    """
    alarm = bool(auc > oracle["high"])
    where = "above" if alarm else "not above"
    sentence = f"AUC {auc:.3f} is {where} the oracle's interval {oracle['low']:.3f} to {oracle['high']:.3f}"
    reason = ": the outcome has leaked into the prediction." if alarm else "."
    if "shortcut" in oracle:
        alone = f"{oracle['shortcut']}, which alone reaches {oracle['shortcut_auc']:.3f}"
        reason = (
            f": it reads the planted shortcut, {alone}." if alarm else f"; the planted shortcut is {alone}."
        )
    return {
        "value": oracle["auc"],
        "low": oracle["low"],
        "high": oracle["high"],
        "alarm": alarm,
        "sentence": sentence + reason,
    }


def _counts(subjects: pd.DataFrame, cohort: Cohort) -> dict[str, int]:
    each = subjects.drop_duplicates("subject")
    unread = each[~each["subject"].isin(cohort.subjects)]
    positive = int((each["outcome"] == 1).sum())
    auc_KF = cohort.within_fold_auc(cohort.probability_NR, cohort.once)
    return {
        "subjects": len(each),
        "positive": positive,
        "negative": len(each) - positive,
        "evaluable": len(cohort.subjects),
        "not_evaluable": len(unread),
        "not_evaluable_positive": int((unread["outcome"] == 1).sum()),
        "repeats": int(subjects["repeat"].nunique()),
        "folds": len(cohort.fold_members(cohort.probability_NR)),
        "folds_used": int(np.isfinite(auc_KF).sum()),
    }
