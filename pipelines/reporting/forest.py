"""The figure that carries the result: every AUC with its interval, the oracle beside the network."""

from __future__ import annotations

from typing import Any

from pipelines.config import BONES
from pipelines.reporting.palette import ACCENT, MUTED, SECOND, dashed, drawing, region_colours

_READ = {BONES: "all regions", "whole": "whole film", "patches": "mean of the patches"}
_Row = tuple[str, dict[str, Any], str]


def forest(metrics: dict[str, Any], stamp: str) -> str:
    """AUC with its 95 % interval: network, variants of it, every region alone, baselines, oracle."""
    rows = _rows(metrics)
    alone = ", of each region alone" if metrics["study"]["read"] == BONES else ""
    names = f"AUC of the network{alone}, of the baselines and of the oracle"
    with drawing("forest", names, (9.4, 0.75 + 0.25 * len(rows)), 1, stamp) as drawn:
        axes = drawn.axes[0]
        axes.axvline(0.5, **dashed())
        beside = axes.get_yaxis_transform()
        for position, (name, interval, colour) in enumerate(reversed(rows)):
            first = position == len(rows) - 1
            weight = "bold" if first else "normal"
            if interval["low"] is not None:
                ends = [interval["low"], interval["high"]]
                axes.plot(
                    ends, [position] * 2, color=colour, linewidth=3 if first else 2, solid_capstyle="round"
                )
            axes.plot(
                interval["value"],
                position,
                "o",
                color=colour,
                markersize=9 if first else 6,
                markeredgecolor="white",
                clip_on=False,
            )
            axes.text(-0.02, position, name, ha="right", va="center", weight=weight, transform=beside)
            axes.text(1.02, position, _text(interval), va="center", weight=weight, transform=beside)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        least = min(row[1]["low"] if row[1]["low"] is not None else row[1]["value"] for row in rows)
        axes.set(xlim=(min(0.4, least - 0.02), 1.0), ylim=(-0.7, len(rows) - 0.3))
        axes.set_title("Area under the ROC curve")
        axes.grid(axis="x")
    return drawn.svg


def _rows(metrics: dict[str, Any]) -> list[_Row]:
    evaluation = metrics["evaluation"]
    colours = region_colours(metrics["study"]["regions"])
    read = metrics["study"]["read"]
    rows: list[_Row] = [(f"network, {_READ[read]}", evaluation["auc"], ACCENT)]
    if read == BONES:
        rows.append(("only subjects with every region", evaluation["auc_all_regions"], ACCENT))
    if not metrics["fixed"]:
        pooled = evaluation["pooled"]
        rows.append(("pooled over folds, calibrated", pooled.get("auc_calibrated", pooled["auc"]), ACCENT))
    by_name = {entry["region"]: entry["auc"] for entry in evaluation.get("regions", [])}
    rows += [(f"{r} alone", by_name[r], colours[r]) for r in metrics["study"]["regions"] if r in by_name]
    rows += [(entry["label"], entry["auc"], MUTED) for entry in evaluation["baselines"]]
    if evaluation.get("oracle"):
        rows.append(("oracle: a perfect reader", evaluation["oracle"], SECOND))
    return [row for row in rows if row[1]["value"] is not None]


def _text(interval: dict[str, Any]) -> str:
    if interval["low"] is None:
        return f"{interval['value']:.2f}"
    return f"{interval['value']:.2f}  ({interval['low']:.2f} to {interval['high']:.2f})"
