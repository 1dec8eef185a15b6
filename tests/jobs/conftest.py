"""Slurm's answers where a test needs some that no real cluster gives on demand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def slurm_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """say(line, ...): what sacct prints from now on, and of it squeue what is live.

    scancel notes its words in slurm/cancelled. Where slurm/deaf exists, scancel ends nothing.
    """
    programs = tmp_path / "slurm"
    programs.mkdir()
    (programs / "squeue").write_text(
        f"#!/bin/sh\ngrep -E '[|](RUNNING|PENDING)[|]' {programs}/answer\nexit 0\n"
    )
    (programs / "sacct").write_text(f"#!/bin/sh\ncat {programs}/answer\n")
    (programs / "scancel").write_text(
        f'#!/bin/sh\necho "$@" >>{programs}/cancelled\n'
        f"[ -e {programs}/deaf ] || sed -i -E 's/[|](RUNNING|PENDING)[|]/|CANCELLED|/' {programs}/answer\n"
    )
    for program in programs.iterdir():
        program.chmod(0o755)
    (programs / "answer").touch()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")

    def say(*lines: str) -> None:
        (programs / "answer").write_text("".join(f"{line}\n" for line in lines))

    return say
