"""One job: what it asks for is what it gets, and a refusal is a sentence."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from cluster.collect import collect
from cluster.config import ClusterConfig
from cluster.executor import make_executor, refusals
from cluster.graph import Node
from cluster.queue import job_states
from cluster.resources import Resources
from cluster.script import check_submission, sbatch_text
from storage.errors import ConfigError
from tests.slurm import tasks
from tests.slurm.conftest import wait_for

pytestmark = pytest.mark.slurm
SMALL = Resources(memory_gb=0.4, timeout_min=5)


def test_a_job_gets_what_it_asks_for(slurm: ClusterConfig, tmp_path: Path) -> None:
    config = replace(
        slurm, partition="urgent", setup=["export GREETING='good day'"], srun_args=["--export=ALL,MORE=1"]
    )
    asked = Resources(cpus_per_task=2, gpus_per_node=2, memory_gb=0.5, timeout_min=7)
    executor = make_executor(config, tmp_path, "asks", asked, requeue=False)
    results, failures = collect({0: executor.submit(tasks.surroundings)})
    assert failures == {}
    found = results[0]
    assert found["GREETING"] == "good day" and found["MORE"] == "1"
    assert (found["SLURM_JOB_PARTITION"], found["SLURM_JOB_NAME"]) == ("urgent", "asks")
    # The second is srun's own: 22.05 would not hand it on from sbatch.
    assert (found["SLURM_CPUS_ON_NODE"], found["SLURM_CPUS_PER_TASK"]) == ("2", "2")
    assert (found["SLURM_MEM_PER_NODE"], found["CUDA_VISIBLE_DEVICES"]) == ("512", "0,1")


def test_a_job_can_submit_another_from_its_node(slurm: ClusterConfig, tmp_path: Path) -> None:
    outer = make_executor(
        slurm, tmp_path / "outer", "outer", Resources(cpus_per_task=3, memory_gb=0.6, timeout_min=9)
    )
    results, _ = collect({0: outer.submit(tasks.submit_from_here, asdict(slurm), str(tmp_path / "inner"))})
    state = wait_for([results[0]], lambda state: state.finished)[results[0]]
    assert state.state == "COMPLETED"
    script = (tmp_path / "inner" / f"{results[0]}_submission.sh").read_text()
    assert "--time=5" in script and "--cpus-per-task=1" in script


def test_a_job_that_takes_more_memory_than_it_asked_for_is_killed(
    slurm: ClusterConfig, tmp_path: Path
) -> None:
    job = make_executor(slurm, tmp_path, "hungry", SMALL).submit(tasks.take_memory, 900)
    results, failures = collect({0: job})
    assert results == {} and "memory" in failures[0].lower()
    assert job_states([job.job_id])[job.job_id].state in ("OUT_OF_MEMORY", "FAILED", "CANCELLED")


REFUSED = [
    (
        {"partition": "moon"},
        SMALL,
        r"^cluster\.partition=moon does not exist on this cluster; sinfo lists those",
    ),
    ({"account": "nobody"}, SMALL, r"^cluster\.account=nobody can't be used by you"),
    ({"qos": "moon"}, SMALL, r"^cluster\.qos=moon is not one that you may use"),
    ({"constraint": "moon"}, SMALL, r"has no node with cluster\.constraint=moon; sinfo"),
    ({"exclude": "moon"}, SMALL, r"^cluster\.exclude=moon names a node that does not exist"),
    (
        {"partition": "main"},
        Resources(nodes=9),
        r"^partition main can never give 9 node\(s\) of 1 CPUs, 0 GPUs",
    ),
    (
        {},
        Resources(gpus_per_node=3),
        r"^the default partition can never give 1 node\(s\) of 1 CPUs, 3 GPUs",
    ),
    (
        {},
        Resources(timeout_min=99999),
        r"^the default partition allows 14400 minutes, but the job asks for 99999",
    ),
    (
        {},
        Resources(memory_gb=900),
        r"^the default partition can never give .* 900 GB, for it has 3 nodes of 4 CPUs",
    ),
]


@pytest.mark.parametrize(("change", "resources", "sentence"), REFUSED)
def test_what_slurm_refuses_is_told_before_and_at_submission(
    slurm: ClusterConfig, tmp_path: Path, change: dict[str, str], resources: Resources, sentence: str
) -> None:
    config = replace(slurm, **change)
    node = Node(name="one", function=tasks.surroundings, resources=resources)
    with pytest.raises(ConfigError, match=sentence):
        check_submission(sbatch_text(node, config, tmp_path), config, resources)
    with pytest.raises(ConfigError, match=sentence), refusals(config, resources):
        make_executor(config, tmp_path, "one", resources).submit(tasks.surroundings)


def test_the_text_of_a_plan_passes_slurms_own_check(slurm: ClusterConfig, tmp_path: Path) -> None:
    ray = Node(
        name="train", function=print, resources=Resources(nodes=2, memory_gb=0.4), after=("a",), ray=True
    )
    array = Node(name="a", function=print, resources=SMALL, width=5)
    for node in (array, ray):
        told = check_submission(sbatch_text(node, slurm, tmp_path), slurm, node.resources)
        assert "to start at" in told and "in partition main" in told
    assert list(tmp_path.iterdir()) == []
