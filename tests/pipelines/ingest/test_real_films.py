from __future__ import annotations

import re
import shutil
from pathlib import Path

from pipelines.config import StudyConfig
from pipelines.ingest.run import ingest
from storage.config import IngestConfig
from storage.manifest import Store


def test_real_hands_all_go_in(real_data: Path, tmp_path: Path) -> None:
    config = IngestConfig(subject_from="file")
    labels = real_data / "hands" / "labels"
    summary = ingest(
        real_data / "hands" / "rsna",
        tmp_path / "store",
        config,
        StudyConfig(),
        annotations=labels,
        processes=2,
    )
    assert (summary.films, summary.subjects) == (55, 55)
    assert summary.excluded == {"not_an_image": 1}, "the labels' README"
    assert len(Store.open(tmp_path / "store").annotations) == 18


def test_real_radiographs_of_one_patient_are_one_subject(real_data: Path, tmp_path: Path) -> None:
    config = IngestConfig(max_megapixels=8, modalities=["CR", "XA", "SC"])
    raw = tmp_path / "raw"
    raw.mkdir()
    for name in ("RG3_UNC", "RG3_RLE", "RG3_J2KI", "XA1_UNC", "XA1_J2KR"):
        shutil.copy(real_data / "dicom" / "radiographs" / f"{name}.dcm", raw)
    summary = ingest(raw, tmp_path / "store", config, StudyConfig())
    assert (summary.films, summary.subjects, summary.excluded) == (
        2,
        2,
        {"duplicate": 2, "near_duplicate": 1},
    )


def test_real_odd_files_end_in_one_bin_each(real_data: Path, tmp_path: Path) -> None:
    config = IngestConfig(modalities=["SC", "CT", "MR", "US", "NM", "OT", "SEG"], subject_from="file")
    odd = real_data / "dicom" / "odd"
    run_summary = ingest(odd, tmp_path / "store", config, StudyConfig(), processes=2)
    store = Store.open(tmp_path / "store")
    tokens = {*store.manifest["token"], *store.exclusions["token"]}
    assert len(tokens) == sum(path.is_file() for path in odd.rglob("*"))
    assert run_summary.films + sum(run_summary.excluded.values()) == len(store.manifest) + len(
        store.exclusions
    )
    assert not re.search("Error|Traceback", " ".join(store.exclusions["detail"]))
