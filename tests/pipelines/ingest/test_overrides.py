from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.config import StudyConfig
from pipelines.ingest.overrides import Override, Overrides, frame_numbers, read_overrides
from pipelines.ingest.run import ingest
from storage.config import IngestConfig
from storage.errors import InputError
from storage.identity import Secret
from storage.manifest import Store

CANARY = "canary"
SMALL = IngestConfig(films_per_shard=4, memory_gb=1)


def table(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines))
    return path


def ingested(hospital: Any, root: Path, *lines: str, **options: Any) -> Store:
    path = table(root.with_suffix(".csv"), *lines)
    config = replace(SMALL, key_file=str(hospital.key_file), overrides=str(path), **options)
    ingest(hospital.raw, root, config, StudyConfig())
    return Store.open(root)


def test_the_last_entry_that_fits_counts_column_by_column(tmp_path: Path) -> None:
    overrides = read_overrides(
        table(
            tmp_path / "o.csv",
            "Path;Polarity;Laterality;View;Frames;Exclude",
            "a/*;invert;l;;;",
            "a/1.dcm;;R;pa;2-3;",
            r"b\1.dcm;;;;;a ring",
            "b/2.dcm;;;;;no",
        )
    )
    assert overrides.of({"a/1.dcm"}) == Override("invert", "R", "PA", "2-3")
    assert overrides.of({"a/2.dcm"}) == Override("invert", "L")
    assert overrides.of({"c", "b/1.dcm"}) == Override(exclude="yes")
    assert overrides.of({"b/2.dcm"}) == Override(exclude="no")  # takes back what an earlier row excludes


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("file,view", "a,PA"), "has no column path"),
        (("path,angle", "a,3"), "but has angle"),
        (("path,view", "a,PA", "b,sideways"), "Line 3 of ingest.overrides=.* column view must be one of PA"),
        (("path,polarity", "a,flip"), "column polarity must be keep or invert"),
        (("path,frames", "a,last"), "column frames must be all, mid2, first, or numbers"),
        (("path,exclude,reason", "a,yes,Jane wears a ring"), "column reason must be one of artefact, cast"),
        (("path,exclude", ",yes"), "Line 2 .* names no path"),
        (("path,frames", "a,1,5"), "Line 2 .* has more cells than columns"),
    ],
)
def test_what_is_not_understood_is_a_sentence(tmp_path: Path, lines: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message.replace("one of PA", "one of")) as caught:
        read_overrides(table(tmp_path / "o.csv", *lines))
    assert "sideways" not in str(caught.value)


def test_a_line_that_fits_no_file_is_told_by_its_number() -> None:
    overrides = Overrides(((2, "a*", Override()), (3, "b[1].dcm", Override()), (4, "gone.dcm", Override())))
    with pytest.raises(InputError, match=r"^Line 4 of ingest.overrides fits no file below raw="):
        overrides.check(["a1.dcm", "b[1].dcm"])


@pytest.mark.parametrize(
    ("rule", "count", "frames"),
    [
        ("all", 3, {0, 1, 2}),
        ("first", 3, {0}),
        ("mid2", 1, {0}),
        ("mid2", 2, {0, 1}),
        ("mid2", 4, {1, 2}),
        ("mid2", 5, {1, 2}),
        ("2", 3, {1}),
        ("1,3-9", 4, {0, 2, 3}),
        ("7", 3, set()),
    ],
)
def test_d14_frames_by_rule_or_number(rule: str, count: int, frames: set[int]) -> None:
    assert frame_numbers(rule, count) == frames


def test_d14_frames_not_asked_for_are_exclusions(hospital: Any, tmp_path: Path) -> None:
    frames = np.stack([hospital.pixels(seed) for seed in range(500, 505)])
    for name in ("loop", "chosen"):
        path = f"{hospital.raw.name}/{CANARY}-0/{name}.dcm"
        hospital.write_dicom(frames + np.uint16(name == "loop"), name=path, PatientID="x", Modality="XA")
    store = ingested(hospital, tmp_path / "store", "path,frames", f"{CANARY}-0/chosen.dcm,1 5", frames="mid2")
    secret = Secret.load_or_create(hospital.key_file)
    for name, kept in (("loop", [1, 2]), ("chosen", [0, 4])):
        token = secret.token(f"{CANARY}-0/{name}.dcm")
        assert sorted(store.manifest[store.manifest["token"] == token]["frame"]) == kept
        left = store.exclusions[store.exclusions["token"] == token]
        assert sorted(left["frame"]) == sorted({*range(5)} - {*kept})
        assert set(left["reason"]) == {"not_selected"}
    assert len(store.manifest) == 12 + 4


def test_d14_a_multi_frame_file_that_cannot_be_read_is_one_row(hospital: Any, tmp_path: Path) -> None:
    frames = np.stack([hospital.pixels(seed) for seed in range(500, 505)])
    path = hospital.write_dicom(frames, name=f"{hospital.raw.name}/{CANARY}-0/cut.dcm", PatientID="x")
    path.write_bytes(path.read_bytes()[:-900])
    store = ingested(hospital, tmp_path / "store", "path,frames", "*,mid2")
    token = Secret.load_or_create(hospital.key_file).token(f"{CANARY}-0/cut.dcm")
    assert list(store.exclusions[store.exclusions["token"] == token]["reason"]) == ["unreadable"]


def test_d3_a_person_sets_polarity_side_and_view(hospital: Any, tmp_path: Path) -> None:
    name = f"{CANARY}-1/{CANARY}1_0.dcm"
    store = ingested(hospital, tmp_path / "store", "path,polarity,laterality,view", f"{name},invert,R,AP")
    token = Secret.load_or_create(hospital.key_file).token(name)
    row = store.manifest.set_index("token").loc[token]
    assert np.array_equal(store.read_image(row["key"]), 4095 - hospital.pixels(10))
    assert (row["laterality"], row["laterality_source"]) == ("R", "override")
    assert (row["view"], row["view_source"], row["polarity_flag"]) == ("AP", "override", "override")
    others = store.manifest[store.manifest["token"] != token]
    assert set(others["laterality_source"]) == {"text"}


def test_a_changed_override_writes_the_film_again_and_no_other_shard(hospital: Any, tmp_path: Path) -> None:
    first = ingested(hospital, tmp_path / "store", "path,exclude", "*,no")
    before = set(first.manifest["shard"])
    name = f"{CANARY}-1/{CANARY}1_0.dcm"
    second = ingested(hospital, tmp_path / "store", "path,polarity", f"{name},invert")
    assert len(before - set(second.manifest["shard"])) == 1
    third = ingested(hospital, tmp_path / "store", "path,exclude", "*,no")
    assert set(third.manifest["shard"]) == before


@pytest.mark.parametrize("line", [f"{CANARY}-2/*,yes,,", f"{CANARY}-1/*,,R,", f"{CANARY}-1/*,,,p9"])
def test_an_ingest_that_forgets_the_table_is_refused(hospital: Any, tmp_path: Path, line: str) -> None:
    store = ingested(hospital, tmp_path / "store", "path,exclude,laterality,patient_id", line)
    forgetful = replace(SMALL, key_file=str(hospital.key_file))
    with pytest.raises(
        InputError, match="names no such table, so films that it leaves out or corrects would be as before"
    ):
        ingest(hospital.raw, store.root, forgetful, StudyConfig())
    assert Store.open(store.root).fingerprint() == store.fingerprint()
    back = ingested(hospital, tmp_path / "store", "path,exclude", "*,no")
    assert len(back.manifest) == 12 and "override" not in set(back.manifest["laterality_source"])
    ingest(hospital.raw, store.root, forgetful, StudyConfig())


def test_a_person_tells_whose_a_film_is(hospital: Any, tmp_path: Path) -> None:
    """One under two ids becomes one subject; two under one placeholder become two."""
    before = ingested(hospital, tmp_path / "store", "path,exclude", "*,no").manifest
    secret = Secret.load_or_create(hospital.key_file)
    name = f"{CANARY}-3/{CANARY}3_0.dcm"
    lines = (f"{CANARY}-1/*,{CANARY} one", f"{CANARY}-2/*,{CANARY} one", f"{name},{CANARY} another")
    store = ingested(hospital, tmp_path / "store", "path,patient_id", *lines)
    one, another = (secret.subject("", f"{CANARY} {who}") for who in ("one", "another"))
    films = store.manifest.set_index("token")["subject"]
    assert (films == one).sum() == 4 and films[secret.token(name)] == another
    assert films.nunique() == before["subject"].nunique() == 6
    assert sorted(store.manifest["key"]) == sorted(before["key"])
    whole = b"".join(path.read_bytes() for path in store.root.rglob("*") if path.is_file())
    assert CANARY.encode() not in whole


def test_a_told_patient_is_the_one_whom_headers_know_by_any_path(hospital: Any, tmp_path: Path) -> None:
    """Under the issuer of the only person with that id; of equal files whichever path the table names."""
    hospital.film(7, 0, seed=900, PatientID="p7", IssuerOfPatientID="site")
    anonymous = hospital.film(8, 0, seed=901, PatientID="ANON")
    (hospital.raw / "copy").mkdir()
    shutil.copy(anonymous, hospital.raw / "copy" / "x.dcm")
    secret = Secret.load_or_create(hospital.key_file)
    for number, path in enumerate((f"{CANARY}-8/{CANARY}8_0.dcm", "copy/x.dcm")):
        store = ingested(hospital, tmp_path / f"store{number}", "path,patient_id", f"{path},P7")
        films = store.manifest[store.manifest["subject"] == secret.subject("site", "p7")]
        assert len(films) == 2 and len(store.manifest) == 14


def test_a_film_of_a_wrong_body_part_comes_in_by_a_persons_word(hospital: Any, tmp_path: Path) -> None:
    hospital.film(1, 5, seed=900, BodyPartExamined="FOOT", SeriesDescription=None)
    name = f"{CANARY}-1/{CANARY}1_5.dcm"
    token = Secret.load_or_create(hospital.key_file).token(name)
    without = ingested(hospital, tmp_path / "store", "path,exclude", "*,no", body_parts=["hand"])
    assert without.exclusions.set_index("token")["reason"][token] == "wrong_body_part"
    told = ingested(hospital, tmp_path / "store", "path,body_part", f"{name},Hand", body_parts=["hand"])
    assert told.manifest.set_index("token")["body_part"][token] == "hand" and told.exclusions.empty


@pytest.mark.parametrize(
    ("row", "excluded"),
    [
        ("nein,,", "no"),
        ("0,cast,", "no"),
        ("x,,", "yes"),
        (",consent,", "yes"),
        (",wrong_side,R", ""),
        (",,", ""),
    ],
)
def test_a_reason_alone_excludes_and_a_no_in_any_language_does_not(
    tmp_path: Path, row: str, excluded: str
) -> None:
    read = read_overrides(table(tmp_path / "o.csv", "path,exclude,reason,laterality", f"a,{row}"))
    assert read.of({"a"}).exclude == excluded


def test_a_table_as_long_as_the_films_is_not_read_film_by_film() -> None:
    rows = tuple((line, f"films/{line}.dcm", Override(view="PA")) for line in range(100_000))
    glob = (100_001, "films/7?.dcm", Override(laterality="L"))
    overrides = Overrides((*rows, glob, (100_002, "films/7.dcm", Override(view="AP"))))
    overrides.check([f"films/{line}.dcm" for line in range(100_000)])
    told = [overrides.of([f"films/{line}.dcm"]) for line in range(100_000)]
    assert told[7] == Override(view="AP") and told[70] == Override(laterality="L", view="PA")
    assert told[700] == Override(view="PA")


def test_why_a_film_is_excluded_is_kept_where_it_is_a_known_word(hospital: Any, tmp_path: Path) -> None:
    lines = (
        "path,exclude,reason",
        f"{CANARY}-2/*,{CANARY},Implant",
        f"{CANARY}-3/*,,cast",
        f"{CANARY}-4/*,no,cast",
    )
    store = ingested(hospital, tmp_path / "store", *lines)
    assert sorted(store.exclusions["detail"]) == [
        f"by ingest.overrides: {why}" for why in ("cast", "cast", "implant", "implant")
    ]


def test_excluded_films_keep_neither_reason_nor_path(hospital: Any, tmp_path: Path) -> None:
    store = ingested(hospital, tmp_path / "store", "path,exclude", f"{CANARY}-2/*,{CANARY} wears a ring")
    assert len(store.manifest) == 10
    assert list(store.exclusions["reason"]) == ["excluded", "excluded"]
    for path in (tmp_path / "store").rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes()
