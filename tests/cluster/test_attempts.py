"""attempts.jsonl survives its writers."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.attempts import Attempts, read


def test_events_come_back_in_order_and_half_a_line_is_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run" / "attempts.jsonl"
    Attempts(path, "7", 0).write("begin", progress=3)
    with path.open("a") as file:
        file.write('{"job": "7", "ev\n')
    Attempts(path, "8", 0).write("begin", progress=4)
    Attempts(path, "7", 1).write("end", word="done", failure=None)
    assert [(event["job"], event["event"]) for event in read(path)] == [
        ("7", "begin"),
        ("8", "begin"),
        ("7", "end"),
    ]
    assert [event["restart"] for event in Attempts(path, "7", 1).of_job()] == [0, 1]
    assert capsys.readouterr().out.splitlines()[-1].endswith("end word=done")


def test_no_file_is_no_event(tmp_path: Path) -> None:
    assert read(tmp_path / "attempts.jsonl") == []
