"""What a user may ask of a cluster, and what a job then asks of the scheduler."""

from pathlib import Path

import pytest

from cluster.config import MOST_SCRATCH_BYTES, ClusterConfig
from cluster.resources import Resources, task_resources, worker_resources
from cluster.sites import site_values
from jobs.compose import settings_for
from jobs.registry import JOBS
from storage.errors import ConfigError


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (
            {"workers": 3, "nodes": 2},
            r"^cluster\.workers must be a multiple of cluster\.nodes, but 3 workers can't",
        ),
        ({"scratch": "tmp"}, r"^cluster\.scratch must be an absolute path, but is tmp\.$"),
        (
            {"scratch": "/" + "x" * MOST_SCRATCH_BYTES},
            r"must have at most \d+ bytes, .* Name a shorter folder\.$",
        ),
        ({"memory_gb": 0}, r"^cluster\.memory_gb must be at least 0\.1, but is 0\.$"),
        ({"timeout_min": 0}, r"^cluster\.timeout_min must be at least 1, but is 0\.$"),
    ],
)
def test_mistakes_are_sentences(keys: dict[str, int | str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        ClusterConfig(**keys)  # type: ignore[arg-type]


def test_resources_name_their_field() -> None:
    with pytest.raises(ConfigError, match=r"^resources\.cpus_per_task must be at least 1, but is 0\.$"):
        Resources(cpus_per_task=0)


def test_workers_are_spread_evenly_and_a_node_gets_what_its_workers_need() -> None:
    config = ClusterConfig(
        workers=6, nodes=2, cpus_per_worker=4, gpus_per_worker=1, memory_gb=10, timeout_min=30
    )
    assert worker_resources(config) == Resources(
        nodes=2, cpus_per_task=12, gpus_per_node=3, memory_gb=30, timeout_min=30
    )
    assert worker_resources(ClusterConfig(workers=3)).nodes == 3
    assert task_resources(config).gpus_per_node == 0 and task_resources(config, gpus=True).gpus_per_node == 1


def test_a_site_gives_defaults_and_typed_keys_win(tmp_path: Path) -> None:
    site = tmp_path / "ours.yaml"
    site.write_text("partition: gpu\nmemory_gb: 12\nsetup:\n  - module load gcc/12, cuda\ninterface: ib0\n")
    words = ["out=o", "cluster=slurm", f"cluster.site={site}", "cluster.partition=cpu", "cluster.workers=2"]
    cluster = settings_for(JOBS["demo"], words).cluster
    assert (cluster.kind, cluster.partition, cluster.memory_gb, cluster.workers) == ("slurm", "cpu", 12, 2)
    assert (cluster.setup, cluster.interface) == (["module load gcc/12, cuda"], "ib0")
    assert settings_for(JOBS["demo"], [*words, "cluster.interface=null"]).cluster.interface is None


def test_every_site_that_is_shipped_is_valid() -> None:
    for path in (Path(__file__).parents[2] / "cluster" / "sites").glob("*.yaml"):
        ClusterConfig(**site_values(path.stem))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, r"is neither one of example, lab nor a YAML file that can be read\.$"),
        ("a: [", r"is not YAML: "),
        ("- gpu", r"must hold lines such as partition: main\.$"),
        ("partition: gpu\nkind: slurm", r"has kind; a site may give: processes, "),
        ("nodes: many", r"^cluster\.nodes: Value 'many' .*could not be converted to Integer\.$"),
    ],
)
def test_a_wrong_site_is_a_sentence(tmp_path: Path, text: str | None, sentence: str) -> None:
    path = tmp_path / "site.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        settings_for(JOBS["demo"], [f"cluster.site={path}"])
