from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pipelines.config import StudyConfig
from pipelines.ingest.run import ingest
from storage.config import IngestConfig
from storage.errors import InputError
from storage.generations import checksums
from storage.identity import Secret
from storage.manifest import Store
from storage.records import Left, Record, load_record, save_record
from storage.seal import file_sum
from storage.shards import iterate_members

CANARY = "canary"  # in every name, header and table of the hospital
HEIGHT, WIDTH = 48, 40
PROJECT = Path(__file__).parents[3]
SMALL = IngestConfig(films_per_shard=4, memory_gb=1)


def content(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def test_every_film_mask_and_outcome_goes_in(hospital: Any, tmp_path: Path) -> None:
    summary = hospital.ingest(tmp_path / "store")
    shards = len(list((tmp_path / "store" / "shards").glob("radiographs-*.tar")))
    assert (summary.films, summary.subjects, summary.shards) == (12, 6, shards)
    assert summary.excluded == {"no_film": 1}
    assert str(summary) == (
        f"12 films of 6 subjects in {shards} shards; 0 left out; 1 row of the outcomes not used (1 no_film); "
        "exactly on the limit of <= -2.5: 1"
    )
    store = Store.open(tmp_path / "store")
    assert sorted(store.manifest["pixels_sha256"].value_counts()) == [1] * 12
    assert set(store.annotations["annotator"]) == {"a0", "a1"}
    assert list(store.annotations["weight"]) == [0.5] * 6
    outcomes = store.outcomes.set_index("subject")
    assert list(outcomes.sort_values("t_score")["outcome"]) == [1, 1, 1, 0, 0]
    assert set(outcomes.index) < set(store.manifest["subject"])


def test_a_folder_of_films_is_not_taken_for_one_of_masks(hospital: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is named after a film: masks are called"):
        hospital.ingest(tmp_path / "store", annotations=hospital.raw)
    assert not (tmp_path / "store" / "CURRENT").exists()


def test_the_summary_tells_files_masks_and_rows_apart(hospital: Any, tmp_path: Path) -> None:
    (hospital.raw / "notes.txt").write_text("no film")
    hospital.mask(9, 0, "a0")
    rows = hospital.outcomes.read_text().splitlines()
    hospital.outcomes.write_text("\n".join([f"{rows[0]},date", *(f"{row},03/04/2020" for row in rows[1:])]))
    said = str(hospital.ingest(tmp_path / "store"))
    assert (
        "; 1 left out (1 not_an_image); 1 mask not used (1 no_film); 1 row of the outcomes not used (" in said
    )
    assert "6 cells of date not understood: radmill outcomes match shows which" in said


def test_the_summary_tells_the_rule_of_the_stored_outcomes(hospital: Any, tmp_path: Path) -> None:
    root = tmp_path / "store"
    hospital.ingest(root)
    again = hospital.ingest(root, outcomes=None, study=StudyConfig(outcome_rule="<= -1"))
    assert set(Store.open(root).outcomes["rule"]) == {"<= -2.5"}
    assert str(again).endswith(
        "; exactly on the limit of <= -2.5: 1; the outcomes follow <= -2.5, not the study's <= -1: give outcomes= again"
    )
    assert "follow" not in str(hospital.ingest(root, study=StudyConfig(outcome_rule="<= -1")))


def test_pixels_and_masks_come_back(hospital: Any, tmp_path: Path) -> None:
    hospital.ingest(tmp_path / "store")
    store = Store.open(tmp_path / "store")
    secret = Secret.load_or_create(hospital.key_file)
    rows = store.manifest.set_index("token")
    for subject in range(3):
        row = rows.loc[secret.token(f"{CANARY}-{subject}/{CANARY}{subject}_0.dcm")]
        assert np.array_equal(store.read_image(row["key"]), hospital.pixels(10 * subject))
        assert {name: int(mask.max()) for name, mask in store.read_masks(row["key"]).items()} == {
            "a0": 7,
            "a1": 2,
        }
        assert (row["order"], row["laterality"], row["age_years"], row["bits"]) == (0, "L", 64, 12)


def test_all_films_of_a_subject_lie_in_one_shard(hospital: Any, tmp_path: Path) -> None:
    hospital.ingest(tmp_path / "store")
    assert set(Store.open(tmp_path / "store").manifest.groupby("subject")["shard"].nunique()) == {1}


def test_the_store_does_not_depend_on_processes_or_repetition(hospital: Any, tmp_path: Path) -> None:
    hospital.ingest(tmp_path / "one", processes=1)
    hospital.ingest(tmp_path / "two", processes=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")
    hospital.ingest(tmp_path / "two", processes=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_keys_and_shards_do_not_depend_on_paths(hospital: Any, tmp_path: Path) -> None:
    """Films moved to other folders and names keep their shards to the byte; only their tokens change."""
    hospital.ingest(tmp_path / "one", annotations=None)
    moved = tmp_path / "moved"
    for number, path in enumerate(sorted(hospital.raw.rglob("*.dcm"), reverse=True)):
        target = moved / f"{number % 3}" / f"{number:02d}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    replace(hospital, raw=moved).ingest(tmp_path / "two", annotations=None)
    one, two = content(tmp_path / "one"), content(tmp_path / "two")
    differing = {"generations/000001/manifest.parquet", "generations/000001/checksums.json"}
    assert {name for name in one if one[name] != two[name]} == differing


@pytest.mark.parametrize("lost", ["records/*.json", "shards/*.tar", "shards/radiographs-[0-7]*", "CURRENT"])
def test_what_was_lost_is_written_again(hospital: Any, tmp_path: Path, lost: str) -> None:
    root = tmp_path / "store"
    hospital.ingest(root)
    whole = content(root)
    for path in root.glob(lost):
        path.unlink()
    hospital.ingest(root)
    assert content(root) == whole


def test_films_leave_the_store_only_if_they_are_told_to(hospital: Any, tmp_path: Path) -> None:
    root = tmp_path / "store"
    hospital.ingest(root)
    before = content(root)
    moved = hospital.raw / f"{CANARY}-0" / f"{CANARY}0_0.dcm"
    moved.rename(moved.with_name("elsewhere"))
    (moved.parent / f"{CANARY}0_1.dcm").write_text(
        "no film any more"
    )  # looked at, and a row of the exclusions
    shutil.rmtree(hospital.raw / f"{CANARY}-1")
    with pytest.raises(InputError) as caught:
        hospital.ingest(root)
    assert str(caught.value) == (
        f"2 films of {root} would leave it, because raw={hospital.raw} no longer holds their files. Name the folder "
        "that holds all films, ingest into another store=, or let them go with ingest.drop_missing=true."
    )
    assert content(root) == before
    summary = hospital.ingest(root, drop_missing=True)
    assert "; 2 films left the store, no longer below raw=" in str(summary)
    assert (summary.films, summary.dropped) == (9, 2)
    assert hospital.ingest(root).dropped == 0


def test_whole_shards_are_not_decoded_again(hospital: Any, tmp_path: Path) -> None:
    root = tmp_path / "store"
    hospital.ingest(root)
    inodes = {path: path.stat().st_ino for path in (root / "shards").iterdir()}
    hospital.film(5, 2, seed=99)
    hospital.ingest(root)
    kept = [path for path, inode in inodes.items() if path.exists() and path.stat().st_ino == inode]
    assert len(kept) >= len(inodes) - 1
    assert Store.open(root).generation == "000002"


def test_more_time_or_memory_does_not_decode_whole_shards_again(hospital: Any, tmp_path: Path) -> None:
    root = tmp_path / "store"
    hospital.ingest(root)
    before = {path.name: path.stat().st_ino for path in (root / "shards").iterdir()}
    config = replace(SMALL, key_file=str(hospital.key_file), timeout_s=120, memory_gb=2)
    ingest(hospital.raw, root, config, StudyConfig())
    assert {path.name: path.stat().st_ino for path in (root / "shards").iterdir()} == before
    assert Store.open(root).generation == "000001"


@pytest.mark.parametrize("reason", ["vanished", "no_permission", "timeout"])
def test_what_may_succeed_later_is_tried_again(hospital: Any, tmp_path: Path, reason: str) -> None:
    root = tmp_path / "store"
    hospital.ingest(root)
    whole = content(root)
    shard = Store.open(root).manifest["shard"].min()
    record = load_record(root, shard)
    assert record
    save_record(root, shard, Record(record.rows[:-1], [Left(record.rows[-1]["key"], "", reason, "")]))
    hospital.ingest(root)
    assert content(root) == whole


def test_a_mask_that_is_not_used_takes_no_weight_from_the_others(hospital: Any, tmp_path: Path) -> None:
    hospital.mask(0, 0, "a2", height=HEIGHT + 1)
    hospital.mask(0, 0, "truth")
    store = hospital.ingest(tmp_path / "store") and Store.open(tmp_path / "store")
    assert list(store.exclusions["reason"]) == ["mask_mismatch"]
    weights = store.annotations.groupby("annotator")["weight"].unique()
    assert {name: list(values) for name, values in weights.items()} == {
        "a0": [0.5],
        "a1": [0.5],
        "truth": [0],
    }


def test_what_is_not_named_again_stays(hospital: Any, tmp_path: Path) -> None:
    (hospital.annotations / "stranger.a0.png").write_text("no mask")
    root = tmp_path / "store"
    first = hospital.ingest(root)
    whole = content(root)
    assert hospital.ingest(root, outcomes=None, annotations=None) == first
    assert content(root) == whole


def test_masks_that_are_not_named_again_stay_with_their_films(hospital: Any, tmp_path: Path) -> None:
    root = tmp_path / "store"
    hospital.ingest(root)
    before = Store.open(root)
    shutil.rmtree(hospital.raw / f"{CANARY}-0")
    hospital.film(9, 0, seed=90)
    hospital.ingest(root, annotations=None, drop_missing=True)
    after = Store.open(root)
    kept = before.annotations[before.annotations["key"].isin(after.manifest["key"])]
    assert (len(before.annotations), len(kept)) == (6, 4)
    assert after.annotations.equals(kept.reset_index(drop=True))
    for key in kept["key"]:
        old, new = before.read_masks(key), after.read_masks(key)
        assert all(np.array_equal(old[name], new[name]) for name in ("a0", "a1"))


@pytest.mark.parametrize("place", [".", "../here", "../here/inner/.."])
def test_the_store_may_be_where_one_stands(
    hospital: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "here" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    ingest(hospital.raw, Path(place), SMALL, StudyConfig())
    secret = Secret.load_or_create(tmp_path / "here.key")
    assert Store.open(tmp_path / "here").key_id == secret.key_id


def test_a_corrected_sheet_makes_no_generation_and_touches_no_shard(hospital: Any, tmp_path: Path) -> None:
    """Patients come, go and change; films, masks and the learning that reads no value do not notice."""
    root = tmp_path / "store"
    hospital.ingest(root)
    whole = content(root)
    before, stats = Store.open(root), {path: path.stat() for path in root.rglob("*") if path.is_file()}
    fingerprint, outcomes = before.fingerprint(), before.outcomes
    text = hospital.outcomes.read_text()
    hospital.outcomes.write_text(
        text.replace("-77,", "-78,").replace(",-3.5,", ",-0.5,") + f"\n{CANARY}-5,?,"
    )
    summary = hospital.ingest(root)
    after = Store.open(root)
    assert (after.generation, summary.excluded) == ("000001", {"no_film": 1, "unreadable": 1})
    changed = {p.relative_to(root).as_posix() for p, stat in stats.items() if p.stat().st_ino != stat.st_ino}
    assert changed == {"outcomes.parquet", "outcome_exclusions.parquet"}
    assert after.fingerprint() == fingerprint
    assert sum(after.outcomes["t_score"] == -0.5) == 1
    hospital.outcomes.write_text(text)
    hospital.ingest(root)
    assert content(root) == whole
    assert Store.open(root).outcomes.equals(outcomes)


def test_days_between_film_and_measurement_are_kept_and_no_date(hospital: Any, tmp_path: Path) -> None:
    lines = [f"{CANARY}-0,-2.6,01.03.2020", f"{CANARY}-0,-3,2021-03-01", f"{CANARY}-1,-1,"]
    hospital.outcomes.write_text("\n".join(["patient_id,t_score,date", *lines]))
    hospital.ingest(tmp_path / "store")
    store = Store.open(tmp_path / "store")
    assert sorted(store.outcomes["days"].fillna(-1)) == [-1, 1]
    assert list(store.outcome_exclusions["reason"]) == ["superseded"]
    hospital.ingest(tmp_path / "store", study=StudyConfig(window_days=0))
    store = Store.open(tmp_path / "store")
    assert len(store.outcomes) == 0
    assert list(store.outcome_exclusions["reason"]) == ["outside_window"] * 3
    stored = "".join(table.to_csv() for table in (store.outcomes, store.outcome_exclusions, store.manifest))
    assert not any(part in stored for part in ("2020-", "202002", "202003", "01.03", "2021"))


def test_days_that_no_one_can_mean_are_not_known(hospital: Any, tmp_path: Path) -> None:
    hospital.outcomes.write_text(f"patient_id,t_score,days\n{CANARY}-0,-2.6,1e12\n{CANARY}-1,-2.6,-30\n")
    hospital.ingest(tmp_path / "store")
    assert sorted(Store.open(tmp_path / "store").outcomes["days"].fillna(0)) == [-30, 0]


def test_the_sums_of_the_shards_are_those_of_their_bytes(hospital: Any, tmp_path: Path) -> None:
    """Of shards just written, copied without a duplicate, and of masks; records tell them without the tar."""
    hospital.film(1, 6, seed=20)  # the pixels of a film of another subject
    root = tmp_path / "store"
    hospital.ingest(root)
    store = Store.open(root)
    _, sums = checksums(root, str(store.generation))
    assert sums == {path.name: file_sum(path) for path in (root / "shards").iterdir()}
    shards = {*store.manifest["shard"], *store.annotations["shard"]}
    records = {shard: load_record(root, shard) for shard in shards}
    assert {shard: record.tar for shard, record in records.items() if record} == sums


def test_a_mapping_tells_the_films_other_ids(hospital: Any, tmp_path: Path) -> None:
    ids, coded = tmp_path / "ids.csv", hospital.outcomes.read_text().replace(CANARY, "study")
    hospital.outcomes.write_text(coded)
    ids.write_text(
        "".join(f"study-{n};{CANARY.upper()}-{n}\n" for n in ("s", 0, 1, 2)).replace(
            f"study-s;{CANARY.upper()}-s", "sheet_id;film_id"
        )
    )
    summary = hospital.ingest(tmp_path / "store", mapping=ids)
    assert len(Store.open(tmp_path / "store").outcomes) == 3
    assert str(summary).endswith(
        "; 3 of 6 rows of the table have no film: radmill outcomes match shows who nearly matches"
    )


def test_a_killed_run_leaves_what_a_rerun_ends(hospital: Any, tmp_path: Path) -> None:
    for subject in range(6, 26):
        hospital.film(subject, 0, seed=10 * subject)
    hospital.ingest(tmp_path / "whole")
    code = (
        "import sys; from pathlib import Path; from pipelines.config import StudyConfig\n"
        "from pipelines.ingest.run import ingest; from storage.config import IngestConfig\n"
        "raw, root, outcomes, annotations, key = map(Path, sys.argv[1:])\n"
        "config = IngestConfig(films_per_shard=4, memory_gb=1, key_file=str(key))\n"
        "ingest(raw, root, config, StudyConfig(), outcomes, annotations, processes=2)\n"
    )
    root, key = tmp_path / "killed", hospital.key_file
    arguments = [hospital.raw, root, hospital.outcomes, hospital.annotations, key]
    for shards in (1, 4):
        child = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], cwd=PROJECT)
        while child.poll() is None and len(list(root.glob("shards/*.tar"))) < shards:
            time.sleep(0.002)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert not (root / "CURRENT").exists(), "killed too late to prove anything"
    hospital.ingest(root)
    assert content(root) == content(tmp_path / "whole")


def test_each_bad_file_is_one_row(hospital: Any, tmp_path: Path) -> None:
    raw = hospital.raw
    (raw / f"{CANARY}.dcm").write_text("this is no DICOM")
    (raw / "empty.png").touch()
    film = hospital.film(0, 5, seed=5)
    (raw / "copy.dcm").write_bytes(film.read_bytes())
    cut = hospital.film(0, 6, seed=6)
    cut.write_bytes(cut.read_bytes()[:-900])
    hospital.film(0, 7, seed=7, Modality="MR")
    hospital.film(0, 8, seed=0, InstanceNumber=9)  # the pixels of film 0 in another file
    png = raw / f"{CANARY}-0" / "corrupt.png"
    Image.fromarray(hospital.pixels(8)).save(png)
    png.write_bytes(png.read_bytes()[:400] + bytes(400) + png.read_bytes()[800:])
    flat = raw / f"{CANARY}-0" / "flat.png"
    Image.fromarray(np.full((HEIGHT, WIDTH), 7, np.uint8)).save(flat)
    os.mkfifo(raw / "pipe")
    (raw / "link").symlink_to(tmp_path)
    (raw / "broken").symlink_to(tmp_path / "nowhere")
    hospital.mask(3, 0, "a0", value=8)
    hospital.mask(4, 0, "a0", height=HEIGHT + 1)
    (hospital.annotations / "stranger.a0.png").write_bytes(
        (hospital.annotations / f"{CANARY}0_0.a0.png").read_bytes()
    )
    (hospital.annotations / "README.md").write_text("masks")
    summary = hospital.ingest(tmp_path / "store")
    assert summary.films == 13
    assert summary.excluded == {
        "blank": 1,
        "duplicate": 2,
        "mask_mismatch": 2,
        "no_film": 2,
        "not_an_image": 5,
        "unreadable": 2,
        "vanished": 1,
        "wrong_modality": 1,
    }


def test_d21_files_and_rows_add_up(hospital: Any, tmp_path: Path) -> None:
    stack = hospital.film(2, 3, seed=3)
    shutil.copy(stack, stack.with_name("again.dcm"))
    (hospital.raw / "notes.txt").write_text("notes")
    hospital.ingest(tmp_path / "store")
    store = Store.open(tmp_path / "store")
    ours = store.exclusions[store.exclusions["stage"].isin(["scan", "write"])]
    tokens = [*store.manifest["token"], *ours["token"]]
    assert len(tokens) == len(set(tokens)) == sum(path.is_file() for path in hospital.raw.rglob("*"))


def test_d19_duplicates_across_shards_keep_the_first_by_token(hospital: Any, tmp_path: Path) -> None:
    hospital.film(40, 0, seed=0)
    hospital.film(41, 0, seed=0)
    root = tmp_path / "store"
    summary = hospital.ingest(root)
    assert (summary.films, summary.excluded["duplicate"]) == (12, 2)
    store = Store.open(root)
    same = store.exclusions.query("reason == 'duplicate'")
    hashes = list(store.manifest["pixels_sha256"])
    assert len(set(hashes)) == len(hashes)
    secret = Secret.load_or_create(hospital.key_file)
    tokens = {secret.token(f"{CANARY}-{number}/{CANARY}{number}_0.dcm") for number in (0, 40, 41)}
    assert tokens - set(same["token"]) == {min(tokens)}
    in_tars = [member.name for tar in root.glob("shards/radiographs-*") for member in iterate_members(tar)]
    assert len([name for name in in_tars if name.endswith(".json")]) == 12, "shards hold no duplicate either"
    whole = content(root)
    hospital.ingest(root)
    assert content(root) == whole
    planned = {f"shards/{path.stem}.tar" for path in (root / "records").glob("*.json")}
    superseded = sorted(planned - whole.keys())
    assert superseded
    left = root / "generations" / ".000002.tmp"  # by a killed commit
    left.mkdir()
    (left / "shards.txt").write_text("\n".join(superseded))
    for name in superseded:
        (root / name).touch()
    hospital.ingest(root)
    shutil.rmtree(left)
    assert content(root) == whole


def test_masks_of_a_duplicate_stay_with_its_film(hospital: Any, tmp_path: Path) -> None:
    """Whichever of two films with the same pixels is kept, it keeps the masks drawn on either."""
    hospital.film(5, 7, seed=50)  # as film 0 of this subject
    shutil.copy(hospital.film(5, 8, seed=58), hospital.raw / "copy.dcm")
    for number, annotator in ((0, "a0"), (7, "a1"), (8, "a0")):
        hospital.mask(5, number, annotator)
    summary = hospital.ingest(tmp_path / "store")
    assert summary.excluded == {"duplicate": 2, "no_film": 1}, "no_film: the outcome without a film"
    store = Store.open(tmp_path / "store")
    assert sorted(store.annotations.groupby("key").size()) == [1, 2, 2, 2, 2]


def test_frames_are_films(hospital: Any, tmp_path: Path) -> None:
    stack = np.stack([hospital.pixels(1000), np.zeros((HEIGHT, WIDTH), np.uint16), hospital.pixels(1001)])
    hospital.write_dicom(stack, name="raw/cine.dcm", PatientID="p9", BitsStored=12, Modality="RF")
    summary = hospital.ingest(tmp_path / "store")
    assert (summary.films, summary.excluded["blank"]) == (14, 1)
    store = Store.open(tmp_path / "store")
    film = store.manifest[store.manifest["modality"] == "RF"]
    assert sorted(zip(film["frame"], film["order"], strict=True)) == [(0, 0), (2, 2)]


def test_an_outcome_whose_films_were_all_left_out_is_left_out(hospital: Any, tmp_path: Path) -> None:
    for path in hospital.raw.glob("*-4/*.dcm"):
        path.write_bytes(path.read_bytes()[:-900])
    summary = hospital.ingest(tmp_path / "store")
    assert summary.excluded == {"no_film": 2, "unreadable": 2}
    store = Store.open(tmp_path / "store")
    assert set(store.outcomes["subject"]) <= set(store.manifest["subject"])


def test_an_unreadable_file_is_one_row_whatever_frames_it_claims(hospital: Any, tmp_path: Path) -> None:
    hospital.film(0, 7, seed=7, NumberOfFrames=9000)
    assert hospital.ingest(tmp_path / "store").excluded["unreadable"] == 1


def test_nothing_of_names_headers_or_tables_is_in_the_store(
    hospital: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    notes = PngInfo()
    notes.add_text("Comment", f"{CANARY} comment")
    (hospital.raw / f"{CANARY}-9").mkdir()
    Image.fromarray(hospital.pixels(9)).save(hospital.raw / f"{CANARY}-9" / "film.png", pnginfo=notes)
    (hospital.annotations / "annotators.csv").write_text(f"annotator,weight,tool\na0,0.5,by {CANARY}\n")
    hospital.mask(4, 0, CANARY)
    summary = hospital.ingest(tmp_path / "store")
    for name, data in content(tmp_path / "store").items():
        assert CANARY.encode() not in (name.encode() + data).lower(), name
    for tar in (tmp_path / "store" / "shards").iterdir():
        for member in iterate_members(tar):
            assert CANARY.encode() not in member.data.lower()
    store = Store.open(tmp_path / "store")
    for table in (store.manifest, store.annotations, store.all_exclusions, store.outcomes):
        assert CANARY not in table.to_csv().lower()
        assert "2020" not in set(table.astype(str).to_numpy().ravel())
    assert CANARY not in str(summary)
    assert CANARY not in "".join(capfd.readouterr())


def test_phantoms_alone_use_the_public_key(hospital: Any, tmp_path: Path) -> None:
    for path in hospital.raw.rglob("*.dcm"):
        path.unlink()
    for number in range(3):
        hospital.film(number, 0, seed=number, ImageType=["DERIVED", "PRIMARY", "PHANTOM"])
    ingest(hospital.raw, tmp_path / "store", SMALL, StudyConfig())
    store = Store.open(tmp_path / "store")
    assert store.key_id == Secret.phantom().key_id
    assert set(store.manifest["data_kind"]) == {"phantom"}
    assert not (tmp_path / "store.key").exists()


def test_one_person_with_and_without_an_issuer_is_told(hospital: Any, tmp_path: Path) -> None:
    hospital.film(1, 5, seed=15, IssuerOfPatientID=f"{CANARY} clinic")
    said = str(hospital.ingest(tmp_path / "store"))
    assert said.endswith("; 1 patient id with and without an issuer: of one person, two subjects")


def test_real_films_need_another_store_than_phantoms(hospital: Any, tmp_path: Path) -> None:
    root = tmp_path / "store"
    for path in hospital.raw.rglob("*.dcm"):
        path.unlink()
    hospital.film(1, 0, seed=1, ImageType=["DERIVED", "PRIMARY", "PHANTOM"])
    ingest(hospital.raw, root, SMALL, StudyConfig())
    before = content(root)
    hospital.film(2, 0, seed=2)
    with pytest.raises(InputError) as caught:
        ingest(hospital.raw, root, SMALL, StudyConfig())
    assert str(caught.value) == (
        f"{root} holds phantoms under their public key, with which anyone could undo the pseudonyms of people. "
        "Put real films into another store=."
    )
    assert content(root) == before


def test_one_real_film_makes_a_secret(hospital: Any, tmp_path: Path) -> None:
    hospital.film(20, 0, seed=1, PatientName="PHANTOM")
    ingest(hospital.raw, tmp_path / "store", SMALL, StudyConfig())
    assert Store.open(tmp_path / "store").key_id == Secret.load_or_create(tmp_path / "store.key").key_id


def test_another_key_is_refused(hospital: Any, tmp_path: Path) -> None:
    hospital.ingest(tmp_path / "store")
    Secret.load_or_create(tmp_path / "other.key")
    other = replace(SMALL, key_file=str(tmp_path / "other.key"))
    with pytest.raises(InputError, match="was made with key"):
        ingest(hospital.raw, tmp_path / "store", other, StudyConfig())


def test_progress_ends_at_the_total(hospital: Any, tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    (hospital.raw / "letter.txt").write_text("dear colleague")
    hospital.ingest(tmp_path / "store", progress=lambda *state: seen.append(state))
    assert (13, 13, "files looked at, 1 quarantined") in seen
    last = [state for state in seen if state[2].startswith("films written")][-1]
    assert last[:2] == (12, 12)
    assert re.fullmatch(r"films written, [\d.]+ MB/s, 0 quarantined", last[2])
    assert seen[-1] == (3, 3, "films with masks written")


@pytest.mark.parametrize("place", ["", "inside"])
def test_films_never_lie_in_the_store(hospital: Any, place: str) -> None:
    folder = hospital.raw / place
    folder.mkdir(exist_ok=True)
    with pytest.raises(InputError, match="the films would lie among the store's own files"):
        ingest(folder, hospital.raw, SMALL, StudyConfig())
    assert not (hospital.raw / "store.json").exists()


def test_films_under_a_word_for_nobody_are_told(hospital: Any, tmp_path: Path) -> None:
    hospital.film(8, 0, seed=901, PatientID="ANONYMOUS")
    hospital.film(9, 0, seed=902, PatientID="****")
    summary = hospital.ingest(tmp_path / "store")
    assert summary.placeholders == 2 and "2 films under patient ids such as ANONYMOUS" in str(summary)


def test_films_that_an_earlier_run_wrote_tell_nothing_of_the_speed(hospital: Any, tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    hospital.ingest(tmp_path / "store")
    before = set(Store.open(tmp_path / "store").manifest["shard"])
    hospital.film(1, 5, seed=900)
    hospital.ingest(tmp_path / "store", progress=lambda *state: seen.append(state))
    done, total, note = [state for state in seen if state[2].startswith("films written")][-1]
    rewritten = int((~Store.open(tmp_path / "store").manifest["shard"].isin(before)).sum())
    assert done == total == rewritten < 13
    assert note.endswith(f"0 quarantined, {13 - rewritten} written before")


def test_d17_valid_pixels_come_back_where_some_are_not(hospital: Any, tmp_path: Path) -> None:
    """Also from a shard that was copied without its duplicates."""
    shutter = {
        "ShutterShape": "RECTANGULAR",
        "ShutterUpperHorizontalEdge": 5,
        "ShutterLowerHorizontalEdge": HEIGHT,
        "ShutterLeftVerticalEdge": 1,
        "ShutterRightVerticalEdge": WIDTH - 2,
    }
    hospital.film(1, 5, seed=105, **shutter)
    hospital.film(1, 6, seed=10)  # the pixels of film 0 in another file
    hospital.ingest(tmp_path / "store")
    store = Store.open(tmp_path / "store")
    token = Secret.load_or_create(hospital.key_file).token(f"{CANARY}-1/{CANARY}1_5.dcm")
    [key] = store.manifest[store.manifest["token"] == token]["key"]
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[4:, : WIDTH - 2] = True
    valid = store.read_valid(key)
    assert valid is not None
    assert np.array_equal(valid, expected)
    assert np.array_equal(store.read_image(key), hospital.pixels(105))
    assert int(store.manifest["valid_offset"].notna().sum()) == 1
    assert all(store.read_valid(other) is None for other in store.manifest["key"] if other != key)
    names = [member.name for path in (store.root / "shards").glob("rad*") for member in iterate_members(path)]
    assert names.count(f"{key}.valid.png") == sum("valid" in name for name in names) == 1


def test_d15_both_hands_on_one_film_are_said_so(
    hospital: Any, tmp_path: Path, drawn_hand: np.ndarray[Any, Any]
) -> None:
    both = np.hstack([drawn_hand, drawn_hand[:, ::-1]])
    hospital.write_dicom(both, name=f"{hospital.raw.name}/both.dcm", PatientID="b", ImageLaterality="L")
    hospital.ingest(tmp_path / "store")
    manifest = Store.open(tmp_path / "store").manifest
    assert list(manifest[manifest["laterality"] == "B"]["laterality_source"]) == ["content"]


def test_d10_a_negative_among_raster_films_is_turned(
    hospital: Any, tmp_path: Path, drawn_hand: np.ndarray[Any, Any]
) -> None:
    Image.fromarray(255 - drawn_hand).save(hospital.raw / f"{CANARY}-0" / "negative.png")
    hospital.ingest(tmp_path / "store")
    store = Store.open(tmp_path / "store")
    [key] = store.manifest[store.manifest["polarity_flag"] == "inverted_content"]["key"]
    assert np.array_equal(store.read_image(key), drawn_hand)


def test_a_lost_key_is_asked_for_and_never_replaced(hospital: Any, tmp_path: Path) -> None:
    hospital.ingest(tmp_path / "store")
    kept = hospital.key_file.rename(tmp_path / "elsewhere.key")
    with pytest.raises(InputError, match=r"is missing, the secret behind the pseudonyms"):
        hospital.ingest(tmp_path / "store")
    assert not hospital.key_file.exists()
    kept.rename(hospital.key_file)
    assert hospital.ingest(tmp_path / "store").films == 12


def test_a_refused_ingest_leaves_nothing(hospital: Any, tmp_path: Path) -> None:
    """No key, no store; those that were there stay."""
    root, whole = tmp_path / "store", hospital.outcomes.read_text()
    hospital.outcomes.write_text("patient_id,t_score\nnobody,-1\n")
    with pytest.raises(InputError, match="None of the 1 row of"):
        hospital.ingest(root)
    assert not hospital.key_file.exists() and not root.exists()
    hospital.outcomes.write_text(whole)
    hospital.ingest(root)
    secret = hospital.key_file.read_bytes()
    hospital.outcomes.write_text("patient_id,t_score\nnobody,-1\n")
    with pytest.raises(InputError, match="None of the 1 row of"):
        hospital.ingest(root)
    assert hospital.key_file.read_bytes() == secret and len(Store.open(root).manifest) == 12


def test_films_that_all_fail_leave_no_key(hospital: Any, tmp_path: Path) -> None:
    for path in hospital.raw.rglob("*.dcm"):
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="holds no radiograph that can be used"):
        hospital.ingest(tmp_path / "store")
    assert not hospital.key_file.exists() and not any((tmp_path / "store").glob("*"))
