from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from storage.errors import InputError
from storage.manifest import Store


def refusal(hospital: Any, root: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        hospital.ingest(root, **options)
    assert not (root / "CURRENT").exists()
    return str(caught.value)


def test_nothing_to_read_is_a_sentence(hospital: Any, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    nothing = replace(hospital, raw=empty)
    assert refusal(nothing, tmp_path / "store") == f"raw={empty} holds no files; name a folder with films."
    (empty / "notes.txt").write_text("notes")
    (empty / "list.csv").write_text("a,b")
    assert refusal(nothing, tmp_path / "store") == (
        f"raw={empty} holds no radiograph that can be used: of 2 files and frames, 2 not_an_image. "
        "Name a folder with DICOM, PNG, JPEG or TIFF films."
    )
    absent = replace(hospital, raw=tmp_path / "absent")
    assert refusal(absent, tmp_path / "store") == f"raw={absent.raw} is not a folder."
    assert not (tmp_path / "store").exists()


def test_a_missing_column_is_told_before_any_film_is_read(hospital: Any, tmp_path: Path) -> None:
    hospital.outcomes.write_text("patient_id,bmd\np1,1\n")
    assert refusal(hospital, tmp_path / "store").startswith(
        f"outcomes={hospital.outcomes} has no column t_score; it has"
    )


def test_outcomes_of_strangers_are_a_sentence(hospital: Any, tmp_path: Path) -> None:
    hospital.outcomes.write_text("patient_id,t_score\nnobody,1\n")
    assert refusal(hospital, tmp_path / "store").startswith("None of the 1 rows of outcomes=")


def test_inputs_inside_raw_are_not_taken_for_films(hospital: Any, tmp_path: Path) -> None:
    inside = hospital.raw / "annotations"
    shutil.move(hospital.annotations, inside)
    shutil.move(hospital.outcomes, hospital.raw / "outcomes.csv")
    moved = replace(hospital, annotations=inside, outcomes=hospital.raw / "outcomes.csv")
    summary = moved.ingest(hospital.raw / "store")
    assert (summary.films, summary.excluded) == (12, {"no_film": 1})
    moved.ingest(hospital.raw / "store")
    assert Store.open(hospital.raw / "store").generation == "000001"


def test_what_is_to_be_skipped_is_not_taken_for_films(hospital: Any, tmp_path: Path) -> None:
    out = hospital.raw / "out"
    out.mkdir()
    (out / "report.html").write_text("a report")
    (hospital.raw / "log.txt").write_text("a log")
    summary = hospital.ingest(tmp_path / "store", skip=[out, hospital.raw / "log.txt", tmp_path / "absent"])
    assert (summary.films, summary.excluded) == (12, {"no_film": 1})
