"""Progress for people and for log files: a bar on a terminal, one line every 30 seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from pipelines.progress import Progress

console = Console(stderr=True, highlight=False, soft_wrap=True)
LINE_EVERY_S = 30.0


@contextmanager
def shown(stage: str) -> Iterator[Progress]:
    """Yield the listener that a stage reports to."""
    if not console.is_terminal:
        yield _LogLines(stage)
        return
    columns = (TextColumn("{task.description:16}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, TextColumn("{task.fields[note]}"), console=console, transient=True) as bar:
        task = bar.add_task(stage, total=None, note="")

        def report(done: int, total: int, note: str) -> None:
            bar.update(task, completed=done, total=total, note=note)

        yield report


class _LogLines:
    """A line every 30 s with count, rate and time left."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.begun = self.last = time.monotonic()
        self.first = 0
        self.counted: int | None = None

    def __call__(self, done: int, total: int, note: str) -> None:
        now = time.monotonic()
        if self.counted is None or total != self.counted:
            # a new count; and what an earlier attempt did is not this attempt's speed
            self.counted, self.first, self.begun = total, done, now
        if now - self.last < LINE_EVERY_S:
            return
        self.last = now
        rate = (done - self.first) / max(now - self.begun, 1e-9)
        left = f", {(total - done) / rate:.0f} s left" if rate > 0 else ""
        console.print(
            f"  {self.stage}: {done:,} of {total:,} ({rate:.2g}/s{left}) {note}".rstrip(), markup=False
        )
