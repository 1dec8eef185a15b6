"""Exactly once, with proof: whatever moment an ingest is killed at, the rerun's store is that of an undisturbed one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1500)]

PROJECT = Path(__file__).parents[2]
HEIGHT, WIDTH = 48, 40


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Films of four subjects, one twice by its pixels and one to the eye, a text, outcomes, masks and the key."""
    place = tmp_path / "place"
    for number, seed in enumerate((0, 1, 2, 3, 0, 2)):
        film = np.random.default_rng(seed).integers(0, 4096, (HEIGHT, WIDTH), dtype=np.uint16)
        film ^= np.uint16(number == 5)
        path = place / "raw" / f"p{number % 4}" / f"f{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(film).save(path, compress_level=1 + number)
    (place / "raw" / "notes.txt").write_text("notes")
    (place / "outcomes.csv").write_text("patient_id,t_score\np1,-3\np2,0\n")
    (place / "annotations").mkdir()
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[4:20, 4:20] = 7
    Image.fromarray(mask).save(place / "annotations" / "f1.a0.png")
    (place / "site.key").write_text("5" * 64 + "\n")
    return place


def kills(place: Path, how: str) -> dict[str, Any]:
    # not by its path: each decoder would import the main module again
    code = "import sys; from pathlib import Path; import kill_ingest as k; k.main(Path(sys.argv[1]), sys.argv[2])"
    ended = subprocess.run(
        [sys.executable, "-c", code, str(place), how],
        env=_env(),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return dict(json.loads(ended.stdout))


def test_killed_at_every_step_on_disk(place: Path) -> None:
    result = kills(place, "steps")
    print(f"{result['kills']} kills: {result['steps']}")
    assert {"open", "write", "fsync", "rename", "mkdir"} <= set(result["steps"])
    assert min(result["steps"][kind] for kind in ("open", "write", "fsync", "rename")) > 15
    assert result["wrong"] == {}


def test_a_later_ingest_killed_at_every_step_on_disk(place: Path) -> None:
    """Into a store: a new subject, a film and a mask more, a duplicate of a film in the store, a corrected table."""
    films = {"p4/f6": 6, "p1/f7": 7, "p0/f8": 1}
    for compress_level, (name, seed) in enumerate(films.items(), 1):
        film = np.random.default_rng(seed).integers(0, 4096, (HEIGHT, WIDTH), dtype=np.uint16)
        path = place / "later" / "raw" / f"{name}.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(film).save(path, compress_level=compress_level)
    (place / "later" / "outcomes.csv").write_text("patient_id,t_score\np1,-3\np2,-2.6\np4,1\n")
    (place / "later" / "annotations").mkdir()
    shutil.copy(place / "annotations" / "f1.a0.png", place / "later" / "annotations" / "f7.a0.png")
    result = kills(place, "steps")
    print(f"{result['kills']} kills: {result['steps']}")
    assert min(result["steps"][kind] for kind in ("open", "write", "fsync", "rename")) > 10
    assert result["wrong"] == {}
    generations = place / "store" / "generations"
    assert sorted(path.name for path in generations.iterdir()) == ["000001", "000002"]


def test_every_name_is_on_disk_before_and_after_it_appears(place: Path) -> None:
    """fsync of a file, and of all files in a folder, before its rename, and of the folder that holds it after."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    code = "import sys; from pathlib import Path; import kill_ingest as k; k.run(Path(sys.argv[1]))"
    trace = place.with_name("trace")
    calls = "fsync,rename,renameat,renameat2"
    strace = [
        "strace",
        "-f",
        "-y",
        "-s",
        "4096",
        "-e",
        f"trace={calls}",
        "-e",
        "signal=none",
        "-o",
        str(trace),
    ]
    subprocess.run([*strace, sys.executable, "-c", code, str(place)], env=_env(), check=True)
    synced: list[str] = []
    renamed: list[tuple[int, str, str]] = []
    for line in trace.read_text().splitlines():
        assert "<unfinished" not in line, line
        if match := re.search(r"fsync\(\d+<(.*)>\) += 0", line):
            synced.append(match[1])
        elif match := re.search(
            r'rename\w*\((?:AT_FDCWD\S*, )?"(.*?)", (?:AT_FDCWD\S*, )?"(.*?)".*= 0', line
        ):
            renamed.append((len(synced), match[1], match[2]))
    published = [entry for entry in renamed if entry[2].startswith(f"{place}/store/")]
    assert {"CURRENT", "store.json", "000001", "outcomes.parquet"} <= {
        Path(new).name for _, _, new in published
    }
    for number, old, new in published:
        target = Path(new)
        files = [f"{old}/{path.name}" for path in target.iterdir()] if target.is_dir() else []
        assert {old, *files} <= set(synced[:number]), new
        assert str(target.parent) in synced[number:], new
        following = next((place for place, later_old, _ in renamed if place > number), None)
        assert str(target.parent) in synced[number:following], f"{new}: before the next file appears"


def test_killed_at_fifty_random_moments(place: Path) -> None:
    result = kills(place, "moments")
    print(f"{result['kills']} kills")
    assert result["kills"] >= 25, "half of the moments came too late"
    assert result["wrong"] == {}


def _env() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (PROJECT, PROJECT / "tests" / "chaos")))}
