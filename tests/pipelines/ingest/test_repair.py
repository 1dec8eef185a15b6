"""Repair ends in the bytes from before the damage, or refuses and changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.config import StudyConfig
from pipelines.ingest.remake import Repaired
from pipelines.ingest.repair import repair
from pipelines.ingest.run import ingest
from storage.care.erase import erase
from storage.care.verify import verify
from storage.errors import InputError, StorageError
from storage.identity import Secret
from storage.manifest import Store
from storage.seal import write_sealed_json
from tests.pipelines.ingest.conftest import CANARY, SMALL, Hospital


@pytest.fixture
def root(hospital: Hospital, tmp_path: Path) -> Path:
    hospital.film(0, 2, seed=1)  # the pixels of another film of subject 0: its shard is a copy without it
    hospital.ingest(tmp_path / "store")
    return tmp_path / "store"


def mended(hospital: Hospital, root: Path, **named: Path | None) -> Repaired:
    config = replace(SMALL, key_file=str(hospital.key_file))
    places = {"raw": hospital.raw, "annotations": hospital.annotations} | named
    return repair(root, config, StudyConfig(), **places)


def files(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def flip(path: Path, place: int = 600) -> None:
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 4
    path.write_bytes(data)


def test_every_shard_comes_back_in_its_bytes(hospital: Hospital, root: Path) -> None:
    before = files(root)
    assert verify(root).damages == []
    shards = sorted(name for name in before if name.startswith("shards/"))
    for number, name in enumerate(shards):
        if number == 0:
            (root / name).unlink()
        else:
            flip(root / name, place=(0, 130, 600)[number % 3])
    assert {damage.file for damage in verify(root).damages} == set(shards)
    done = mended(hospital, root)
    assert sorted(done.made) == shards and not done.removed and not done.advice
    assert files(root) == before
    assert verify(root).damages == []


@pytest.mark.parametrize("codec", ["png", "htj2k"])
def test_films_come_back_in_the_codec_that_they_had(hospital: Hospital, tmp_path: Path, codec: str) -> None:
    """Whatever ingest.codec= says now, and of a JPEG its own bytes; one of two equal films is in neither shard."""
    ramp = np.add.outer(np.arange(48), np.arange(40)).astype(np.uint8)
    for subject, name in ((0, "a"), (0, "b"), (1, "c")):
        picture = Image.fromarray(ramp if name != "a" else ramp.T.copy())
        picture.save(hospital.raw / f"{CANARY}-{subject}" / f"{name}.jpg", comment=name)
    root = tmp_path / "store"
    config = replace(SMALL, key_file=str(hospital.key_file), codec=codec)
    ingest(hospital.raw, root, config, StudyConfig(), annotations=hospital.annotations)
    store = Store.open(root)
    assert set(store.manifest["codec"]) == {codec, "jpeg"}
    assert list(store.exclusions["reason"]) == ["duplicate"]
    before = files(root)
    for path in (root / "shards").glob("radiographs-*"):
        path.unlink()
    done = mended(hospital, root)
    assert len(done.made) == len(store.manifest["shard"].unique()) and not done.advice
    assert files(root) == before


def test_names_come_back(hospital: Hospital, root: Path) -> None:
    before = files(root)
    flip(root / "CURRENT", 1)
    flip(root / "store.json", 20)
    assert sorted(mended(hospital, root, raw=None).made) == ["CURRENT", "store.json"]
    assert files(root) == before


def test_a_cut_or_bare_store_json_comes_back(hospital: Hospital, root: Path) -> None:
    """Neither has a seal that could be wrong, and ingest opens none of the first kind."""
    before = files(root)
    whole = before["store.json"]
    for damaged in (whole[: len(whole) // 2], b"", whole.replace(b"crc32c=", b"crc32d=")):
        (root / "store.json").write_bytes(damaged)
        assert [damage.file for damage in verify(root).damages] == ["store.json"]
        assert mended(hospital, root, raw=None).made == ["store.json"]
        assert files(root) == before


def test_a_record_comes_back_with_the_next_ingest(hospital: Hospital, root: Path) -> None:
    before = files(root)
    for path in sorted((root / "records").glob("*.json")):
        flip(path, 100)
    done = mended(hospital, root)
    assert len(done.removed) == len([name for name in before if name.startswith("records/")])
    assert verify(root).damages == []
    hospital.ingest(root)
    assert files(root) == before


def test_changed_and_gone_sources_are_counted_and_nothing_changes(hospital: Hospital, root: Path) -> None:
    for shard in (root / "shards").glob("radiographs-*"):
        flip(shard)
    films = sorted(hospital.raw.rglob("*.dcm"))
    films[3].unlink()
    films[5].write_bytes(films[6].read_bytes())
    before = files(root)
    with pytest.raises(
        StorageError, match=r"files that the damaged shards were made from, 1 are gone .* and 1 changed"
    ):
        mended(hospital, root)
    assert files(root) == before
    with pytest.raises(InputError, match="give raw=DIR"):
        mended(hospital, root, raw=None)


def test_other_masks_are_not_taken(hospital: Hospital, root: Path) -> None:
    [shard] = (root / "shards").glob("annotations-*")
    flip(shard)
    before = files(root)
    hospital.mask(0, 0, "a0", value=3)
    done = mended(hospital, root)
    assert not done.made and "Run radmill ingest" in done.advice[0]
    assert before.items() <= files(root).items()


def test_masks_that_the_tables_do_not_name_are_not_taken(hospital: Hospital, root: Path) -> None:
    store = Store.open(root)
    other = store.annotations.copy()
    other.loc[0, "weight"] = 0.125
    store.commit(store.manifest, other, store.exclusions)
    [shard] = (root / "shards").glob("annotations-*")
    flip(shard)
    before = files(root)
    assert "are not those it was made from. Run" in mended(hospital, root).advice[0]
    assert files(root) == before
    with pytest.raises(InputError, match="is not a folder"):
        mended(hospital, root, annotations=hospital.raw / "nowhere")
    assert files(root) == before


def test_a_shard_that_only_an_older_generation_names_never_goes(hospital: Hospital, root: Path) -> None:
    film = hospital.raw / f"{CANARY}-3" / f"{CANARY}3_0.dcm"
    held = film.read_bytes()
    token = Secret.load_or_create(hospital.key_file).token(film.relative_to(hospital.raw).as_posix())
    older = Store.open(root).manifest.set_index("token").loc[token, "shard"]
    film.unlink()
    hospital.ingest(root, drop_missing=True)
    live = sorted(set(Store.open(root).manifest["shard"]))
    assert older not in live
    whole = files(root)
    for name in (older, live[0]):
        flip(root / "shards" / name)
    damaged = files(root)
    done = mended(hospital, root)
    assert done.made == [f"shards/{live[0]}"] and not done.removed
    [advice] = done.advice
    assert "1 are gone from raw=" in advice and "radmill store gc keep=0" in advice
    assert files(root) == whole | {f"shards/{older}": damaged[f"shards/{older}"]}
    record = root / "records" / f"{older.removesuffix('.tar')}.json"
    record.unlink()
    assert "what it held is not known any more. Only an older" in mended(hospital, root).advice[0]
    assert (root / "shards" / older).exists()
    record.write_bytes(whole[f"records/{record.name}"])
    film.write_bytes(held)
    assert mended(hospital, root).made == [f"shards/{older}"]
    assert files(root) == whole


def test_a_live_shard_without_record_stays_for_ingest(hospital: Hospital, root: Path) -> None:
    before = files(root)
    name = Store.open(root).manifest["shard"][0]
    flip(root / "shards" / name)
    (root / "records" / f"{name.removesuffix('.tar')}.json").unlink()
    damaged = files(root)
    done = mended(hospital, root)
    assert not done.made and not done.removed and "run radmill ingest again" in done.advice[0]
    assert files(root) == damaged
    hospital.ingest(root)
    assert files(root) == before


def test_an_override_may_name_a_copy_of_the_file(hospital: Hospital, tmp_path: Path) -> None:
    folder = hospital.raw / f"{CANARY}-1"
    names = [f"{CANARY}1_0.dcm", "copy.dcm"]
    (folder / names[1]).write_bytes((folder / names[0]).read_bytes())
    secret, table = Secret.load_or_create(hospital.key_file), tmp_path / "overrides.csv"
    left_out = max((f"{CANARY}-1/{name}" for name in names), key=secret.token)
    table.write_text(f"path,polarity\n{left_out},invert\n")
    config = replace(SMALL, key_file=str(hospital.key_file), overrides=str(table))
    root = tmp_path / "store"
    ingest(hospital.raw, root, config, StudyConfig())
    assert secret.token(left_out) in set(Store.open(root).exclusions["token"])
    before = files(root)
    for path in (root / "shards").glob("*.tar"):
        path.unlink()
    repair(root, config, StudyConfig(), hospital.raw)
    assert files(root) == before


def test_other_settings_are_asked_for_and_nothing_changes(hospital: Hospital, tmp_path: Path) -> None:
    """As whoever ingested with other modalities and overrides and types what verify says meets it."""
    hospital.film(5, 2, seed=99, Modality="PX")
    table = tmp_path / "overrides.csv"
    table.write_text(f"path,polarity\n{CANARY}-0/*,invert\n")
    root, plain = tmp_path / "store", replace(SMALL, key_file=str(hospital.key_file))
    config = replace(plain, overrides=str(table), modalities=["DX", "PX"], codec="htj2k")
    ingest(hospital.raw, root, config, StudyConfig())
    before = files(root)
    for path in (root / "shards").glob("*.tar"):
        path.unlink()
    damaged = files(root)
    asked = "same ingest.* keys and ingest.overrides= as at ingest"
    for settings, said in (
        (plain, "1 are refused"),
        (replace(plain, modalities=["DX", "PX"]), "other bytes"),
    ):
        with pytest.raises(StorageError, match=said) as caught:
            repair(root, settings, StudyConfig(), hospital.raw)
        assert asked in str(caught.value) and "Put them back" not in str(caught.value)
        assert damaged.items() <= files(root).items() and files(root).items() <= before.items()
    repair(root, replace(config, codec="png"), StudyConfig(), hospital.raw)
    assert files(root) == before


def test_an_erasure_that_has_not_ended_is_for_erase(hospital: Hospital, root: Path) -> None:
    write_sealed_json(root / "receipts" / "x.json", {"finished": False})
    advice = mended(hospital, root).advice
    assert [line for line in advice if "receipts/x.json" in line and "radmill store erase again" in line]
    assert [line for line in advice if "erased.json" in line and "radmill store erase again" in line]


def test_a_shard_rewritten_by_an_erasure_can_be_repaired(hospital: Hospital, root: Path) -> None:
    secret = Secret.load_or_create(hospital.key_file)
    erase(root, secret.subject("", f"{CANARY}-0"), secret)
    before = files(root)
    for shard in (root / "shards").glob("radiographs-*"):
        flip(shard)
    mended(hospital, root)
    assert files(root) == before


def test_tables_of_the_live_generation_are_for_ingest(hospital: Hospital, root: Path) -> None:
    before = files(root)
    flip(root / "generations" / "000001" / "manifest.parquet")
    assert "run radmill ingest again" in mended(hospital, root).advice[0]
    assert set(files(root)) == set(before)
    assert hospital.ingest(root).generation == "000002"
    assert mended(hospital, root).removed == ["generations/000001"]
    assert verify(root).damages == []
    assert len(Store.open(root).manifest) == 12


def test_damaged_tables_and_shards_heal_by_ingest_and_repair(hospital: Hospital, root: Path) -> None:
    before, masks = files(root), next((root / "shards").glob("annotations-*.tar"))
    flip(root / "generations" / "000001" / "manifest.parquet")
    flip(masks)
    done = mended(hospital, root)
    assert not done.made and ["run radmill ingest again" in line for line in sorted(done.advice)] == [
        False,
        True,
    ]
    hospital.ingest(root)
    assert mended(hospital, root).made == [f"shards/{masks.name}"]
    assert masks.read_bytes() == before[f"shards/{masks.name}"]


@pytest.mark.parametrize("table", ["annotations.parquet", "exclusions.parquet"])
@pytest.mark.parametrize("named", [False, True])
def test_tables_beside_the_manifest_come_back_with_the_next_ingest(
    hospital: Hospital, root: Path, table: str, named: bool
) -> None:
    """With annotations= anew; without, the masks by their records, and only which were left out is forgotten."""
    hospital.mask(3, 0, "a0", height=20)
    hospital.ingest(root)
    before, live = Store.open(root), Store.open(root).generation
    masks, left_out = before.annotations, before.exclusions
    assert set(left_out["stage"]) == {"write", "annotations"} and len(masks) == 6
    flip(root / "generations" / str(live) / table)
    summary = hospital.ingest(root, annotations=hospital.annotations if named else None)
    assert (summary.generation, live) == ("000003", "000002")
    after = Store.open(root)
    assert after.annotations.equals(masks)
    forgotten = table == "exclusions.parquet" and not named
    expected = left_out[left_out["stage"] == "write"] if forgotten else left_out
    assert after.exclusions.equals(expected.reset_index(drop=True))
    assert ("annotations= tells it anew" in str(summary)) == forgotten
    assert f"generations/{live}" in mended(hospital, root).removed
    assert verify(root).damages == []


def test_masks_whose_table_and_record_are_damaged_are_asked_for(hospital: Hospital, root: Path) -> None:
    flip(root / "generations" / "000001" / "annotations.parquet")
    for path in (root / "records").glob("annotations-*"):
        path.unlink()
    with pytest.raises(InputError, match="name annotations=DIR"):
        hospital.ingest(root, annotations=None)
    assert hospital.ingest(root).generation == "000002"
