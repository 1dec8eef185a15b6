"""Ingest beside litdata and webdataset, 2 processes each, one after the other in the same run:

    python tests/benchmarks/write_speed.py --peer-python PEERS/bin/python --films 400 --kind 16

PEERS is an environment with litdata, webdataset, numpy, OpenCV, imagecodecs and torch. Choose --films such that the
fastest row takes a minute. All read the same DICOM files. Ours also hashes files and pixels, looks for duplicates,
writes with checksums and fsync; the peers take the pixels as pydicom gives them and write as they do by default.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from bench_films import KINDS, Kind, films
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from pipelines.config import StudyConfig
from pipelines.ingest.run import ingest
from storage.codec import encode
from storage.config import IngestConfig

PROJECT = Path(__file__).parents[2]
CODECS = ("png", "htj2k")
PEERS = ("webdataset", "litdata")


def write_dicom(path: Path, pixels: np.ndarray[Any, Any], bits: int, number: int) -> None:
    """One uncompressed film of a subject of its own."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.file_meta.MediaStorageSOPInstanceUID = f"2.25.{number + 1}"
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = f"2.25.{number + 1}"
    dataset.PatientID, dataset.Modality = str(number), "DX"
    dataset.ImageType = ["DERIVED", "PRIMARY", "PHANTOM"]
    dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "MONOCHROME2", 1
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored = 8 * pixels.dtype.itemsize, bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, 0
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    dataset.save_as(path, enforce_file_format=True)


def ours(raw: Path, store: Path, codec: str) -> dict[str, float]:
    """Ingest with the guard's 2 processes."""
    began = time.perf_counter()
    summary = ingest(raw, store, IngestConfig(codec=codec), StudyConfig(), processes=2)
    seconds = time.perf_counter() - began
    size = sum(path.stat().st_size for path in (store / "shards").iterdir())
    return {"rate": summary.films / seconds, "bytes": size, "seconds": seconds}


def peer(python: str, name: str, raw: Path, out: Path, codec: str) -> dict[str, float]:
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
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def encode_for(paths: list[Path], codec: str, seconds: float) -> float:
    """Films per second of the codec alone, in this process."""
    loaded = [pydicom.dcmread(path).pixel_array for path in paths]
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        encode(loaded[count % len(loaded)], codec)
        count += 1
    return count / (time.perf_counter() - began)


def limit(raw: Path, codec: str, seconds: float) -> float:
    """Films per second of the codec alone, in 2 processes."""
    paths = sorted(raw.glob("*.dcm"))[:4]
    with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as pool:
        return sum(pool.map(encode_for, [paths] * 2, [codec] * 2, [seconds] * 2))


def compare(kind: Kind, count: int, python: str, folder: Path, limit_s: float) -> None:
    """Print the table of one kind of films."""
    raw = folder / "raw"
    raw.mkdir(parents=True)
    for number, pixels in enumerate(films(kind, count)):
        write_dicom(raw / f"{number:06d}.dcm", pixels, kind.bits, number)
    limits = {codec: limit(raw, codec, limit_s) for codec in CODECS}
    rows = {f"ours {codec}": ours(raw, folder / f"store-{codec}", codec) for codec in CODECS}
    for codec in ("png", *(f"ours:{codec}" for codec in CODECS)):
        for name in PEERS:
            rows[f"{name} {codec}"] = peer(python, name, raw, folder / f"{name}-{codec}", codec)
    default = max(rows[f"{name} png"]["rate"] for name in PEERS)
    print(f"\n{count} films of {kind.height} x {kind.width}, {kind.bits} bit, {kind.mb:.1f} MB each")
    print(
        f"{'':22} films/s   MB/s  seconds  MB/film  of best peer, same codec  of their PNG  of codec's limit"
    )
    for name, row in rows.items():
        codec = name.split()[1].removeprefix("ours:")
        line = f"{name:22} {row['rate']:7.2f} {row['rate'] * kind.mb:6.0f} {row['seconds']:8.1f}"
        line += f" {row['bytes'] / count / 1e6:8.2f}"
        if name.startswith("ours "):
            best = max(rows[f"{other} ours:{codec}"]["rate"] for other in PEERS)
            shares = (row["rate"] / best, row["rate"] / default, row["rate"] / limits[codec])
            line += " {:25.2f} {:13.2f} {:17.2f}".format(*shares)
        print(line)


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
