"""Training curves, thinned to what a small figure can show."""

from __future__ import annotations

from typing import Any

import numpy as np

_NAMES = {
    "train-segmenter": "segmenter",
    "pretrain": "encoder",
    "films": "film model",
    "supcon": "SupCon",
    "head": "classifier",
}
_VALIDATED = {
    "train-segmenter": ("dice", "ged"),
    "pretrain": ("effective_rank",),
    "films": ("validation_loss",),
    "supcon": (),
    "head": ("validation_loss",),
}
_OF_THE_BATCH = ("loss", "effective_rank")  # the others are measured on films that stay the same
_POINTS = 120


def training_panels(histories: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Panels {name, step, value}: the loss of every training, then what its validation measured."""
    panels = []
    for stage, rows in histories.items():
        for key in ("loss", *_VALIDATED[stage]):
            used = _whole(rows) if key in _OF_THE_BATCH else rows
            known = [(int(row["step"]), float(row[key])) for row in used if row.get(key) is not None]
            if known:
                panels.append({"name": f"{_NAMES[stage]}: {key.replace('_', ' ')}", **_thinned(known)})
    return panels


def _whole(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the short batches that end an epoch: a contrastive loss is lower among fewer."""
    batch = max((row.get("samples", 0) for row in rows), default=0)
    return [row for row in rows if row.get("samples", batch) == batch]


def training_facts(models: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """What model.json says of every training: {stage, warning, facts: [{name, value}]}."""
    trained = {stage: models[stage]["training"] for stage in _NAMES if models.get(stage, {}).get("training")}
    return [
        {
            "stage": stage,
            "warning": facts.get("warning") or "",
            "facts": [
                {"name": name.replace("_", " "), "value": value}
                for name, value in facts.items()
                if isinstance(value, int | float)
            ],
        }
        for stage, facts in trained.items()
    ]


def _thinned(known: list[tuple[int, float]]) -> dict[str, list[Any]]:
    """At most _POINTS means over neighbouring steps, each at the last of its steps."""
    groups = [group for group in np.array_split(np.arange(len(known)), _POINTS) if len(group)]
    return {
        "step": [known[group[-1]][0] for group in groups],
        "value": [float(np.mean([known[index][1] for index in group])) for group in groups],
    }
