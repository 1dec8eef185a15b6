"""A signal while the films are prepared ends the job cleanly, with the exit code of a stop that goes on."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.__main__ import main
from jobs.session import local_session
from pipelines.training.session import StoppedEarly

# Sends the signal as soon as the session listens to it, which is before the first film is prepared.
STOPPED_AT_ONCE = """
import signal, sys
from jobs.__main__ import main
install = signal.signal
def listen(number, handler):
    before = install(number, handler)
    if number == signal.Signals[sys.argv[1]] and getattr(handler, "__module__", "") == "jobs.session":
        signal.raise_signal(number)
    return before
signal.signal = listen
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("films")
    films = "subjects=0 unlabelled=6 height=96 width=96 annotators=1"
    assert main([*f"phantoms out={place}/raw {films}".split()]) == 0
    words = f"ingest raw={place}/raw/films annotations={place}/raw/annotations store={place}/store"
    assert main(words.split()) == 0
    return place / "store"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_during_the_preparation_stops_there(name: str, store: Path, tmp_path: Path) -> None:
    words = f"train-segmenter store={store} out={tmp_path}/out"
    run = subprocess.run(
        [sys.executable, "-c", STOPPED_AT_ONCE, name, *words.split()],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    sentence = "radmill: Stopped while the films were prepared; the same command goes on from there.\n"
    assert (run.returncode, run.stderr) == (75, sentence)
    assert not (tmp_path / "out" / "train-segmenter" / "DONE.json").exists()


class Requeued(SystemExit):
    """As submitit's listener ends the process once Slurm was asked to start the job again."""


@pytest.fixture
def scheduled() -> Iterator[None]:
    """A process as submitit has prepared it: SIGUSR2 requeues, SIGTERM is passed over."""

    def requeue(number: int, frame: object) -> None:
        raise Requeued(0)

    before = signal.signal(signal.SIGUSR2, requeue), signal.signal(signal.SIGTERM, lambda *_: None)
    yield
    signal.signal(signal.SIGUSR2, before[0])
    signal.signal(signal.SIGTERM, before[1])


@pytest.mark.usefixtures("scheduled")
@pytest.mark.parametrize("stops", [True, False], ids=["at a step", "too late for a step"])
def test_a_scheduler_that_warned_starts_a_stopped_training_again(stops: bool) -> None:
    with pytest.raises(Requeued), local_session() as session:
        signal.raise_signal(signal.SIGUSR2)
        signal.raise_signal(signal.SIGTERM)  # follows a preemption's warning
        if stops and session.should_stop(3):
            raise StoppedEarly(3, 10)


@pytest.mark.usefixtures("scheduled")
def test_a_cancelled_training_is_not_started_again() -> None:
    with pytest.raises(StoppedEarly), local_session() as session:
        signal.raise_signal(signal.SIGTERM)
        assert session.should_stop(3)
        raise StoppedEarly(3, 10)
