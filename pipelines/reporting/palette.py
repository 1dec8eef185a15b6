"""How every figure looks: colours, type, and SVG whose bytes depend on the numbers alone."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from pipelines.contact_sheet import REGION_COLOURS

INK = "#1b2733"
MUTED = "#66727f"
HAIRLINE = "#d9dfe5"
ACCENT = "#17607d"
SECOND = "#b3781f"
PALE = "#a9c4d1"

FONTS = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"

_STYLE: dict[Any, Any] = {
    # Text stays text. DejaVu comes with matplotlib: the same layout on every machine, wide enough for all.
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": HAIRLINE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.8,
}


def region_colours(regions: list[str]) -> dict[str, str]:
    """A colour per region, the same in overlays, figures and tables."""
    return {region: REGION_COLOURS[index % len(REGION_COLOURS)] for index, region in enumerate(regions)}


def dashed() -> dict[str, Any]:
    """The line of no skill: thin, gray, dashed."""
    return {"color": MUTED, "linewidth": 0.8, "linestyle": (0, (3, 3))}


class Drawing:
    """One figure under way: `axes` to draw on, `svg` once the `drawing` block is left."""

    def __init__(self, figure: Figure, axes: list[Axes]) -> None:
        self.figure = figure
        self.axes = axes
        self.svg = ""


@contextmanager
def drawing(
    name: str, title: str, size_inch: tuple[float, float], columns: int = 1, stamp: str = ""
) -> Iterator[Drawing]:
    """Axes side by side in the house style; `stamp` (PHANTOM DATA) is printed into the figure itself."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=size_inch, layout="constrained")
        canvas = FigureCanvasSVG(figure)
        drawn = Drawing(figure, list(figure.subplots(1, columns, squeeze=False)[0]))
        yield drawn
        if stamp:
            # A title of the whole figure: the layout keeps room for it above all axes.
            figure.suptitle(stamp, x=0.995, ha="right", fontsize=6.5, fontweight="bold", color=SECOND)
        buffer = io.StringIO()
        canvas.print_svg(  # type: ignore[no-untyped-call]
            buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
        drawn.svg = _tidy(buffer.getvalue(), name, title)


def _tidy(svg: str, name: str, title: str) -> str:
    """An SVG that may stand beside others in a page: its own ids, the reader's fonts, a title."""
    svg, name = svg[svg.index("<svg") :], f"figure-{name}"
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'xlink:href="#([^"]+)"', rf'xlink:href="#{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    svg = svg.replace("*{", f"#{name} *{{").replace("'DejaVu Sans'", FONTS).replace("DejaVu Sans", FONTS)
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    head, rest = svg.split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    return (
        f'{head} id="{name}" role="img" aria-label="{escape(title)}">\n<title>{escape(title)}</title>{rest}'
    )
