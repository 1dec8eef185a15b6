"""A signal while the films are prepared ends the job cleanly, with the exit code of a stop that goes on."""

import subprocess
import sys
from pathlib import Path

import pytest

from jobs.__main__ import main

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
