"""The Tuner of a search: Ray Tune, restored from its notes where they are of these very trials and can be read.

Tune's notes are `tuner.pkl` and `experiment_state-*.json`; a good copy of the first lies beside its folder, and
so does the question that they belong to.
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


class SearchStopped(RadmillError):
    """A search was asked to stop; what is done is kept (exit code 75)."""

    exit_code = 75


class Listener:
    """Where finished trials go. Tune pickles its callbacks, so they find it by name."""

    done: Callable[[str, Row], None] | None = None
    error: Exception | None = None
    """Why a row could not be kept: Tune would call it a trial that failed."""


def tuner_of(
    function: Callable[[Row], Row],
    trials: Sequence[Trial],
    todo: Sequence[Trial],
    place: Path,
    cpus: int,
    gpus: int,
    stop_file: Path | None,
) -> Any:
    """Tune over the trials, restored where its notes are of all of these; else anew with those that are todo."""
    from ray import tune

    asked = place.parent / f"{place.name}.json"
    failed = place.parent / f"{place.name}.failed"
    question = {
        "function": f"{function.__module__}:{function.__qualname__}",
        "trials": {trial.id: dict(trial.params) for trial in trials},
    }
    trainable = tune.with_resources(run_sample, {"cpu": cpus, "gpu": gpus})
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


def run_sample(config: Row) -> None:
    """What Tune calls for every trial; its row goes to the `Listener`."""
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
            if Listener.done is None or "row" not in result:
                return
            try:
                Listener.done(result["trial"], result["row"])
            except Exception as error:
                Listener.error = Listener.error or error

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
