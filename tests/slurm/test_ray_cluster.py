"""Ray inside real allocations: comes up on all nodes, shares a node with another job, leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.slurm.conftest import ROOT, Lab
from tests.slurm.loop_driver import expected
from tests.slurm.ray_jobs import SCRATCH, Loop, clean, on_node, slurm, wait

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]

# Asks the dashboard on its node for `path`, with a header or without; prints status and body.
ASK = """
import sys, urllib.request, urllib.error
request = urllib.request.Request(sys.argv[1])
if sys.argv[2]:
    request.add_header("Authorization", "Bearer " + open(sys.argv[2]).read().strip())
try:
    with urllib.request.urlopen(request, timeout=20) as answer:
        print(answer.status, answer.read().decode())
except urllib.error.HTTPError as error:
    print(error.code)
"""


def ask(lab: Lab, about: dict[str, object], path: str, token_file: str = "") -> tuple[int, str]:
    """(status, body) of the dashboard, asked from its own node, as behind the ssh tunnel."""
    url = f"http://127.0.0.1:{about['dashboard_port']}{path}"
    status, _, body = on_node(
        lab, str(about["node"]), f"{sys.executable} -c '{ASK}' '{url}' '{token_file}'"
    ).partition(" ")
    return int(status), body


def test_three_nodes_from_ready_to_nothing(lab: Lab, tmp_path: Path) -> None:
    job = Loop(lab, tmp_path / "run", nodes=3, steps=60).submit(step_s=0.5)
    wait(lambda: job.step() > 1, 450, "the first steps")
    about = json.loads((job.run / "cluster.json").read_text())
    assert about["ssh"] == f"ssh -N -L 8265:127.0.0.1:{about['dashboard_port']} -J {_here()} {about['node']}"
    assert about["ssh"] in (job.run / "submitit" / f"{job.job}_0_log.out").read_text()
    token = Path(about["token_file"])
    assert token.stat().st_mode & 0o777 == 0o600
    assert ask(lab, about, "/nodes?view=summary")[0] == 401
    assert ask(lab, about, "/nodes?view=summary", str(token))[0] == 200
    # Each node's agent tells its name a moment after the node is ready.
    wait(lambda: _listed(lab, about, str(token)) == set(lab.nodes), 120, "all nodes on the dashboard")

    assert job.finish() == expected(3, 60)
    assert set(json.loads((job.run / "hosts.json").read_text())) == set(lab.nodes)
    clean(lab, *lab.nodes)
    assert not token.exists()
    assert json.loads((job.run / "cluster.json").read_text())["state"] == "down"
    logs = job.run / "ray" / f"{job.job}.0.0" / "nodes"
    assert [(logs / str(node) / "raylet.out").stat().st_size > 0 for node in range(3)] == [True] * 3


def test_two_jobs_on_one_node_and_a_cancelled_one_leaves_nothing(lab: Lab, tmp_path: Path) -> None:
    jobs = [
        Loop(lab, tmp_path / name, nodes=1, steps=steps) for name, steps in (("one", 60), ("cancelled", 1000))
    ]
    for job in jobs:
        job.submit(step_s=0.3, only=lab.nodes[0])
    one, cancelled = jobs
    wait(lambda: min(job.step() for job in jobs) > 2, 450, "both at work")
    assert one.head() == cancelled.head() == lab.nodes[0]
    slurm("scancel", cancelled.job)
    wait(cancelled.ended, 60, "the cancelled one's end")
    folder = f"r{cancelled.job}.0.0.0.0"
    wait(lambda: folder not in on_node(lab, lab.nodes[0], f"ls {SCRATCH}; ps axo args"), 8, "nothing of it")
    assert cancelled.state() == "CANCELLED"
    assert cancelled.events("end")[-1]["word"] == "terminated"
    assert one.finish() == expected(1, 60)
    assert len(one.events("driver")) == 1
    clean(lab, lab.nodes[0])


def test_a_users_error_is_said_once(lab: Lab, tmp_path: Path) -> None:
    refused = "from cluster.failures import record; from storage.errors import InputError; "
    refused += "record(InputError('No films in store.')); raise SystemExit(2)"
    job = Loop(lab, tmp_path / "run", nodes=1, steps=0)
    job.submit(command=[sys.executable, "-c", refused], dashboard=False)
    job.finish()
    assert job.state() == "FAILED"
    assert len(job.events("driver")) == len(job.events("begin")) == 1
    end = job.events("end")[-1]
    assert (end["failure"], end["sentence"]) == ("user_error", "No films in store.")
    assert (
        "cluster.failures.ClusterError: No films in store."
        in (job.run / "submitit" / f"{job.job}_0_log.err").read_text()
    )


def test_an_interface_that_is_not_there_is_said_once(lab: Lab, tmp_path: Path) -> None:
    job = Loop(lab, tmp_path / "run", nodes=2, steps=4).submit(interface="ib7", dashboard=False)
    job.finish()
    assert job.events("end")[-1]["sentence"].startswith("cluster.interface=ib7 has no IPv4 address on")
    assert len(job.events("begin")) == 1


def test_inside_the_users_own_allocation(lab: Lab, tmp_path: Path) -> None:
    job = Loop(lab, tmp_path / "run", nodes=2, steps=6)
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "from cluster.ray_cluster import run_in_allocation\n"
        "from cluster.ray_spec import RaySpec\n"
        f"spec = RaySpec(run_folder={str(job.run)!r}, nodes=2, scratch={SCRATCH!r}, dashboard=False)\n"
        f"sys.exit(run_in_allocation(spec, {job.command(0.1, 2)!r}))\n"
    )
    script = tmp_path / "job.sh"
    script.write_text(f"#!/bin/sh\n{sys.executable} {program}\n{sys.executable} {program}\n")
    asked = ["-N2", "--ntasks-per-node=1", "--cpus-per-task=1", "--mem=2500M", "-o", str(tmp_path / "log")]
    job.job = slurm("sbatch", "--parsable", *asked, str(script)).strip()
    assert job.finish() == expected(2, 6)
    assert job.state() == "COMPLETED"
    # The second call finds all steps done: two steps of one job do not mistake each other's files.
    assert [event["word"] for event in job.events("end")] == ["done", "done"]
    clean(lab, *lab.nodes)


def _listed(lab: Lab, about: dict[str, object], token_file: str) -> set[str]:
    """Names on the dashboard's list of nodes."""
    _, body = ask(lab, about, "/nodes?view=summary", token_file)
    return {str(node.get("hostname")) for node in json.loads(body)["data"]["summary"]}


def _here() -> str:
    return subprocess.run(["hostname"], capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()
