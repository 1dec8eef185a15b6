"""Arrays on the lab, whose MaxArraySize is 101: all done, none twice, whatever is killed."""

import json
import subprocess
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from cluster.array import ArrayError, map_array, submit_array
from cluster.commands import max_array_size
from cluster.config import ClusterConfig
from cluster.queue import job_states
from cluster.resources import Resources
from tests.slurm import tasks
from tests.slurm.conftest import MAX_ARRAY, python

pytestmark = pytest.mark.slurm
SMALL = Resources(memory_gb=0.4, timeout_min=5)

SUBMITTER = """
import json, sys
from pathlib import Path
from cluster.array import map_array
from cluster.config import ClusterConfig
from cluster.resources import Resources
from tests.slurm import tasks
config, folder = ClusterConfig(**json.loads(sys.argv[1])), sys.argv[2]
map_array(config, Path(folder, "jobs"), "squares", Resources(memory_gb=0.4, timeout_min=5),
          tasks.slow_square, range(8), arguments=(folder + "/starts",))
"""


def test_more_tasks_than_an_array_may_have(slurm: ClusterConfig, tmp_path: Path) -> None:
    assert max_array_size() == MAX_ARRAY
    indices = list(range(250))
    done = map_array(
        slurm, tmp_path / "jobs", "squares", SMALL, tasks.square, indices, arguments=(f"{tmp_path}/s",)
    )
    assert done == [index * index for index in indices]
    assert tasks.starts(tmp_path / "s") == dict.fromkeys(indices, 1)
    arrays = {path.name.partition("_")[0] for path in (tmp_path / "jobs").glob("*_submitted.pkl")}
    assert len(arrays) == 3


def test_failing_indices_are_run_again_alone(slurm: ClusterConfig, tmp_path: Path) -> None:
    words = (f"{tmp_path}/s",)
    sentence = r"^luck: 1 of its tasks failed in each of 2 tries: 5\. .*no luck with 5$"
    with pytest.raises(ArrayError, match=sentence) as caught:
        map_array(slurm, tmp_path / "jobs", "luck", SMALL, tasks.fails_first, range(7), arguments=words)
    assert list(caught.value.failures) == [5]
    assert tasks.starts(tmp_path / "s") == {0: 1, 1: 1, 2: 1, 3: 2, 4: 1, 5: 2, 6: 1}


def test_a_killed_submitter_is_taken_up(slurm: ClusterConfig, tmp_path: Path) -> None:
    first = python(SUBMITTER, json.dumps(asdict(slurm)), str(tmp_path))
    deadline = time.monotonic() + 60
    while len(tasks.starts(tmp_path / "starts")) < 2:
        assert time.monotonic() < deadline and first.poll() is None, first.communicate()
        time.sleep(0.1)
    first.kill()
    first.communicate()
    words = (f"{tmp_path}/starts",)
    done = map_array(slurm, tmp_path / "jobs", "squares", SMALL, tasks.slow_square, range(8), arguments=words)
    assert done == [index * index for index in range(8)]
    assert tasks.starts(tmp_path / "starts") == dict.fromkeys(range(8), 1)


def test_a_cancelled_task_is_run_again(slurm: ClusterConfig, tmp_path: Path) -> None:
    words = (f"{tmp_path}/starts",)
    jobs = submit_array(
        slurm, tmp_path / "jobs", "squares", SMALL, tasks.slow_square, range(3), arguments=words
    )
    subprocess.run(["scancel", jobs[1].job_id], check=True)
    done = map_array(slurm, tmp_path / "jobs", "squares", SMALL, tasks.slow_square, range(3), arguments=words)
    assert done == [0, 1, 4]
    # 22.05 keeps no record of an array's task that is cancelled before it began.
    assert job_states([jobs[1].job_id])[jobs[1].job_id].state in ("CANCELLED", "GONE")
    assert tasks.starts(tmp_path / "starts").keys() == {0, 1, 2}
