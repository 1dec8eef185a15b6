"""Whether jobs will run: this machine, Slurm as configured, and every node that is free to be asked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from cluster.commands import ask, outside_job
from cluster.config import ClusterConfig
from cluster.findings import Finding, machine_findings, node_findings
from cluster.graph import Node
from cluster.partitions import check_fits, chosen, described, meets, partitions, shortest_limit
from cluster.probe import Answer, Request, examine
from cluster.resources import worker_resources
from cluster.script import check_submission, sbatch_text
from storage.errors import ConfigError, RadmillError

_PROGRAMS = ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
_SRUN_S = 180
_FREE_STATES = ("idle", "mix", "mixed")


def check_machine(config: ClusterConfig) -> list[Finding]:
    """Of the machine where this runs."""
    return machine_findings([examine(Request(scratch=config.scratch))], config.scratch)


def check_slurm(config: ClusterConfig, folder: Path) -> list[Finding]:
    """Slurm's programs, partition and verdict on a training job, then the nodes themselves.

    Args:
        folder: an existing folder that all nodes must see; a marker file is put there and removed.
    """
    programs = _programs()
    if not programs.ok:
        return [programs]
    findings = [programs, _accounting(), _partition(config), _submission(config, folder)]
    return [*findings, *_nodes(config, folder)] if findings[2].ok else findings


def _programs() -> Finding:
    absent = [name for name in _PROGRAMS if shutil.which(name) is None]
    if absent:
        return Finding(
            name="Slurm",
            ok=False,
            found=f"{', '.join(absent)} not in PATH",
            advice="run this on a login node of the cluster, or use cluster=local.",
        )
    told = ask(["scontrol", "--version"])
    if ask(["sinfo", "-h"], timeout_s=30) is None:
        return Finding(
            name="Slurm",
            ok=False,
            found="the controller does not answer",
            advice="try again later, or ask who runs the cluster (scontrol ping, SLURM_CONF).",
        )
    return Finding(name="Slurm", ok=True, found=(told or "").strip())


def _accounting() -> Finding:
    if ask(["sacct", "-n", "-X", "-o", "JobID"]) is not None:
        return Finding(name="accounting", ok=True, found="sacct answers")
    return Finding(
        name="accounting",
        ok=True,
        found="none: status asks squeue and our own files; old jobs' times are lost",
    )


def _partition(config: ClusterConfig) -> Finding:
    known = partitions()
    own = chosen(known, config)
    if not own:
        found = f"{config.partition} does not exist" if config.partition else "the cluster has no default"
        names = ", ".join(dict.fromkeys(one.partition for one in known))
        return Finding(
            name="partition", ok=False, found=found, advice=f"set cluster.partition to one of {names}."
        )
    held = "; ".join(described(one) for one in own)
    try:
        check_fits(config, worker_resources(config))
    except ConfigError as error:
        return Finding(name="partition", ok=False, found=f"{own[0].partition}: {held}", advice=str(error))
    limit = shortest_limit(own)
    most = "no time limit" if limit is None else f"at most {limit} minutes"
    return Finding(name="partition", ok=True, found=f"{own[0].partition}: {held}; {most}")


def _submission(config: ClusterConfig, folder: Path) -> Finding:
    node = Node(name="training", function=examine, resources=worker_resources(config), ray=config.workers > 1)
    try:
        told = check_submission(sbatch_text(node, config, folder), config, node.resources)
    except RadmillError as error:
        return Finding(
            name="submission", ok=False, found="Slurm would refuse a training job", advice=str(error)
        )
    return Finding(name="submission", ok=True, found=told)


def _nodes(config: ClusterConfig, folder: Path) -> Iterator[Finding]:
    free, busy = _nodes_by_state(config)
    if not free:
        yield Finding(
            name="nodes",
            ok=False,
            found=f"none is free now ({', '.join(busy[:5]) or 'no nodes'})",
            advice="ask again when one is: shared folder, scratch and versions could not be looked at.",
        )
        return
    with _marker(folder) as (path, text):
        request = Request(marker=str(path), scratch=config.scratch)
        begun = time.time()
        answers, said = _asked(config, free, request)
        asked_s = (begun, time.time())
    silent = [name for name in free if name not in {one.host.partition(".")[0] for one in answers}]
    not_asked = f"; not free, not asked: {', '.join(busy)}" if busy else ""
    if silent:
        yield Finding(
            name="nodes",
            ok=False,
            found=f"no answer from {', '.join(silent)}: {said}",
            advice=f"{sys.executable} and the code must lie where every node sees them; else cluster.exclude the node.",
        )
    else:
        yield Finding(name="nodes", ok=True, found=f"{', '.join(free)} answered{not_asked}")
    if answers:
        yield from node_findings(answers, text, str(folder), config.interface, asked_s)
        here = examine(Request(scratch=config.scratch))
        versions, *others = machine_findings(answers, config.scratch)
        yield machine_findings([here, *answers], config.scratch)[0] if versions.ok else versions
        yield from others


def _nodes_by_state(config: ClusterConfig) -> tuple[list[str], list[str]]:
    """Names of the nodes that can take a small job now, and of the others; sleeping ones are not woken.

    Nodes that cluster.exclude names, or that lack what cluster.constraint wants, are neither.
    """
    excluded = set(
        (ask(["scontrol", "show", "hostnames", config.exclude]) or "").split() if config.exclude else ()
    )
    chosen = ["-p", config.partition] if config.partition else []
    lines = (ask(["sinfo", "-h", "-N", "-o", "%N|%t|%P|%f", *chosen]) or "").splitlines()
    free: dict[str, bool] = {}
    for line in lines:
        name, state, partition, features = line.split("|")
        ours = name not in excluded and meets(config.constraint, features)
        if ours and (config.partition or partition.endswith("*")):
            free[name] = state in _FREE_STATES
    return [name for name in free if free[name]], [name for name in free if not free[name]]


@contextmanager
def _marker(folder: Path) -> Iterator[tuple[Path, str]]:
    path, text = folder / f".radmill-doctor-{os.getpid()}", uuid.uuid4().hex
    path.write_text(text, "utf-8")
    try:
        yield path, text
    finally:
        path.unlink()


def _asked(config: ClusterConfig, nodes: Sequence[str], request: Request) -> tuple[list[Answer], str]:
    """The nodes' answers, and what srun complained of first."""
    options = {
        "partition": config.partition,
        "account": config.account,
        "qos": config.qos,
        "nodelist": ",".join(nodes),
        "nodes": str(len(nodes)),
        "job-name": "radmill-doctor",
    }
    words = ["srun", *(f"--{key}={value}" for key, value in options.items() if value)]
    words += ["--ntasks-per-node=1", "--cpus-per-task=1", "--mem=200M", "--time=5", "--immediate=60"]
    words += ["--kill-on-bad-exit=0", sys.executable, "-m", "cluster.probe", json.dumps(asdict(request))]
    try:
        with outside_job():
            done = subprocess.run(words, capture_output=True, text=True, timeout=_SRUN_S, check=False)
    except subprocess.TimeoutExpired:
        return [], f"srun took more than {_SRUN_S} s"
    answers = [Answer(**json.loads(line)) for line in done.stdout.splitlines() if line.startswith("{")]
    lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
    return answers, lines[0] if lines else f"srun ended with {done.returncode}"
