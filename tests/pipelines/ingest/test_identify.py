from __future__ import annotations

import random
import re

import pytest

from pipelines.config import StudyConfig
from pipelines.ingest.decode import Inspected, Refused
from pipelines.ingest.identify import Scan, identify
from pipelines.ingest.overrides import Override, Overrides
from pipelines.ingest.select import select
from storage.config import IngestConfig
from storage.errors import InputError
from storage.identity import Secret
from storage.radiograph import Header, Identity

SECRET = Secret.phantom()


def film(sha256: str, patient: str = "", taken: str = "", frames: int = 1, issuer: str = "") -> Inspected:
    identity = Identity(patient_id=patient, issuer=issuer, taken=(taken,))
    return Inspected(sha256, Header(frames=frames, identity=identity))


def scanned(files: dict[str, Inspected | Refused], subject_from: str = "folder") -> Scan:
    return identify(files.items(), SECRET, subject_from)


def subjects(scan: Scan) -> dict[str, str]:
    return {source.name: source.subject for source in scan.sources}


def test_the_header_comes_before_the_path() -> None:
    found = subjects(
        scanned({"x/1": film("a", "p1"), "y/2": film("b", "P1 "), "x/3": film("c", "p1", issuer="h")})
    )
    assert found["x/1"] == found["y/2"] == SECRET.subject("", "p1")
    assert found["x/3"] == SECRET.subject("h", "p1")


def test_patient_ids_with_and_without_an_issuer_are_counted() -> None:
    files = {"x/1": film("a", "p1"), "x/2": film("b", "P1 ", issuer="h"), "x/3": film("c", "p2", issuer="h")}
    assert scanned(files).mixed == 1
    del files["x/1"]
    assert scanned(files | {"p1/4": film("d")}).mixed == 0, "a path names no issuer, nor a header's patient"


@pytest.mark.parametrize(
    ("rule", "same"),
    [("folder", True), ("file", False), ("regex:([^/]+)/", True), ("regex:(?P<subject>_\\d)", False)],
)
def test_the_rule_tells_whose_a_file_is(rule: str, same: bool) -> None:
    found = subjects(scanned({"p1/a_1.png": film("a"), "p1/a_2.png": film("b")}, rule))
    assert (found["p1/a_1.png"] == found["p1/a_2.png"]) == same


@pytest.mark.parametrize(
    ("rule", "where"), [("folder", "lie in raw= itself"), ("regex:(x)", "do not fit the pattern")]
)
def test_a_rule_that_does_not_tell_is_a_sentence(rule: str, where: str) -> None:
    sentence = (
        f"2 of 3 films name no patient in their header and {where}, so ingest.subject_from={rule} does not tell "
        "whose they are. Use ingest.subject_from=file where each file is another person, or "
        "ingest.subject_from=regex:PATTERN with a group around the patient id."
    )
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        scanned({"1.png": film("a"), "2.png": film("b"), "x.png": film("c", "p1")}, rule)


def test_a_stray_film_of_nobody_is_a_row() -> None:
    scan = scanned({"screenshot.png": film("a"), "p1/x.png": film("b")})
    assert [source.name for source in scan.sources] == ["p1/x.png"]
    assert [(one.token, one.reason) for one in scan.exclusions] == [
        (SECRET.token("screenshot.png"), "no_patient")
    ]
    assert set(scan.keys_by_name) == {"p1/x.png"} and "" not in scan.subjects_by_patient


def test_excluded_films_need_no_patient() -> None:
    overrides = Overrides(((2, "*.png", Override(exclude="yes")),))
    files = {"1.png": film("a"), "2.png": film("b"), "p1/x.dcm": film("c", "p1")}
    scan = identify(files.items(), SECRET, "folder", overrides)
    assert [source.name for source in scan.sources] == ["p1/x.dcm"]
    assert [one.reason for one in scan.exclusions] == ["excluded", "excluded"]


def test_a_table_may_name_the_folder_or_the_file_alone() -> None:
    by_folder = scanned({"site/p1/1.png": film("a")}).subjects_by_patient
    assert by_folder["site/p1"] == by_folder["p1"]
    by_file = scanned({"site/p1.png": film("a")}, "file").subjects_by_patient
    assert by_file["p1"] == {SECRET.subject("", "site/p1")}


def test_order_follows_time_and_counts_frames() -> None:
    scan = scanned(
        {"p/1": film("a", taken="2021"), "p/2": film("b", taken="2019", frames=3), "q/1": film("c")}
    )
    chosen = select(scan, IngestConfig(), Overrides(), StudyConfig())
    assert {source.name: source.order for source in chosen.sources} == {"p/1": 3, "p/2": 0, "q/1": 0}


def test_equal_files_are_kept_once() -> None:
    scan = scanned({"p/1": film("a", frames=2), "q/1": film("a", frames=2), "p/2": Refused("blank", "")})
    assert [len(source.keys) for source in scan.sources] == [2]
    assert sorted((one.reason, one.frame) for one in scan.exclusions) == [("blank", 0), ("duplicate", 0)]
    [kept] = {source.token for source in scan.sources}
    assert kept == min(SECRET.token("p/1"), SECRET.token("q/1"))


def test_the_order_of_the_files_does_not_matter() -> None:
    files: list[tuple[str, Inspected | Refused]] = [(f"p{n % 3}/{n}", film(f"{n % 7}")) for n in range(20)]
    first = scanned(dict(files))
    random.Random(3).shuffle(files)
    second = scanned(dict(files))
    assert first.sources == second.sources
    assert sorted(first.exclusions) == sorted(second.exclusions)
