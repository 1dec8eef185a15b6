"""After an erasure no file of the store has a byte of the person; a kill at any time is made good by a rerun."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from storage import schemas
from storage.care.erase import erase
from storage.care.verify import verify
from storage.errors import InputError, StorageError
from storage.identity import work_path
from storage.manifest import Store
from storage.records import same_as
from storage.seal import read_sealed_json
from storage.shards import ShardWriter, iterate_members, read_member
from tests.storage.care.conftest import SECRET, SUBJECTS, files, film_key, rows

GONE = 0


@pytest.fixture
def traces(root: Path) -> list[bytes]:
    """Every payload, key and token of the person, and the pseudonym."""
    store = Store.open(root)
    found = [SUBJECTS[GONE].encode()]
    for frame in (store.manifest, store.annotations):
        for row in frame[frame["key"].isin([film_key(GONE, 0), film_key(GONE, 1)])].itertuples():
            found += [
                row.key.encode(),
                read_member(root / "shards" / row.shard, row.offset, row.size, row.crc32c),
            ]
    found += [SECRET.token(f"{GONE}/{number}.png").encode() for number in range(2)]
    return found


def found_in(root: Path, traces: list[bytes]) -> set[str]:
    """Names of files, hidden ones too, that hold a trace in their bytes, their unpacked table or their name."""
    found = set()
    for path in root.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        if path.suffix == ".parquet":
            from storage.tables import read_table

            data += read_table(path).to_csv().encode()
        if any(trace in data or trace in path.name.encode() for trace in traces):
            found.add(path.relative_to(root).as_posix())
    return found


def test_no_byte_is_left(root: Path, traces: list[bytes]) -> None:
    assert {name.split("/")[0] for name in found_in(root, traces)} == {
        "shards", "generations", "records", "segmentations", "splits", "outcomes.parquet",
        "outcome_exclusions.parquet",
    }  # fmt: skip
    others = {key: Store.open(root).read_image(key) for key in others_of(root)}
    receipt = erase(root, SUBJECTS[GONE], SECRET)
    assert found_in(root, traces) == set()
    assert receipt["removed"] == {"films": 2, "masks": 2, "outcomes": 1, "exclusions": 2}
    assert read_sealed_json(root / "receipts" / f"{receipt['tombstone']}.json") == receipt
    assert verify(root).damages == []
    store = Store.open(root)
    assert set(store.manifest["key"]) == set(others) and len(store.annotations) == 4
    for key, pixels_HW in others.items():
        np.testing.assert_array_equal(store.read_image(key), pixels_HW)
    assert store.read_masks(film_key(1, 0)).keys() == {"a0", "a1"}
    assert not any((root / "segmentations").iterdir()) and not any((root / "arrays").iterdir())
    record = read_sealed_json(next((root / "records").glob("radiographs-000000-*.json")))
    live = store.manifest.set_index("key")
    assert {row["key"]: row["offset"] for row in record["rows"]} == live.loc[
        [row["key"] for row in record["rows"]], "offset"
    ].to_dict()


def others_of(root: Path) -> list[str]:
    manifest = Store.open(root).manifest
    return list(manifest.loc[manifest["subject"] != SUBJECTS[GONE], "key"])


def without_time(root: Path) -> dict[str, bytes]:
    return {name: data for name, data in files(root).items() if not name.startswith("receipts/")}


def test_a_shard_of_nobody_else_goes(root: Path) -> None:
    for subject in (3, 4):
        erase(root, SUBJECTS[subject], SECRET)
    assert [path.name.split("-")[1] for path in (root / "shards").glob("radiographs-*")] == ["000000"]
    assert verify(root).damages == []


@pytest.mark.parametrize("key_file", [None, "site.key"])
def test_what_a_killed_ingest_left_beside_the_key_goes(root: Path, key_file: str | None) -> None:
    named = str(root.with_name(key_file)) if key_file else None
    work = work_path(root, named)
    assert work.parent == root.parent
    work.mkdir()
    (work / "patients.jsonl").write_text('["p0"]')
    erase(root, SUBJECTS[GONE], SECRET, named)
    assert not work.exists()


def test_it_says_the_same_twice(root: Path) -> None:
    first = erase(root, SUBJECTS[GONE], SECRET)
    held = files(root)
    assert erase(root, SUBJECTS[GONE], SECRET) == first
    assert files(root) == held


def test_nobody_elses_row_names_the_person_any_more(root: Path, traces: list[bytes]) -> None:
    store = Store.open(root)
    copies = [(SECRET.token(f"copy {subject}"), film_key(subject, 0)) for subject in (GONE, 1 - GONE)]
    left_out = [
        {
            "token": token,
            "frame": 0,
            "reason": "duplicate",
            "detail": same_as("the same pixels", key),
            "stage": "write",
        }
        for token, key in copies
    ]
    exclusions = pd.concat([store.exclusions, rows(schemas.EXCLUSIONS, left_out)])
    store.commit(store.manifest, store.annotations, exclusions)
    erase(root, SUBJECTS[GONE], SECRET)
    assert found_in(root, traces) == set()
    details = Store.open(root).exclusions.set_index("token")["detail"]
    assert [details[token] for token, _ in copies] == [
        "the same pixels",
        f"the same pixels as {film_key(1 - GONE, 0)}",
    ]


def test_who_is_not_there(root: Path) -> None:
    before = files(root)
    with pytest.raises(InputError, match="knows no subject 'nobody'"):
        erase(root, "nobody", SECRET)
    assert files(root) == before


def test_a_damaged_shard_is_not_copied(root: Path) -> None:
    path = root / "shards" / "radiographs-000000-00000000.tar"
    row = Store.open(root).manifest.set_index("key").loc[film_key(1, 0)]
    data = bytearray(path.read_bytes())
    data[int(row["offset"]) + 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(StorageError, match="run radmill store repair first"):
        erase(root, SUBJECTS[GONE], SECRET)


@pytest.mark.parametrize("member", [".valid.png", ".json"])
def test_damage_beside_the_pixels_is_not_copied_under_new_sums(root: Path, member: str) -> None:
    store = Store.open(root)
    shard, key = "radiographs-000000-00000000.tar", film_key(1, 0)
    manifest = store.manifest.set_index("key", drop=False)
    path = root / "shards" / shard
    members = list(iterate_members(path))
    with ShardWriter(path) as writer:
        for name, data in members:
            placed = writer.add(name, data)
            if name.endswith(".image.png"):
                manifest.loc[name.split(".")[0], ["offset", "size", "crc32c"]] = list(asdict(placed).values())
        placed = writer.add(f"{key}.valid.png", b"valid pixels")
    for name, value in asdict(placed).items():
        manifest.loc[key, f"valid_{name}"] = value
    for sums in (root / "generations").glob("*/checksums.json"):
        sums.unlink()  # else the new tar's sum were not taken
    store.commit(manifest, store.annotations, store.exclusions)
    whole = path.read_bytes()
    place = whole.index(f"{key}{member}".encode()) + 512  # the payload follows its header
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    before = set((root / "shards").iterdir())
    with pytest.raises(StorageError, match="run radmill store repair first"):
        erase(root, SUBJECTS[GONE], SECRET)
    assert set((root / "shards").iterdir()) == before
    if member == ".valid.png":  # told by its own sum too, where that of the tar is not known
        (root / "generations" / Store.open(root).generation / "checksums.json").unlink()
        with pytest.raises(StorageError, match="run radmill store repair first"):
            erase(root, SUBJECTS[GONE], SECRET)
    path.write_bytes(whole)
    erase(root, SUBJECTS[GONE], SECRET)
    assert verify(root).damages == []


def test_a_shard_with_masks_that_the_generation_no_longer_names_is_whole(root: Path) -> None:
    store = Store.open(root)
    named = store.annotations[store.annotations["key"] != film_key(1, 0)]
    store.commit(store.manifest, named, store.exclusions)
    erase(root, SUBJECTS[GONE], SECRET)
    assert Store.open(root).read_masks(film_key(2, 0)).keys() == {"a0", "a1"}
    assert verify(root).damages == []


def test_what_a_killed_commit_left_is_no_generation(root: Path) -> None:
    left = root / "generations" / ".000003.tmp"
    left.mkdir()
    (left / "manifest.parquet").write_bytes(b"half a table")
    hidden = root / "segmentations" / ".snapshot"
    hidden.mkdir()
    erase(root, SUBJECTS[GONE], SECRET)
    assert not left.exists() and hidden.exists()


def test_a_lost_list_of_the_erased_comes_back(root: Path) -> None:
    erase(root, SUBJECTS[GONE], SECRET)
    listed = (root / "erased.json").read_bytes()
    (root / "erased.json").unlink()
    erase(root, SUBJECTS[GONE], SECRET)
    assert (root / "erased.json").read_bytes() == listed


def killed_at(root: Path, step: int) -> bool:
    """Erase in a child that is killed at its step-th change of a name; whether it came that far."""
    child = os.fork()
    if child == 0:
        count = 0

        def counted(original: Callable[..., object]) -> Callable[..., object]:
            def changed(*arguments: object, **named: object) -> object:
                nonlocal count
                count += 1
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return original(*arguments, **named)

            return changed

        for name in ("rename", "replace", "unlink", "rmdir"):
            setattr(os, name, counted(getattr(os, name)))
        try:
            erase(root, SUBJECTS[GONE], SECRET)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.chaos
def test_killed_anywhere_the_rerun_ends_in_the_same_bytes(
    root: Path, traces: list[bytes], tmp_path: Path
) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(root, whole)
    receipt = erase(whole, SUBJECTS[GONE], SECRET)
    step = 0
    while True:
        step += 1
        copy = tmp_path / f"copy{step}"
        shutil.copytree(root, copy)
        killed = killed_at(copy, step)
        Store.open(copy).read_image(film_key(1, 0))  # the old store or the new one, never neither
        assert erase(copy, SUBJECTS[GONE], SECRET)["removed"] == receipt["removed"], step
        assert without_time(copy) == without_time(whole), step
        assert found_in(copy, traces) == set(), step
        shutil.rmtree(copy)
        if not killed:
            break
    assert step > 20
