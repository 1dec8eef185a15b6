"""The benchmarks are run by hand; what they import must still be there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "benchmarks"


def test_they_find_what_they_import() -> None:
    names = sorted(path.stem for path in FOLDER.glob("*.py"))
    assert "train_cost" in names
    search = os.pathsep.join(map(str, (FOLDER, *FOLDER.parents[:2])))
    for_all = f"import importlib; [importlib.import_module(name) for name in {names}]"
    run = subprocess.run(
        [sys.executable, "-c", for_all],
        env=os.environ | {"PYTHONPATH": search},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
