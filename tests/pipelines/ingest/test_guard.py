from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.ingest.guard import GuardedPool, GuardedWorker
from storage.errors import Quarantined

sys.path.insert(0, str(Path(__file__).parent))  # the child imports the same module by its name
import workers


@pytest.fixture
def worker() -> Iterator[GuardedWorker]:
    worker = GuardedWorker(memory_gb=0.5, timeout_s=2.0, imports=["workers"])
    yield worker
    worker.close()


def refused(worker: GuardedWorker, *call: object) -> Quarantined:
    with pytest.raises(Quarantined) as caught:
        worker.call(*call)  # type: ignore[arg-type]
    return caught.value


def test_results_and_refusals_come_back(worker: GuardedWorker) -> None:
    assert worker.call(workers.double, 21) == 42
    assert str(refused(worker, workers.refuse, "blank", "why")) == "blank: why"


def test_a_bug_is_an_error_not_a_quarantined_file(worker: GuardedWorker) -> None:
    with pytest.raises(KeyError, match="a bug of ours"):
        worker.call(workers.fail)


def test_too_long_and_the_next_call_works(worker: GuardedWorker) -> None:
    began = time.monotonic()
    assert refused(worker, workers.sleep, 60.0).reason == "timeout"
    assert time.monotonic() - began < 30
    assert worker.call(workers.double, 1) == 2


def test_too_much_memory_and_the_next_call_works(worker: GuardedWorker) -> None:
    assert refused(worker, workers.fill, 2000).detail == "decoding took more memory than ingest.memory_gb"
    assert worker.call(workers.fill, 1) == 1 << 20


def test_what_earlier_files_left_in_memory_costs_no_file(worker: GuardedWorker) -> None:
    worker.call(workers.hoard, 300)
    assert worker.call(workers.fill, 400) == 400 << 20


def test_a_crash_costs_one_file(worker: GuardedWorker) -> None:
    assert refused(worker, workers.die, signal.SIGSEGV).reason == "unreadable"
    assert worker.call(workers.double, 1) == 2


def test_a_child_killed_from_outside_tries_again(worker: GuardedWorker, tmp_path: Path) -> None:
    assert worker.call(workers.die_once, tmp_path / "marker") == "alive"


def test_a_file_that_is_always_killed(worker: GuardedWorker) -> None:
    assert refused(worker, workers.die, signal.SIGKILL).reason == "timeout"


def test_a_pool_keeps_the_order_and_leaves_no_child() -> None:
    with GuardedPool(2, memory_gb=0.5, timeout_s=20, imports=["workers"]) as pool:
        results = list(pool.map(lambda item: (item, pool.call(workers.pid)), range(8)))
    assert [item for item, _ in results] == list(range(8))
    for child in {child for _, child in results}:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


def test_a_pool_passes_errors_on() -> None:
    with (
        pytest.raises(KeyError),
        GuardedPool(1, memory_gb=0.5, timeout_s=20, imports=["workers"]) as pool,
    ):
        list(pool.map(lambda _: pool.call(workers.fail), range(3)))


def test_an_error_comes_when_nothing_of_its_map_runs_any_more() -> None:
    began, ended = [], []

    def work(item: int) -> None:
        began.append(item)
        try:
            pool.call(workers.sleep if item else workers.fail, *([0.5] if item else []))
        finally:
            ended.append(item)

    with GuardedPool(2, memory_gb=0.5, timeout_s=20, imports=["workers"]) as pool:
        with pytest.raises(KeyError):
            list(pool.map(work, range(200)))
        assert sorted(began) == sorted(ended) and len(ended) < 200
        assert list(pool.map(lambda item: pool.call(workers.double, item), range(2))) == [0, 2]


def test_ctrl_c_waits_for_no_decoder() -> None:
    def work(item: int) -> None:
        if item == 0:
            raise KeyboardInterrupt
        pool.call(workers.sleep, 600.0)

    began = time.monotonic()
    with (
        pytest.raises(KeyboardInterrupt),
        GuardedPool(2, memory_gb=0.5, timeout_s=600, imports=["workers"]) as pool,
    ):
        list(pool.map(work, range(8)))
    assert time.monotonic() - began < 60  # importing takes long on a busy machine
