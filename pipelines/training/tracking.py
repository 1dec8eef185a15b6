"""What a training tells while it runs: metrics.jsonl, one row per step, and TensorBoard; both by rank 0."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from torch.utils.tensorboard import SummaryWriter

from storage.atomic import write_text

TIMES = ("step_s", "wait_s")  # the only values of a row that differ between two runs


class Tracker:
    """Context manager that appends rows; opened at `step`, it drops what an earlier run wrote beyond it."""

    def __init__(self, folder: Path, step: int) -> None:
        path = folder / "metrics.jsonl"
        write_text(path, "".join(f"{line}\n" for line in rows_until(path, step)))
        self._rows = path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append one row: the step and its metrics, null where a metric is not finite."""
        row = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        self._rows.write(json.dumps({"step": step, **row}) + "\n")
        for name, value in metrics.items():
            self._board.add_scalar(name, value, step)

    def flush(self) -> None:
        """Make everything logged so far outlast the process; called before each checkpoint."""
        self._rows.flush()
        os.fsync(self._rows.fileno())
        self._board.flush()

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rows.close()
        self._board.close()


class NullTracker(Tracker):
    """The tracker of every rank but the first: says nothing."""

    def __init__(self) -> None: ...

    def log(self, step: int, metrics: Mapping[str, float]) -> None: ...

    def flush(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def rows_until(path: Path, step: int) -> list[str]:
    """The whole rows of metrics.jsonl up to and with `step`, as lines without their ends."""
    if not path.exists():
        return []
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:  # the row that a killed run was writing
            break
        if row["step"] > step:
            break
        kept.append(line)
    return kept
