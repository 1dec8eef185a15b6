"""What partitions hold, and whether a job could ever run there: many clusters queue one that can't, for ever."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.commands import ask
from cluster.config import ClusterConfig
from cluster.resources import Resources
from storage.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Nodes:
    """Equal nodes of one partition, up or down. limit_min: None where there is no limit; features: with commas."""

    partition: str
    default: bool
    limit_min: int | None
    count: int
    cpus: int
    memory_mb: int
    gpus: int
    features: str = ""

    def fit(self, asked: Resources) -> bool:
        """One such node has what a job asks of a node."""
        return (
            self.cpus >= asked.cpus_per_task * asked.tasks_per_node
            and self.memory_mb >= round(asked.memory_gb * 1024)
            and self.gpus >= asked.gpus_per_node
        )


def partitions() -> list[Nodes]:
    """Every partition's nodes, grouped by what they have; empty where Slurm does not answer."""
    said = ask(["sinfo", "-h", "-e", "-o", "%P|%l|%D|%c|%m|%G|%f"]) or ""
    return [_parsed(line) for line in said.splitlines() if line.count("|") == 6]


def chosen(known: Sequence[Nodes], config: ClusterConfig) -> list[Nodes]:
    """Those of the configured partition, else of the default one."""
    if config.partition is None:
        return [one for one in known if one.default]
    return [one for one in known if one.partition in config.partition.split(",")]


def meets(constraint: str | None, features: str) -> bool:
    """Whether a node with these features may serve a job with such a --constraint.

    Slurm's operators are & | ( ) and [ ]; where a constraint counts nodes (a*2&b), one of its features will do.
    """
    if constraint is None:
        return True
    words = re.findall(r"[&|()]|\*\d+|[^&|()*\s]+", constraint.replace("[", "(").replace("]", ")"))
    has = set(features.split(","))
    if any(word.startswith("*") for word in words):
        return any(word in has for word in words)
    return _any_of(words, has)


def _any_of(words: list[str], has: set[str]) -> bool:
    """Alternatives up to the end or a closing bracket; takes from `words` what it reads."""
    found = _all_of(words, has)
    while words and words[0] == "|":
        words.pop(0)
        found |= _all_of(words, has)
    return found


def _all_of(words: list[str], has: set[str]) -> bool:
    found = True
    while words and words[0] not in ("|", ")"):
        if (word := words.pop(0)) == "(":
            found &= _any_of(words, has)
            del words[:1]
        elif word != "&":
            found &= word in has
    return found


def check_fits(config: ClusterConfig, asked: Resources) -> None:
    """Raise ConfigError where the partition, all its nodes up and free, could not run such a job.

    A partition that does not exist is left to sbatch, which says so.
    """
    own = chosen(partitions(), config)
    if not own:
        return
    own = [one for one in own if meets(config.constraint, one.features)]
    if not own:
        raise ConfigError(
            f"{_where(config)} has no node with cluster.constraint={config.constraint}; "
            "sinfo -o '%N %f' lists features."
        )
    # Of several partitions a job runs in one: its nodes must be there, and its time too.
    each = [
        [one for one in own if one.partition == name] for name in dict.fromkeys(one.partition for one in own)
    ]
    held = [nodes for nodes in each if sum(one.count for one in nodes if one.fit(asked)) >= asked.nodes]
    if not held:
        raise ConfigError(too_much(config, asked, own))
    limits = [limit for nodes in held if (limit := shortest_limit(nodes)) is not None]
    if len(limits) == len(held) and asked.timeout_min > max(limits):
        raise ConfigError(
            f"{_where(config)} allows {max(limits)} minutes, but the job asks for {asked.timeout_min}; "
            f"set cluster.timeout_min={max(limits)} or less."
        )


def shortest_limit(nodes: Sequence[Nodes]) -> int | None:
    """The least time limit, in minutes."""
    return min((one.limit_min for one in nodes if one.limit_min is not None), default=None)


def too_much(config: ClusterConfig, asked: Resources, own: Sequence[Nodes]) -> str:
    """The sentence for a job that no node, or too few, could hold."""
    has = "; ".join(described(one) for one in own) or "nothing like it"
    each = f"{asked.cpus_per_task * asked.tasks_per_node} CPUs, {asked.gpus_per_node} GPUs, {asked.memory_gb:g} GB"
    return (
        f"{_where(config)} can never give {asked.nodes} node(s) of {each}, for it has {has}; ask for less "
        "(cluster.workers, nodes, cpus_per_worker, gpus_per_worker, memory_gb) or set another cluster.partition."
    )


def described(nodes: Nodes) -> str:
    """Such as `3 nodes of 4 CPUs, 2 GPUs and 6.8 GB`."""
    return f"{nodes.count} nodes of {nodes.cpus} CPUs, {nodes.gpus} GPUs and {nodes.memory_mb / 1024:.1f} GB"


def _where(config: ClusterConfig) -> str:
    return f"partition {config.partition}" if config.partition else "the default partition"


def _parsed(line: str) -> Nodes:
    name, limit, count, cpus, memory, gres, features = line.split("|")
    return Nodes(
        partition=name.rstrip("*"),
        default=name.endswith("*"),
        limit_min=limit_min(limit),
        count=int(count),
        cpus=int(cpus.rstrip("+")),
        memory_mb=int(memory.rstrip("+")),
        # gpu:2, gpu:a100:4(S:0-1), several kinds with commas between
        gpus=sum(int(found) for found in re.findall(r"\bgpu(?::[^:,(]+)?:(\d+)", gres)),
        features=features,
    )


def limit_min(limit: str) -> int | None:
    """sinfo's `2-12:00:00`, `8:00:00` or `30:00` in minutes; None for `infinite`."""
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):\d+", limit)
    if found is None:
        return None
    days, hours, minutes = (int(part or 0) for part in found.groups())
    return (days * 24 + hours) * 60 + minutes
