"""Who was erased does not come back with the next ingest, by films or by the table of outcomes."""

from __future__ import annotations

from pathlib import Path

from storage.care.erase import erase
from storage.care.verify import verify
from storage.identity import Secret
from storage.manifest import Store
from tests.pipelines.ingest.conftest import CANARY, Hospital


def test_the_person_stays_away(hospital: Hospital, tmp_path: Path) -> None:
    root = tmp_path / "store"
    hospital.ingest(root)
    secret = Secret.load_or_create(hospital.key_file)
    subject = secret.subject("", f"{CANARY}-1")
    keys = set(Store.open(root).manifest.query("subject == @subject")["key"])
    assert len(keys) == 2
    erase(root, subject, secret)
    with hospital.outcomes.open("a") as table:
        table.write(f"\n{CANARY}-1,-1.5,{CANARY} spine\n")
    summary = hospital.ingest(root)
    assert (summary.films, summary.subjects) == (10, 5)
    store = Store.open(root)
    erased = store.all_exclusions.query("reason == 'erased'")
    assert sorted(erased["stage"]) == ["outcomes", "outcomes", "scan", "scan"]
    assert summary.excluded["erased"] == 4
    assert set(erased[erased["stage"] == "outcomes"]["token"]) == {secret.tombstone(subject)}
    words = [word.encode() for word in (subject, *keys)]
    for path in root.rglob("*"):
        assert not path.is_file() or not any(word in path.read_bytes() for word in words), path
    for frame in (store.manifest, store.annotations, store.all_exclusions, store.outcomes):
        assert not any(word.decode() in frame.to_csv() for word in words)
    assert verify(root).damages == []
    assert hospital.ingest(root).generation == summary.generation


def test_a_store_without_erasures_has_no_list(hospital: Hospital, tmp_path: Path) -> None:
    hospital.ingest(tmp_path / "store")
    assert not (tmp_path / "store" / "erased.json").exists()


def test_a_copy_of_the_persons_film_does_not_name_it(hospital: Hospital, tmp_path: Path) -> None:
    """Neither after the erasure, nor when the next ingest finds the copies again."""
    root = tmp_path / "store"
    first = hospital.raw / f"{CANARY}-1" / f"{CANARY}1_0.dcm"
    (hospital.raw / "copy.dcm").write_bytes(first.read_bytes())
    hospital.ingest(root)
    secret = Secret.load_or_create(hospital.key_file)
    subject = secret.subject("", f"{CANARY}-1")
    keys = set(Store.open(root).manifest.query("subject == @subject")["key"])
    [detail] = Store.open(root).exclusions.query("reason == 'duplicate'")["detail"]
    assert detail.removeprefix("the same file as ") in keys
    erase(root, subject, secret)
    for _ in range(2):
        assert not any(key in Store.open(root).all_exclusions.to_csv() for key in keys)
        hospital.ingest(root)
