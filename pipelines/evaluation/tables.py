"""What a table of a sweep compares: rows, each a trial over seeds, and which row a difference is taken from."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """One row. trial: its name, that of a group of trials with a seed each; minus: the one its difference is from."""

    name: str
    trial: str
    minus: str | None = None


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """One table. measures: of `trials.MEASURES`, in order; note: what a reader must know of its rows."""

    title: str
    rows: list[TableRow]
    measures: list[str] = field(default_factory=lambda: ["precision", "recall", "f1", "auc", "accuracy"])
    note: str = ""
    paper: str | None = None
    """Which table of which paper it repeats, such as hand 1; the paper's numbers then stand below, apart."""
