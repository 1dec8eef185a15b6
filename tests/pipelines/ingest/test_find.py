"""A token leads its owner back to the file, and nobody without the secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.ingest.find import find
from storage.errors import InputError
from storage.identity import Secret, owner_secret
from storage.manifest import Store
from tests.pipelines.ingest.conftest import Hospital


def test_tokens_and_reasons(hospital: Hospital, tmp_path: Path) -> None:
    (hospital.raw / "letter.txt").write_text("dear colleague")
    hospital.ingest(tmp_path / "store")
    store, secret = Store.open(tmp_path / "store"), Secret.load_or_create(hospital.key_file)
    token = secret.token("letter.txt")
    [one] = find(store, hospital.raw, secret, [token[:8]], "")
    assert (one.token, one.name) == (token, "letter.txt") and one.fate.startswith("not_an_image")
    assert [one.name for one in find(store, hospital.raw, secret, [], "not_an_image")] == ["letter.txt"]
    film = store.manifest.iloc[0]
    [one] = find(store, hospital.raw, secret, [film["token"]], "")
    assert one.fate == "in the store" and secret.token(str(one.name)) == film["token"]
    (hospital.raw / "letter.txt").unlink()
    assert [one.name for one in find(store, hospital.raw, secret, [token], "")] == [None]
    (hospital.raw / "late.txt").write_text("")
    [one] = find(store, hospital.raw, secret, [secret.token("late.txt")], "")
    assert one.fate == "not in the store"


def test_only_the_stores_own_secret(hospital: Hospital, tmp_path: Path) -> None:
    hospital.ingest(tmp_path / "store")
    store = Store.open(tmp_path / "store")
    other = tmp_path / "other.key"
    Secret.load_or_create(other)
    with pytest.raises(InputError, match="was made with key"):
        owner_secret(store.root, str(other), store.key_id)
    with pytest.raises(InputError, match=r"store\.key does not exist; name it as key_file="):
        owner_secret(store.root, None, store.key_id)
    assert not (tmp_path / "store.key").exists()
