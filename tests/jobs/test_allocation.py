"""The driver of `cluster=allocation`, as the supervisor starts it."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.allocation import main
from jobs.compose import settings_for, settings_from, whole_yaml
from jobs.registry import JOBS


def test_only_the_first_start_of_a_driver_begins_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is started again after a lost worker, in the same attempt; what it had made must not be set aside."""
    written, raw = tmp_path / "settings.yaml", tmp_path / "raw"
    raw.mkdir()
    words = [f"raw={raw}", f"store={tmp_path}/store", "fresh=true"]
    written.write_text(whole_yaml(settings_for(JOBS["ingest"], words)))
    assert settings_from(written).fresh
    assert main("ingest", str(written)) == 2
    assert "holds no files" in capsys.readouterr().err
    assert not settings_from(written).fresh
