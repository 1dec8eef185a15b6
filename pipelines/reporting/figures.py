"""Every figure as a function of metrics.json alone: anyone can draw it again from the numbers."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pipelines.config import BONES
from pipelines.reporting.forest import forest
from pipelines.reporting.palette import ACCENT, INK, MUTED, PALE, SECOND, dashed, drawing, region_colours
from pipelines.reporting.worth import agreement, decision

Numbers = dict[str, Any]


def draw_all(metrics: Numbers) -> dict[str, str]:
    """Name to SVG text, for every figure whose numbers are there."""
    stamp = "PHANTOM DATA" if metrics["phantom"] else ""
    wanted = []
    bones = metrics["study"]["read"] == BONES
    if bones and metrics["segmentation"] and metrics["segmentation"]["films_tested"]:
        wanted.append(dice)
    if metrics["evaluation"]:
        by_exam = metrics["study"]["unit"] == "exam"
        wanted += [curves, calibration] if by_exam else [forest, curves, calibration, decision]
        wanted += [regions] if bones and not by_exam else []
        wanted += [agreement] if "score" in metrics["evaluation"] else []
    if metrics["training"]:
        wanted.append(training)
    return {draw.__name__: draw(metrics, stamp) for draw in wanted}


def dice(metrics: Numbers, stamp: str) -> str:
    """A box per region: quartiles, whiskers from the 5th to the 95th percentile, the worst film."""
    rows = metrics["segmentation"]["regions"]
    colours = region_colours(metrics["study"]["regions"])
    with drawing("dice", "Dice per region", (9.4, 2.7), stamp=stamp) as drawn:
        axes = drawn.axes[0]
        boxes = [row["dice"] for row in rows]
        # One film without a bone must not flatten the boxes of all the others.
        floor = max(0.0, min(box["p05"] for box in boxes if box["n"]) - 0.1)
        for position, (row, box) in enumerate(zip(rows, boxes, strict=True)):
            if box["n"]:
                _box(axes, position, box, floor, colours[row["region"]])
        axes.set_xticks(range(len(rows)), [row["region"] for row in rows])
        axes.set(xlim=(-0.6, len(rows) - 0.4), title="Dice against the reference mask")
        axes.set_ylim(floor, 1.0)
        axes.grid(axis="y")
    return drawn.svg


def curves(metrics: Numbers, stamp: str) -> str:
    """ROC and precision-recall curves with pointwise 95 % bands; the no-skill lines are dashed."""
    evaluation = metrics["evaluation"]
    roc, pr, prevalence = evaluation["curves"]["roc"], evaluation["curves"]["pr"], evaluation["prevalence"]
    with drawing("curves", "ROC and precision-recall curves", (9.4, 4.5), 2, stamp) as drawn:
        left, right = drawn.axes
        left.plot([0, 1], [0, 1], **dashed())
        _banded(left, roc["fpr"], roc["tpr"], roc)
        left.set(title="ROC", xlabel="false positive rate", ylabel="sensitivity")
        right.axhline(prevalence, **dashed())
        right.text(0.99, prevalence - 0.02, "prevalence", ha="right", va="top", color=MUTED, fontsize=7.5)
        _banded(right, pr["recall"], pr["precision"], pr)
        right.set(title="Precision and recall", xlabel="recall (sensitivity)", ylabel="precision (PPV)")
        for axes in drawn.axes:
            axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), aspect="equal")
            axes.grid()
    return drawn.svg


def calibration(metrics: Numbers, stamp: str) -> str:
    """Predicted probabilities by outcome, and observed against predicted in groups of equal size."""
    with drawing("calibration", "Probabilities by outcome, and calibration", (9.4, 3.9), 2, stamp) as drawn:
        left, right = drawn.axes
        _mirrored_histogram(left, metrics["histogram"], metrics["study"]["unit"] + "s")
        right.plot([0, 1], [0, 1], **dashed())
        groups = metrics["reliability"]
        for group in groups:
            ends = [group["low"], group["high"]]
            right.plot([group["probability"]] * 2, ends, color=PALE, linewidth=3, solid_capstyle="round")
        predicted, observed = ([group[name] for group in groups] for name in ("probability", "observed"))
        right.plot(predicted, observed, "o-", color=ACCENT, markersize=5, linewidth=1)
        right.set(xlim=(0, 1), ylim=(0, 1), title="Calibration")
        right.set(xlabel="mean predicted probability", ylabel="observed share of positives")
        right.grid()
    return drawn.svg


def regions(metrics: Numbers, stamp: str) -> str:
    """Mean predicted probability per region, in three populations side by side on one scale."""
    panels = metrics["region_probability"]
    colours = region_colours(metrics["study"]["regions"])
    name = "Predicted probability per region in three populations"
    with drawing("regions", name, (9.4, 3.2), len(panels), stamp) as drawn:
        for axes, panel in zip(drawn.axes, panels, strict=True):
            rows = panel["regions"][::-1]
            for position, row in enumerate(rows):
                if row["mean"] is not None:
                    axes.barh(position, row["mean"], height=0.64, color=colours[row["region"]])
                if row["low"] is not None:
                    axes.plot([row["low"], row["high"]], [position] * 2, color=INK, linewidth=1.1)
            shown = [row["region"] for row in rows] if axes is drawn.axes[0] else [""] * len(rows)
            axes.set_yticks(range(len(rows)), shown)
            axes.axvline(metrics["evaluation"]["prevalence"], **dashed())
            axes.set(xlim=(0, 1), title=f"{panel['population']}, n = {panel['subjects']}")
            axes.set_ylim(-0.6, len(rows) - 0.4)  # also where bars are missing
            axes.grid(axis="x")
        drawn.axes[len(panels) // 2].set_xlabel("mean predicted probability")
    return drawn.svg


def training(metrics: Numbers, stamp: str) -> str:
    """Loss over the steps of every training, and what validation measured meanwhile."""
    panels = metrics["training"]
    with drawing("training", "Training curves", (9.4, 2.5), len(panels), stamp) as drawn:
        for axes, panel in zip(drawn.axes, panels, strict=True):
            few = len(panel["step"]) <= 30
            axes.plot(panel["step"], panel["value"], color=ACCENT, marker="o" if few else "", markersize=3)
            axes.set(title=panel["name"].replace(": ", "\n"), xlabel="step")
            axes.locator_params(axis="x", nbins=4)
            axes.grid(axis="y")
    return drawn.svg


def _box(axes: Axes, position: int, box: Numbers, floor: float, colour: str) -> None:
    axes.plot([position] * 2, [box["p05"], box["p95"]], color=colour, linewidth=1.2)
    height = box["q75"] - box["q25"]
    axes.bar(position, height, width=0.5, bottom=box["q25"], color=colour, alpha=0.35)
    axes.plot([position - 0.25, position + 0.25], [box["median"]] * 2, color=colour, linewidth=2.4)
    worst, marker = (box["min"], "o") if box["min"] >= floor else (floor, "v")
    axes.plot(position, worst, marker, color=colour, markersize=4, markerfacecolor="none", clip_on=False)


def _banded(axes: Axes, x: list[float], y: list[float], band: Numbers) -> None:
    axes.fill_between(x, band["low"], band["high"], color=ACCENT, alpha=0.15, linewidth=0)
    axes.plot(x, y, color=ACCENT)


def _mirrored_histogram(axes: Axes, histogram: Numbers, unit: str) -> None:
    """Positives upwards, negatives downwards."""
    edges = histogram["edges"]
    for name, colour, sign in (("positive", SECOND, 1), ("negative", ACCENT, -1)):
        heights = [sign * count for count in histogram[name]]
        axes.bar(edges[:-1], heights, edges[1] - edges[0], align="edge", color=colour, edgecolor="white")
        y, va = (0.98, "top") if sign > 0 else (0.02, "bottom")
        axes.text(0.99, y, name, color=colour, ha="right", va=va, weight="bold", transform=axes.transAxes)
    axes.axhline(0, color=INK, linewidth=0.7)
    axes.set(
        xlim=(0, 1), title=f"{unit.capitalize()} by probability", xlabel="predicted probability", ylabel=unit
    )
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
