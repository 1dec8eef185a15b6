"""What a store holds, in counts; groups of fewer than five people are not told apart (`disclosure`).

The total itself is hidden where fewer than five people are in the store.
"""

from __future__ import annotations

import io
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from pipelines.disclosure import LEAST
from pipelines.disclosure import hidden as hidden_groups
from storage.atomic import write_bytes, write_text
from storage.care import look
from storage.errors import ConfigError
from storage.manifest import Store
from storage.wording import counted

FEW = f"<{LEAST}"
ALSO = "*"  # hidden so that the total does not tell the few
_KINDS = (".html", ".png", ".svg")


@dataclass(frozen=True, slots=True)
class Group:
    """A bar: its label, films and people in it, bytes of its films; None where they are hidden, and then why."""

    label: str
    films: int | None
    subjects: int | None
    size_bytes: int | None
    hidden: str = ""


@dataclass(frozen=True, slots=True)
class Stats:
    """A store in numbers, None where it holds too few people; excluded: reason -> files and frames."""

    films: int | None
    subjects: int | None
    size_bytes: int | None
    phantom: bool
    groups: dict[str, list[Group]]
    excluded: dict[str, int]


def stats(store: Store) -> Stats:
    """Count the live generation."""
    rows = look.table(store, "manifest").to_pylist()
    per_subject = Counter(row["subject"] for row in rows)
    groups = {title: _grouped(rows, label) for title, label in _LABELS.items()}
    groups["films per subject"] = _grouped(rows, lambda row: _number(per_subject[row["subject"]], 1, 10))
    reasons = Counter(look.left_out(store, ["reason"])["reason"].to_pylist())
    told = len(per_subject) >= LEAST
    return Stats(
        films=len(rows) if told else None,
        subjects=len(per_subject) if told else None,
        size_bytes=sum(row["size"] for row in rows) if told else None,
        phantom=any(row["data_kind"] == "phantom" for row in rows),
        groups=groups,
        excluded=dict(sorted(reasons.items())),
    )


def as_text(numbers: Stats) -> str:
    """The counts as lines to print."""
    lines = ["PHANTOM DATA"] * numbers.phantom
    lines.append(_headline(numbers))
    for title, groups in numbers.groups.items():
        lines += ["", f"{title:24} {'films':>9} {'subjects':>9} {'MB':>10}"]
        for group in groups:
            size = "-" if group.size_bytes is None else f"{group.size_bytes / 1e6:,.1f}"
            films, subjects = (_told(count, group.hidden) for count in (group.films, group.subjects))
            lines.append(f"  {group.label:22} {films:>9} {subjects:>9} {size:>10}")
    if any(group.hidden == ALSO for groups in numbers.groups.values() for group in groups):
        lines += ["", f"{ALSO} hidden, or the total would tell the few people of the group beside it"]
    lines += ["", f"{'left out':24} {'files':>9}"]
    lines += [f"  {reason:22} {count:>9,}" for reason, count in numbers.excluded.items()] or ["  none"]
    return "\n".join(lines)


def _headline(numbers: Stats) -> str:
    if numbers.films is None or numbers.subjects is None or numbers.size_bytes is None:
        return f"films of {FEW} subjects"
    films, subjects = counted(numbers.films, "film"), counted(numbers.subjects, "subject")
    return f"{films} of {subjects}, {numbers.size_bytes / 1e6:,.1f} MB"


def write_plots(path: Path, numbers: Stats) -> None:
    """Draw the counts as bars into an .html, .png or .svg file; ConfigError for another ending."""
    if path.suffix not in _KINDS:
        raise ConfigError(f"out= must end in {', '.join(_KINDS)}, but is {path.name}.")
    from pipelines.reporting.palette import drawing

    stamp = "PHANTOM DATA" if numbers.phantom else ""
    columns = 4
    rows = math.ceil((len(numbers.groups) + 1) / columns)
    with drawing("store", "What the store holds", (13, 2.6 * rows), columns, stamp) as drawn:
        for axes in drawn.axes:
            axes.remove()
        grid = drawn.figure.add_gridspec(rows, columns)
        charts = [
            (title, [(group.label, group.films, _told(group.films, group.hidden)) for group in groups])
            for title, groups in numbers.groups.items()
        ]
        charts.append(("left out", [(name, count, f"{count:,}") for name, count in numbers.excluded.items()]))
        for place, (title, bars) in enumerate(charts):
            _bars(drawn.figure.add_subplot(grid[place // columns, place % columns]), title, bars)
    if path.suffix == ".png":
        _save_png(drawn.figure, path)
    elif path.suffix == ".svg":
        write_text(path, drawn.svg)
    else:
        write_text(path, _page(numbers, drawn.svg))


def _save_png(figure: Any, path: Path) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, facecolor="white", metadata={"Software": None})
    write_bytes(path, buffer.getvalue())


def _page(numbers: Stats, svg: str) -> str:
    stamp = "<p><strong>PHANTOM DATA</strong></p>" if numbers.phantom else ""
    head = "<!doctype html><html lang=en><meta charset=utf-8><title>What the store holds</title>"
    style = "<style>body{font-family:system-ui,sans-serif;max-width:1200px;margin:2em auto}svg{width:100%}</style>"
    return f"{head}{style}<h1>What the store holds</h1>{stamp}{svg}<pre>{escape(as_text(numbers))}</pre></html>\n"


def _bars(axes: Any, title: str, bars: list[tuple[str, int | None, str]]) -> None:
    """bars: label, length and what stands beside it."""
    from pipelines.reporting.palette import ACCENT, MUTED

    labels = [label for label, _, _ in bars] or ["none"]
    counts = [count or 0 for _, count, _ in bars] or [0]
    axes.barh(range(len(labels)), counts, color=ACCENT, height=0.7)
    for place, (_, count, told) in enumerate(bars):
        axes.text(count or 0, place, f" {told}", va="center", fontsize=6.5, color=MUTED)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xticks([])
    axes.set_xlim(0, 1.25 * max(*counts, 1))
    axes.set_ylim(max(len(labels), 3) - 0.5, -0.5)
    axes.set_title(title)


def _grouped(rows: Iterable[dict[str, Any]], label: Callable[[dict[str, Any]], str]) -> list[Group]:
    films: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    subjects: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        name = label(row)
        films[name] += 1
        sizes[name] += row["size"]
        subjects[name].add(row["subject"])
    groups, hidden = [], hidden_groups(subjects)
    for name in sorted(films, key=_order):
        if name in hidden:
            groups.append(Group(name, None, None, None, FEW if len(subjects[name]) < LEAST else ALSO))
        else:
            groups.append(Group(name, films[name], len(subjects[name]), sizes[name]))
    return groups


def _order(label: str) -> tuple[bool, float, str]:
    """Numbers by their value, words by the alphabet, the unknown last."""
    head = label.split(" ")[0].strip("+<")
    try:
        return False, float(head), label
    except ValueError:
        return label == UNKNOWN, math.inf, label


UNKNOWN = "unknown"


def _word(column: str) -> Callable[[dict[str, Any]], str]:
    return lambda row: str(row[column] or UNKNOWN)


def _number(value: float | None, step: float, most: float, unit: str = "") -> str:
    """The bin of a number: its lower edge; all from `most` on are one."""
    if value is None or math.isnan(value):
        return UNKNOWN
    if value >= most:
        return f"{most:g}+ {unit}".rstrip()
    edge = math.floor(value / step + 1e-9) * step
    return f"{edge:g} {unit}".rstrip() if step == 1 else f"{edge:g} to {edge + step:g} {unit}".rstrip()


_LABELS: dict[str, Callable[[dict[str, Any]], str]] = {
    "modality": _word("modality"),
    "view": _word("view"),
    "side": _word("laterality"),
    "sex": _word("sex"),
    "age in years": lambda row: _number(row["age_years"], 10, 90),
    "device": _word("device"),
    "size": lambda row: _number(row["height"] * row["width"] / 1e6, 2, 10, "Mpx"),
    "bits": lambda row: _number(row["bits"], 1, 16),
    "spacing": lambda row: _number(row["spacing_mm"], 0.05, 0.4, f"mm {row['spacing_source'] or ''}"),
    "polarity": lambda row: str(row["polarity_flag"] or "as stored"),
    "codec": _word("codec"),
}


def _told(count: int | None, hidden: str) -> str:
    return hidden if count is None else f"{count:,}"
