"""A search over three trials of a second or two; run as a script so that its driver can be killed."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from cluster.search import Trial, search
from storage.atomic import write_json
from storage.errors import InputError, StorageError

NAMES = ("a", "b", "c")


def count(params: dict[str, Any]) -> dict[str, Any]:
    """Notes that it ran; trial b waits, until the file `go` is there, for a driver that is to be killed."""
    folder, name = Path(params["folder"]), params["name"]
    with (folder / f"ran-{name}").open("a") as ran:
        ran.write("x")
    if params.get("wrong") == name:
        raise InputError(f"films={name} does not exist; name an existing folder.")
    while name == "b" and not (folder / "go").exists():
        time.sleep(0.1)
    if params["stops"] == name:
        (folder / "stop").touch()
        dropped, deadline = folder / "tune" / "small.json", time.monotonic() + 60
        while dropped.exists() and time.monotonic() < deadline:
            time.sleep(0.1)  # its last step: meanwhile Tune drops the others
    return {"value": ord(name)}


def run(folder: Path, wrong: str | None = None, stops: str | None = None, full: str | None = None) -> None:
    """The search; rows are JSON files.

    wrong: the trial that fails; stops: the one that asks all to stop; full: the one whose row can't be kept.
    """

    def keep(trial: str, row: dict[str, Any]) -> None:
        if trial == full:
            raise StorageError("The disk is full.")
        write_json(folder / f"{trial}.json", row)

    params = {"folder": str(folder), "wrong": wrong, "stops": stops}
    search(
        count,
        [Trial(id=name, params=params | {"name": name}) for name in NAMES],
        folder=folder / "tune",
        name="small",
        cpus=1,
        cpus_per_trial=3 if stops else 1,  # all that `ray_here` has: what stops them runs alone
        is_done=lambda trial: (folder / f"{trial}.json").exists(),
        on_done=keep,
        stop_file=folder / "stop",
    )


if __name__ == "__main__":
    from small_trials import run as run_by_name

    run_by_name(Path(sys.argv[1]))
