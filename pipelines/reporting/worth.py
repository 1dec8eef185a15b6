"""Figures of what a decision is worth, and of how near the regression comes to the measured value."""

from __future__ import annotations

from typing import Any

from pipelines.reporting.palette import ACCENT, INK, MUTED, SECOND, dashed, drawing

_LINES = {"network": ACCENT, "age_sex": SECOND, "network_age_sex": INK}
_NAMES = {"network": "network", "age_sex": "age and sex", "network_age_sex": "network, age and sex"}


def decision(metrics: dict[str, Any], stamp: str) -> str:
    """Net benefit over the threshold probability; the band is the network's."""
    utility = metrics["evaluation"]["utility"]
    thresholds, prevalence = utility["thresholds"], utility["prevalence"]
    with drawing("decision", "Decision curve", (9.4, 3.6), 1, stamp) as drawn:
        axes = drawn.axes[0]
        axes.axhline(0, **dashed())
        axes.plot(thresholds, utility["all"], color=MUTED, linewidth=1)
        axes.text(thresholds[0], prevalence, " everyone sent on", va="bottom", color=MUTED, fontsize=7.5)
        most = min(thresholds[-1], max(0.2, 2.5 * prevalence))
        axes.text(most, 0, "nobody ", ha="right", va="bottom", color=MUTED, fontsize=7.5)
        for curve in utility["models"]:
            colour = _LINES[curve["name"]]
            if curve["name"] == "network":
                low, high = ([v if v is not None else 0.0 for v in curve[end]] for end in ("low", "high"))
                axes.fill_between(thresholds, low, high, color=colour, alpha=0.13, linewidth=0)
            values = [v if v is not None else float("nan") for v in curve["net_benefit"]]
            axes.plot(thresholds, values, color=colour, label=_NAMES[curve["name"]], linewidth=1.6)
        axes.set(xlim=(0, most), ylim=(-0.25 * prevalence, 1.15 * prevalence))
        axes.set(title="Net benefit", xlabel="probability from which one would act")
        axes.legend(loc="upper right")
        axes.grid(axis="y")
    return drawn.svg


def agreement(metrics: dict[str, Any], stamp: str) -> str:
    """Predicted against measured value, and Bland and Altman's differences against means."""
    score, name = metrics["evaluation"]["score"], metrics["study"]["score"]
    measured, predicted = score["points"]["measured"], score["points"]["predicted"]
    middle = [(m + p) / 2 for m, p in zip(measured, predicted, strict=True)]
    difference = [p - m for m, p in zip(measured, predicted, strict=True)]
    with drawing("agreement", f"Predicted and measured {name}", (9.4, 3.9), 2, stamp) as drawn:
        left, right = drawn.axes
        ends = [min(measured), max(measured)]
        left.plot(ends, ends, **dashed())
        left.plot(measured, predicted, "o", color=ACCENT, markersize=3, alpha=0.6, linewidth=0)
        left.set(title=f"Predicted {name}", xlabel="measured", ylabel="predicted")
        right.axhline(0, **dashed())
        for line in ("bias", "lower", "upper"):
            right.axhline(score[line]["value"], color=SECOND, linewidth=1.4 if line == "bias" else 0.9)
        right.plot(middle, difference, "o", color=ACCENT, markersize=3, alpha=0.6, linewidth=0)
        right.set(
            title="Agreement", xlabel="mean of predicted and measured", ylabel="predicted minus measured"
        )
        for axes in drawn.axes:
            axes.grid()
    return drawn.svg
