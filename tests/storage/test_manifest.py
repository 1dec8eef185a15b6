"""A store reads back what was committed, keeps its generation, and every damage is a sentence."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from storage import schemas
from storage.codec import encode_png
from storage.errors import InputError, StorageError
from storage.manifest import Store
from storage.shards import ShardWriter
from storage.tables import empty

PIXELS_HW = np.arange(30 * 20, dtype=np.uint16).reshape(30, 20)
MASK_HW = (PIXELS_HW % 8).astype(np.uint8)
NO_OUTCOMES = empty(schemas.OUTCOMES)


def rows(schema: Any, values: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame([dict.fromkeys(schema.names) | value for value in values], columns=schema.names)


def make_tables(root: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    films, masks = [], []
    with ShardWriter(root / "shards" / "radiographs-000000-0.tar") as writer:
        for key in ("k2", "k1"):
            at = writer.add(f"{key}.image.png", encode_png(PIXELS_HW + (key == "k2")))
            place = {"shard": writer.path.name, **asdict(at)}
            films.append(
                {"key": key, "subject": "s" + key, "height": 30, "width": 20, "codec": "png", **place}
            )
    with ShardWriter(root / "shards" / "annotations-000000-0.tar") as writer:
        for annotator, weight in (("truth", 0.0), ("a0", 1.0)):
            at = writer.add(f"k1.mask.{annotator}.png", encode_png(MASK_HW))
            place = {"shard": writer.path.name, **asdict(at)}
            masks.append({"key": "k1", "annotator": annotator, "weight": weight, **place})
    left_out = [{"token": "t", "frame": 0, "reason": "blank", "detail": "", "stage": "ingest"}]
    return rows(schemas.MANIFEST, films), rows(schemas.ANNOTATIONS, masks), rows(schemas.EXCLUSIONS, left_out)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.create(tmp_path / "store", "key1")
    store.commit(*make_tables(store.root))
    return store


def test_films_and_masks_read_back(store: Store) -> None:
    store = Store.open(store.root)
    assert (store.generation, store.key_id) == ("000001", "key1")
    assert list(store.manifest["key"]) == ["k1", "k2"]
    assert list(store.exclusions["reason"]) == ["blank"]
    image_HW = store.read_image("k2")
    assert image_HW.dtype == np.uint16
    np.testing.assert_array_equal(image_HW, PIXELS_HW + 1)
    masks = store.read_masks("k1")
    assert list(masks) == ["a0", "truth"] and masks["a0"].dtype == np.uint8
    np.testing.assert_array_equal(masks["truth"], MASK_HW)
    assert store.annotator_weights("k1") == {"a0": 1.0, "truth": 0.0}
    assert store.read_masks("k2") == store.annotator_weights("k2") == {}
    with pytest.raises(StorageError, match=r"^Generation 000001 of .*store holds no film k3\.$"):
        store.read_image("k3")


def test_shards_txt_lists_the_tars_for_other_readers(store: Store) -> None:
    listed = (store.root / "generations" / "000001" / "shards.txt").read_text().splitlines()
    assert listed == ["shards/annotations-000000-0.tar", "shards/radiographs-000000-0.tar"]
    assert all((store.root / name).is_file() for name in listed)


def test_the_same_tables_in_any_order_make_no_new_generation(store: Store) -> None:
    shuffled = [table.iloc[::-1] for table in (store.manifest, store.annotations, store.exclusions)]
    before = store.fingerprint()
    assert store.commit(*shuffled) == "000001"
    assert store.fingerprint() == before
    assert [path.name for path in (store.root / "generations").iterdir()] == ["000001"]


def test_a_new_generation_leaves_open_readers_their_own(store: Store) -> None:
    reader = Store.open(store.root)
    assert store.commit(store.manifest, store.annotations, store.exclusions.iloc[:0]) == "000002"
    assert len(store.exclusions) == 0
    assert len(reader.exclusions) == 1
    assert Store.open(store.root).generation == "000002"
    assert Store.open(store.root).fingerprint() != reader.fingerprint()


def test_a_generation_that_current_never_named_is_made_again(store: Store) -> None:
    orphan = store.root / "generations" / "000002"
    orphan.mkdir()
    (orphan / "manifest.parquet").write_bytes(b"of a writer killed before CURRENT")
    assert Store.open(store.root).generation == "000001"
    assert store.commit(store.manifest, store.annotations.iloc[:0], store.exclusions) == "000002"
    assert len(Store.open(store.root).annotations) == 0


LEFT_OUT = rows(
    schemas.EXCLUSIONS, [{"token": "c", "frame": 0, "reason": "no_film", "detail": "", "stage": "outcomes"}]
)


def test_outcomes_and_what_was_left_out_of_them_lie_beside_the_generation(store: Store) -> None:
    pd.testing.assert_frame_equal(store.outcomes, NO_OUTCOMES)
    assert len(store.outcome_exclusions) == 0
    given = [{"subject": "b", "outcome": 1, "t_score": -2.5}, {"subject": "a", "outcome": 0, "t_score": 1.0}]
    store.write_outcomes(rows(schemas.OUTCOMES, given), LEFT_OUT)
    again = Store.open(store.root)
    assert list(store.outcomes["subject"]) == list(again.outcomes["subject"]) == ["a", "b"]
    assert store.generation == "000001"
    assert list(again.exclusions["reason"]) == ["blank"]
    assert list(again.outcome_exclusions["reason"]) == ["no_film"]
    assert list(again.all_exclusions["token"]) == ["t", "c"]
    with pytest.raises(StorageError, match=r"^A reason must be one of .*, but is ugly\.$"):
        store.write_outcomes(rows(schemas.OUTCOMES, given), LEFT_OUT.assign(reason="ugly"))


def test_outcomes_that_do_not_fit_leave_the_generation_alone(store: Store) -> None:
    given = rows(schemas.OUTCOMES, [{"subject": "b", "outcome": 1, "t_score": -2.5}])
    fewer = store.annotations.iloc[:0]
    with pytest.raises(StorageError, match=r"^A column of outcomes does not fit its type"):
        store.commit(store.manifest, fewer, store.exclusions, (given.assign(days=10**12), LEFT_OUT))
    assert Store.open(store.root).generation == "000001"
    assert store.commit(store.manifest, fewer, store.exclusions, (given, LEFT_OUT)) == "000002"
    assert list(store.outcomes["subject"]) == ["b"]
    assert list(store.outcome_exclusions["reason"]) == ["no_film"]


def test_values_have_a_fingerprint_of_their_own(store: Store) -> None:
    """Who has an outcome decides over the learning without outcomes; which outcome decides over the rest."""

    def prints(subjects: str, t_score: float, left_out: pd.DataFrame | None = None) -> tuple[str, str]:
        given = [{"subject": subject, "outcome": 0, "t_score": t_score} for subject in subjects]
        store.write_outcomes(rows(schemas.OUTCOMES, given), left_out)
        again = Store.open(store.root)
        return again.fingerprint(), again.outcomes_fingerprint()

    first, corrected, another = prints("ab", -1.0), prints("ab", -2.0), prints("ac", -1.0)
    assert first[0] == corrected[0] != another[0]
    assert len({first[1], corrected[1], another[1], prints("ab", -1.0, LEFT_OUT)[1]}) == 4
    assert prints("ba", -1.0) == first


def test_two_stores_of_the_same_films_are_equal_byte_for_byte(store: Store, tmp_path: Path) -> None:
    other = Store.create(tmp_path / "other", "key1")
    other.commit(*make_tables(other.root))

    def files(root: Path) -> dict[str, bytes]:
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    assert files(other.root) == files(store.root)
    assert other.fingerprint() == store.fingerprint()


def test_create_takes_up_a_store_of_the_same_key_alone(store: Store) -> None:
    assert Store.create(store.root, "key1").generation == "000001"
    with pytest.raises(InputError, match="was made with key key1, but the key given is key2"):
        Store.create(store.root, "key2")


def test_what_open_refuses(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        Store.open(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} is not a store: it has no store.json. "
        f"Make one with radmill ingest raw=DIR store={tmp_path}."
    )
    Store.create(tmp_path, "key1")
    with pytest.raises(InputError, match=r"is a store without films: its ingest has not ended\."):
        Store.open(tmp_path)
    (tmp_path / "CURRENT").write_text("../elsewhere\n")
    with pytest.raises(
        StorageError, match=re.escape("must name a folder of generations/, but names '../elsew")
    ):
        Store.open(tmp_path)
    (tmp_path / "store.json").write_text('{"format": 2, "key_id": "key1"}')
    with pytest.raises(InputError, match="has format 2, but this radmill reads 1; install a newer one"):
        Store.open(tmp_path)
    (tmp_path / "store.json").write_text("{")
    with pytest.raises(StorageError, match=r"store\.json is damaged"):
        Store.open(tmp_path)


def test_what_commit_refuses(store: Store) -> None:
    manifest, annotations, exclusions = store.manifest, store.annotations, store.exclusions
    with pytest.raises(StorageError, match="must name each key once, but k1 comes twice"):
        store.commit(pd.concat([manifest, manifest]), annotations, exclusions)
    with pytest.raises(StorageError, match="must name each key and annotator once, but k1 comes twice"):
        store.commit(manifest, annotations.assign(annotator="a0"), exclusions)
    with pytest.raises(StorageError, match="Every mask needs its film, but k1 is not in the manifest"):
        store.commit(manifest.iloc[1:], annotations, exclusions)
    with pytest.raises(StorageError, match=r"A reason must be one of not_an_image, .* but is ugly"):
        store.commit(manifest, annotations, exclusions.assign(reason="ugly"))
    with pytest.raises(StorageError, match=r"shards/gone\.tar is missing \(1 in all\); run ingest again"):
        store.commit(manifest.assign(shard="gone.tar"), annotations, exclusions)
    assert Store.open(store.root).generation == "000001"


def test_pixels_that_do_not_fit_their_row_are_refused(store: Store) -> None:
    store.commit(store.manifest.assign(height=20, width=30), store.annotations, store.exclusions)
    with pytest.raises(StorageError, match=r"Film k1 must have the shape \(20, 30\), but has \(30, 20\)"):
        store.read_image("k1")
    with pytest.raises(StorageError, match=r"Mask a0 of film k1 must be uint8 of shape \(20, 30\)"):
        store.read_masks("k1")


def test_a_flipped_bit_in_a_shard_names_the_file(store: Store) -> None:
    path = store.root / "shards" / "radiographs-000000-0.tar"
    data = bytearray(path.read_bytes())
    data[store.manifest["offset"].tolist()[0] + 60] ^= 1
    path.write_bytes(data)
    with pytest.raises(StorageError, match=rf"^{path} is damaged"):
        store.read_image("k1")
