"""Ray jobs on the lab as tests submit, break and inspect them."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import attempts
from cluster.config import ClusterConfig
from cluster.executor import make_executor
from cluster.ray_cluster import RayJob
from cluster.ray_spec import spec_of
from cluster.resources import Resources
from tests.slurm.conftest import Lab

DRIVER = Path(__file__).with_name("loop_driver.py")
SCRATCH = "/var/tmp"  # which every node of the lab has for itself
# Processes of Slurm itself, and of our looking.
_SLURMS = re.compile(r"slurmd|slurmstepd|slurm_script|srun|^ps|^ss|^sh -c")


def wait(until: Callable[[], object], seconds: float, what: str) -> Any:
    """The first true value; fails after `seconds`, which a busy machine may need."""
    deadline = time.monotonic() + seconds
    while not (value := until()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.2)
    return value


@dataclass
class Loop:
    """A submitted run of loop_driver.py."""

    lab: Lab
    run: Path
    nodes: int
    steps: int
    job: str = ""

    def submit(
        self,
        step_s: float = 0.1,
        every: int = 2,
        command: list[str] | None = None,
        only: str = "",
        **values: Any,
    ) -> Loop:
        """Submit it, or another command in its place; returns self.

        only: the one node that it may use; values: of ClusterConfig.
        """
        least = {"nodes": self.nodes, "workers": self.nodes, "cpus_per_worker": 1, "memory_gb": 2.5}
        config = ClusterConfig(kind="slurm", scratch=SCRATCH, signal_delay_s=60, **(least | values))
        spec = spec_of(config, self.run, ready_timeout_s=400)
        resources = Resources(nodes=self.nodes, cpus_per_task=1, memory_gb=config.memory_gb, timeout_min=30)
        others = [node for node in self.lab.nodes if only and node != only]
        executor = make_executor(
            config, self.run / "submitit", "loop", resources, exclude=others, survive_nodes=True
        )
        self.job = executor.submit(RayJob(spec, command or self.command(step_s, every))).job_id
        return self

    def command(self, step_s: float, every: int) -> list[str]:
        """The driver's."""
        numbers = (self.nodes, self.steps, every, step_s)
        return [sys.executable, str(DRIVER), str(self.run), *(str(number) for number in numbers)]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Its events of one kind so far."""
        return [event for event in attempts.read(self.run / "attempts.jsonl") if event["event"] == name]

    def step(self) -> int:
        """Steps that were made, repeated ones counted again."""
        steps = self.run / "steps.txt"
        return len(steps.read_text().splitlines()) if steps.exists() else 0

    def state(self) -> str:
        """The job's state as Slurm tells it; empty once Slurm has forgotten it."""
        shown = slurm("scontrol", "show", "job", "-o", self.job, check=False)
        found = re.search(r"JobState=(\S+)", shown)
        return found[1] if found else ""

    def ended(self) -> bool:
        """True once no attempt will follow."""
        return self.state() not in (
            "PENDING",
            "RUNNING",
            "COMPLETING",
            "CONFIGURING",
            "REQUEUED",
            "SUSPENDED",
        )

    def finish(self, seconds: float = 600) -> str:
        """Wait for its end; the result."""
        wait(self.ended, seconds, f"end of job {self.job}, which is {self.state()}")
        weights = self.run / "weights.txt"
        return weights.read_text() if weights.exists() else ""

    def repeated(self) -> int:
        """Steps that were made more than once."""
        made = [int(line.split()[1]) for line in (self.run / "steps.txt").read_text().splitlines()]
        return len(made) - len(set(made))

    def head(self) -> str:
        """The node of the newest attempt's supervisor."""
        return str(self.events("begin")[-1]["host"])

    def hosts(self) -> list[str]:
        """All nodes of the job now, the head first."""
        listed = slurm("squeue", "-h", "-j", self.job, "-o", "%N").strip()
        return slurm("scontrol", "show", "hostnames", listed).split()


def slurm(*words: str, check: bool = True) -> str:
    """A Slurm command's stdout."""
    return subprocess.run(words, capture_output=True, text=True, check=check).stdout


def on_node(lab: Lab, node: str, script: str) -> str:
    """A shell script's stdout on a node."""
    return lab.do("exec", node, "sh", "-c", script + "; true")


def processes(lab: Lab, node: str) -> list[tuple[int, str]]:
    """(pid, command line) of all that lives on a node and is not Slurm's."""
    listed = on_node(lab, node, "ps axo pid=,stat=,args= --cols 500")
    found = [line.split(None, 2) for line in listed.splitlines()]
    return [
        (int(pid), line)
        for pid, state, line in found
        if not state.startswith("Z") and not _SLURMS.search(line)
    ]


def kill(lab: Lab, node: str, words: str) -> None:
    """SIGKILL the one process on a node whose command line holds `words`."""
    found = [pid for pid, line in processes(lab, node) if words in line]
    assert len(found) == 1, (words, processes(lab, node))
    on_node(lab, node, f"kill -KILL {found[0]}")


def leftovers(lab: Lab, node: str) -> list[str]:
    """Processes, listening ports, folders and shared memory on a node that are not Slurm's."""
    found = [line for _, line in processes(lab, node)]
    found += on_node(lab, node, "ss -ltnpH | grep -v 'slurmd\\|srun'").splitlines()
    # The folder of port locks stays: it is empty files that the next job uses again.
    found += on_node(lab, node, "ls -A /dev/shm; ls -A /var/tmp | grep -v radmill-ports").splitlines()
    return found


def clean(lab: Lab, *nodes: str, within_s: float = 8) -> None:
    """Fails unless nothing of ours is left on the nodes, a few seconds after the job's end."""
    for node in nodes:
        wait(lambda node=node: not leftovers(lab, node), within_s, f"a clean {node}: {leftovers(lab, node)}")


def preempt() -> None:
    """A short job that is more urgent and wants every node."""
    wants = ["-p", "urgent", "-N3", "--exclusive"]
    slurm("sbatch", *wants, "-o", "/dev/null", "--wrap", "srun sleep 3")
