"""Peak memory and speed of ingest against the number of films: python tests/benchmarks/ingest_memory.py [COUNT ...]

Writes COUNT small DICOM films (default 500 and 5000), ingests them in a process of their own and prints the peak of
its resident memory, and of the largest of its decoders.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pydicom
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

HEIGHT, WIDTH = 256, 200
INGEST = (
    "import sys; from pathlib import Path; from pipelines.config import StudyConfig\n"
    "from pipelines.ingest.run import ingest; from storage.config import IngestConfig\n"
    "print(ingest(Path(sys.argv[1]), Path(sys.argv[2]), IngestConfig(), StudyConfig(), processes=2))\n"
)
MB = 2**20


def write_films(folder: Path, count: int) -> None:
    """Write films of noise, two per subject."""
    rng = np.random.default_rng(0)
    for number in range(count):
        dataset = pydicom.Dataset()
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
        dataset.file_meta.MediaStorageSOPInstanceUID = f"2.25.{number + 1}"
        dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
        dataset.SOPInstanceUID = f"2.25.{number + 1}"
        dataset.PatientID, dataset.Modality = f"{number // 2}", "DX"
        dataset.ImageType = ["DERIVED", "PRIMARY", "PHANTOM"]
        dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "MONOCHROME2", 1
        dataset.Rows, dataset.Columns = HEIGHT, WIDTH
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = (
            16,
            12,
            11,
            0,
        )
        dataset.PixelData = rng.integers(0, 4096, (HEIGHT, WIDTH), dtype=np.uint16).tobytes()
        dataset["PixelData"].VR = "OW"
        dataset.save_as(folder / f"{number}.dcm", enforce_file_format=True)


def peaks_mb(raw: Path, store: Path) -> tuple[float, float, float]:
    """Peak resident memory of ingest and of its largest decoder in MB, and the seconds it took."""
    began = time.monotonic()
    parent_bytes = decoder_bytes = 0
    with subprocess.Popen([sys.executable, "-c", INGEST, str(raw), str(store)]) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                parent_bytes = max(parent_bytes, watched.memory_info().rss)
                decoders = [child.memory_info().rss for child in watched.children(recursive=True)]
                decoder_bytes = max([decoder_bytes, *decoders])
            except psutil.NoSuchProcess:
                pass
            time.sleep(0.05)
    return parent_bytes / MB, decoder_bytes / MB, time.monotonic() - began


def main(counts: list[int]) -> None:
    """Print a line per number of films."""
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            raw = Path(folder) / "raw"
            raw.mkdir()
            write_films(raw, count)
            parent_mb, decoder_mb, seconds = peaks_mb(raw, Path(folder) / "store")
        print(
            f"{count} films: ingest {parent_mb:.0f} MB, largest decoder {decoder_mb:.0f} MB, "
            f"{seconds:.1f} s, {count / seconds:.0f} films/s",
            flush=True,
        )


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [500, 5000])
