"""Ingest beside litdata and webdataset, 2 processes each, one after the other in the same run:

    python tests/benchmarks/write_speed.py --peer-python PEERS/bin/python --films 400 --kind 16

PEERS is an environment with litdata, webdataset, numpy, OpenCV, imagecodecs, isal and torch. Choose --films such that
the fastest row takes a minute. All read the same DICOM files, none of which is in memory when a row begins. Ours also
hashes files and pixels, looks for duplicates, writes with checksums and fsync; the peers take the pixels as pydicom
gives them and write as they do by default.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pydicom
from bench_films import KINDS, Kind, films, write_dicom

from storage.codec import encode
from storage.page_cache import drop_pages_of

PROJECT = Path(__file__).parents[2]
CODECS = ("png", "htj2k")
PEERS = ("webdataset", "litdata")
FEW = 4  # one film of so many is written first, to know what starting up takes
INGEST = """
import json, multiprocessing.forkserver, os, sys, time
from pathlib import Path
from pipelines.config import StudyConfig
from pipelines.ingest.run import ingest
from storage.config import IngestConfig

began = time.perf_counter()
raw, store, codec = sys.argv[1:]
summary = ingest(Path(raw), Path(store), IngestConfig(codec=codec), StudyConfig(), processes=2)
seconds = time.perf_counter() - began
multiprocessing.forkserver._forkserver._stop()  # else the decoders' time is lost
cpu_s = sum(os.times()[:4])
print(json.dumps({"rate": summary.films / seconds, "seconds": seconds, "cpu_s": cpu_s}))
"""
Row = dict[str, float]


def ours(raw: Path, store: Path, codec: str) -> Row:
    """Ingest with the guard's 2 processes, in a process of its own."""
    command = [sys.executable, "-c", INGEST, str(raw), str(store), codec]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment())
    size = sum(path.stat().st_size for path in (store / "shards").iterdir())
    result: Row = json.loads(done.stdout.splitlines()[-1])
    return result | {"bytes": size}


def peer(python: str, name: str, raw: Path, out: Path, codec: str) -> Row:
    """The same by another library."""
    command = [
        python,
        str(PROJECT / "tests/benchmarks/peers.py"),
        "write",
        name,
        str(raw),
        str(out),
        codec,
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment())
    result: Row = json.loads(done.stdout.splitlines()[-1])
    return result


def environment() -> dict[str, str]:
    """One thread per process, and our modules."""
    return os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}


def measured(write: Callable[[Path, Path], Row], raw: Path, some: Path, out: Path) -> Row:
    """All films, and the CPU time of each beyond those of `some`, so that what starts up does not count."""
    few = written(write, some, out)
    row = written(write, raw, out)
    films = len(list(raw.iterdir())) - len(list(some.iterdir()))
    return row | {"cpu_ms": 1000 * (row["cpu_s"] - few["cpu_s"]) / films}


def written(write: Callable[[Path, Path], Row], raw: Path, out: Path) -> Row:
    """One row, without what it wrote, or the disk would have to hold every row's."""
    os.sync()  # what earlier rows and the films left to be written is not this row's
    for path in raw.iterdir():  # nor is what they left in memory
        drop_pages_of(path)
    row = write(raw, out)
    shutil.rmtree(out)
    out.with_name(f"{out.name}.key").unlink(missing_ok=True)
    return row


def encode_for(paths: list[Path], codec: str, seconds: float) -> tuple[float, float]:
    """Films per second of the codec alone, in this process, and ms of CPU time per film."""
    loaded = [pydicom.dcmread(path).pixel_array for path in paths]
    began, cpu_began, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < seconds:
        encode(loaded[count % len(loaded)], codec)
        count += 1
    rate = count / (time.perf_counter() - began)
    return rate, 1000 * (time.process_time() - cpu_began) / count


def limit(raw: Path, codec: str, seconds: float) -> tuple[float, float]:
    """Films per second of the codec alone, in 2 processes, and ms of CPU time per film."""
    paths = sorted(raw.glob("*.dcm"))[:4]
    with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as pool:
        rates, cpu_ms = zip(*pool.map(encode_for, [paths] * 2, [codec] * 2, [seconds] * 2), strict=True)
    return sum(rates), sum(cpu_ms) / 2


def compare(kind: Kind, count: int, python: str, folder: Path, limit_s: float) -> None:
    """Print the table of one kind of films."""
    raw, some = folder / "raw", folder / "some"
    raw.mkdir(parents=True)
    some.mkdir()
    for number, pixels in enumerate(films(kind, count)):
        path = raw / f"{number:06d}.dcm"
        write_dicom(path, pixels, kind.bits, number, str(number))
        if number % FEW == 0:
            some.joinpath(path.name).hardlink_to(path)
    limits = {codec: limit(raw, codec, limit_s) for codec in CODECS}
    rows = {
        f"ours {codec}": measured(partial(ours, codec=codec), raw, some, folder / f"store-{codec}")
        for codec in CODECS
    }
    for codec in ("png", *(f"ours:{codec}" for codec in CODECS)):
        for name in PEERS:
            write = partial(peer, python, name, codec=codec)
            rows[f"{name} {codec}"] = measured(write, raw, some, folder / f"{name}-{codec}")
    print(f"\n{count} films of {kind.height} x {kind.width}, {kind.bits} bit, {kind.mb:.1f} MB each")
    print(
        f"{'':22} films/s   MB/s  seconds  MB/film  CPU ms/film  of best peer, same codec  of their PNG",
        end="",
    )
    print("  of codec's limit (each: films/s, CPU)")
    for name, row in rows.items():
        line = f"{name:22} {row['rate']:7.2f} {row['rate'] * kind.mb:6.0f} {row['seconds']:8.1f}"
        line += f" {row['bytes'] / count / 1e6:8.2f} {row['cpu_ms']:12.1f}"
        print(line + (shares(name.split()[1], rows, limits) if name.startswith("ours ") else ""))


def shares(codec: str, rows: dict[str, Row], limits: dict[str, tuple[float, float]]) -> str:
    """What ingest reaches of the best peer with its codec, of the best with OpenCV's PNG, and of the codec alone.

    By films per second, and by CPU time, which a busy machine distorts less.
    """
    row, text = rows[f"ours {codec}"], ""
    for other, width in ((f"ours:{codec}", 19), ("png", 7)):
        peers = [rows[f"{name} {other}"] for name in PEERS]
        rate = row["rate"] / max(one["rate"] for one in peers)
        text += f" {rate:{width}.2f} {min(one['cpu_ms'] for one in peers) / row['cpu_ms']:5.2f}"
    rate, cpu_ms = limits[codec]
    return text + f" {row['rate'] / rate:8.2f} {cpu_ms / row['cpu_ms']:5.2f}"


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--films", type=int, default=400)
    parser.add_argument("--kind", choices=KINDS, nargs="+", default=list(KINDS))
    parser.add_argument("--seconds", type=float, default=10.0, help="for the codec's own limit")
    parser.add_argument("--folder", type=Path, help="where to work, on the disk to be measured")
    arguments = parser.parse_args()
    for name in arguments.kind:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            compare(KINDS[name], arguments.films, arguments.peer_python, Path(folder), arguments.seconds)


if __name__ == "__main__":
    main()
