"""One flipped bit anywhere in a store is found by the name of its file, and so is what is cut or gone."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from storage import generations
from storage.care.verify import verify
from storage.errors import InputError
from tests.storage.care.conftest import files, make_store, with_receipt


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_store(tmp_path_factory.mktemp("verify") / "store")
    with_receipt(root)
    return root


def damaged(root: Path) -> set[str]:
    return {damage.file for damage in verify(root, threads=2).damages}


def test_a_whole_store_is_whole_and_every_file_was_read(full: Path) -> None:
    found = verify(full)
    held = files(full)
    assert found.damages == [] and found.unsealed == []
    assert found.films == 10
    assert found.files == len(held) - 1  # CURRENT is compared, not summed
    assert found.size_bytes == sum(map(len, held.values())) - len(held["CURRENT"])


def test_any_flipped_bit_is_found_by_name(full: Path) -> None:
    rng = random.Random(0)
    held = files(full)
    kinds = {name.split("/")[0] for name in held}
    assert kinds >= {
        "shards",
        "generations",
        "segmentations",
        "arrays",
        "splits",
        "records",
        "receipts",
        "CURRENT",
    }
    for name, data in held.items():
        places = {0, len(data) - 1, *rng.sample(range(len(data)), min(4, len(data)))}
        for place in places:
            flipped = bytearray(data)
            flipped[place] ^= 1 << rng.randrange(8)
            (full / name).write_bytes(flipped)
            assert name in damaged(full), f"byte {place} of {len(data)} in {name}"
        (full / name).write_bytes(data)
    assert damaged(full) == set()


def test_every_bit_of_the_seals_themselves(full: Path) -> None:
    for name in ("store.json", "CURRENT", "outcomes.parquet"):
        data = (full / name).read_bytes()
        start = max(0, data.rfind(b"crc32c="))
        for place in range(start, min(len(data), start + 20)):
            for bit in (0, 3, 5):
                flipped = bytearray(data)
                flipped[place] ^= 1 << bit
                (full / name).write_bytes(flipped)
                assert name in damaged(full), (name, place, bit)
        (full / name).write_bytes(data)


# No list says that these were ever there: each may be absent from a store that is whole.
MAY_BE_ABSENT = ("outcomes.parquet", "outcome_exclusions.parquet", "splits/", "records/", "receipts/")


def test_what_is_cut_or_gone_is_found_by_name(full: Path) -> None:
    for name, data in files(full).items():
        (full / name).write_bytes(data[: len(data) // 2])
        assert name in damaged(full), f"half of {name}"
        (full / name).unlink()
        if not name.startswith(MAY_BE_ABSENT):
            assert name in damaged(full), f"{name} removed"
        (full / name).write_bytes(data)


def test_it_says_what_is_lost(root: Path) -> None:
    shard = root / "shards" / "radiographs-000001-00000001.tar"
    data = bytearray(shard.read_bytes())
    data[600] ^= 1  # in the first film's payload
    shard.write_bytes(data)
    [damage] = verify(root).damages
    assert str(damage) == f"shards/{shard.name}: its bytes do not match their checksum; lost: 1 film"
    shard.unlink()
    [damage] = verify(root).damages
    assert str(damage) == f"shards/{shard.name}: it is missing; lost: 4 films"


def test_what_a_shard_loses_is_not_known_without_its_table(root: Path) -> None:
    manifests = sorted(root.glob("generations/*/manifest.parquet"))
    for path in (*manifests, min((root / "shards").glob("radiographs-*"))):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    *tables, shard = [damage.lost for damage in verify(root).damages]
    assert tables == ["the places of all films"] * len(manifests)
    assert shard == "not known while the tables of its generation are damaged"


def test_a_folder_that_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a store"):
        verify(tmp_path)


def test_equal_tables_keep_generation_and_checksums(root: Path) -> None:
    from storage.manifest import Store

    store, before = Store.open(root), files(root)
    assert store.commit(store.manifest, store.annotations, store.exclusions) == "000002"
    assert files(root) == before
    of_files, shards = generations.checksums(root, "000002")
    assert set(of_files) == {"manifest.parquet", "annotations.parquet", "exclusions.parquet", "shards.txt"}
    assert {name: (root / "shards" / name).stat().st_size for name in shards} == {
        name: one.size for name, one in shards.items()
    }


@pytest.mark.parametrize("how", ["gone", "flipped"])
def test_a_generation_without_its_list_is_damaged_not_old(tmp_path: Path, how: str) -> None:
    root = make_store(tmp_path / "store")
    path = root / "generations" / str(generations.current(root)) / "checksums.json"
    data = path.read_bytes()
    path.write_bytes(data.replace(b"1", b"2")) if how == "flipped" else path.unlink()
    found = verify(root)
    assert [damage.file for damage in found.damages] == [path.relative_to(root).as_posix()]
    assert found.unsealed == []
