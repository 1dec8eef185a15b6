"""Whatever is killed, cut or taken away: the job ends by itself, with the uninterrupted run's result and nothing left.

The steps of loop_driver.py depend on all before them, so an equal result means that no step was lost or made twice
from a stale state; at most one checkpoint interval is made again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.conftest import Break, Lab
from tests.slurm.loop_driver import expected
from tests.slurm.ray_jobs import Loop, clean, kill, preempt, slurm, wait

pytestmark = [pytest.mark.slurm, pytest.mark.chaos, pytest.mark.timeout(1200)]
# A minute or two each: some always, all of them by RADMILL_CHAOS=all.
in_full = pytest.mark.skipif(
    os.environ.get("RADMILL_CHAOS") != "all", reason="set RADMILL_CHAOS=all to run it"
)

STEPS, EVERY = 14, 2


@pytest.fixture
def begun(lab: Lab, tmp_path: Path) -> Iterator[Loop]:
    """A two-node run a few steps after its beginning; in the end the lab is whole again."""
    job = Loop(lab, tmp_path / "run", nodes=2, steps=STEPS).submit(step_s=0.7, every=EVERY)
    wait(lambda: job.step() > EVERY, 450, "the first checkpoint")
    yield job
    slurm("scancel", job.job, check=False)


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
        pytest.param(0, "raylet/raylet", 2, id="head raylet", marks=in_full),
        pytest.param(0, "gcs_server", 2, id="head gcs", marks=in_full),
    ],
)
def test_a_killed_process_is_mended_in_the_allocation(
    begun: Loop, where: int, words: str, drivers: int
) -> None:
    kill(begun.lab, begun.hosts()[where], words)
    check(begun, *begun.lab.nodes, restarts=0)
    assert len(begun.events("driver")) == drivers


@in_full
def test_a_killed_supervisor_is_replaced_by_the_next_attempt(begun: Loop) -> None:
    kill(begun.lab, begun.head(), "submitit.core._submit")
    wait(lambda: begun.events("fenced"), 60, "the agent's finding")
    check(begun, *begun.lab.nodes, restarts=1)


@pytest.mark.parametrize(
    ("how", "where"),
    [
        pytest.param("kill", 0, id="head killed"),
        pytest.param("kill", 1, id="worker killed", marks=in_full),
        pytest.param("cut", 0, id="head cut off", marks=in_full),
        pytest.param("cut", 1, id="worker cut off", marks=in_full),
    ],
)
def test_a_lost_node_is_replaced(begun: Loop, break_node: Break, how: str, where: int) -> None:
    lost = begun.hosts()[where]
    break_node(how, lost)
    living = set(begun.lab.nodes) - {lost}
    check(begun, *living, restarts=1)
    if how == "cut":  # its Ray ended before the next attempt began; whether to requeue is asked for a minute
        clean(begun.lab, lost, within_s=90)


def test_preemption_stops_at_a_step_and_goes_on_there(begun: Loop) -> None:
    preempt()
    wait(lambda: begun.events("requeue") or begun.events("end"), 60, "the end of the first attempt")
    assert begun.events("end")[0]["failure"] == "preempted"
    check(begun, *begun.lab.nodes, restarts=1)
    assert begun.repeated() == 0
