"""Distinct phantom films for the benchmarks, fast: a few are rendered, the others are moved and shaded copies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from pipelines.phantoms.config import PhantomsConfig
from pipelines.phantoms.film import render, subject_of

_RENDERED = 40  # of fewer, hundreds of copies look so alike that ingest compares their pixels


@dataclass(frozen=True)
class Kind:
    """What films: their size and their bits."""

    height: int
    width: int
    bits: int

    @property
    def mb(self) -> float:
        """Pixels of one film in MB."""
        return self.height * self.width * (1 if self.bits == 8 else 2) / 1e6


KINDS = {"8": Kind(1400, 900, 8), "16": Kind(2515, 3588, 12)}


def films(kind: Kind, count: int, seed: int = 0) -> Iterator[NDArray[np.uint8] | NDArray[np.uint16]]:
    """Films HxW, no two alike, to the eye either: each has its own shading, and noise in the lowest bit."""
    config = PhantomsConfig(subjects=0, unlabelled=_RENDERED, height=kind.height, width=kind.width)
    rendered = [render(subject_of(config, number), 0, config) for number in range(min(_RENDERED, count))]
    for number in range(count):
        rng, film = np.random.default_rng([seed, number]), rendered[number % len(rendered)]
        pixels = film.pixels.astype(np.uint16)
        if film.photometric == "MONOCHROME1":
            pixels = 2**film.bits - 1 - pixels
        pixels = pixels >> max(0, film.bits - kind.bits)
        pixels = np.roll(pixels, rng.integers(0, 200, 2), (0, 1))[:: rng.choice([-1, 1])]
        pixels = shaded(pixels, rng)
        pixels = pixels ^ rng.integers(0, 2, pixels.shape, dtype=np.uint16)
        yield np.ascontiguousarray(pixels.astype(np.uint8 if kind.bits == 8 else np.uint16))


def write_dicom(
    path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16], bits: int, number: int, subject: str
) -> None:
    """One uncompressed film."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.file_meta.MediaStorageSOPInstanceUID = f"2.25.{number + 1}"
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = f"2.25.{number + 1}"
    dataset.PatientID, dataset.Modality = subject, "DX"
    dataset.ImageType = ["DERIVED", "PRIMARY", "PHANTOM"]
    dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "MONOCHROME2", 1
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored = 8 * pixels.dtype.itemsize, bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, 0
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    dataset.save_as(path, enforce_file_format=True)


def shaded(pixels: NDArray[np.uint16], rng: np.random.Generator) -> NDArray[np.uint16]:
    """The film with up to four fifths of its brightness taken away, here more and there less."""
    height, width = pixels.shape
    coarse = rng.uniform(0.2, 1, (7, 7)).astype(np.float32)
    share = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return (pixels * share).astype(np.uint16)
