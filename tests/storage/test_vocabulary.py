from __future__ import annotations

import time

import pytest

from storage.vocabulary import body_part, side, view


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HAND LEFT PA", "L"),
        ("hand rechts", "R"),
        ("Hand li. dp", "L"),
        ("Handgelenk re", "R"),
        ("HAND_L", "L"),
        ("R HAND", "R"),
        ("beide Haende", "B"),
        ("HANDS BILATERAL", "B"),
        ("lt+rt", ""),
        ("R/L hand", ""),
        ("leftover", ""),
        ("hand re-exam", ""),
        ("bright link", ""),
        ("hand lateral", ""),
    ],
)
def test_d15_a_side_is_told_by_one_word_alone(text: str, expected: str) -> None:
    assert side(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HAND", "hand"),
        ("LT_HAND_3V", "hand"),
        ("Mittelhand", "hand"),
        ("hand/wrist", "hand"),
        ("WRIST", "wrist"),
        ("H\xe4nde bds.", "hand"),
        ("elbow and forearm", ""),
        ("FOOT hand", ""),
        ("CHEST", "chest"),
        ("handle with care", ""),
        ("EXTREMITY", ""),
        ("HIP JOINT", "hip"),
        ("LWS", "spine"),
        ("L-SPINE", "spine"),
        ("HSG", "pelvis"),
        ("", ""),
    ],
)
def test_d16_body_parts_are_few_closed_words(text: str, expected: str) -> None:
    assert body_part(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hand PA", "PA"),
        ("Hand d.p.", "PA"),
        ("dorsopalmar", "PA"),
        ("Hand schr\xe4g", "OBLIQUE"),
        ("hand lat", "LATERAL"),
        ("N\xf8rgaard", "AP"),
        ("PA + LAT", ""),
        ("palm", ""),
        ("", ""),
    ],
)
def test_d16_views_are_few_closed_words(text: str, expected: str) -> None:
    assert view(text) == expected


def test_megabytes_of_text_take_no_time() -> None:
    begun = time.monotonic()
    for told in (side, view, body_part):
        assert told("x " * 1_000_000 + "left hand PA") == ""
    assert time.monotonic() - begun < 1
