"""Why Slurm refused a job: its words, and what to change."""

from __future__ import annotations

from cluster.config import ClusterConfig
from cluster.partitions import chosen, partitions, too_much
from cluster.resources import Resources
from storage.errors import ClusterError, ConfigError, RadmillError

_NEVER = (
    "node count specification",
    "node configuration is not available",
    "more processors requested",
    "can not be satisfied",
    "cpu count per node",
    "generic resource",
)
_NO_ANSWER = (
    "unable to contact slurm",
    "connect failure",
    "configuration source",
    "configuration file",
    "timed out",
)
# Slurm's words -> the sentence, in which the configuration's values are filled.
_WRONG_KEYS = {
    "invalid partition name": (
        "cluster.partition={partition} does not exist on this cluster; sinfo lists those that do."
    ),
    "invalid account": (
        "cluster.account={account} can't be used by you in this partition; "
        "sacctmgr show associations lists your accounts."
    ),
    "invalid qos": "cluster.qos={qos} is not one that you may use; sacctmgr show qos lists them.",
    "invalid feature": (
        "cluster.constraint={constraint} names a feature that no node has; sinfo -o '%N %f' lists them."
    ),
    "invalid node name": "cluster.exclude={exclude} names a node that does not exist; sinfo -N lists them.",
    "time limit": (
        "the partition does not allow {timeout_min} minutes; set cluster.timeout_min to at most what "
        "sinfo -o '%P %l' shows."
    ),
}


_LIMITED = (
    "accounting/qos policy"  # Slurm's words for any limit go on: "(job submit limit, ... and/or time limits)"
)


def refusal(said: str, config: ClusterConfig, resources: Resources) -> RadmillError:
    """The sentence for sbatch's error output: a ConfigError where a key caused it, else a ClusterError."""
    text = said.lower()
    if _LIMITED in text:
        return ClusterError(
            f"Slurm refused the job by a limit of your account or QOS ({_first_line(said).rstrip('.')}); wait until "
            "others of your jobs have ended, or ask for less."
        )
    for words, sentence in _WRONG_KEYS.items():
        if words in text:
            return ConfigError(
                sentence.format(
                    partition=config.partition,
                    account=config.account,
                    qos=config.qos,
                    constraint=config.constraint,
                    exclude=config.exclude,
                    timeout_min=resources.timeout_min,
                )
            )
    if any(word in text for word in _NEVER):
        return ConfigError(too_much(config, resources, chosen(partitions(), config)))
    if any(word in text for word in _NO_ANSWER):
        return ClusterError(
            "Slurm does not answer (slurmctld); try again later, or ask who runs the cluster."
        )
    return ClusterError(f"Slurm refused the job: {_first_line(said)}")


def _first_line(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    if not lines:
        return "it gave no reason."
    return lines[0].removeprefix("sbatch: ").removeprefix("error: ").strip().rstrip(".") + "."
