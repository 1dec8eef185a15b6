"""Laws of a cohort on disk: real files, right tags, resumable, one folder for one configuration."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from jobs.compose import settings_for
from jobs.registry import JOBS
from pipelines.phantoms.cohort import write_cohort
from pipelines.phantoms.config import PhantomsConfig
from pipelines.phantoms.film import render, subject_of
from pipelines.phantoms.study import foreseen
from storage.codec import decode_png
from storage.errors import ConfigError

SMALL = PhantomsConfig(subjects=5, unlabelled=2, height=128, width=100, seed=3)


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cohort")
    summary = write_cohort(out, SMALL)
    assert summary.subjects == 7
    assert summary.films == summary.written == len(list((out / "films").glob("*/*.dcm")))
    return out


def test_dicom_says_what_it_is(cohort: Path) -> None:
    paths = sorted((cohort / "films").glob("*/*.dcm"))
    uids = set()
    for path in paths:
        film = pydicom.dcmread(path)
        assert film.SOPClassUID == pydicom.uid.DigitalXRayImageStorageForPresentation
        assert film.PatientID == path.parent.name
        assert "PHANTOM" in film.ImageType
        assert film.PatientName == "PHANTOM"
        assert (film.Modality, film.BodyPartExamined, film.ViewPosition) == ("DX", "HAND", "PA")
        assert film.ImageLaterality in "LR"
        assert film.PatientSex in "MF"
        assert 40 <= int(film.PatientAge[:3]) <= 92
        assert film.BurnedInAnnotation == "YES"
        assert 46 <= film.KVP <= 60
        assert 10 <= film.BitsStored <= 14
        assert film.HighBit == film.BitsStored - 1
        assert film.PixelSpacing[0] < film.ImagerPixelSpacing[0]
        assert film.pixel_array.shape == (128, 100)
        uids.add(film.SOPInstanceUID)
    assert len(uids) == len(paths)


def test_dicom_holds_the_rendered_pixels_and_their_polarity(cohort: Path) -> None:
    subject = subject_of(SMALL, 1)
    film = render(subject, 0, SMALL)
    dataset = pydicom.dcmread(cohort / "films" / subject.patient_id / f"{subject.patient_id}-1.dcm")
    np.testing.assert_array_equal(dataset.pixel_array, film.pixels)
    assert dataset.PhotometricInterpretation == film.photometric


def test_every_film_has_its_masks(cohort: Path) -> None:
    for path in (cohort / "films").glob("*/*.dcm"):
        for annotator in ("a0", "a1", "a2", "truth"):
            mask = decode_png((cohort / "annotations" / f"{path.stem}.{annotator}.png").read_bytes())
            assert mask.shape == (128, 100)
            assert mask.max() <= 7
    rows = list(csv.DictReader(StringIO((cohort / "annotations" / "annotators.csv").read_text())))
    assert [row["annotator"] for row in rows] == ["a0", "a1", "a2", "truth"]
    assert sum(float(row["weight"]) for row in rows) == pytest.approx(1)
    assert float(rows[-1]["weight"]) == 0


def test_outcomes_list_the_labelled_subjects_alone(cohort: Path) -> None:
    rows = list(csv.DictReader(StringIO((cohort / "outcomes.csv").read_text())))
    assert [row["patient_id"] for row in rows] == [
        subject_of(SMALL, number).patient_id for number in range(5)
    ]
    assert list(rows[0]) == ["patient_id", "t_score", "dxa_site", "days", "age_years", "sex", "weight_kg"]
    oracle = json.loads((cohort / "oracle.json").read_text())
    assert oracle["n"] == 5
    assert oracle["effect"] == "paper"


def test_a_second_call_writes_nothing_and_a_lost_film_comes_back(cohort: Path) -> None:
    before = _contents(cohort)
    assert write_cohort(cohort, SMALL).written == 0
    victim = sorted((cohort / "films").glob("*/*.dcm"))[2]
    victim.unlink()
    assert write_cohort(cohort, SMALL).written == 1
    assert _contents(cohort) == before


def test_two_processes_write_the_same_bytes(cohort: Path, tmp_path: Path) -> None:
    write_cohort(tmp_path, SMALL, processes=2)
    assert _contents(tmp_path) == _contents(cohort)


def test_a_folder_belongs_to_one_configuration(cohort: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"holds a phantom cohort of another configuration \(different: seed\)"
    ):
        write_cohort(cohort, PhantomsConfig(subjects=5, unlabelled=2, height=128, width=100, seed=4))


def test_png_says_it_is_a_phantom_and_children_have_no_outcomes(tmp_path: Path) -> None:
    config = PhantomsConfig(
        subjects=2, unlabelled=1, population="child", appearance="random", format="png", height=128, width=100
    )
    write_cohort(tmp_path, config)
    for path in (tmp_path / "films").glob("*/*.png"):
        with Image.open(path) as film:
            assert film.text["data_kind"] == "phantom"
            assert film.text["patient_id"] == path.parent.name
            assert film.size == (100, 128)
    assert not (tmp_path / "outcomes.csv").exists()
    assert json.loads((tmp_path / "oracle.json").read_text())["auc"] is None


def test_what_a_cohort_will_hold_is_foreseen(cohort: Path) -> None:
    films, subjects, positives = foreseen(SMALL, settings_for(JOBS["phantoms"], [f"out={cohort}"]).study)
    assert films == len(list((cohort / "films").glob("*/*.dcm")))
    told = list(csv.DictReader(StringIO((cohort / "outcomes.csv").read_text())))
    assert subjects == len(told) == 5
    assert positives == sum(float(row["t_score"]) <= -2.5 for row in told)
