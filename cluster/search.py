"""Many trials of one function side by side: Ray Tune, whose notes may be lost without losing a trial.

A trial counts as done when its row is kept, by whoever asked; Tune's own files only save time. So a search that was
killed goes on with `Tuner.restore` where Tune's notes can be read, from their good copy where not, and else
anew with the trials that have no row.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.beside import beside
from cluster.local_ray import connected
from cluster.tuner import Listener, Row, SearchStopped, Trial, tuner_of
from storage.errors import RadmillError

__all__ = ["Row", "SearchStopped", "Trial", "TrialsFailed", "forget", "search"]


class TrialsFailed(RadmillError):
    """Some trials failed, the others are done; `failures` has a sentence for each, by its id."""

    def __init__(self, failures: Mapping[str, str]) -> None:
        self.failures = dict(failures)
        first, sentence = next(iter(self.failures.items()))
        others = f" So did {len(failures) - 1} others." if len(failures) > 1 else ""
        super().__init__(
            f"The trial {first} failed: {sentence}{others} The same command tries what failed again."
        )


def search(
    function: Callable[[Row], Row],
    trials: Sequence[Trial],
    *,
    folder: Path,
    name: str,
    cpus: int,
    cpus_per_trial: int,
    gpus_per_trial: int = 0,
    is_done: Callable[[str], bool],
    on_done: Callable[[str, Row], None],
    stop_file: Path | None = None,
) -> None:
    """Run `function(params)` for every trial without a row, as many at once as the CPUs and GPUs allow.

    function: importable by its name on every node, its result JSON values. cpus: of a Ray on this machine; one
    that RAY_ADDRESS names has what it has. is_done, on_done: whether a trial's row is kept, and keep it; called
    in this process, one at a time, as trials end. stop_file: while it is there no trial begins, and those that run
    are waited for: they look for it too, if they can end early.

    Raises:
        TrialsFailed: after all others ended. SearchStopped: the stop file came, or a trial was told to stop.
    """
    todo = [trial for trial in trials if not is_done(trial.id)]
    if not todo:
        return
    place = folder.resolve() / name
    place.parent.mkdir(parents=True, exist_ok=True)

    def done(trial: str, row: Row) -> None:
        if not is_done(trial):
            on_done(trial, row)

    with connected(max(cpus, cpus_per_trial), gpus_per_trial):
        Listener.done, Listener.error = done, None
        try:
            tuner = tuner_of(function, trials, todo, place, cpus_per_trial, gpus_per_trial, stop_file)
            results = _fit(tuner, stop_file)
        finally:
            Listener.done = None
    if Listener.error is not None:
        raise Listener.error
    if results is None:
        raise SearchStopped("Stopped between trials; the same command goes on from there.")
    for result in results:
        if not result.error and result.metrics and "row" in result.metrics:
            done(result.metrics["trial"], result.metrics["row"])
    _raise_failures(trials, is_done, place.parent / f"{name}.failed")
    shutil.rmtree(place, ignore_errors=True)


def forget(folder: Path, name: str) -> None:
    """Remove what a search that did not end has left in `folder`: Tune's notes, their question, what failed."""
    place = folder.resolve() / name
    for left in (place, place.with_name(f"{name}.failed")):
        shutil.rmtree(left, ignore_errors=True)
    place.with_name(f"{name}.json").unlink(missing_ok=True)


def _fit(tuner: Any, stop_file: Path | None) -> Any:
    """Tune's results; None where the stop file came first."""
    results = None
    try:
        results = beside(tuner.fit, "ray-tune")
    except Exception:
        if stop_file is None or not stop_file.exists():
            raise
    return None if stop_file is not None and stop_file.exists() else results


def _raise_failures(trials: Sequence[Trial], is_done: Callable[[str], bool], failed: Path) -> None:
    failures: dict[str, str] = {}
    for trial in trials:
        if not is_done(trial.id):
            story = failed / f"{trial.id}.json"
            told = json.loads(story.read_text("utf-8")) if story.exists() else {}
            failures[trial.id] = told.get("sentence", "its process died.")
    if failures:
        raise TrialsFailed(failures)
