"""A token leads its owner back to the file, and nobody without the secret."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.annotations.write import mask_token
from pipelines.config import StudyConfig
from pipelines.ingest.find import find
from pipelines.ingest.run import ingest
from storage.errors import InputError
from storage.identity import Secret, owner_secret
from storage.manifest import Store
from tests.pipelines.ingest.conftest import CANARY, SMALL, Hospital


def test_tokens_and_reasons(hospital: Hospital, tmp_path: Path) -> None:
    (hospital.raw / "letter.txt").write_text("dear colleague")
    hospital.ingest(tmp_path / "store")
    store, secret = Store.open(tmp_path / "store"), Secret.load_or_create(hospital.key_file)
    token = secret.token("letter.txt")
    [one] = find(store, hospital.raw, secret, [token[:8]], "")
    assert (one.token, one.path) == (token, hospital.raw / "letter.txt") and one.fate.startswith(
        "not_an_image"
    )
    assert [one.path for one in find(store, hospital.raw, secret, [], "not_an_image")] == [
        hospital.raw / "letter.txt"
    ]
    left_out = set(store.all_exclusions["token"])
    assert {one.token for one in find(store, hospital.raw, secret, [], "any")} == left_out and len(
        left_out
    ) > 1
    film = store.manifest.iloc[0]
    [one] = find(store, hospital.raw, secret, [film["token"]], "")
    assert find(store, hospital.raw, secret, [film["key"][:10]], "") == [one]
    its = store.manifest[store.manifest["subject"] == film["subject"]]
    assert {found.token for found in find(store, hospital.raw, secret, [film["subject"]], "")} == {
        *its["token"]
    }
    assert one.fate == "in the store" and one.path
    assert secret.token(one.path.relative_to(hospital.raw).as_posix()) == film["token"]
    (hospital.raw / "letter.txt").unlink()
    assert [one.path for one in find(store, hospital.raw, secret, [token], "")] == [None]
    (hospital.raw / "late.txt").write_text("")
    [one] = find(store, hospital.raw, secret, [secret.token("late.txt")], "")
    assert one.fate == "not in the store"


def test_a_masks_token_leads_to_its_file_below_annotations(hospital: Hospital, tmp_path: Path) -> None:
    stray = hospital.annotations / "nobody.png"
    stray.write_bytes(next(hospital.annotations.glob("*.png")).read_bytes())
    hospital.ingest(tmp_path / "store")
    store, secret = Store.open(tmp_path / "store"), Secret.load_or_create(hospital.key_file)
    left_out = store.all_exclusions.set_index("token")["stage"]
    token = mask_token(secret, "nobody.png")
    assert left_out[token] == "annotations"
    [one] = find(store, hospital.raw, secret, [token], "", annotations=hospital.annotations)
    assert one.path == stray
    [one] = find(store, hospital.raw, secret, [token], "")
    assert one.path is None


def test_a_file_with_a_frame_left_out_is_in_the_store(hospital: Hospital, tmp_path: Path) -> None:
    name = f"{CANARY}-0/loop.dcm"
    frames = np.stack([hospital.pixels(seed) for seed in range(500, 503)])
    hospital.write_dicom(frames, name=f"{hospital.raw.name}/{name}", PatientID="x", Modality="XA")
    config = replace(SMALL, key_file=str(hospital.key_file), frames="first")
    ingest(hospital.raw, tmp_path / "store", config, StudyConfig())
    store, secret = Store.open(tmp_path / "store"), Secret.load_or_create(hospital.key_file)
    [one] = find(store, hospital.raw, secret, [secret.token(name)], "")
    assert one.fate == "in the store"
    [one] = find(store, hospital.raw, secret, [], "not_selected")
    assert (one.path, one.fate) == (hospital.raw / name, "not_selected")


def test_only_the_stores_own_secret(hospital: Hospital, tmp_path: Path) -> None:
    hospital.ingest(tmp_path / "store")
    store = Store.open(tmp_path / "store")
    other = tmp_path / "other.key"
    Secret.load_or_create(other)
    with pytest.raises(InputError, match="was made with key"):
        owner_secret(store.root, str(other), store.key_id)
    with pytest.raises(InputError, match=r"store\.key is missing, the secret behind"):
        owner_secret(store.root, None, store.key_id)
    assert not (tmp_path / "store.key").exists()
