"""A chain of stages as jobs that wait for one another; afterwards the submitting shell may go."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cluster.array import submit_array
from cluster.collect import collect
from cluster.commands import ask
from cluster.config import ClusterConfig
from cluster.executor import check_present, make_executor, refusals, whole_jobs
from cluster.graph_file import (
    NAME,
    Graph,
    Submitted,
    forget_tries,
    next_try,
    read_graph,
    record_try,
    write_graph,
)
from cluster.partitions import check_fits
from cluster.queue import job_states, owned
from cluster.resources import Resources
from storage.errors import ClusterError

MOST_TRIES_AGAIN = 2
_PATIENCE_S = 90.0  # Slurm gives a job KillWait, 30 s unless configured, between TERM and KILL
_ASKS_EVERY_S = 2.0
_WRITTEN_WITHIN_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Node:
    """One stage, or one step of a stage.

    function(*arguments), or with width W an array of function(*arguments, i) for i below W; both importable on the
    nodes. after: names of the nodes whose jobs must have ended, however they ended: a node checks its own inputs.
    ray: one task on each of its nodes, which watch one another, so the loss of a node does not end the job.
    """

    name: str
    function: Callable[..., object]
    arguments: tuple[object, ...] = ()
    width: int = 0
    resources: Resources
    after: tuple[str, ...] = ()
    ray: bool = False


def job_name(node: str) -> str:
    """What squeue shows for a node."""
    return f"radmill-{node}"


def submit_graph(
    nodes: Sequence[Node], config: ClusterConfig, folder: Path, owner: str = ""
) -> dict[str, list[str]]:
    """Submit all nodes, each after those that it names, and return their Slurm ids by name, one per array task.

    `folder/graph.json` is replaced after every submission; where the submitter was killed in between, the same call
    goes on behind what it had submitted, unless a job of that has failed or was cancelled. A job that Slurm took
    before its id was written down is ended, and submitted again. Slurm starts a node once those before it have ended
    (`afterany`). The kinds local and debug run the nodes in order and return when the last has ended.

    owner: names the submission, in its jobs too; only one of the same owner goes on.

    Raises:
        ClusterError: jobs of an earlier submission to this folder still wait or run, or one of this does not end.
        ConfigError: the scheduler refuses.
    """
    _check_order(nodes)
    if config.kind == "slurm":
        check_present()
        for node in nodes:
            check_fits(config, node.resources)
    graph = _begun(nodes, config, folder, owner)
    if config.kind == "slurm":
        end_jobs(strays(folder))
    for node in nodes[len(graph.nodes) :]:
        after = [one for name in node.after for one in graph.nodes[name].ids]
        ids = _submit(node, config, folder, range(max(node.width, 1)), after, owner=owner)
        submitted = Submitted(
            name=node.name,
            width=node.width,
            resources=node.resources,
            after=node.after,
            ray=node.ray,
            tries=(ids,),
        )
        known = graph.nodes | {node.name: submitted}
        graph = replace(graph, nodes=known, whole=len(known) == len(nodes))
        write_graph(folder, graph)
    return {name: node.ids for name, node in graph.nodes.items()}


def resubmit(
    folder: Path,
    name: str,
    indices: Sequence[int],
    *,
    asking: str | None = None,
    after: Sequence[str] = (),
    exclude: Sequence[str] = (),
    most: int | None = MOST_TRIES_AGAIN,
) -> list[str]:
    """Submit some tasks of a node once more and return their ids; works on a compute node too.

    With `asking`, the name of the step that found inputs missing: that step is submitted again behind the tasks, and
    whatever waits for it waits for that new job; the step that asked then just ends.

    Args:
        folder: where submit_graph put graph.json.
        after: Slurm ids that must have ended before.
        exclude: nodes not to use.
        most: how often a node may be asked again; None for no bound (a person asks).

    Raises:
        ClusterError: the bound is reached.
        ConfigError: the scheduler refuses.
    """
    graph = read_graph(folder)
    ids = _once_more(graph, folder, name, indices, after, exclude, most)
    if asking is not None:
        step = graph.nodes[asking]
        again = _once_more(graph, folder, asking, range(max(step.width, 1)), list(ids.values()), (), most)
        for node in graph.nodes.values():
            if asking in node.after:
                _wait_instead(graph, node, asking, list(again.values()))
    return list(ids.values())


def strays(folder: Path) -> list[str]:
    """Ids of jobs of the folder's submission that wait or run though nobody has written them down.

    Between sbatch's answer and graph.json a submitter may be killed; one that lives gets a moment to write.
    """
    if not (folder / NAME).is_file():
        return []
    owner = read_graph(folder).owner
    for pause_s in (0.0, _WRITTEN_WITHIN_S):
        time.sleep(pause_s)
        found = owned(owner) if owner else []
        written = whole_jobs([one for node in read_graph(folder).nodes.values() for one in node.ids])
        if not (unknown := [one for one in found if one not in written]):
            return []
    return unknown


def end_jobs(ids: Sequence[str]) -> None:
    """scancel, and wait until none of the jobs lives; ClusterError where one still does after a while."""
    if ids and ask(["scancel", *ids]) is None and ask(["squeue", "-h"]) is None:
        raise ClusterError("Slurm does not answer; try again later, or ask who runs the cluster.")
    deadline = time.monotonic() + _PATIENCE_S
    while left := [one for one, state in job_states(ids).items() if not state.finished]:
        if time.monotonic() > deadline:
            raise ClusterError(
                f"Slurm jobs {', '.join(left)} have not ended; try again, or ask who runs the cluster."
            )
        time.sleep(_ASKS_EVERY_S)


def _check_order(nodes: Sequence[Node]) -> None:
    seen: set[str] = set()
    for node in nodes:
        if node.name in seen or not seen.issuperset(node.after):
            raise ValueError(f"node {node.name} is there twice, or comes before one of {node.after}")
        seen.add(node.name)


def _begun(nodes: Sequence[Node], config: ClusterConfig, folder: Path, owner: str) -> Graph:
    """An empty graph, or that of a submitter that was killed half-way."""
    fresh = Graph(nodes={}, config=config, whole=False, owner=owner)
    if not (folder / NAME).exists():
        write_graph(folder, fresh)
        return fresh
    last = read_graph(folder)
    ids = [one for node in last.nodes.values() for one in node.ids if last.config.kind == "slurm"]
    states = job_states(ids, [folder / name for name in last.nodes])
    now = [states[one] for node in last.nodes.values() for one in node.latest.values() if one in states]
    same = last.owner == owner and list(last.nodes) == [node.name for node in nodes[: len(last.nodes)]]
    if same and not last.whole and all(not one.finished or one.state == "COMPLETED" for one in now):
        return last
    if live := [one for one, state in states.items() if state.live]:
        raise ClusterError(
            f"{len(live)} jobs of this run still wait or run (Slurm {', '.join(whole_jobs(live))}); "
            "radmill status tells how far they are, radmill cancel ends them."
        )
    earlier = {name: [*last.earlier.get(name, []), *node.ids] for name, node in last.nodes.items()}
    fresh = replace(fresh, earlier=last.earlier | earlier)
    write_graph(folder, fresh)
    forget_tries(folder)
    return fresh


def _submit(
    node: Node,
    config: ClusterConfig,
    folder: Path,
    indices: Sequence[int],
    after: Sequence[str],
    exclude: Sequence[str] = (),
    owner: str = "",
) -> dict[int, str]:
    place, title = folder / node.name, job_name(node.name)
    if node.width:
        jobs = submit_array(
            config,
            place,
            title,
            node.resources,
            node.function,
            indices,
            arguments=node.arguments,
            after=after,
            exclude=exclude,
            owner=owner,
        )
    else:
        executor = make_executor(
            config,
            place,
            title,
            node.resources,
            after=after,
            exclude=exclude,
            survive_nodes=node.ray,
            owner=owner,
        )
        with refusals(config, node.resources):
            jobs = [executor.submit(node.function, *node.arguments)]
    by_index = dict(zip(indices, jobs, strict=True))
    if config.kind != "slurm":
        collect(by_index)
    return {index: job.job_id for index, job in by_index.items()}


def _once_more(
    graph: Graph,
    folder: Path,
    name: str,
    indices: Sequence[int],
    after: Sequence[str],
    exclude: Sequence[str],
    most: int | None,
) -> dict[int, str]:
    from submitit.core.utils import DelayedSubmission

    known = graph.nodes[name]
    first = DelayedSubmission.load(folder / name / f"{known.latest[indices[0]]}_submitted.pkl")
    node = Node(
        name=name,
        function=first.function,
        arguments=first.args[:-1] if known.width else first.args,
        width=known.width,
        resources=known.resources,
        ray=known.ray,
    )
    place = next_try(folder, name, most)
    ids = _submit(node, graph.config, folder, indices, after, exclude, graph.owner)
    record_try(place, ids)
    return ids


def _wait_instead(graph: Graph, node: Submitted, asking: str, again: Sequence[str]) -> None:
    """Let a waiting node wait for the new job of `asking`, beside the others that it comes after."""
    others = [one for name in node.after if name != asking for one in graph.nodes[name].ids]
    dependency = f"Dependency=afterany:{':'.join(whole_jobs([*others, *again]))}"
    for job in whole_jobs(list(node.latest.values())):
        if ask(["scontrol", "update", f"JobId={job}", dependency]) is None:
            raise ClusterError(
                f"{node.name} (Slurm {job}) can't be told to wait for the second try of {asking}."
            )
