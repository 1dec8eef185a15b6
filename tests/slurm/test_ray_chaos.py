"""Whatever is killed, cut or taken away: the job ends by itself, with the uninterrupted run's result and nothing left.

The steps of loop_driver.py depend on all before them, so an equal result means that no step was lost or made twice
from a stale state; at most one checkpoint interval is made again.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.slurm.loop_driver import expected
from tests.slurm.ray_jobs import Loop, clean, kill, slurm, wait

pytestmark = [pytest.mark.slurm, pytest.mark.chaos]

STEPS, EVERY = 14, 2
Submit = Callable[..., Loop]


@pytest.fixture
def begun(ray_lab: Path, tmp_path: Path) -> Iterator[Loop]:
    """A two-node run a few steps after its beginning; in the end the lab is whole again."""
    job = Loop(ray_lab, tmp_path / "run", nodes=2, steps=STEPS).submit(step_s=0.7, every=EVERY)
    wait(lambda: job.step() > EVERY, 200, "the first checkpoint")
    yield job
    slurm("scancel", job.job, check=False)


@pytest.fixture
def whole(ray_lab: Path) -> Iterator[Callable[[str, str], None]]:
    """break_(kill or cut, node), mended at the end of the test."""
    broken: list[tuple[str, str]] = []

    def break_(how: str, node: str) -> None:
        subprocess.run([ray_lab, how, node], check=True)
        broken.append(({"kill": "revive", "cut": "heal"}[how], node))

    yield break_
    for how, node in broken:
        subprocess.run([ray_lab, how, node], check=True)
    wait(lambda: slurm("sinfo", "-h", "-o", "%D", "-t", "idle").strip() == "3", 120, "three idle nodes")


def check(job: Loop, *nodes: str, restarts: int) -> None:
    """The result, one checkpoint interval at most made again, attempts as expected, nothing left on `nodes`."""
    assert job.finish() == expected(job.nodes, job.steps)
    assert job.repeated() <= EVERY
    assert [event["restart"] for event in job.events("begin")] == list(range(restarts + 1))
    assert job.events("end")[-1]["word"] == "done"
    clean(job.lab, *nodes)


@pytest.mark.parametrize(
    ("where", "words", "drivers"),
    [
        pytest.param(0, str(Path("slurm/loop_driver.py")), 2, id="driver"),
        pytest.param(1, "raylet/raylet", 2, id="worker raylet"),
        pytest.param(0, "raylet/raylet", 2, id="head raylet"),
        pytest.param(0, "gcs_server", 2, id="head gcs"),
    ],
)
def test_a_killed_process_is_mended_in_the_allocation(
    begun: Loop, where: int, words: str, drivers: int
) -> None:
    kill(begun.lab, begun.hosts()[where], words)
    check(begun, "n1", "n2", "n3", restarts=0)
    assert len(begun.events("driver")) == drivers


def test_a_killed_supervisor_is_replaced_by_the_next_attempt(begun: Loop) -> None:
    kill(begun.lab, begun.head(), "submitit.core._submit")
    wait(lambda: begun.events("fenced"), 60, "the agent's finding")
    check(begun, "n1", "n2", "n3", restarts=1)


@pytest.mark.parametrize("how", ["kill", "cut"])
@pytest.mark.parametrize("where", [0, 1], ids=["head", "worker"])
def test_a_lost_node_is_replaced(
    begun: Loop, whole: Callable[[str, str], None], how: str, where: int
) -> None:
    lost = begun.hosts()[where]
    whole(how, lost)
    living = {"n1", "n2", "n3"} - {lost}
    # Whoever is cut off has ended long before the next attempt begins: nothing writes beside it.
    check(begun, *living, *([lost] if how == "cut" else []), restarts=1)


def test_preemption_stops_at_a_step_and_goes_on_there(begun: Loop) -> None:
    urgent = [
        "sbatch",
        "--parsable",
        "-p",
        "urgent",
        "-N3",
        "--exclusive",
        "-o",
        "/dev/null",
        "--wrap",
        "srun sleep 3",
    ]
    slurm(*urgent)
    wait(lambda: begun.events("requeue") or begun.events("end"), 60, "the end of the first attempt")
    assert begun.events("end")[0]["failure"] == "preempted"
    check(begun, "n1", "n2", "n3", restarts=1)
    assert begun.repeated() == 0
