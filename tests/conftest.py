"""What several rooms' tests share: the folder of real films, and small DICOM files as a machine would write them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian
from xdist.scheduler import LoadScopeScheduling

WriteDicom = Callable[..., Path]
LAB = "tests/slurm/"

# The demo at the least size at which every stage still has something to do.
SMALL_DEMO = [
    "demo",
    "phantoms.subjects=24",
    "phantoms.unlabelled=16",
    "phantoms.height=256",
    "phantoms.width=200",
    "phantoms.annotators=2",
    "segmentation.steps=150",
    "segmentation.batch_size=4",
    "segmentation.lr=0.004",
    "segmentation.foreign_views=0",
    "segmentation.grid_height=128",
    "segmentation.grid_width=96",
    "segmentation.channels=[12,24,48,64]",
    "segmentation.half_resolution_share=0.3",
    "segmentation.validate_every=75",
    "segmentation.validation_films=3",
    "segmentation.checkpoint_every_steps=25",
    "pretraining.steps=6",
    "pretraining.batch_size=16",
    "pretraining.crop_pixels=64",
    "pretraining.global_size=48",
    "pretraining.local_size=32",
    "pretraining.warmup_steps=1",
    "pretraining.checkpoint_every_steps=2",
    "classification.input_size=48",
    "classification.inner_folds=2",
    "splits.repeats=1",
    "splits.folds=3",
]


class Rooms(LoadScopeScheduling):
    """For pytest-xdist: a module's tests stay together, and those of the one lab of tests/slurm."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return LAB if module.startswith(LAB) else module


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Rooms:
    return Rooms(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The lab's tests first: they take longest, and mostly wait, so that another worker has the cores."""
    items.sort(key=lambda item: not item.nodeid.startswith(LAB))


@dataclass(frozen=True)
class FinishedDemo:
    """A small demo that ran undisturbed: its words without out=, its folder, and how long it took."""

    words: list[str]
    out: Path
    seconds: float


@pytest.fixture(scope="session")
def small_demo(tmp_path_factory: pytest.TempPathFactory) -> FinishedDemo:
    """Every stage once, in a process of its own; shared by all tests that want a finished run."""
    out, begun = tmp_path_factory.mktemp("demo") / "out", time.monotonic()
    subprocess.run([sys.executable, "-m", "jobs", *SMALL_DEMO, f"out={out}"], check=True)
    return FinishedDemo(SMALL_DEMO, out, time.monotonic() - begun)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real films for development; none of it is in this repository."""
    default = Path(__file__).parents[1] / ".." / "shared" / "data"
    folder = Path(os.environ.get("RADMILL_REAL_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real films at {folder}: set RADMILL_REAL_DATA to their folder")
    return folder


@pytest.fixture
def write_dicom(tmp_path: Path) -> WriteDicom:
    """write(pixels, name=..., **elements) -> path; pixels HxW or FxHxW."""

    def write(
        pixels: NDArray[Any], name: str = "film.dcm", syntax: str = ExplicitVRLittleEndian, **elements: Any
    ) -> Path:
        bits = 8 * pixels.dtype.itemsize
        described: dict[str, Any] = {
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1",
            "SOPInstanceUID": "2.25.1",
            "Modality": "DX",
            "PatientID": "p1",
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "Rows": pixels.shape[-2],
            "Columns": pixels.shape[-1],
            "BitsAllocated": bits,
            "BitsStored": bits,
            "HighBit": elements.get("BitsStored", bits) - 1,
            "PixelRepresentation": int(pixels.dtype.kind == "i"),
        } | elements
        if pixels.ndim == 3:
            described["NumberOfFrames"] = pixels.shape[0]
        dataset = pydicom.Dataset()
        for keyword, value in described.items():
            if value is not None:
                setattr(dataset, keyword, value)
        data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
        dataset.PixelData = (
            encapsulate([data]) if UID(syntax).is_encapsulated else data + b"\0" * (len(data) % 2)
        )
        dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.file_meta.MediaStorageSOPClassUID = described["SOPClassUID"]
        dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.1"
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.fixture
def ramp() -> NDArray[np.uint16]:
    """40 x 50 values from 0 to 1999."""
    return np.arange(2000, dtype=np.uint16).reshape(40, 50)


@pytest.fixture
def drawn_hand() -> NDArray[np.uint8]:
    """A hand with its forearm leaving the film at the bottom, bones bright, air dark; nothing of a person."""
    rng = np.random.default_rng(0)
    picture = Image.new("L", (240, 300), 12)
    draw = ImageDraw.Draw(picture)
    draw.polygon([(92, 299), (148, 299), (142, 205), (98, 205)], fill=90)
    draw.ellipse((75, 130, 165, 225), fill=100)
    for finger in range(5):
        x, top = 78 + 19 * finger, 45 + int(rng.integers(0, 25)) + 12 * abs(finger - 2)
        draw.rounded_rectangle((x, top, x + 13, 175), 6, fill=110)
        draw.line((x + 6, top + 6, x + 6, 190), fill=190, width=5)
    draw.line((112, 200, 108, 299), fill=200, width=9)
    draw.line((130, 200, 134, 299), fill=200, width=7)
    noisy = np.asarray(picture) + rng.normal(0, 2, (300, 240))
    return noisy.clip(0, 255).astype(np.uint8)
