from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipelines.config import StudyConfig
from pipelines.ingest.commit import commit
from pipelines.ingest.decode import read_header
from pipelines.ingest.plan import plan
from pipelines.ingest.run import ingest
from pipelines.ingest.scan import list_files, scan_part
from pipelines.ingest.task import IngestTask
from pipelines.ingest.write import write_part
from pipelines.progress import silent
from storage.config import IngestConfig
from storage.errors import InputError, Quarantined, StorageError
from storage.lock import FolderLock
from storage.manifest import Store
from storage.radiograph import Limits


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
    assert refusal(hospital, tmp_path / "store").startswith("None of the 1 row of outcomes=")


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


def content(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def details(root: Path) -> dict[str, int]:
    """Reason and detail of what the scan and the writing left out -> how often."""
    rows = Store.open(root).exclusions
    rows = rows[rows["stage"].isin(["scan", "write"])]
    return dict((rows["reason"] + ": " + rows["detail"]).value_counts())


def test_a_folder_without_permission_is_a_sentence() -> None:
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        (raw / "open").mkdir(parents=True)
        (raw / "closed").mkdir(mode=0o000)
        (raw / "open" / "film.png").touch()
        for above in (Path(folder), raw):
            above.chmod(0o755)  # whatever the umask
        root = os.geteuid() == 0
        try:
            if root:
                os.seteuid(65534)  # root may read everything
            with pytest.raises(InputError) as caught:
                list_files(raw, "raw")
        finally:
            if root:
                os.seteuid(0)
            (raw / "closed").chmod(0o700)
    assert str(caught.value) == (
        f"A folder at or below raw={raw} can't be read: Permission denied. "
        "Let whoever runs this read and search it, or move it away."
    )


def test_what_can_not_be_looked_at_is_listed_and_refused_without_its_name() -> None:
    """A folder that may be listed and not entered."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        (raw / "Doe_Jane").mkdir(parents=True)
        (raw / "Doe_Jane" / "film.dcm").touch()
        (raw / "Doe_Jane").chmod(0o444)
        for above in (Path(folder), raw):
            above.chmod(0o755)  # whatever the umask
        root = os.geteuid() == 0
        try:
            if root:
                os.seteuid(65534)  # root may read everything
            assert list_files(raw, "raw") == ["Doe_Jane/film.dcm"]
            with pytest.raises(Quarantined) as caught:
                read_header(raw / "Doe_Jane" / "film.dcm", Limits())
        finally:
            if root:
                os.seteuid(0)
            (raw / "Doe_Jane").chmod(0o700)
    assert "Doe" not in str(caught.value)


def test_paths_longer_than_the_system_takes_are_rows(hospital: Any, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=hospital.raw) as top:
        here = os.open(top, os.O_RDONLY)
        for _ in range(20):  # 5000 characters
            os.mkdir("d" * 250, dir_fd=here)
            here, parent = os.open("d" * 250, os.O_RDONLY, dir_fd=here), here
            os.close(parent)
        os.close(os.open("film.dcm", os.O_CREAT, dir_fd=here))
        os.close(here)
        assert hospital.ingest(tmp_path / "store").films == 12
    assert details(tmp_path / "store") == {"unreadable: the file can't be read": 1}


def test_many_files_in_one_folder_are_listed_quickly(tmp_path: Path) -> None:
    for number in range(20_000):
        (tmp_path / f"{number}").touch()
    begun = time.process_time()
    names = list_files(tmp_path, "raw", [tmp_path / "7", tmp_path / "store"])
    assert time.process_time() - begun < 2
    assert len(names) == 19_999


def test_links_in_circles_are_rows(hospital: Any, tmp_path: Path) -> None:
    (hospital.raw / "up").symlink_to(hospital.raw)
    (hospital.raw / "self").symlink_to(hospital.raw / "self")
    (hospital.raw / "a").symlink_to(hospital.raw / "b")
    (hospital.raw / "b").symlink_to(hospital.raw / "a")
    assert hospital.ingest(tmp_path / "store").films == 12
    assert details(tmp_path / "store") == {
        "not_an_image: a link to a folder, which is not followed": 1,
        "unreadable: the file can't be read": 3,
    }


def test_names_that_are_not_utf8(hospital: Any, tmp_path: Path) -> None:
    folder = hospital.raw / os.fsdecode(b"p\xff\xfe")
    folder.mkdir()
    Image.fromarray(hospital.pixels(500)).save(folder / os.fsdecode(b"\xe4.png"))
    (folder / os.fsdecode(b"\xe4.txt")).write_text("notes")
    summary = hospital.ingest(tmp_path / "store")
    assert (summary.films, summary.subjects, summary.excluded["not_an_image"]) == (13, 7, 1)


def test_archives_are_told_apart(hospital: Any, tmp_path: Path) -> None:
    film = next(hospital.raw.rglob("*.dcm"))
    with zipfile.ZipFile(hospital.raw / "films.zip", "w") as archive:
        archive.write(film, "film.dcm")
    for mode, name in (("w", "films.tar"), ("w:gz", "films.tgz"), ("w:xz", "films.dcm")):
        with tarfile.open(hospital.raw / name, mode) as tar:
            tar.add(film, "film.dcm")
    assert hospital.ingest(tmp_path / "store").films == 12
    assert details(tmp_path / "store") == {"not_an_image: an archive; unpack it first": 4}


def test_half_copied_files_are_rows(hospital: Any, tmp_path: Path) -> None:
    whole = io.BytesIO()
    Image.fromarray(hospital.pixels(500)).save(whole, "png")
    for name, data in (
        ("film.png", whole.getvalue()),
        ("film.dcm", next(hospital.raw.rglob("*.dcm")).read_bytes()),
    ):
        for part in (0.1, 0.5, 0.99):
            folder = hospital.raw / f"part{part}"
            folder.mkdir(exist_ok=True)
            (folder / name).write_bytes(data[: int(part * len(data))])
    summary = hospital.ingest(tmp_path / "store")
    assert summary.films == 12
    assert sum(details(tmp_path / "store").values()) == 6
    assert set(summary.excluded) <= {"unreadable", "not_an_image", "wrong_modality", "no_film"}


def test_files_that_vanish_or_grow_between_the_steps_are_rows(hospital: Any, tmp_path: Path) -> None:
    task = IngestTask(
        raw=hospital.raw,
        store_root=tmp_path / "store",
        config=IngestConfig(films_per_shard=4, memory_gb=1, key_file=str(hospital.key_file)),
        study=StudyConfig(),
    )
    gone, grown, *_ = films = sorted(hospital.raw.rglob("*.dcm"))
    before = grown.read_bytes()
    task.begin()
    with task.pool(1) as pool:
        scan_part(task, 0, 1, pool, silent)
        plan(task, 1)
        lost = gone.read_bytes()
        gone.unlink()
        grown.write_bytes(before + bytes(1000))
        hospital.film(8, 0, seed=80)  # comes too late for this ingest
        write_part(task, 0, 1, pool, silent)
        summary = commit(task, pool, silent)
    assert (summary.films, summary.excluded) == (len(films) - 2, {"vanished": 2})
    assert details(task.store_root) == {"vanished: ": 1, "vanished: the file changed while it was read": 1}
    gone.write_bytes(lost)
    grown.write_bytes(before)
    assert hospital.ingest(task.store_root, outcomes=None, annotations=None).films == len(films) + 1


def test_films_with_one_uid_and_other_pixels_are_both_kept(hospital: Any, tmp_path: Path) -> None:
    one, two = (
        hospital.film(8, 0, seed=80, SOPInstanceUID="1.2.3"),
        hospital.film(8, 1, seed=81, SOPInstanceUID="1.2.3"),
    )
    assert one.read_bytes() != two.read_bytes()
    assert hospital.ingest(tmp_path / "store").films == 14


def test_a_newer_store_is_a_sentence_before_any_film_is_read(hospital: Any, tmp_path: Path) -> None:
    root = tmp_path / "store"
    root.mkdir()
    (root / "store.json").write_text(json.dumps({"format": 99, "key_id": "k"}))
    read: list[str] = []
    with pytest.raises(InputError) as caught:
        hospital.ingest(root, progress=lambda done, total, note: read.append(note))
    assert str(caught.value) == f"{root} has format 99, but this radmill reads 1; install a newer one."
    assert read == []


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[None]:
    """A file system of its own in the folder, where this process may mount one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_read_only_disk_is_a_sentence(hospital: Any, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, "size=1m"):
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(StorageError) as caught:
            hospital.ingest(disk)
        assert str(caught.value) == f"{disk} can't be written: Read-only file system; choose another folder."
        with (
            pytest.raises(StorageError, match="can't be written: Read-only file system"),
            FolderLock(disk, "test"),
        ):
            pass


@pytest.mark.parametrize("size_kb", [4, 28, 52])
def test_a_full_disk_is_a_sentence_and_leaves_no_half(hospital: Any, tmp_path: Path, size_kb: int) -> None:
    """Wherever the space ends: the rerun with more of it makes the store of an ingest that nothing disturbed."""
    disk = tmp_path / "disk"
    hospital.ingest(tmp_path / "whole")
    with small_disk(disk, f"size={size_kb}k"):
        with pytest.raises(
            StorageError, match=f"^No space left on {disk}.*; free some or choose another folder"
        ):
            hospital.ingest(disk)
        assert not (disk / "CURRENT").exists()
        assert not [path.name for path in disk.rglob("*") if path.name.endswith(".tmp")]
        subprocess.run(["mount", "-o", "remount,size=10m", str(disk)], check=True)
        hospital.ingest(disk)
        assert content(disk) == content(tmp_path / "whole")


def test_a_key_inside_the_store_is_refused(hospital: Any, tmp_path: Path) -> None:
    config = IngestConfig(key_file=str(tmp_path / "store" / ".key"))
    with pytest.raises(InputError, match="lies inside the store"):
        ingest(hospital.raw, tmp_path / "store", config, StudyConfig())
    assert not (tmp_path / "store").exists()
