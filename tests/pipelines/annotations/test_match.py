from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from pipelines.annotations.match import annotators_of, check_any_mask, match_names
from pipelines.ingest.decode import Refused
from storage.errors import InputError


def test_names_match_by_stem_or_by_path() -> None:
    films = {"p1/left.dcm": "k1", "p2/right.dcm": "k2", "hand.v2.png": "k3"}
    names = ["left.a0.png", "p2/right.a1.png", "hand.v2.a0.png", "stranger.a0.png", "left.png"]
    matches, unmatched = match_names(names, films)
    assert {(match.name, match.key, match.annotator) for match in matches} == {
        ("left.a0.png", "k1", "a0"),
        ("p2/right.a1.png", "k2", "a1"),
        ("hand.v2.a0.png", "k3", "a0"),
    }
    assert unmatched == dict.fromkeys(
        ["left.png", "stranger.a0.png"], Refused("no_film", "a mask without a film in the store")
    )


def test_a_name_of_two_films_needs_its_folder() -> None:
    films = {"p1/hand.dcm": "k1", "p2/hand.dcm": "k2"}
    matches, unmatched = match_names(["hand.a0.png", "p1/hand.a0.png"], films)
    assert [match.key for match in matches] == ["k1"]
    assert unmatched == {"hand.a0.png": Refused("no_film", "a mask whose name fits several films")}


def test_a_folder_without_any_mask_is_refused() -> None:
    films = ["p1/left.dcm", "p2/right.dcm"]
    check_any_mask(Path("masks"), ["stranger.a0.png", "right.a0.png"], films)
    with pytest.raises(
        InputError, match=r"None of the 2 files below annotations=masks is named after a film"
    ):
        check_any_mask(Path("masks"), ["p1/left.dcm", "p2/right.dcm", "annotators.csv"], films)


def test_one_mask_per_film_and_annotator() -> None:
    matches, unmatched = match_names(["hand.a0.png", "p1/hand.a0.png"], {"p1/hand.dcm": "k1"})
    assert len(matches) == 1
    assert list(unmatched.values()) == [Refused("duplicate", "a second mask of the same film and annotator")]


def test_annotators_names_stay_behind(tmp_path: Path) -> None:
    labels = {
        name: one.label for name, one in annotators_of(["dr_roe", "dr_doe", "truth", "a0"], tmp_path).items()
    }
    assert labels == {"a0": "a0", "dr_doe": "a1", "dr_roe": "a2", "truth": "truth"}
    assert {one.label for one in annotators_of(["a0", "a2"], tmp_path).values()} == {"a0", "a2", "truth"}


def test_weights_and_tools_are_as_given(tmp_path: Path) -> None:
    (tmp_path / "annotators.csv").write_text("annotator;weight;tool\na0;0,5;sam-2\na1;;drawn by Jane Doe\n")
    annotators = annotators_of(["a0", "a1", "truth"], tmp_path)
    assert (annotators["a0"].tool, annotators["a1"].tool) == ("sam-2", "")
    assert [annotators[name].weight for name in ("a0", "truth")] == [0.5, 0.0]
    assert math.isnan(annotators["a1"].weight)


def test_a_weight_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "annotators.csv").write_text("annotator,weight\na0,-1\n")
    with pytest.raises(InputError, match=r"a weight must be a number of at least 0, but one is -1\.$"):
        annotators_of(["a0"], tmp_path)


def test_a_line_without_an_annotator(tmp_path: Path) -> None:
    path = tmp_path / "annotators.csv"
    path.write_text("weight,annotator\n1,a0\n0.5\n")
    sentence = f"annotators={path} has a line without an annotator; name one, or remove the line."
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        annotators_of(["a0"], tmp_path)


def test_a_line_cut_short_has_no_weight(tmp_path: Path) -> None:
    (tmp_path / "annotators.csv").write_text("annotator,weight,tool\na0\n")
    assert math.isnan(annotators_of(["a0"], tmp_path)["a0"].weight)
