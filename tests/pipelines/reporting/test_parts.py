"""The report's small parts: summaries, ordering, forms of numbers, SVG, settings."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from pipelines.config import StudyConfig
from pipelines.reporting.bones import populations
from pipelines.reporting.collect import collect
from pipelines.reporting.flow import nearest_exams
from pipelines.reporting.history import training_panels
from pipelines.reporting.html import written
from pipelines.reporting.palette import drawing, region_colours
from pipelines.reporting.quality import worst_first
from pipelines.reporting.spread import mean_interval, plain, spread
from pipelines.reporting.worth import decision


class TestSpread:
    def test_interval_is_the_textbook_one(self) -> None:
        """t(0.975, 3) = 3.182; sd of .2 .4 .4 .6 is .1633."""
        assert mean_interval(np.array([0.2, 0.4, 0.4, 0.6, np.nan])) == pytest.approx(
            {"n": 4, "mean": 0.4, "low": 0.4 - 3.1824 * 0.08165, "high": 0.4 + 3.1824 * 0.08165}, abs=1e-4
        )

    def test_one_value_has_no_interval(self) -> None:
        assert plain(mean_interval(np.array([0.3]))) == {"n": 1, "mean": 0.3, "low": None, "high": None}

    def test_undefined_values_are_left_out(self) -> None:
        assert spread(np.array([np.nan, 1.0, 3.0]))["n"] == 2
        assert plain(spread(np.array([np.nan])))["median"] is None

    def test_plain_is_json(self) -> None:
        tree = {
            "a": np.int64(3),
            "b": [np.float32(0.5), np.nan],
            "c": np.arange(2),
            4: None,
            "d": np.bool_(True),
        }
        assert json.loads(json.dumps(plain(tree))) == {
            "a": 3,
            "b": [0.5, None],
            "c": [0, 1],
            "4": None,
            "d": True,
        }


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (1234567, "count", "1\u202f234\u202f567"),
        (0.734, "two", "0.73"),
        (-0.5, "one", "\u22120.5"),
        (0.956, "percent", "96\u202f%"),
        (59.4, "duration", "59.4\u202fs"),
        (3671, "duration", "61\u202fmin 11\u202fs"),
        (1536, "gigabytes", "1.5\u202fGB"),
        (400.0, "short", "400"),
        (0.1234, "short", "0.123"),
    ],
)
def test_numbers_as_the_reader_sees_them(value: float, form: str, text: str) -> None:
    assert written(value, form) == text


class TestOrder:
    def test_films_without_reference_take_turns_with_the_others(
        self, cohorts: ModuleType, tmp_path: Path
    ) -> None:
        store = cohorts.make_store(tmp_path / "store", 6, 0)
        cohorts.write_segmentation(store, tmp_path / "out")
        inputs = collect(tmp_path / "store", tmp_path / "out", StudyConfig(), None, "adult")
        films = inputs.segmentation.films
        films["annotator"] = ["truth", "truth", "", "", "", "truth"]
        films["regions_found"] = [7, 7, 7, 6, 7, 7]
        films["entropy"] = [0.1, 0.1, 0.3, 0.1, 0.2, 0.1]
        films["dice"] = (
            [np.full(7, d, np.float32) for d in (0.9, 0.5)] + [None] * 3 + [np.full(7, 0.7, np.float32)]
        )
        order = worst_first(inputs)["row"].tolist()
        assert order == [1, 3, 5, 2, 0, 4]

    def test_a_subject_counts_with_the_exam_nearest_to_its_film(self) -> None:
        rows = [("s", "a", -400, 1), ("s", "b", 20, 0), ("s", "c", None, 1), ("t", "a", 5, -1)]
        outcomes = pd.DataFrame(rows, columns=["subject", "exam", "days", "outcome"])
        assert nearest_exams(outcomes)["exam"].to_dict() == {"s": "b"}


def test_three_populations_of_the_same_subjects() -> None:
    means = pd.DataFrame({"outcome": [1, 1, 0], "called": [1, 0, 1]}, index=["a", "b", "c"])
    by_region = pd.DataFrame({"ulna": [0.9, 0.3, 0.6]}, index=["a", "b", "c"])
    panels = populations(means, by_region)
    assert [panel["population"] for panel in panels] == ["true positives", "all positives", "all subjects"]
    assert [panel["regions"][0]["n"] for panel in panels] == [1, 2, 3]
    assert [panel["regions"][0]["mean"] for panel in panels] == pytest.approx([0.9, 0.6, 0.6])


def test_training_curves_are_thinned_and_keep_their_last_step() -> None:
    rows = [
        {"step": step, "loss": 1.0, **({"dice": 0.5} if step % 100 == 0 else {})} for step in range(1, 1001)
    ]
    loss, dice = training_panels({"train-segmenter": rows, "pretrain": []})
    assert (loss["name"], len(loss["step"]), loss["step"][-1]) == ("segmenter: loss", 120, 1000)
    assert (dice["name"], dice["step"]) == ("segmenter: dice", list(range(100, 1001, 100)))


def test_the_short_batch_at_the_end_of_an_epoch_is_no_dip() -> None:
    """A contrastive loss is lower among fewer samples; what validation measures counts whatever the batch."""
    whole, short = {"loss": 5.0, "samples": 64}, {"loss": 1.0, "samples": 10, "dice": 0.9}
    rows = [{"step": 1, **whole}, {"step": 2, **short}, {"step": 3, **whole}]
    (loss,) = training_panels({"pretrain": rows})
    assert (loss["step"], loss["value"]) == ([1, 3], [5.0, 5.0])
    _, dice = training_panels({"train-segmenter": rows})
    assert (dice["step"], dice["value"]) == ([2], [0.9])


def test_a_rare_outcome_has_room_in_its_decision_curve() -> None:
    """Text outside the axes would leave the layout no room, with a warning: an error here."""
    thresholds = [index / 100 for index in range(1, 61)]
    line = {"name": "network", "net_benefit": [0.01] * 60, "low": [0.0] * 60, "high": [0.02] * 60}
    utility = {"thresholds": thresholds, "prevalence": 0.02, "all": [0.0] * 60, "models": [line]}
    assert "Net benefit" in decision({"evaluation": {"utility": utility}}, "")


class TestFigures:
    def test_every_figure_is_whole_xml_with_a_title(self, run: object) -> None:
        figures = sorted((run.out / "report" / "figures").iterdir())  # type: ignore[attr-defined]
        names = ["agreement", "calibration", "curves", "decision", "dice", "forest", "regions", "training"]
        assert [path.stem for path in figures] == names
        for path in figures:
            root = ElementTree.fromstring(path.read_text("utf-8"))
            assert root.find("{http://www.w3.org/2000/svg}title").text
            assert not re.search(r"20\d\d-\d\d-\d\d", path.read_text("utf-8"))

    def test_text_stays_text(self) -> None:
        with drawing("x", "a <title>", (3, 2), stamp="PHANTOM DATA") as drawn:
            drawn.axes[0].set_title("plain words")
        assert "plain words</text>" in drawn.svg and "PHANTOM DATA</text>" in drawn.svg
        assert "a &lt;title&gt;" in drawn.svg

    def test_seven_bones_have_seven_colours(self) -> None:
        assert len(set(region_colours(StudyConfig().regions).values())) == 7
