"""What Slurm's programs write, read."""

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
    assert [JobState(state=word).finished for word in ("PENDING", "REQUEUED", "UNKNOWN", "TIMEOUT", "GONE")] == [
        False, False, False, True, True,
    ]  # fmt: skip


def test_node_hours_count_every_node() -> None:
    states = {"1": JobState(elapsed_s=1800, nodes=4), "2": JobState(elapsed_s=3600)}
    assert node_hours(states) == 3.0


def test_without_slurm_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert job_states(["7", "7"]) == {"7": JobState(state="UNKNOWN")}
