from __future__ import annotations

import os
from pathlib import Path

from pipelines.ingest.scan import list_files


def test_names_are_sorted_by_their_bytes(tmp_path: Path) -> None:
    names = ["b/1", "a/2", "a.dcm", "B", os.fsdecode(b"bad\xff.png")]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list_files(tmp_path, "raw") == sorted(names, key=os.fsencode)
    assert list_files(tmp_path, "raw", [tmp_path / "a", tmp_path / "B"]) == ["a.dcm", "b/1", names[-1]]
