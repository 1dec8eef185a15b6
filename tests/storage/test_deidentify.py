from __future__ import annotations

import math
import re

import pytest

from storage.deidentify import ALLOWED_HEADERS, age_from_text, capped_age, device, word
from storage.identity import Secret
from storage.schemas import MANIFEST


def test_every_allowed_header_ends_in_a_column_of_the_manifest() -> None:
    assert set(ALLOWED_HEADERS.values()) <= set(MANIFEST.names)


def test_names_ids_and_dates_are_not_allowed() -> None:
    assert not any(
        re.search("Name$|ID$|UID$|Date$|Time$|Address", header)
        for header in ALLOWED_HEADERS
        if header not in ("ManufacturerModelName", "ProtocolName", "ExposureTime")
    )


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("045Y", 45),
        ("018M", 1.5),
        ("089Y", 89),
        ("090Y", 90),
        ("104Y", 90),
        ("", math.nan),
        ("old", math.nan),
    ],
)
def test_ages(text: str, years: float) -> None:
    assert age_from_text(text) == pytest.approx(years, nan_ok=True)


def test_all_above_89_years_are_90() -> None:
    assert [capped_age(years) for years in (88.9, 89.0, 89.1, 120.0)] == [88.9, 89.0, 90.0, 90.0]
    assert math.isnan(capped_age(-1))


def test_words_outside_the_vocabulary_stay_behind() -> None:
    assert word(" pa ", ("PA", "AP")) == "PA"
    assert word("Dr. Doe's view", ("PA", "AP")) == ""
    assert word(None, ("PA",)) == ""


def test_a_device_is_its_vendor_and_a_pseudonym() -> None:
    secret = Secret.phantom()
    one, other = (device("SIEMENS Healthineers", f"Ysio of Dr. {name}", secret) for name in ("Doe", "Roe"))
    assert re.fullmatch(r"siemens-[a-z2-7]{6}", one)
    assert one != other
    assert device("Doe & Sons", "X", secret).startswith("other-")
    assert device("Genius Devices", "X", secret).startswith("other-"), "not GE"
    assert device("GE Healthcare", "X", secret).startswith("ge-")
    assert device("", "", secret) == ""
