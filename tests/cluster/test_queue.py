"""What Slurm's programs write, read."""

import pickle
from pathlib import Path

import pytest

from cluster.partitions import limit_min
from cluster.queue import JobState, _seconds, expand_ids, in_words, job_states, node_hours


@pytest.mark.parametrize(
    ("told", "ids"),
    [
        ("7", ["7"]),
        ("7_3", ["7_3"]),
        ("7_[1-3,5%2]", ["7_1", "7_2", "7_3", "7_5"]),
        ("7_[0]", ["7_0"]),
        ("7_[1-2,4...]", ["7_[1-2,4...]"]),
    ],
)
def test_arrays_are_told_in_ranges(told: str, ids: list[str]) -> None:
    assert expand_ids(told) == ids


@pytest.mark.parametrize(
    ("told", "seconds"),
    [("90", 90), ("1:30", 90), ("1:00:01", 3601), ("2-00:00:10", 172810), ("INVALID", 0), ("", 0)],
)
def test_elapsed_times(told: str, seconds: int) -> None:
    assert _seconds(told) == seconds


@pytest.mark.parametrize(
    ("told", "minutes"),
    [("30:00", 30), ("8:00:00", 480), ("2-12:00:00", 3600), ("infinite", None), ("n/a", None)],
)
def test_time_limits(told: str, minutes: int | None) -> None:
    assert limit_min(told) == minutes


def test_reasons_in_plain_words() -> None:
    assert in_words("(Resources)") == "waits for free nodes"
    assert in_words("ReqNodeNotAvail, UnavailableNodes:n3") == "the nodes that it needs are down or reserved"
    assert in_words("QOSMaxJobsPerUserLimit") == (
        "a limit of your account or QOS is reached (QOSMaxJobsPerUserLimit)"
    )
    assert in_words("SomethingNew") == "SomethingNew" and in_words("None") == ""


def test_what_is_over() -> None:
    for word in ("TIMEOUT", "GONE", "NODE_FAIL", "REVOKED"):
        assert JobState(state=word).finished and not JobState(state=word).live
    for word in ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "STAGE_OUT", "ANYTHING_NEW"):
        assert JobState(state=word).live and not JobState(state=word).finished
    assert not JobState(state="UNKNOWN").live and not JobState(state="UNKNOWN").finished


def test_node_hours_count_every_node() -> None:
    states = {"1": JobState(elapsed_s=1800, nodes=4), "2": JobState(elapsed_s=3600)}
    assert node_hours(states) == 3.0


def test_without_slurm_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert job_states(["7", "7"]) == {"7": JobState(state="UNKNOWN")}


def squeue(folder: Path, script: str, sacct: list[str] | None = None) -> str:
    """A folder for PATH in which squeue is this script, and sacct prints these lines."""
    folder.mkdir()
    scripts = {"squeue": script}
    if sacct is not None:
        scripts["sacct"] = "printf '%s\\n' " + " ".join(f"'{line}'" for line in sacct)
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return str(folder)


def test_without_accounting_what_the_queue_does_not_hold_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for ids that it has forgotten, squeue only complains."""
    forgets = 'case "$*" in *-j*) echo "Invalid job id specified" >&2; exit 1;; esac'
    line = "9|RUNNING|None|n1|0:10|2026-01-01T00:00:00|1|"
    monkeypatch.setenv("PATH", squeue(tmp_path / "bin", f"{forgets}; echo '{line}'"))
    for one in ("7", "8", "9"):
        (tmp_path / f"{one}_0_log.out").write_text("begun")
    (tmp_path / "8_0_result.pkl").write_bytes(pickle.dumps(("success", 1)))
    states = job_states(["7", "8", "9"], [tmp_path])
    assert [state.state for state in states.values()] == ["GONE", "COMPLETED", "RUNNING"]


def test_while_slurm_does_not_answer_a_log_means_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", squeue(tmp_path / "bin", "exit 1"))
    (tmp_path / "7_0_log.out").write_text("begun")
    assert job_states(["7"], [tmp_path])["7"].state == "RUNNING"


def test_node_hours_count_every_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that runs again, one that waits to, and one whose attempts are over."""
    queue = ["7|RUNNING|None|n1|0:10|2026-01-01T02:00:00|2|", "8|PENDING|BeginTime||0:00|N/A|2|"]
    sacct = [
        "7|REQUEUED||n2|100|2026-01-01T00:00:00|2|0:0",
        "7|RUNNING||n1|9|2026-01-01T02:00:00|2|0:0",
        "8|NODE_FAIL||n1,n2|50|2026-01-01T00:00:00|2|0:0",
        "9|PREEMPTED||n1|30|2026-01-01T00:00:00|1|0:0",
        "9|COMPLETED||n1|40|2026-01-01T01:00:00|1|0:0",
    ]
    script = f"printf '%s\\n' '{queue[0]}' '{queue[1]}'"
    monkeypatch.setenv("PATH", squeue(tmp_path / "bin", script, sacct))
    states = job_states(["7", "8", "9"])
    assert [one.state for one in states.values()] == ["RUNNING", "PENDING", "COMPLETED"]
    assert [one.node_s for one in states.values()] == [2 * 110, 2 * 50, 70]
    assert node_hours(states) == (220 + 100 + 70) / 3600


STALE = ["7|RUNNING||n1|9|2026-01-01T02:00:00|1|0:0", "8|RUNNING||n1|9|2026-01-01T02:00:00|1|0:0"]


def test_what_the_queue_does_not_hold_is_over_whatever_accounting_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """slurmdbd lags behind, or has lost the record of an end."""
    monkeypatch.setenv("PATH", squeue(tmp_path / "bin", 'case "$*" in *-j*) exit 1;; esac', STALE))
    (tmp_path / "8_0_result.pkl").write_bytes(pickle.dumps(("success", 1)))
    states = job_states(["7", "8"], [tmp_path])
    assert [one.state for one in states.values()] == ["GONE", "COMPLETED"]
    assert [one.node_s for one in states.values()] == [9, 9]


def test_without_an_answer_of_the_queue_accounting_is_believed_but_for_what_may_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = "9|NODE_FAIL||n2|9|2026-01-01T02:00:00|1|0:0"
    monkeypatch.setenv("PATH", squeue(tmp_path / "bin", "exit 1", [*STALE, lost]))
    states = job_states(["7", "8", "9"])
    assert [one.state for one in states.values()] == ["RUNNING", "RUNNING", "UNKNOWN"]


def test_nodes_that_failed_under_an_earlier_attempt_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several nodes of one job, Slurm does not tell which has failed."""
    sacct = [
        "7|NODE_FAIL||n2|9|2026-01-01T00:00:00|1|0:0",
        "7|FAILED||n3|9|2026-01-01T01:00:00|1|1:0",
        "8|NODE_FAIL||n[4-5]|9|2026-01-01T00:00:00|2|0:0",
    ]
    monkeypatch.setenv("PATH", squeue(tmp_path / "bin", "true", sacct))
    states = job_states(["7", "8"])
    assert states["7"].state == "FAILED"
    assert [one.lost_nodes for one in states.values()] == [{"n2"}, set()]
