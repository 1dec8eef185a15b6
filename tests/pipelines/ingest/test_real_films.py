from __future__ import annotations

import re
import shutil
import tarfile
import time
from pathlib import Path

import pytest

from pipelines.config import StudyConfig
from pipelines.ingest.decode import encode_films, inspect_file
from pipelines.ingest.guard import GuardedWorker
from pipelines.ingest.overrides import Override
from pipelines.ingest.run import ingest
from storage.config import IngestConfig
from storage.errors import Quarantined
from storage.manifest import Store
from storage.radiograph import Limits


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


def test_d12_of_one_film_in_many_syntaxes_a_lossless_one_stays(real_data: Path, tmp_path: Path) -> None:
    summary = ingest(
        real_data / "dicom" / "radiographs", tmp_path / "store", IngestConfig(), StudyConfig(), processes=2
    )
    manifest = Store.open(tmp_path / "store").manifest
    assert summary.films == 3 and not manifest["lossy"].any()
    assert summary.excluded["near_duplicate"] + summary.excluded["duplicate"] >= 15


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


@pytest.mark.slow
def test_d21_every_real_odd_and_malformed_file_ends_in_one_bin(real_data: Path, tmp_path: Path) -> None:
    """In one guarded child after the other of 1 GB and 20 s; nothing but Quarantined comes out."""
    files = sorted(path for path in (real_data / "dicom").rglob("*") if path.is_file())
    with tarfile.open(real_data / "dicom" / "malformed" / "fuzz.tar.gz") as tar:
        tar.extractall(tmp_path, filter="data")
    files += sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert len(files) > 600
    modalities = ("SC", "CR", "DX", "RG", "RF", "XA", "CT", "MR", "US", "NM", "OT", "")
    limits = Limits(modalities=modalities)
    worker = GuardedWorker(memory_gb=1, timeout_s=20, imports=["pipelines.ingest.decode"])
    bins: dict[str, int] = {}
    slowest = 0.0
    try:
        for path in files:
            begun = time.monotonic()
            for outcome in _outcomes(worker, path, limits):
                bins[outcome] = bins.get(outcome, 0) + 1
            slowest = max(slowest, time.monotonic() - begun)
    finally:
        worker.close()
    assert bins["film"] >= 70, "the 26 radiographs are, and what is odd but readable"
    assert "timeout" not in bins
    assert slowest < 20


def _outcomes(worker: GuardedWorker, path: Path, limits: Limits) -> list[str]:
    """The bin of each frame, or of the file as a whole."""
    try:
        found = worker.call(inspect_file, path, limits)
        frames = found.header.frames
        films = worker.call(encode_films, path, found.crc32c, range(frames), Override(), limits, "png")
    except Quarantined as error:
        return [error.reason]
    assert len(films) == frames
    return [getattr(film, "reason", "film") for film in films]
