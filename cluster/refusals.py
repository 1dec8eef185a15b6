"""Why Slurm refused a job: its words, and what to change."""

from __future__ import annotations

from cluster.config import ClusterConfig
from cluster.resources import Resources
from storage.errors import ClusterError, ConfigError, RadmillError

_NO_ANSWER = (
    "unable to contact slurm",
    "connect failure",
    "configuration source",
    "configuration file",
    "timed out",
)


def refusal(said: str, config: ClusterConfig, resources: Resources) -> RadmillError:
    """The sentence for sbatch's error output: a ConfigError where a key caused it, else a ClusterError."""
    text = said.lower()
    where = f"partition {config.partition}" if config.partition else "the default partition"
    asked = (
        f"{resources.nodes} node(s) with {resources.cpus_per_task * resources.tasks_per_node} CPUs, "
        f"{resources.gpus_per_node} GPUs and {resources.memory_gb:g} GB each"
    )
    for words, sentence in (
        (
            ("invalid partition name",),
            f"cluster.partition={config.partition} does not exist on this cluster; sinfo lists those that do.",
        ),
        (
            ("invalid account",),
            f"cluster.account={config.account} can't be used by you in {where}; "
            "sacctmgr show associations lists your accounts.",
        ),
        (
            ("invalid qos",),
            f"cluster.qos={config.qos} is not one that you may use; sacctmgr show qos lists them.",
        ),
        (
            ("invalid feature",),
            f"cluster.constraint={config.constraint} names a feature that no node has; sinfo -o '%N %f' lists them.",
        ),
        (
            ("generic resource", "gres"),
            f"{where} has no node with {resources.gpus_per_node} GPUs; "
            "sinfo -o '%P %N %G' shows where they are: set cluster.partition or cluster.gpus_per_worker.",
        ),
        (
            ("time limit",),
            f"{where} does not allow {resources.timeout_min} minutes; set cluster.timeout_min to at most "
            "what sinfo -o '%P %l' shows.",
        ),
        (
            ("invalid node name",),
            f"cluster.exclude={config.exclude} names a node that does not exist; sinfo -N lists them.",
        ),
        (
            (
                "node count specification",
                "node configuration is not available",
                "more processors requested",
                "can not be satisfied",
                "cpu count per node",
            ),
            f"{where} can never give {asked}; sinfo -o '%P %D %c %m %G' shows what it has: ask for less "
            "(cluster.nodes, workers, cpus_per_worker, memory_gb), or another cluster.partition.",
        ),
    ):
        if any(word in text for word in words):
            return ConfigError(sentence)
    if "unable to contact slurm" in text or "connect failure" in text or "configuration source" in text:
        return ClusterError(
            "Slurm does not answer (slurmctld); try again later, or ask who runs the cluster."
        )
    return ClusterError(f"Slurm refused the job: {_first_line(said)}")


def _first_line(said: str) -> str:
    lines = [
        line.removeprefix("sbatch: ").removeprefix("error: ") for line in said.splitlines() if line.strip()
    ]
    return lines[0].strip().rstrip(".") + "." if lines else "it gave no reason."
