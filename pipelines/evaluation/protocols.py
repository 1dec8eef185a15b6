"""What is reported of a set of test predictions, and which figure is the primary one.

`evaluate_subjects` returns plain numbers for metrics.json; NaN (null in the file) stands for undefined. An
interval is {value, low, high} at 95 %; n and positive count subjects.

    n                subjects, positive, negative, evaluable, not_evaluable, not_evaluable_positive, repeats,
                     folds (of all repeats), folds_used (those with both classes)
    prevalence       share of positives among the evaluable: the no-skill line of the PR curve
    auc              PRIMARY: mean within-fold AUC over all repeats, interval by subject bootstrap
    auc_folds        per repeat and fold: repeat, fold, n, positive, auc
    auc_all_regions  the primary measure among subjects with every region found: n, positive and an interval
    pooled           intervals auc, average_precision, brier: over all folds of a repeat together, mean over
                     repeats; auc_calibrated and brier_calibrated: after the logit calibration that each
                     training part fitted for its fold
    threshold        first repeat, where each subject counts once: confusion {tp, fp, fn, tn}; sensitivity,
                     specificity, ppv, npv, accuracy: Wilson interval with count and total; sensitivity_all:
                     the same with not evaluable positives as missed; f1, macro_f1, balanced_accuracy:
                     bootstrap interval; majority_accuracy; mean_over_repeats {measure: value}
    calibration      intervals slope, intercept (and slope_calibrated, intercept_calibrated); expected,
    observed;
                     bins [{n, positive, probability, observed}]
    curves           roc {fpr, tpr, low, high}; pr {recall, precision, low, high}: lists of equal length
    regions          per region: region, auc (interval); n_ and probability_ of true_positive, positive, all
    regions_found    per number of regions found: regions, n, positive, correct, auc
    baseline_mci2    2MCI alone on the same folds: n, positive, auc; difference: network minus 2MCI,
                     Nadeau-Bengio interval
    oracle           value, low, high, alarm, sentence; only where the phantoms' oracle is given
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipelines.evaluation.calibration import calibrated, summary
from pipelines.evaluation.cohort import Cohort
from pipelines.evaluation.curves import pr_curve, roc_curve
from pipelines.evaluation.decisions import at_threshold
from pipelines.evaluation.discrimination import auc_all_regions, auc_per_fold, baseline_mci2, mean_auc, pooled
from pipelines.evaluation.intervals import LEVEL, RESAMPLES, bootstrap_weights
from pipelines.evaluation.regions import evaluate_regions, regions_found


def evaluate_subjects(
    subjects: pd.DataFrame,
    seed: int,
    regions: pd.DataFrame | None = None,
    folds: pd.DataFrame | None = None,
    oracle: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Every measure of the module's docstring.

    subjects, regions: tables in the schemas SUBJECTS and REGIONS; rows of other splits than test are ignored.
    folds: one row per repeat and fold with `slope` and `intercept` of the calibration fitted in its training
    part. oracle: {auc, low, high} of the phantom cohort. seed: of the bootstrap.
    """
    subjects = subjects[subjects["split"] == "test"].sort_values(["repeat", "subject"], ignore_index=True)
    cohort = Cohort.from_table(subjects)
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
        "auc_all_regions": auc_all_regions(subjects, cohort, weights_BN),
        "pooled": pooled(cohort, cohort.probability_NR, weights_BN),
        "threshold": at_threshold(subjects, cohort, weights_BN),
        "calibration": summary(cohort, cohort.probability_NR, weights_BN),
        "curves": {"roc": roc_curve(cohort, weights_BN), "pr": pr_curve(cohort, weights_BN)},
        "regions_found": regions_found(subjects, cohort),
        "baseline_mci2": baseline_mci2(subjects, cohort, weights_BN),
    }
    if regions is not None:
        result["regions"] = evaluate_regions(cohort, regions, weights_BN)
    if folds is not None:
        calibrated_NR = calibrated(cohort, folds)
        measures, fit = pooled(cohort, calibrated_NR, weights_BN), summary(cohort, calibrated_NR, weights_BN)
        result["pooled"] |= {"auc_calibrated": measures["auc"], "brier_calibrated": measures["brier"]}
        result["calibration"] |= {f"{name}_calibrated": fit[name] for name in ("slope", "intercept")}
    if oracle is not None:
        result["oracle"] = oracle_check(auc["value"], oracle)
    return result


def oracle_check(auc: float, oracle: Mapping[str, float]) -> dict[str, Any]:
    """Compare an AUC with that of a perfect reader of the phantoms' true geometry ({auc, low, high}).

    Better than perfect is a leak: `alarm` is true where the AUC lies above the oracle's interval.
    """
    alarm = bool(auc > oracle["high"])
    where = "above" if alarm else "not above"
    sentence = f"AUC {auc:.3f} is {where} the oracle's interval {oracle['low']:.3f} to {oracle['high']:.3f}"
    reason = ": the outcome has leaked into the prediction." if alarm else "."
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
