"""Many trials of one function side by side: Ray Tune, whose notes may be lost without losing a trial.

A trial counts as done when its row is kept, by whoever asked; Tune's own files only save time. So a search that was
killed goes on with `Tuner.restore` where Tune's notes can be read, from their good copy where not, and else
anew with the trials that have no row.
"""

from __future__ import annotations

import json
import logging
import pickle
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.beside import beside
from cluster.local_ray import connected
from cluster.workers import named
from storage.atomic import write_bytes, write_json
from storage.errors import RadmillError

Row = dict[str, Any]
_TUNER = "tuner.pkl"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One sample of a search. id: the same in every attempt, fit for a file's name; params: JSON values."""

    id: str
    params: Mapping[str, Any]


class TrialsFailed(RadmillError):
    """Some trials failed, the others are done; `failures` has a sentence for each, by its id."""

    def __init__(self, failures: Mapping[str, str]) -> None:
        self.failures = dict(failures)
        first, sentence = next(iter(self.failures.items()))
        others = f" So did {len(failures) - 1} others." if len(failures) > 1 else ""
        super().__init__(
            f"The trial {first} failed: {sentence}{others} The same command tries what failed again."
        )


class SearchStopped(RadmillError):
    """A search was asked to stop; what is done is kept (exit code 75)."""

    exit_code = 75


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
        _Listener.done, _Listener.error = done, None
        try:
            tuner = _tuner(function, trials, todo, place, cpus_per_trial, gpus_per_trial, stop_file)
            results = _fit(tuner, stop_file)
        finally:
            _Listener.done = None
    if _Listener.error is not None:
        raise _Listener.error
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


def run_trial(config: Row) -> None:
    """What Tune calls for every trial."""
    import ray.tune

    sample = config["sample"]
    failed = Path(sample["failed"]) / f"{sample['trial']}.json"
    failed.unlink(missing_ok=True)
    try:
        if sample["stop_file"] is not None and Path(sample["stop_file"]).exists():
            raise SearchStopped("Stopped before it began.")
        row = named(sample["function"])(sample["params"])
    except Exception as error:
        sentence = str(error) if isinstance(error, RadmillError) else f"{type(error).__name__}: {error}"
        write_json(failed, {"sentence": sentence})
        raise
    ray.tune.report({"trial": sample["trial"], "row": row})


class _Listener:
    """Where finished trials go. Tune pickles its callbacks, so they find it by name."""

    done: Callable[[str, Row], None] | None = None
    error: Exception | None = None
    """Why a row could not be kept: Tune would call it a trial that failed."""


def _tuner(
    function: Callable[[Row], Row],
    trials: Sequence[Trial],
    todo: Sequence[Trial],
    place: Path,
    cpus: int,
    gpus: int,
    stop_file: Path | None,
) -> Any:
    """Tune, restored where its notes are of these very trials and can be read."""
    from ray import tune

    asked = place.parent / f"{place.name}.json"
    failed = place.parent / f"{place.name}.failed"
    question = {
        "function": f"{function.__module__}:{function.__qualname__}",
        "trials": {trial.id: dict(trial.params) for trial in trials},
    }
    trainable = tune.with_resources(run_trial, {"cpu": cpus, "gpu": gpus})
    if asked.exists() and json.loads(asked.read_text("utf-8")) == json.loads(json.dumps(question)):
        if readable(place):
            return tune.Tuner.restore(str(place), trainable, resume_unfinished=True, resume_errored=True)
        _log.warning("Tune's notes in %s can't be read; trials without a row start anew.", place)
    shutil.rmtree(place, ignore_errors=True)
    write_json(asked, question)
    samples = [
        {
            "trial": trial.id,
            "function": question["function"],
            "params": dict(trial.params),
            "failed": str(failed),
            "stop_file": None if stop_file is None else str(stop_file.absolute()),
        }
        for trial in todo
    ]
    tuner = tune.Tuner(
        trainable,
        param_space={"sample": tune.grid_search(samples)},
        tune_config=tune.TuneConfig(
            trial_dirname_creator=_trial_name,
            trial_name_creator=_trial_name,
            scheduler=None if stop_file is None else _scheduler(stop_file.absolute(), asked),
        ),
        run_config=tune.RunConfig(
            name=place.name, storage_path=str(place.parent), callbacks=[_callback()], verbose=0
        ),
    )
    write_bytes(_good_copy(place), (place / _TUNER).read_bytes())
    return tuner


def readable(place: Path) -> bool:
    """Whether Tune can restore from its notes; what is damaged is replaced by its copy, or removed.

    These files are our own and as trusted as the program that is about to unpickle them.
    """
    if not _unpickles(place / _TUNER):
        if not _unpickles(_good_copy(place)):
            return False
        write_bytes(place / _TUNER, _good_copy(place).read_bytes())
    states = sorted(place.glob("experiment_state-*.json"))
    while states:  # Tune takes the newest
        try:
            json.loads(states[-1].read_text("utf-8"))
            return True
        except ValueError:
            states.pop().unlink()
    return False


def _unpickles(path: Path) -> bool:
    try:
        pickle.loads(path.read_bytes())
    except Exception:  # whatever the damage leads to
        return False
    return True


def _good_copy(place: Path) -> Path:
    return place.parent / f"{place.name}.{_TUNER}"


def _trial_name(trial: Any) -> str:
    return str(trial.config["sample"]["trial"])


def _callback() -> Any:
    from ray.tune.progress_reporter import TrialProgressCallback

    class Rows(TrialProgressCallback):  # type: ignore[misc]
        """Rows leave as their trials end; in Tune's own place, which would call completed what was dropped."""

        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            result = trial.last_result
            if _Listener.done is None or "row" not in result:
                return
            try:
                _Listener.done(result["trial"], result["row"])
            except Exception as error:
                _Listener.error = _Listener.error or error

    return Rows()


def _scheduler(stop_file: Path, asked: Path) -> Any:
    from ray.tune.experiment import Trial as TuneTrial
    from ray.tune.schedulers import FIFOScheduler

    class UntilStopped(FIFOScheduler):  # type: ignore[misc]
        """In order; once the stop file is there, those that wait are dropped: each would take seconds to begin."""

        def choose_trial_to_run(self, tune_controller: Any) -> Any:
            if not stop_file.exists():
                return super().choose_trial_to_run(tune_controller)
            # for Tune, whom it drops has ended: its notes must not be taken up again
            asked.unlink(missing_ok=True)
            for trial in tune_controller.get_trials():
                if trial.status == TuneTrial.PENDING:
                    tune_controller.stop_trial(trial)
            return None

    return UntilStopped()


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
