"""What several rooms' tests share: the folder of real films, and small DICOM files as a machine would write them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian

WriteDicom = Callable[..., Path]


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
