"""gc removes what nothing names, and nothing else."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

import pytest

from storage.care.gc import collect
from storage.care.verify import verify
from storage.errors import StorageError
from storage.manifest import Store
from storage.seal import write_sealed_json
from tests.storage.care.conftest import files


def test_what_nothing_names_goes(root: Path) -> None:
    before = files(root)
    (root / "shards" / "radiographs-000009-orphan00.tar").write_bytes(b"x" * 1000)
    (root / "shards" / ".radiographs-000009-orphan00.tar.tmp").write_bytes(b"x" * 1000)
    (root / "arrays" / ".crops-x.zarr.gone").mkdir()
    (root / "arrays" / ".crops-x.zarr.gone" / "c").write_bytes(b"x" * 1000)
    shutil.copytree(root / "arrays" / "crops-aaaabbbbcccc-8.zarr", root / "arrays" / "crops-dead-8.zarr")
    write_sealed_json(
        root / "records" / "radiographs-000009-orphan00.json", {"rows": [{"key": "gone"}], "left": []}
    )
    full = files(root)
    freed = collect(root, keep=1, dry=True)
    assert files(root) == full
    assert dict(freed.counts) == {"shards": 1, "leftovers": 2, "caches": 1, "records": 1}
    again = collect(root, keep=1)
    assert (again.counts, again.size_bytes) == (freed.counts, freed.size_bytes)
    assert files(root) == before
    assert freed.size_bytes == sum(map(len, full.values())) - sum(map(len, before.values()))


def test_older_generations_and_their_shards_go(root: Path) -> None:
    store = Store.open(root)
    store.commit(store.manifest, store.annotations.iloc[:0], store.exclusions)
    collect(root, keep=0)
    assert [path.name for path in (root / "generations").iterdir()] == ["000003"]
    assert not list((root / "shards").glob("annotations-*"))
    assert verify(root).damages == []


def test_an_older_generation_keeps_its_shards(root: Path) -> None:
    store = Store.open(root)
    store.commit(store.manifest, store.annotations.iloc[:0], store.exclusions)
    collect(root, keep=1)
    assert sorted(path.name for path in (root / "generations").iterdir()) == ["000002", "000003"]
    assert list((root / "shards").glob("annotations-*"))


def test_hidden_names_of_others_stay(root: Path) -> None:
    for folder in (root, root / "shards", root / "arrays", root / "segmentations"):
        for name in (".snapshot", ".git", ".crops-x.zarr.gone"):
            (folder / name).mkdir()
            (folder / name / "x").write_bytes(b"x")
    for name in (".key", ".lock", "shards/._radiographs-000000.tar"):
        (root / name).write_bytes(b"x")
    (root / ".repair").mkdir()
    before = set(files(root))
    collect(root, keep=1)
    assert before - set(files(root)) == {name for name in before if ".gone/" in name}
    assert not (root / ".repair").exists()


def test_a_damaged_record_is_for_repair(root: Path) -> None:
    path = root / "records" / "radiographs-000009-orphan00.json"
    write_sealed_json(path, {"rows": [{"key": "gone"}], "left": []})
    path.write_bytes(path.read_bytes().replace(b"gone", b"gona"))
    collect(root)
    assert path.exists()


def test_what_a_running_writer_holds_stays(root: Path) -> None:
    (root / "arrays" / ".new.zarr.tmp").mkdir()
    temporary = root / "shards" / ".new.tar.tmp"
    with (root / "arrays" / ".new.zarr.lock").open("w") as lock, temporary.open("w") as shard:
        fcntl.flock(lock, fcntl.LOCK_EX)
        fcntl.flock(shard, fcntl.LOCK_EX)
        collect(root)
        assert (root / "arrays" / ".new.zarr.tmp").exists() and temporary.exists()
    collect(root)
    assert not (root / "arrays" / ".new.zarr.tmp").exists() and not temporary.exists()


def test_a_damaged_table_stops_it_before_anything_goes(root: Path) -> None:
    path = root / "generations" / "000002" / "manifest.parquet"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    before = files(root)
    with pytest.raises(StorageError, match="do not match their checksum"):
        collect(root, keep=0)
    assert files(root) == before
