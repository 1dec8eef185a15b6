"""graph.json: what was submitted, under which ids, so that any shell can ask about it after the submitter is gone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cluster.config import ClusterConfig
from cluster.resources import Resources
from storage.atomic import write_json
from storage.errors import ClusterError, InputError

NAME = "graph.json"


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """A node that was submitted. tries: for each submission, index -> Slurm id (index 0 where it is no array)."""

    name: str
    width: int
    resources: Resources
    after: tuple[str, ...]
    ray: bool
    tries: tuple[dict[int, str], ...] = ()

    @property
    def ids(self) -> list[str]:
        """Every id ever submitted for it."""
        return [one for ids in self.tries for one in ids.values()]

    @property
    def latest(self) -> dict[int, str]:
        """Index -> the id that answers for it now."""
        merged: dict[int, str] = {}
        for ids in self.tries:
            merged |= ids
        return merged


@dataclass(frozen=True, kw_only=True)
class Graph:
    """One submission.

    whole: the submitter got to its end, or nothing more is to be submitted; earlier: every id of submissions before,
    by node; owner: whose jobs these are, in the submitter's own words.
    """

    nodes: dict[str, Submitted]
    config: ClusterConfig
    whole: bool
    earlier: dict[str, list[str]] = field(default_factory=dict)
    owner: str = ""


def read_graph(folder: Path) -> Graph:
    """What was submitted to the folder last, with every later try.

    Raises:
        InputError: nothing was submitted there.
    """
    try:
        told = json.loads((folder / NAME).read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"No jobs were submitted to {folder}; a run with cluster=slurm submits some."
        ) from None
    except ValueError as error:
        raise InputError(f"{folder / NAME} is damaged; restore it, or remove it and submit again.") from error
    nodes = {one["name"]: _node(one, folder) for one in told["nodes"]}
    return Graph(
        nodes=nodes,
        config=ClusterConfig(**told["config"]),
        whole=told["whole"],
        earlier=told["earlier"],
        owner=told.get("owner", ""),
    )


def write_graph(folder: Path, graph: Graph) -> None:
    """Replace graph.json."""
    nodes = [asdict(node) for node in graph.nodes.values()]
    told = {
        "nodes": nodes,
        "config": asdict(graph.config),
        "whole": graph.whole,
        "earlier": graph.earlier,
        "owner": graph.owner,
    }
    write_json(folder / NAME, told)


def close_graph(folder: Path) -> None:
    """Nothing more is to be submitted behind these jobs, as they were cancelled."""
    if (folder / NAME).is_file():
        write_json(folder / NAME, json.loads((folder / NAME).read_text("utf-8")) | {"whole": True})


def next_try(folder: Path, name: str, most: int | None) -> Path:
    """A new folder for the ids of one more submission of a node; `most` bounds how many there may be.

    Making a folder is atomic on shared storage too, so that two steps can't ask for the same try.

    Raises:
        ClusterError: the bound is reached, or another step asks right now.
    """
    number = len(_again(folder, name)) + 1
    if most is not None and number > most:
        raise ClusterError(
            f"{name} was asked again {most} times and inputs are still missing; its logs say why."
        )
    place = folder / f"again-{number:03d}-{name}"
    try:
        place.mkdir()
    except FileExistsError:
        raise ClusterError(f"{name} is being asked again by another step right now.") from None
    return place


def record_try(place: Path, ids: Mapping[int, str]) -> None:
    """Write the ids of a further submission into its folder."""
    write_json(place / "ids.json", ids)


def forget_tries(folder: Path) -> None:
    """Before a new submission: the further tries of the last one, which `earlier` now tells about."""
    for place in _again(folder, "*"):
        shutil.rmtree(place)


def _again(folder: Path, name: str) -> Sequence[Path]:
    return sorted(folder.glob(f"again-???-{name}"))


def _node(told: Mapping[str, Any], folder: Path) -> Submitted:
    tries = list(told["tries"])
    for place in _again(folder, told["name"]):
        if (place / "ids.json").exists():
            tries.append(json.loads((place / "ids.json").read_text("utf-8")))
    return Submitted(
        name=told["name"],
        width=told["width"],
        resources=Resources(**told["resources"]),
        after=tuple(told["after"]),
        ray=told["ray"],
        tries=tuple({int(index): one for index, one in ids.items()} for ids in tries),
    )
