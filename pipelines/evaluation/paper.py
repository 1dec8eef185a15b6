"""The hand paper's own table: per seed one small test set, called by argmax; mean and SD over seeds, no interval.

The seeds share most of their training subjects, so that SD is no standard error; a test set of a tenth holds few
positives. It is here to be compared with the paper, never to rank anything.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pipelines.evaluation.metrics import Confusion, auc, divide

MEASURES = ("precision", "recall", "f1", "auc", "accuracy")


def paper_table(subjects: pd.DataFrame) -> dict[str, Any]:
    """seeds [{seed, n, positive, not_evaluable, precision, recall, f1, auc, accuracy}], mean and sd over them.

    subjects: SUBJECTS of protocol=paper. An undefined measure (nobody called positive) is NaN and left out of mean and
    sd; `defined` counts the seeds that remain.
    """
    rows = []
    for seed, part in subjects[subjects["split"] == "test"].groupby("seed"):
        known = part[part["probability"].notna()]
        outcome_N, once = known["outcome"].to_numpy(np.int64), np.ones((1, len(known)))
        counts = Confusion.count(outcome_N, known["prediction"].to_numpy(np.int64), once)
        shares = {name: float(divide(*pair)[0]) for name, pair in counts.proportions().items()}
        rows.append(
            {
                "seed": int(str(seed)),
                "n": len(known),
                "positive": int(outcome_N.sum()),
                "not_evaluable": len(part) - len(known),
                "precision": shares["ppv"],
                "recall": shares["sensitivity"],
                "f1": float(counts.composites()["f1"][0]),
                "auc": float(auc(outcome_N, known["probability"].to_numpy(np.float64), once)[0]),
                "accuracy": shares["accuracy"],
            }
        )
    table = pd.DataFrame(rows, columns=["seed", *MEASURES]) if not rows else pd.DataFrame(rows)
    return {
        "seeds": rows,
        "mean": {name: float(table[name].mean()) for name in MEASURES},
        "sd": {name: float(table[name].std(ddof=1)) for name in MEASURES},
        "defined": {name: int(table[name].notna().sum()) for name in MEASURES},
    }
