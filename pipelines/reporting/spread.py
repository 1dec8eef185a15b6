"""Small summaries of a list of values for metrics.json; NaN means undefined and is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

Values = npt.NDArray[np.float64]


def spread(values: Values) -> dict[str, float]:
    """n, mean, standard deviation, and the quantiles that a box needs; NaN where undefined."""
    known = values[np.isfinite(values)]
    if not len(known):
        return dict.fromkeys(("mean", "sd", "p05", "q25", "median", "q75", "p95", "min"), np.nan) | {"n": 0}
    p05, q25, median, q75, p95 = np.quantile(known, (0.05, 0.25, 0.5, 0.75, 0.95))
    return {
        "n": len(known),
        "mean": known.mean(),
        "sd": known.std(ddof=1) if len(known) > 1 else np.nan,
        "p05": p05,
        "q25": q25,
        "median": median,
        "q75": q75,
        "p95": p95,
        "min": known.min(),
    }


def mean_interval(values: Values) -> dict[str, float]:
    """Mean of independent values in [0, 1] with its 95 % t interval, NaN for fewer than two."""
    known = values[np.isfinite(values)]
    count = len(known)
    mean = known.mean() if count else np.nan
    half = stats.t.ppf(0.975, count - 1) * known.std(ddof=1) / np.sqrt(count) if count > 1 else np.nan
    return {"n": count, "mean": mean, "low": max(mean - half, 0.0), "high": min(mean + half, 1.0)}


def mean_known(values: Values) -> float:
    """Mean without the undefined values; NaN where all are."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


def plain(obj: Any) -> Any:
    """The same tree as JSON has it: Python numbers, and None for what is not finite."""
    if isinstance(obj, dict):
        return {str(key): plain(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple | np.ndarray):
        return [plain(value) for value in obj]
    if isinstance(obj, np.integer | np.bool_):
        return obj.item()
    if isinstance(obj, float | np.floating):
        return float(obj) if np.isfinite(obj) else None
    return obj
