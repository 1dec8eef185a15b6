"""The analysis lock: what is asked is written down and hashed before a test outcome is opened; looks are counted.

    STORE/splits/protocol-<id>.parquet          one row: the protocol; id is its hash, so it can't change unseen
    STORE/splits/evaluation-<id>-<p>.parquet    one row per set of test predictions; p is the hash of the predictions

The same protocol over the same data gives the same predictions and is the same look, however often it is run or
resumed. Many looks at one test set are many chances to be lucky; the report prints their number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from storage.schemas import EVALUATIONS, PROTOCOLS
from storage.tables import read_table, write_table

PRIMARY = "mean within-fold AUC over all repeats"
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Looks:
    """How often the test outcomes of a store have been opened, and under how many protocols."""

    evaluations: int
    protocols: int
    of_this_protocol: int


def lock(store_root: Path, protocol: Mapping[str, Any]) -> str:
    """Write the protocol down before its outcomes are opened; returns its id."""
    document = json.dumps(protocol, sort_keys=True)
    identity = _hash(document.encode())
    path = store_root / "splits" / f"protocol-{identity}.parquet"
    if not path.exists():
        write_table(path, pd.DataFrame([{"protocol": identity, "document": document}]), PROTOCOLS)
    return identity


def record(store_root: Path, identity: str, subjects: pd.DataFrame) -> None:
    """Count a look at the test outcomes: predictions (SUBJECTS) made under a locked protocol."""
    tested = subjects[subjects["split"] == "test"].sort_values(["repeat", "subject"])
    columns = tested[["subject", "repeat", "probability", "prediction"]].round({"probability": 12})
    predictions = _hash(columns.to_csv(index=False).encode())
    row = {
        "protocol": identity,
        "predictions": predictions,
        "method": ", ".join(sorted(set(tested["method"]))),
        "tested": tested["subject"].nunique(),
    }
    path = store_root / "splits" / f"evaluation-{identity}-{predictions}.parquet"
    write_table(path, pd.DataFrame([row]), EVALUATIONS)


def looks(store_root: Path, identity: str = "") -> Looks:
    """Count what `record` wrote."""
    rows = [
        read_table(path, EVALUATIONS)["protocol"].iat[0]
        for path in sorted((store_root / "splits").glob("evaluation-*.parquet"))
    ]
    return Looks(len(rows), len(set(rows)), rows.count(identity))


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_DIGITS]
