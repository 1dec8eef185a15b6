"""One interface to submit a function: Slurm, processes of this machine, or this process, all by submitit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.commands import outside_job
from cluster.config import ClusterConfig
from cluster.partitions import check_fits
from cluster.refusals import refusal
from cluster.resources import Resources
from storage.errors import ConfigError

if TYPE_CHECKING:
    import submitit


def make_executor(
    config: ClusterConfig,
    folder: Path,
    name: str,
    resources: Resources,
    *,
    after: Sequence[str] = (),
    requeue: bool = True,
    exclude: Sequence[str] = (),
    survive_nodes: bool = False,
    owner: str = "",
) -> submitit.Executor:
    """A submitit executor of the configured kind.

    Args:
        folder: for scripts, pickles, results and logs; every node must see it.
        after: Slurm ids; the job starts once all of them have ended, however they ended (Slurm only).
        requeue: Slurm may start the job again after a node's death or a preemption.
        exclude: nodes not to use, beside the configuration's.
        survive_nodes: the loss of a node does not end the job (Ray's jobs, which watch their own head).
        owner: stands in the job as its comment, by which `queue.owned` finds it.

    Raises:
        ConfigError: no Slurm here, a partition that could never run such a job, or a kind that submits nothing.
    """
    import submitit

    if config.kind == "debug":
        return submitit.DebugExecutor(folder)
    if config.kind == "local":
        local = submitit.LocalExecutor(folder, max_num_timeout=config.max_timeouts)
        local.update_parameters(**_local_parameters(config, name, resources))
        return local
    if config.kind != "slurm":
        raise ConfigError(
            f"cluster={config.kind} submits nothing; use cluster=slurm, or run the stage as it is."
        )
    check_fits(config, resources)
    with refusals(config, resources):
        slurm = submitit.SlurmExecutor(folder, max_num_timeout=config.max_timeouts)
    slurm.update_parameters(
        **slurm_parameters(
            config,
            name,
            resources,
            after=after,
            requeue=requeue,
            exclude=exclude,
            survive_nodes=survive_nodes,
            owner=owner,
        )
    )
    return slurm


def slurm_parameters(
    config: ClusterConfig,
    name: str,
    resources: Resources,
    *,
    after: Sequence[str] = (),
    requeue: bool = True,
    exclude: Sequence[str] = (),
    survive_nodes: bool = False,
    owner: str = "",
) -> dict[str, Any]:
    """What submitit writes into the sbatch script, under sbatch's own names; None is left out."""
    excluded = ",".join([*([config.exclude] if config.exclude else []), *exclude])
    # Slurm 22.05's srun takes nothing of sbatch's --cpus-per-task; one task per node may use all of its CPUs.
    srun_args = [f"--cpus-per-task={resources.cpus_per_task}", "--cpu-bind=none"]
    flags: dict[str, Any] = {"requeue" if requeue else "no-requeue": True}
    if owner:
        flags["comment"] = owner
    if after:
        # A dependency that can never come true must end the job, not leave it in the queue for ever.
        flags["kill-on-invalid-dep"] = "yes"
    if survive_nodes:
        flags["no-kill"] = True
        srun_args += ["--no-kill", "--kill-on-bad-exit=0"]
    return {
        "job_name": name,
        "time": resources.timeout_min,
        "nodes": resources.nodes,
        "ntasks_per_node": resources.tasks_per_node,
        "cpus_per_task": resources.cpus_per_task,
        "gpus_per_node": resources.gpus_per_node or None,
        "mem": f"{round(resources.memory_gb * 1024)}M",
        "partition": config.partition,
        "account": config.account,
        "qos": config.qos,
        "constraint": config.constraint,
        "exclude": excluded or None,
        "dependency": f"afterany:{':'.join(whole_jobs(after))}" if after else None,
        "setup": list(config.setup) or None,
        "signal_delay_s": config.signal_delay_s,
        "array_parallelism": config.array_width,
        "srun_args": [*srun_args, *config.srun_args],
        "wckey": None,
        "additional_parameters": flags,
    }


def _local_parameters(config: ClusterConfig, name: str, resources: Resources) -> dict[str, Any]:
    return {
        "name": name,
        "timeout_min": resources.timeout_min,
        "tasks_per_node": resources.tasks_per_node,
        "gpus_per_node": resources.gpus_per_node,
        "signal_delay_s": config.signal_delay_s,
        "setup": list(config.setup),
    }


def whole_jobs(ids: Sequence[str]) -> list[str]:
    """The ids without array indices, each once: `7_0 7_1 9` is `7 9`."""
    return list(dict.fromkeys(one.partition("_")[0] for one in ids))


@contextmanager
def refusals(config: ClusterConfig, resources: Resources) -> Iterator[None]:
    """What submitit raises where sbatch refuses becomes a sentence; safe inside a job too."""
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    try:
        # submitit prints what sbatch said before it raises.
        with redirect_stderr(StringIO()), outside_job():
            yield
    except (FailedJobError, FailedSubmissionError) as error:
        raise refusal(str(error), config, resources) from error
    except (RuntimeError, FileNotFoundError) as error:
        if "srun" not in str(error) and "sbatch" not in str(error):
            raise
        raise no_slurm() from error


def check_present() -> None:
    """Raise ConfigError on a machine without Slurm's programs."""
    if not (shutil.which("sbatch") and shutil.which("srun")):
        raise no_slurm()


def no_slurm() -> ConfigError:
    """The sentence for a machine without Slurm's programs."""
    return ConfigError(
        "cluster=slurm needs Slurm's sbatch and srun, which are not in PATH here; "
        "run this on a login node of the cluster, or use cluster=local."
    )
