"""Ingest at scale: python tests/benchmarks/ingest_scale.py [COUNT]

COUNT (default 20000) films of 256 x 256, half PNG and half DICOM, two per subject, are made of some 200 phantoms by
flips, shifts, shading and noise, so that no two are alike, and ingested with 2 processes. Prints speed and the
resident memory of ingest's own process by tenth of the films and by tenth of the commit's time, how long a manifest
takes to open and CURRENT to be switched, and how many shards ten more films touch.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from bench_films import shaded, write_dicom
from numpy.typing import NDArray

from pipelines.phantoms.cohort import write_cohort
from pipelines.phantoms.config import PhantomsConfig
from pipelines.phantoms.png_file import phantom_png
from storage.atomic import write_text
from storage.manifest import Store

SIDE_PX = 256
STEP_PX = 16  # between two variants: 256 of each phantom, then they begin anew
SUBJECTS = 100  # rendered; two films each
INGEST = """
import json, sys, threading, time
from pathlib import Path
import psutil
from pipelines.config import StudyConfig
from pipelines.ingest.run import ingest
from storage.config import IngestConfig

process, begun, written, memory = psutil.Process(), time.monotonic(), [], []

def listen(done, total, note):
    if note.startswith("films written"):
        written.append((time.monotonic() - begun, done))

def watch():
    while True:
        memory.append((time.monotonic() - begun, process.memory_info().rss))
        time.sleep(0.01)

threading.Thread(target=watch, daemon=True).start()
raw, store = map(Path, sys.argv[1:])
summary = ingest(raw, store, IngestConfig(), StudyConfig(), processes=2, progress=listen)
print(json.dumps({"written": written, "memory": memory, "seconds": time.monotonic() - begun, "said": str(summary)}))
"""
MB = 2**20


def rendered() -> list[NDArray[np.uint16]]:
    """The phantoms that all films are made of."""
    config = PhantomsConfig(
        subjects=0, unlabelled=SUBJECTS, annotators=0, format="png", height=SIDE_PX, width=SIDE_PX
    )
    with tempfile.TemporaryDirectory() as folder:
        write_cohort(Path(folder), config, processes=2)
        paths = sorted((Path(folder) / "films").rglob("*.png"))
        return [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in paths]


def write_films(folder: Path, films: list[NDArray[np.uint16]], numbers: range) -> None:
    """Write the films of these numbers."""
    folder.mkdir(exist_ok=True)
    for number in numbers:
        rng = np.random.default_rng(number)
        flipped = films[number % len(films)][:: rng.choice((1, -1)), :: rng.choice((1, -1))]
        # each variant of a phantom elsewhere: by chance some would lie alike, and ingest would rightly leave one out
        places = np.array(divmod(number // len(films), SIDE_PX // STEP_PX)) * STEP_PX
        shifted = shaded(np.roll(flipped, places, (0, 1)), rng)
        pixels = np.minimum(shifted + rng.integers(0, 8, shifted.shape, np.uint16), 4095).astype(np.uint16)
        if number % 4 < 2:
            (folder / f"{number}.png").write_bytes(phantom_png(pixels, f"{number // 2}", "L"))
        else:
            write_dicom(folder / f"{number}.dcm", pixels, 12, number, f"{number // 2}")


def ingested(raw: Path, store: Path) -> None:
    """Ingest in a process of its own and print its speed and memory by tenth."""
    ended = subprocess.run(
        [sys.executable, "-c", INGEST, str(raw), str(store)], check=True, stdout=subprocess.PIPE, text=True
    )
    told = json.loads(ended.stdout)
    seconds, written = told["seconds"], told["written"]
    print(f"{told['said']}: {seconds:.0f} s, {written[-1][1] / seconds:.0f} films/s with scan and commit")
    # a rerun counts the films of many shards at once: the times between are interpolated
    times = np.interp(np.linspace(0, written[-1][1], 11), [n for _, n in written], [t for t, _ in written])
    rates = written[-1][1] / 10 / np.diff(times)
    print("films/s written, by tenth of the films:", " ".join(f"{rate:.0f}" for rate in rates))
    at, memory = np.array(told["memory"]).T
    writing, committing = (
        peaks_mb(at, memory, tenths) for tenths in (times, np.linspace(times[-1], seconds, 11))
    )
    print(f"scan and plan at most {memory[at < times[0]].max() / MB:.0f} MB")
    for what, peaks in (("the films", writing), ("commit's time", committing)):
        print(f"MB of memory, by tenth of {what}:", " ".join(f"{peak:.0f}" for peak in peaks), end="; ")
        print(f"last against first: {peaks[-1] / peaks[0] - 1:+.1%}", flush=True)
    print(
        f"commit took {seconds - times[-1]:.1f} s; its peak is {max(committing) / max(writing) - 1:+.1%}",
        end=" ",
    )
    print("of that of writing", flush=True)


def peaks_mb(
    at: NDArray[np.float64], memory: NDArray[np.float64], bounds: NDArray[np.float64]
) -> list[float]:
    """The highest memory between each two bounds; `at`: when it was looked at, in seconds."""
    at_bounds = np.interp(bounds, at, memory)
    return [
        max(*ends, memory[(at >= begun) & (at <= ended)].max(initial=0)) / MB
        for (begun, ended), ends in zip(pairwise(bounds), pairwise(at_bounds), strict=True)
    ]


def main(count: int) -> None:
    """Print the figures of one store."""
    films = rendered()
    with tempfile.TemporaryDirectory() as folder:
        raw, store = Path(folder) / "raw", Path(folder) / "store"
        write_films(raw, films, range(count))
        ingested(raw, store)
        begun = time.perf_counter()
        rows = len(Store.open(store).manifest)
        print(f"manifest of {rows} films opened in {time.perf_counter() - begun:.3f} s")
        begun = time.perf_counter()
        write_text(
            store / "CURRENT", (store / "CURRENT").read_text()
        )  # the step that makes a generation live
        print(f"CURRENT switched in {1000 * (time.perf_counter() - begun):.1f} ms")
        before = set((store / "shards").iterdir())
        write_films(raw, films, range(count, count + 10))
        ingested(raw, store)
        new = set((store / "shards").iterdir()) - before
        print(f"ten films more: {len(new)} shards written, {len(before)} were there")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 20000)
