"""The page. The template gets numbers through `num` and `ci` alone, which look them up in metrics.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipelines.reporting.palette import region_colours
from pipelines.reporting.tiles import Tile

_MEASURES = (
    ("sensitivity", "Sensitivity"),
    ("specificity", "Specificity"),
    ("ppv", "Positive predictive value"),
    ("npv", "Negative predictive value"),
    ("accuracy", "Accuracy"),
    ("balanced_accuracy", "Balanced accuracy"),
    ("f1", "F1, positive class"),
    ("macro_f1", "F1, mean of both classes"),
    ("sensitivity_all", "Sensitivity, not evaluable counted as missed"),
    ("specificity_all", "Specificity, not evaluable counted as false alarms"),
)

_EXAM_MEASURES = (
    ("accuracy", "Accuracy"),
    ("precision", "Precision (PPV)"),
    ("recall", "Recall (sensitivity)"),
    ("specificity", "Specificity"),
    ("npv", "Negative predictive value"),
    ("f1", "F1, positive class"),
    ("macro_f1", "F1, mean of both classes"),
    ("balanced_accuracy", "Balanced accuracy"),
)

_RULES = {
    "f1": "best F1, mean of both classes",
    "youden": "best sum of sensitivity and specificity",
    "sensitivity": "sensitivity fixed",
    "0.5": "one half",
}

_THIN = "\u202f"  # narrow no-break space: groups thousands, and keeps a unit beside its number


def templates() -> Environment:
    """The pages of this folder; a name that a page does not get is an error."""
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(
    metrics: dict[str, Any], figures: Mapping[str, str], worst: list[Tile], rest: list[Tile], resolved: str
) -> str:
    """The whole page as one self-contained document."""
    environment = templates()
    numbers = Numbers(metrics)
    evaluated = (metrics["evaluation"] or {}).get("regions", [])
    environment.globals |= {"num": numbers.one, "ci": numbers.interval, "noun": numbers.noun}
    page = "exams.html.j2" if metrics["study"]["unit"] == "exam" else "report.html.j2"
    return environment.get_template(page).render(
        m=metrics,
        figures={name: Markup(svg) for name, svg in figures.items()},
        worst=worst,
        rest=rest,
        resolved=resolved,
        measures=_MEASURES,
        exam_measures=_EXAM_MEASURES,
        rules=_RULES,
        region_at={entry["region"]: index for index, entry in enumerate(evaluated)},
        colours=region_colours(metrics["study"]["regions"]),
    )


class Numbers:
    """Numbers of metrics.json as HTML: <data value="0.8123" data-key="evaluation.auc.value">0.81</data>."""

    def __init__(self, metrics: dict[str, Any]) -> None:
        self._metrics = metrics

    def one(self, path: str, form: str = "count") -> Markup:
        """The number at a dotted path, in one of the forms of `written`; a dash where it is undefined."""
        value = self.look_up(path)
        if value is None:
            return Markup('<span class="none" title="undefined">–</span>')  # noqa: RUF001
        return Markup('<data value="{}" data-key="{}" data-form="{}">{}</data>').format(
            value, path, form, written(value, form)
        )

    def interval(self, path: str, form: str = "two") -> Markup:
        """Value and 95 % interval of the {value, low, high} at a path."""
        value = self.one(f"{path}.value", form)
        if self.look_up(f"{path}.low") is None:
            return value
        low, high = self.one(f"{path}.low", form), self.one(f"{path}.high", form)
        return Markup('{} <span class="ci">({} to {})</span>').format(value, low, high)

    def noun(self, path: str, one: str, many: str = "") -> str:
        """The word behind the number at a path: `subject` behind a 1, `subjects` behind any other."""
        return one if self.look_up(path) == 1 else many or f"{one}s"

    def look_up(self, path: str) -> Any:
        """What stands at the path; digits index lists."""
        node: Any = self._metrics
        for part in path.split("."):
            node = node[int(part)] if isinstance(node, list) else node[part]
        return node


def written(value: float, form: str) -> str:
    """A number as the reader sees it.

    form: count, one, two, three (digits), p, short, percent, duration (of seconds), gigabytes (of MB).
    """
    if form == "short":
        form = "count" if float(value).is_integer() else "three"
    if form == "p":
        return "<0.001" if value < 0.001 else f"{value:.3f}"
    if form == "count":
        return f"{value:,.0f}".replace(",", _THIN)
    if form == "percent":
        return f"{100 * value:.0f}{_THIN}%"
    if form == "duration":
        minutes, seconds = divmod(round(value), 60)
        return f"{minutes}{_THIN}min {seconds:02d}{_THIN}s" if minutes else f"{value:.1f}{_THIN}s"
    if form == "gigabytes":
        return f"{value / 1024:.1f}{_THIN}GB"
    digits = {"one": 1, "two": 2, "three": 3}[form]
    return f"{value:.{digits}f}".replace("-", "−")  # noqa: RUF001
