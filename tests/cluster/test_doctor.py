"""Which nodes the doctor asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.config import ClusterConfig
from cluster.doctor import _nodes_by_state


def test_excluded_nodes_are_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sinfo = "".join(
        f"n{index}|{state}|main*|rack{index % 2}\\n"
        for index, state in enumerate(["idle", "idle", "mix", "down"])
    )
    programs = {
        "sinfo": f"printf '{sinfo}'",
        "scontrol": "[ \"$*\" = 'show hostnames n[0,3]' ] && printf 'n0\\nn3\\n'",
    }
    for name, script in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _nodes_by_state(ClusterConfig()) == (["n0", "n1", "n2"], ["n3"])
    assert _nodes_by_state(ClusterConfig(exclude="n[0,3]")) == (["n1", "n2"], [])
    assert _nodes_by_state(ClusterConfig(constraint="rack1")) == (["n1"], ["n3"])
