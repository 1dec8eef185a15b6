"""How a submitted run stands: a line per step, from any shell."""

from __future__ import annotations

import time
from pathlib import Path

from cluster.graph_file import read_graph
from jobs.config import Settings
from jobs.overview import WAITING, StepStatus, overview
from jobs.submission import Submission
from jobs.tasks import FAILED, RUNNING


def main(settings: Settings) -> int:
    """`radmill status out=DIR`."""
    out = Path(str(settings.out))
    submission = Submission.of(out)
    print(f"{out}: submitted from {submission.host} on {submission.since}")
    print("\n".join(lines(overview(submission), out)))
    if not read_graph(submission.folder).whole:
        print("Its submission was interrupted: the same radmill run submits the rest.")
    return 0


def lines(steps: list[StepStatus], out: Path) -> list[str]:
    """What status prints below its first line."""
    rows = [("step", "state", "done", "since", "node hours", "")]
    for step in steps:
        since = time.strftime("%m-%d %H:%M", time.localtime(step.since)) if step.since else ""
        hours = f"{step.node_hours:.2f}" if step.node_hours else ""
        rows.append((step.name, step.state, step.counts, since, hours, step.words))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    told = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[5]]).rstrip()
        for row in rows
    ]
    return [*told, *_advice(steps, out)]


def _advice(steps: list[StepStatus], out: Path) -> list[str]:
    """The sum of what was spent, and what to do next."""
    told = [f"{sum(step.node_hours for step in steps):.2f} node hours in all."]
    running = [step for step in steps if step.state == RUNNING]
    failed = [step for step in steps if step.state == FAILED]
    if running:
        told.append(f"Its log: {running[0].log}; radmill logs out={out} -f follows it.")
    elif any(step.state == WAITING for step in steps):
        pass
    elif failed:
        told.append(
            f"{failed[0].name} failed first: radmill logs out={out} stage={failed[0].name} shows its log. "
            f"radmill retry out={out} asks for what is missing."
        )
    elif (page := out / "report" / "report.html").is_file():
        told.append(f"Report: {page}")
    return told
