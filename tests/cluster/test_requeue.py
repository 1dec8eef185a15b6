"""Whether a job gets one more attempt."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from cluster.failures import Failure
from cluster.ray_spec import RaySpec
from cluster.requeue import claim, refusal


def spec(run: Path, **values: Any) -> RaySpec:
    return RaySpec(run_folder=str(run), **values)


def begins(*progress: int) -> list[dict[str, Any]]:
    return [
        {"event": "begin", "restart": restart, "progress": number} for restart, number in enumerate(progress)
    ]


def reach(run: Path, step: int) -> None:
    (run / "checkpoints" / f"step-{step:08d}").mkdir(parents=True)


@pytest.mark.parametrize(
    "failure", [Failure.USER_ERROR, Failure.CONFIG, Failure.STORAGE_FULL, Failure.OOM, Failure.UNKNOWN]
)
def test_what_another_attempt_would_not_mend_is_refused(tmp_path: Path, failure: Failure) -> None:
    assert "would not mend" in refusal(spec(tmp_path), begins(0), failure)


@pytest.mark.parametrize("failure", [Failure.PREEMPTED, Failure.TIMEOUT, Failure.NODE_FAIL, Failure.PORT])
def test_the_first_loss_is_granted(tmp_path: Path, failure: Failure) -> None:
    assert refusal(spec(tmp_path), begins(0), failure) == ""


def test_time_limits_are_counted_but_not_with_other_ends(tmp_path: Path) -> None:
    reach(tmp_path, 500)
    ends = [{"event": "end", "failure": "timeout"}, {"event": "end", "failure": "preempted"}]
    events = [*begins(0, 100, 200), *ends]
    assert refusal(spec(tmp_path, max_timeouts=2), events, Failure.TIMEOUT) == ""
    assert "time limit was reached 2 times" in refusal(
        spec(tmp_path, max_timeouts=1), events, Failure.TIMEOUT
    )
    assert refusal(spec(tmp_path, max_timeouts=1), events, Failure.PREEMPTED) == ""


def test_attempts_are_bounded_even_with_progress(tmp_path: Path) -> None:
    reach(tmp_path, 900)
    assert refusal(spec(tmp_path, max_attempts=4), begins(0, 1, 2), Failure.NODE_FAIL) == ""
    assert "There were 4 attempts" in refusal(
        spec(tmp_path, max_attempts=4), begins(0, 1, 2, 3), Failure.NODE_FAIL
    )


def test_only_progress_eases_the_bound_on_standing_still(tmp_path: Path) -> None:
    reach(tmp_path, 100)
    standing = begins(0, 100, 100, 100)
    assert "3 attempts in a row ended where they began, at 100" in refusal(
        spec(tmp_path), standing, Failure.PREEMPTED
    )
    reach(tmp_path, 120)
    assert refusal(spec(tmp_path), standing, Failure.PREEMPTED) == ""


def test_work_that_was_begun_anew_does_not_stand_still(tmp_path: Path) -> None:
    reach(tmp_path, 20)
    assert refusal(spec(tmp_path), begins(40, 40, 20, 20), Failure.PREEMPTED) == ""
    assert "3 attempts in a row" in refusal(spec(tmp_path), begins(40, 20, 20, 20), Failure.PREEMPTED)


def test_several_commands_in_one_allocation_are_one_attempt(tmp_path: Path) -> None:
    commands = [one for one in begins(0, 0) for _ in range(4)]
    assert refusal(spec(tmp_path, max_attempts=3), commands, Failure.PREEMPTED) == ""


def test_progress_is_the_last_number_of_the_newest_name(tmp_path: Path) -> None:
    assert spec(tmp_path).progress_now() == 0
    for step in (9, 100, 20):
        reach(tmp_path, step)
    (tmp_path / "checkpoints" / ".step-00000200.tmp").mkdir()
    assert spec(tmp_path).progress_now() == 100


def test_of_many_agents_one_asks(tmp_path: Path) -> None:
    granted: list[bool] = []
    threads = [threading.Thread(target=lambda: granted.append(claim(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(granted) == [False] * 7 + [True]
