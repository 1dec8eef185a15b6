"""Ray's logs arrive in the run's folder, each byte once."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster import ray_logs
from cluster.ray_logs import LogCopier


def test_every_byte_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_logs, "_PERIOD_S", 0.01)
    logs = tmp_path / "temp" / "session_2026" / "logs"
    (logs / "events").mkdir(parents=True)
    (tmp_path / "temp" / "session_latest").symlink_to("session_2026")
    copier = LogCopier(tmp_path / "temp", tmp_path / "run")
    text = ""
    for number in range(300):
        text += f"line {number}\n"
        with (logs / "raylet.out").open("a") as file:
            file.write(f"line {number}\n")
    (logs / "events" / "event.log").write_text("last")
    copier.finish()
    assert (tmp_path / "run" / "raylet.out").read_text() == text
    assert (tmp_path / "run" / "events" / "event.log").read_text() == "last"
