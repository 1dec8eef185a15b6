"""A cohort on disk: real objects, every exam told once, continued where it was killed, never another's folder."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from jobs.compose import settings_for
from jobs.registry import JOBS
from pipelines.contact_sheet import BAND
from pipelines.phantoms.config import PhantomsConfig
from pipelines.phantoms.hsg.cohort import exams_of, write_cohort
from pipelines.phantoms.hsg.preview import CELL, FILMS, write_preview
from pipelines.phantoms.study import foreseen
from storage.codec import decode_png
from storage.errors import ConfigError

CONFIG = PhantomsConfig(subjects=7, unlabelled=1, height=96, seed=5)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hsg") / "cohort"
    write_cohort(out, CONFIG)
    return out


def files(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()
    }


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_killed_cohort_goes_on_to_the_same_bytes(cohort: Path, tmp_path: Path) -> None:
    wanted = files(cohort)
    again = tmp_path / "again"
    write_cohort(again, CONFIG)
    assert files(again) == wanted
    # as a kill leaves it: a film and the end are missing
    woman = f"PHANTOM-HSG-{CONFIG.seed}-00000"
    late = again / "films" / woman / f"{woman}-e1-s2.dcm"
    for path in (late, again / "truth" / f"{woman}-e1.json", again / "oracle.json", again / "outcomes.csv"):
        path.unlink()
    write_cohort(again, CONFIG)
    assert files(again) == wanted


def test_objects_are_those_of_a_fluoroscopy_room(cohort: Path) -> None:
    objects = [pydicom.dcmread(path) for path in sorted((cohort / "films").rglob("*.dcm"))]
    assert {o.Modality for o in objects} <= {"XA", "RF"}
    assert all("PHANTOM" in o.ImageType and o.PatientName == "PHANTOM" for o in objects)
    frames = {int(o.get("NumberOfFrames", 1)) for o in objects}
    assert frames == {1, 8}
    assert all(o.pixel_array.shape[-2:] == (96, 96) for o in objects)
    assert len({o.SOPInstanceUID for o in objects}) == len(objects)
    captures = [o for o in objects if o.SOPClassUID == pydicom.uid.SecondaryCaptureImageStorage]
    assert len(captures) == sum(
        exam.capture for n in range(CONFIG.subjects + CONFIG.unlabelled) for exam in exams_of(CONFIG, n)
    )


def test_every_exam_of_a_labelled_woman_is_told_once(cohort: Path) -> None:
    told = rows(cohort / "outcomes.csv")
    filmed = {row["exam"] for row in rows(cohort / "films.csv")}
    assert len({row["exam"] for row in told}) == len(told) and {row["exam"] for row in told} < filmed
    assert len(told) == sum(len(exams_of(CONFIG, number)) for number in range(CONFIG.subjects))
    for row in told:
        blocked = {row["right"], row["left"]} & {"proximal", "distal"}
        assert row["occlusion"] == (
            "1" if blocked else "" if "not_seen" in (row["right"], row["left"]) else "0"
        )


def test_every_frame_has_its_mask(cohort: Path) -> None:
    listed = rows(cohort / "films.csv")
    for row in listed:
        stem = Path(row["path"]).stem + (f"-{int(row['frame']):02d}" if row["object"] == "loop" else "")
        mask = decode_png((cohort / "masks" / f"{stem}.png").read_bytes())
        assert mask.shape == (96, 96) and set(np.unique(mask)) <= {0, 1, 2, 3, 4} and mask.any()
    assert len(listed) == len(list((cohort / "masks").glob("*.png")))


def test_the_oracle_is_told(cohort: Path) -> None:
    told = json.loads((cohort / "oracle.json").read_text())
    assert {"oracle", "oracle_exam", "contrast_area", "kinds"} == set(told)
    assert sum(kind["films"] for kind in told["kinds"].values()) == told["oracle"]["n"]


def test_another_cohort_is_refused(cohort: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"holds a phantom cohort of another configuration \(different: seed\)"
    ):
        write_cohort(cohort, PhantomsConfig(subjects=7, unlabelled=1, height=96, seed=6))


@pytest.mark.parametrize(
    ("key", "value"), [("format", "png"), ("population", "child"), ("appearance", "random")]
)
def test_what_there_is_not_is_refused(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"^phantoms\.{key} must be \w+ for study=hsg, but is {value}\.$"):
        write_cohort(tmp_path / "x", PhantomsConfig(**{key: value}))
    assert not (tmp_path / "x").exists()


def test_preview_is_a_picture_that_says_phantom_data(tmp_path: Path) -> None:
    with Image.open(write_preview(tmp_path / "sheet.png", CONFIG, exams=2)) as sheet:
        assert sheet.size == (FILMS * CELL, BAND + 2 * CELL)
        assert sheet.crop((0, 0, sheet.width, BAND)).getbbox()


def test_what_a_cohort_will_hold_is_foreseen(cohort: Path) -> None:
    study = settings_for(JOBS["phantoms"], ["study=hsg", f"out={cohort}"]).study
    films, women, positives = foreseen(CONFIG, study)
    assert films == len(rows(cohort / "films.csv"))
    told: dict[str, list[int]] = {}
    for row in rows(cohort / "outcomes.csv"):
        if row["occlusion"]:
            told.setdefault(row["patient_id"], []).append(int(row["occlusion"]))
    assert women == len(told) and positives == sum(1 in outcomes for outcomes in told.values())
