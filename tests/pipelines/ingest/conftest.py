"""A small hospital: folders of films, an outcome table and masks, with names that must never come out again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipelines.config import StudyConfig
from pipelines.ingest.run import ingest
from pipelines.ingest.summary import IngestSummary
from storage.config import IngestConfig

CANARY = "canary"
HEIGHT, WIDTH = 48, 40
SMALL = IngestConfig(films_per_shard=4, memory_gb=1)


@dataclass
class Hospital:
    """raw, outcomes and annotations as a hospital hands them over."""

    raw: Path
    outcomes: Path
    annotations: Path
    write_dicom: Any

    @property
    def key_file(self) -> Path:
        """The secret, beside raw so that stores can be compared."""
        return self.raw.with_name("site.key")

    def pixels(self, seed: int) -> NDArray[np.uint16]:
        """A film unlike all others, 12 bits."""
        return np.random.default_rng(seed).integers(0, 4096, (HEIGHT, WIDTH), dtype=np.uint16)

    def ingest(self, root: Path, **options: Any) -> IngestSummary:
        """Ingest all of it; drop_missing as of ingest.drop_missing."""
        dropping = options.pop("drop_missing", False)
        config = replace(SMALL, key_file=str(self.key_file), drop_missing=dropping)
        options = {"outcomes": self.outcomes, "annotations": self.annotations} | options
        study = options.pop("study", StudyConfig())
        return ingest(self.raw, root, config, study, **options)

    def film(self, subject: int, number: int, seed: int, **elements: Any) -> Path:
        """Write one DICOM film."""
        name = f"{self.raw.name}/{CANARY}-{subject}/{CANARY}{subject}_{number}.dcm"
        described = {
            "PatientID": f"{CANARY}-{subject}",
            "PatientName": f"{CANARY}^Jane",
            "PatientAge": "064Y",
            "StudyInstanceUID": f"1.2.{subject}",
            "StudyDate": "20200229",
            "InstitutionName": f"{CANARY} hospital",
            "SeriesDescription": f"{CANARY} left hand",
            "Manufacturer": f"SIEMENS {CANARY}",
            "ManufacturerModelName": f"{CANARY} model",
            "ViewPosition": "PA",
            "InstanceNumber": number,
            "SOPInstanceUID": f"2.25.{seed + 1}",
            "BitsStored": 12,
        }
        path: Path = self.write_dicom(self.pixels(seed), name=name, **(described | elements))
        return path

    def mask(self, subject: int, number: int, annotator: str, value: int = 7, height: int = HEIGHT) -> Path:
        """Write one label map."""
        mask = np.zeros((height, WIDTH), np.uint8)
        mask[4:20, 4:20] = value
        path = self.annotations / f"{CANARY}{subject}_{number}.{annotator}.png"
        Image.fromarray(mask).save(path)
        return path


@pytest.fixture
def hospital(tmp_path: Path, write_dicom: Any) -> Hospital:
    """Six subjects with two films each; outcomes for five of them and one more; masks of two annotators."""
    place = Hospital(tmp_path / "raw", tmp_path / "outcomes.csv", tmp_path / "annotations", write_dicom)
    place.annotations.mkdir()
    for subject in range(6):
        for number in range(2):
            place.film(subject, number, seed=10 * subject + number)
    lines = [f"{CANARY}-{subject},{-3.5 + subject / 2},{CANARY} hip" for subject in (0, 1, 2, 3, 4, 77)]
    place.outcomes.write_text("\n".join(["patient_id,t_score,dxa_site", *lines]))
    for subject in range(3):
        place.mask(subject, 0, "a0")
        place.mask(subject, 0, "a1", value=2)
    return place
