"""Ray's logs lie on the node and die with it: what is new is copied to the run's folder, and once more at the end."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

_PERIOD_S = 10.0


class LogCopier:
    """Copies <session>/logs of a Ray temp-dir into `target`, in a thread, for the shared folder may hang."""

    def __init__(self, temp_dir: Path, target: Path) -> None:
        self._temp_dir, self._target = temp_dir, target
        self._copied: dict[Path, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def finish(self, patience_s: float = 5.0) -> None:
        """Copy what is left; gives up waiting for a folder that hangs."""
        self._ended.set()
        self._thread.join(patience_s)

    def _run(self) -> None:
        while not self._ended.wait(_PERIOD_S):
            self._copy()
        self._copy()

    def _copy(self) -> None:
        for logs in self._temp_dir.glob("session_2*/logs"):  # session_latest is a link to one of them
            for path in logs.rglob("*"):
                with suppress(OSError):
                    if path.is_file() and path.suffix in (".log", ".out", ".err", ".txt", ".json"):
                        self._append(path, self._target / path.relative_to(logs))

    def _append(self, path: Path, copy: Path) -> None:
        done = self._copied.get(path, 0)
        if path.stat().st_size <= done:
            return
        copy.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as source, copy.open("ab") as target:
            source.seek(done)
            new = source.read()
            target.write(new)
        self._copied[path] = done + len(new)
