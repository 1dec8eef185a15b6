"""Laws of a search: a trial with a row is never run again, whatever was killed and whatever of Tune's notes is left."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from cluster.search import SearchStopped, TrialsFailed
from cluster.tuner import readable
from storage.errors import RadmillError, StorageError

HERE = Path(__file__).parent
slow = pytest.mark.slow


@pytest.fixture(scope="module")
def trials(ray_here: None) -> ModuleType:
    """small_trials.py, under the name that workers know it by."""
    return import_module("small_trials")


def rows(folder: Path) -> dict[str, int]:
    return {path.stem: json.loads(path.read_text())["value"] for path in folder.glob("?.json")}


def ran(folder: Path) -> dict[str, int]:
    return {path.name[-1]: len(path.read_text()) for path in folder.glob("ran-?")}


def killed_in_the_second(folder: Path) -> None:
    """Run the search in a process of its own and kill that when trial a has its row and b has begun."""
    paths = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    environment = os.environ | {"PYTHONPATH": paths}
    with subprocess.Popen(
        [sys.executable, str(HERE / "small_trials.py"), str(folder)], env=environment
    ) as run:
        deadline = time.monotonic() + 400
        while not (rows(folder) and "b" in ran(folder) and list(folder.glob("tune/small/experiment_state*"))):
            assert run.poll() is None and time.monotonic() < deadline
            time.sleep(0.2)
        time.sleep(1.5)  # Tune notes the experiment once a second
        run.send_signal(signal.SIGKILL)


@slow
@pytest.mark.parametrize("damage", ["none", "truncated", "missing", "all"])
def test_a_killed_search_goes_on_and_runs_nothing_twice(
    damage: str, trials: ModuleType, tmp_path: Path
) -> None:
    killed_in_the_second(tmp_path)
    notes = tmp_path / "tune" / "small"
    if damage == "truncated":
        os.truncate(notes / "tuner.pkl", 20)
    elif damage == "missing":
        (notes / "tuner.pkl").unlink()
    elif damage == "all":
        for path in (*notes.glob("*.pkl"), *notes.glob("*.json"), *notes.parent.glob("*.pkl")):
            os.truncate(path, 5)
    assert readable(notes) == (damage != "all")
    (tmp_path / "go").touch()
    trials.run(tmp_path)
    assert rows(tmp_path) == {"a": 97, "b": 98, "c": 99}
    assert ran(tmp_path) == {"a": 1, "b": 2, "c": 1}  # b was cut down once
    assert not notes.exists()
    trials.run(tmp_path)
    assert ran(tmp_path) == {"a": 1, "b": 2, "c": 1}


@slow
def test_one_trial_may_fail_and_the_others_are_done(trials: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    sentence = (
        r"^The trial b failed: films=b does not exist; name an existing folder\. The same command tries"
    )
    with pytest.raises(TrialsFailed, match=sentence):
        trials.run(tmp_path, wrong="b")
    assert set(rows(tmp_path)) == {"a", "c"}


@slow
def test_a_row_that_can_not_be_kept_is_no_trial_that_failed(trials: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    with pytest.raises(StorageError, match=r"^The disk is full\.$"):
        trials.run(tmp_path, full="b")
    assert set(rows(tmp_path)) == {"a", "c"}
    trials.run(tmp_path)
    assert set(rows(tmp_path)) == {"a", "b", "c"}


@slow
def test_a_stop_lets_no_trial_begin(trials: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "stop").touch()
    with pytest.raises(SearchStopped) as caught:
        trials.run(tmp_path)
    assert caught.value.exit_code == 75 and isinstance(caught.value, RadmillError)
    assert ran(tmp_path) == {}


@slow
def test_a_stop_waits_for_what_runs_and_begins_no_other(trials: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    with pytest.raises(SearchStopped):
        trials.run(tmp_path, stops="a")
    assert rows(tmp_path) == {"a": 97} and ran(tmp_path) == {"a": 1}
    assert not list((tmp_path / "tune" / "small.failed").glob("*"))  # not even to find the stop
    (tmp_path / "stop").unlink()
    trials.run(tmp_path, stops="a")
    assert rows(tmp_path) == {"a": 97, "b": 98, "c": 99} and ran(tmp_path) == {"a": 1, "b": 1, "c": 1}


def notes_in(folder: Path) -> Path:
    place = folder / "small"
    place.mkdir()
    for path in (place / "tuner.pkl", folder / "small.tuner.pkl"):
        path.write_bytes(pickle.dumps({"run": "config"}))
    for number in (1, 2):
        (place / f"experiment_state-{number}.json").write_text('{"trials": []}')
    return place


def test_a_damaged_note_is_replaced_by_its_copy_or_the_one_before(tmp_path: Path) -> None:
    place = notes_in(tmp_path)
    whole = (place / "tuner.pkl").read_bytes()
    os.truncate(place / "tuner.pkl", 4)
    os.truncate(place / "experiment_state-2.json", 4)
    assert readable(place)
    assert (place / "tuner.pkl").read_bytes() == whole
    assert [path.name for path in place.glob("*.json")] == ["experiment_state-1.json"]


def test_without_a_whole_note_nothing_is_restored(tmp_path: Path) -> None:
    place = notes_in(tmp_path)
    for number in (1, 2):
        os.truncate(place / f"experiment_state-{number}.json", 4)
    assert not readable(place)
    assert not readable(tmp_path / "nowhere")
