"""The four steps, called one by one in processes or at widths of any kind, make the store that `ingest` makes."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.config import StudyConfig
from pipelines.ingest.commit import commit
from pipelines.ingest.plan import load_plan, plan, planned_shards
from pipelines.ingest.scan import missing_scans, scan_part
from pipelines.ingest.task import IngestTask
from pipelines.ingest.write import missing_shards, write_part
from pipelines.progress import silent
from storage.config import IngestConfig
from storage.errors import StorageError

SMALL = IngestConfig(films_per_shard=4, memory_gb=1)


def content(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


@pytest.fixture
def task(hospital: Any, tmp_path: Path) -> IngestTask:
    return IngestTask(
        raw=hospital.raw,
        store_root=tmp_path / "store",
        config=replace(SMALL, key_file=str(hospital.key_file)),
        study=StudyConfig(),
        outcomes=hospital.outcomes,
        annotations=hospital.annotations,
    )


@pytest.mark.parametrize("width", [1, 3, 20])
def test_steps_of_any_width_make_the_same_store(
    hospital: Any, task: IngestTask, tmp_path: Path, width: int
) -> None:
    hospital.film(7, 0, seed=50)  # as film 0 of subject 5
    (hospital.raw / "notes.txt").write_text("notes")
    whole = hospital.ingest(tmp_path / "whole")
    task.begin()
    with task.pool(1) as pool:
        for index in reversed(range(width)):
            scan_part(task, index, width, pool, silent)
        made = plan(task, width)
        for index in reversed(range(width)):
            write_part(task, index, width, pool, silent)
            write_part(task, index, width, pool, silent)  # a task that was requeued
        assert commit(task, pool, silent) == whole
    assert (made.files, made.films) == (14, 13)
    assert content(task.store_root) == content(tmp_path / "whole")
    assert not task.work.exists()


def test_frames_twins_and_overrides_pass_from_step_to_step(
    hospital: Any, task: IngestTask, tmp_path: Path
) -> None:
    loop = np.stack([hospital.pixels(seed) for seed in range(500, 505)])
    hospital.write_dicom(loop, name="raw/loop.dcm", PatientID="x", Modality="XA", SOPInstanceUID="2.25.11")
    hospital.film(1, 5, seed=105, PresentationIntentType="FOR PRESENTATION", IrradiationEventUID="2.25.7")
    hospital.film(1, 6, seed=106, PresentationIntentType="FOR PROCESSING", IrradiationEventUID="2.25.7")
    told = task.raw / "told.csv"  # no film, though it lies among them
    told.write_text("path,polarity,frames\n*1_0.dcm,invert,\nloop.dcm,,2-3\n")
    task = replace(task, config=replace(task.config, overrides=str(told)))
    whole = replace(task, store_root=tmp_path / "whole")
    with task.pool(1) as pool:
        for one, width in ((task, 3), (whole, 1)):
            one.begin()
            for index in range(width):
                scan_part(one, index, width, pool, silent)
            made = plan(one, width)
            assert (made.files, made.films) == (15, 12 + 1 + 2)
            for index in reversed(range(width)):
                write_part(one, index, width, pool, silent)
            summary = commit(one, pool, silent)
            assert (summary.films, summary.shared_uids) == (15, 1)
            assert {"not_selected": 3, "twin": 1}.items() <= summary.excluded.items()
    assert content(task.store_root) == content(whole.store_root)


def test_each_step_asks_for_what_is_missing(task: IngestTask) -> None:
    with task.pool(1) as pool:
        with pytest.raises(StorageError, match="this ingest is not planned yet; plan it first"):
            commit(task, pool, silent)
        with pytest.raises(StorageError, match="this ingest is not begun yet; begin it first"):
            scan_part(task, 1, 3, pool, silent)
        task.begin()
        scan_part(task, 1, 3, pool, silent)
        assert missing_scans(task, 3) == [0, 2]
        with pytest.raises(
            StorageError, match=r"2 of 3 parts of the scan are missing or of another run \(0, 2\)"
        ):
            plan(task, 3)
        for index in (0, 2):
            scan_part(task, index, 3, pool, silent)
        plan(task, 3)
        shards = len(list(planned_shards(task)))
        write_part(task, 0, 2, pool, silent)
        assert missing_shards(task) == list(range(1, shards, 2))
        with pytest.raises(StorageError, match=f"{shards // 2} of {shards} planned shards are not written"):
            commit(task, pool, silent)
        assert not (task.store_root / "CURRENT").exists()
        write_part(task, 1, 2, pool, silent)
        assert missing_shards(task) == []
        commit(task, pool, silent)


def test_parts_of_a_killed_run_do_not_count(hospital: Any, task: IngestTask, tmp_path: Path) -> None:
    """Neither those it left, nor one that a straggler brings after the next run began."""
    with task.pool(1) as pool:
        task.begin()
        for index in range(2):
            scan_part(task, index, 2, pool, silent)
        late = {path.name: path.read_bytes() for path in task.work.glob("scan-*")}
        next(hospital.raw.rglob("*.dcm")).unlink()
        task.begin()
        assert missing_scans(task, 2) == [0, 1]
        scan_part(task, 0, 2, pool, silent)
        task.work.joinpath("scan-00001-of-00002.jsonl").write_bytes(late["scan-00001-of-00002.jsonl"])
        with pytest.raises(
            StorageError, match=r"^1 of 2 parts of the scan are .* of another run \(1\); scan"
        ):
            plan(task, 2)
        scan_part(task, 1, 2, pool, silent)
        assert plan(task, 2).films == 11


def test_what_passes_between_the_steps_lies_outside_the_store(task: IngestTask) -> None:
    task.begin()
    with task.pool(1) as pool:
        scan_part(task, 0, 1, pool, silent)
        plan(task, 1)
        write_part(task, 0, 1, pool, silent)
        assert load_plan(task).films == 12
    assert stat.S_IMODE(task.work.stat().st_mode) == 0o700
    assert task.work.parent == Path(str(task.config.key_file)).parent
    assert b"canary" in b"".join(content(task.work).values())
    assert b"canary" not in b"".join(content(task.store_root).values()).lower()


def test_a_record_that_lacks_a_film_is_not_committed(task: IngestTask) -> None:
    task.begin()
    with task.pool(1) as pool:
        scan_part(task, 0, 1, pool, silent)
        plan(task, 1)
        write_part(task, 0, 1, pool, silent)
        record = min((task.store_root / "records").iterdir())
        record.write_text('{"rows": [], "left": []}')
        with pytest.raises(StorageError, match=r"\d of 12 files are not accounted for: a record is damaged"):
            commit(task, pool, silent)
    assert not (task.store_root / "CURRENT").exists()


def test_the_state_goes_away_with_an_error(hospital: Any, task: IngestTask) -> None:
    hospital.outcomes.write_text("patient_id,t_score\nnobody,1\n")
    with pytest.raises(ValueError, match="None of the 1 row of"):
        hospital.ingest(task.store_root)
    assert not task.work.exists()
