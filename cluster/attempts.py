"""attempts.jsonl: what happened to a run, a line per event, by whoever saw it.

A line is written by one O_APPEND write, so that several processes may write and a killed one leaves at most half a
line, which readers skip. Bounds are counted from here, for nothing else survives a node.
"""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import Any


class Attempts:
    """The events of one run folder, as seen from one attempt of one job."""

    def __init__(self, path: Path, job: str, restart: int) -> None:
        self.path = path
        self._identity = {"job": job, "restart": restart, "host": socket.gethostname()}

    def write(self, event: str, **fields: object) -> None:
        """Append an event and print it, so that the job's log tells the same story."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        line = json.dumps({"time": stamp, **self._identity, "event": event, **fields})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, f"{line}\n".encode())
        finally:
            os.close(descriptor)
        said = " ".join(f"{key}={value}" for key, value in fields.items() if value not in ("", None))
        print(f"{stamp} {self._identity['host']} {event} {said}".rstrip(), flush=True)

    def of_job(self) -> list[dict[str, Any]]:
        """This job's events, oldest first, over all its attempts."""
        return [event for event in read(self.path) if event.get("job") == self._identity["job"]]


def read(path: Path) -> list[dict[str, Any]]:
    """All events of a file, oldest first; none if there is no file."""
    events = []
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # a writer died in the middle of it
        if isinstance(event, dict):
            events.append(event)
    return events
