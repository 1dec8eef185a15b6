"""How jobs stand, asked of the real thing: with accounting, without, and when Slurm has forgotten them."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.array import map_array, submit_array
from cluster.config import ClusterConfig
from cluster.executor import make_executor
from cluster.queue import job_states, node_hours
from cluster.resources import Resources
from tests.slurm import tasks
from tests.slurm.conftest import Lab, wait_for

pytestmark = pytest.mark.slurm
SMALL = Resources(memory_gb=0.4, timeout_min=5)


@pytest.fixture
def no_accounting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A PATH with every program of Slurm but sacct."""
    only = tmp_path / "bin"
    only.mkdir()
    for name in ("sbatch", "srun", "squeue", "sinfo", "scontrol", "scancel", "bash", "tail"):
        (only / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(only))


def test_states_and_reasons_with_accounting(slurm: ClusterConfig, lab: Lab, tmp_path: Path) -> None:
    config = replace(slurm, array_width=2)
    blocker = make_executor(config, tmp_path, "blocker", Resources(nodes=2, memory_gb=0.4)).submit(
        tasks.rest, 60
    )
    tasks_of = submit_array(
        config, tmp_path, "waits", SMALL, tasks.wait_or_fail, [0, 1, 2, 3], after=[blocker.job_id]
    )
    ids = [blocker.job_id, *(job.job_id for job in tasks_of)]
    states = wait_for([blocker.job_id], lambda state: state.elapsed_s >= 1)
    states = job_states(ids)
    assert {states[one].state for one in ids[1:]} == {"PENDING"}
    assert {states[one].reason for one in ids[1:]} == {"waits for the step before it"}
    assert (states[ids[0]].nodes, states[ids[0]].reason) == (2, "")
    assert states[ids[0]].node.startswith(lab.nodes[0][:-1]) and states[ids[0]].start[:2] == "20"
    subprocess.run(["scancel", ids[0]], check=True)
    states = wait_for(ids, lambda state: state.finished)
    assert [states[one].state for one in ids] == [
        "CANCELLED",
        "COMPLETED",
        "COMPLETED",
        "COMPLETED",
        "FAILED",
    ]
    assert states[ids[0]].elapsed_s >= 1
    assert node_hours({"": states[ids[0]]}) == pytest.approx(2 * states[ids[0]].elapsed_s / 3600)


@pytest.mark.usefixtures("no_accounting")
def test_without_accounting_squeue_tells(slurm: ClusterConfig, tmp_path: Path) -> None:
    assert shutil.which("sacct") is None
    words = (f"{tmp_path}/starts",)
    assert map_array(slurm, tmp_path / "jobs", "squares", SMALL, tasks.square, [2, 3], arguments=words) == [
        4,
        9,
    ]
    jobs = submit_array(slurm, tmp_path / "more", "waits", SMALL, tasks.wait_or_fail, [2, 3])
    states = wait_for([job.job_id for job in jobs], lambda state: state.finished)
    assert [state.state for state in states.values()] == ["COMPLETED", "FAILED"]
    assert all(state.nodes == 1 for state in states.values())


def test_what_slurm_forgot_is_told_by_the_files(
    slurm: ClusterConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = submit_array(slurm, tmp_path, "waits", SMALL, tasks.wait_or_fail, [2, 3])
    ids = [job.job_id for job in jobs]
    wait_for(ids, lambda state: state.finished)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [state.state for state in job_states(ids, [tmp_path]).values()] == ["COMPLETED", "FAILED"]
    assert [state.state for state in job_states(ids).values()] == ["UNKNOWN", "UNKNOWN"]


def test_an_id_that_never_was_is_gone(slurm: ClusterConfig) -> None:
    assert job_states(["999999", "999998_3"])["999998_3"].state == "GONE"
