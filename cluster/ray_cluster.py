"""Ray inside a Slurm allocation: one task per node, the first is the supervisor, the others are agents.

`RayJob` is what submitit runs on every node; `run_in_allocation` starts the same under srun inside the user's own
sbatch or salloc. We start `ray start --block` ourselves: `ray symmetric-run` and `ray stop` end other jobs' Ray.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cluster import failures
from cluster.agent import Agent
from cluster.allocation import granted
from cluster.bounds import End
from cluster.failures import Failure
from cluster.ray_spec import RaySpec
from cluster.signals import Signals
from cluster.supervisor import Supervisor
from storage.atomic import write_json
from storage.errors import ClusterError, ConfigError, RadmillError

# A task that ends, of whatever, must leave the others the time to end in order.
SRUN_ARGS = ("--cpu-bind=none", "--kill-on-bad-exit=0")


@dataclass(slots=True)
class RayJob:
    """A driver on a Ray cluster of its own; to be submitted with one task per node and SRUN_ARGS.

    command: of the driver, which finds RAY_ADDRESS, RAY_AUTH_TOKEN_PATH, RADMILL_STOP_FILE and RADMILL_ERROR_FILE in
    its environment and ends with 0, or 75 once it has stopped at a step's edge because the stop file appeared.
    """

    spec: RaySpec
    command: list[str]

    def __call__(self) -> int:
        """Returns 0; raises ClusterError if no further attempt would help, SystemExit if one follows."""
        code, sentence = run_node(self.spec, self.command)
        if code == failures.STOPPED:
            raise SystemExit(code)  # a task that returns would leave a result, as if all were done
        if code:
            raise ClusterError(sentence)
        return code

    def checkpoint(self) -> Any:
        """For a warning that comes before `__call__`: the same again, since all state is on disk."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def run_node(spec: RaySpec, command: list[str]) -> tuple[int, str]:
    """Be what this task has to be; (exit code, sentence)."""
    allocation = granted()
    signals = Signals()
    if allocation.node:
        word = Agent(spec, allocation, signals).run()
        return (failures.STOPPED if word in ("requeue", "lost", "terminated") else failures.DONE), ""
    return _outcome(Supervisor(spec, command, allocation, signals).run())


def run_in_allocation(spec: RaySpec, command: list[str]) -> int:
    """The same inside the user's own sbatch or salloc: an agent on every node by srun; the driver's exit code.

    Raises ConfigError outside of an allocation, or where it has fewer nodes than needed.
    """
    nodes = int(os.environ.get("SLURM_JOB_NUM_NODES", 0))
    if not nodes:
        raise ConfigError(
            "cluster=allocation runs inside sbatch or salloc, but no Slurm job is around it; "
            "submit by cluster=slurm, or use cluster=local."
        )
    if nodes < spec.nodes:
        raise ConfigError(
            f"{spec.nodes} nodes are needed, but this allocation has {nodes}; ask for more by --nodes."
        )
    job = Path(spec.run_folder) / "ray" / f"{os.environ['SLURM_JOB_ID']}.json"
    write_json(job, {"spec": asdict(spec), "command": command})
    cpus = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE", "1")
    step = subprocess.Popen(
        [
            "srun",
            f"--nodes={spec.nodes}",
            f"--ntasks={spec.nodes}",
            "--ntasks-per-node=1",
            f"--cpus-per-task={cpus}",
            "--overlap",
            *SRUN_ARGS,
            *(sys.executable, "-m", "cluster.ray_cluster", str(job)),
        ]
    )
    # srun hands both to every task; the shell around us gets them in our place.
    for number in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, lambda received, _: step.send_signal(received))
    return step.wait()


def _outcome(end: End) -> tuple[int, str]:
    if end.word == "done":
        return failures.DONE, ""
    if end.word in ("stopped", "terminated"):
        return failures.STOPPED, end.sentence
    refused = end.failure in (Failure.CONFIG, Failure.USER_ERROR)
    return (failures.USER_ERROR if refused else failures.FAILED), end.sentence


def main(path: str) -> int:
    """One task of `run_in_allocation`."""
    job = json.loads(Path(path).read_text())
    try:
        code, sentence = run_node(RaySpec(**job["spec"]), job["command"])
    except RadmillError as error:
        code, sentence = error.exit_code, str(error)
    if sentence:
        print(sentence, file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
