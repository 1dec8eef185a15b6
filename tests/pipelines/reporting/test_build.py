"""Laws of the report: its numbers are those of metrics.json, its bytes follow its inputs, a lack is said."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from pipelines.classification.labelled import people
from pipelines.config import PATCHES
from pipelines.evaluation.protocols import Background, evaluate_subjects
from pipelines.reporting.html import written
from storage import schemas
from storage.atomic import write_json
from storage.errors import InputError
from storage.tables import read_table, write_table


class Page(HTMLParser):
    """The page's numbers, its other text, its tags and its ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.numbers: list[tuple[dict[str, str], str]] = []
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self._open: list[str] = []
        self._number: dict[str, str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.tags.append((tag, named))
        self._open.append(tag)
        if tag == "data":
            self._number = named

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            continue
        self._number = None

    def handle_data(self, data: str) -> None:
        if self._number is not None:
            self.numbers.append((self._number, data))
        elif not {"svg", "style", "pre", "code", "title"} & set(self._open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def look_up(metrics: Any, path: str) -> Any:
    for part in path.split("."):
        metrics = metrics[int(part)] if isinstance(metrics, list) else metrics[part]
    return metrics


class TestNumbers:
    def test_every_number_is_that_of_metrics_json(self, run: Any) -> None:
        text, metrics = run.page, run.metrics
        numbers = Page(text).numbers
        assert len(numbers) > 400
        for attributes, shown in numbers:
            value = look_up(metrics, attributes["data-key"])
            assert float(attributes["value"]) == value
            assert shown == written(value, attributes["data-form"])

    def test_no_other_number_stands_in_the_text(self, run: Any) -> None:
        """Names (metacarpal3, 2MCI), what slope and intercept should be, and dates are no results."""
        words = Page(run.page).text
        for name in (
            r"metacarpal\d",
            "2MCI",
            "F1,",
            "5th to 95th",
            r"\((1|0) is perfect",
            "above 1 the",
            "counts as 0",
            r"\d{4}-\d\d-\d\d \d\d:\d\d",
        ):
            words = re.sub(name, "", words)
        assert re.findall(r"\S*\d\S*", words) == []

    def test_figures_hold_the_auc_that_the_text_gives(self, run: Any) -> None:
        auc = run.metrics["evaluation"]["auc"]
        figure = (run.out / "report" / "figures" / "forest.svg").read_text()
        assert f"{auc['value']:.2f}  ({auc['low']:.2f} to {auc['high']:.2f})" in figure


class TestBytes:
    def test_a_second_report_is_the_same_byte_for_byte(self, run: Any, tmp_path: Path) -> None:
        copy = tmp_path / "out"
        shutil.copytree(run.out, copy, ignore=shutil.ignore_patterns("report"))
        other = replace(run, out=copy)
        other.report()
        files = sorted(
            path.relative_to(run.out) for path in (run.out / "report").rglob("*") if path.is_file()
        )
        assert len(files) == 14
        for name in files:
            assert (copy / name).read_bytes() == (run.out / name).read_bytes(), name

    def test_times_change_the_page_and_run_alone(self, run: Any, tmp_path: Path) -> None:
        copy = tmp_path / "out"
        shutil.copytree(run.out, copy, ignore=shutil.ignore_patterns("report"))
        record = json.loads((copy / "ingest" / "provenance.json").read_text())
        write_json(
            copy / "ingest" / "provenance.json", record | {"seconds": 7.0, "started": "2027-01-01T00:00:00"}
        )
        other = replace(run, out=copy)
        other.report()
        for path in (run.out / "report").rglob("*"):
            if path.is_file() and path.name not in ("report.html", "metrics.json"):
                assert (copy / path.relative_to(run.out)).read_bytes() == path.read_bytes(), path.name
        before, after = run.metrics, other.metrics
        assert before.pop("run") != after.pop("run")
        assert before == after


class TestSafety:
    def test_the_page_needs_nothing_from_outside(self, run: Any) -> None:
        text = run.page
        page = Page(text)
        assert not [tag for tag, _ in page.tags if tag in ("script", "link", "iframe", "object", "form")]
        for tag, attributes in page.tags:
            for name, value in attributes.items():
                assert not name.startswith("on"), tag
                if name in ("src", "href", "xlink:href", "data", "srcset"):
                    assert value.startswith(("#", "data:image/webp;base64,")), value
        policy = next(a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a)
        assert policy.startswith("default-src 'none'; img-src data:;")
        assert len(text) < 15 * 2**20

    def test_words_of_the_user_are_escaped(self, run: Any) -> None:
        assert "name: hand &lt;b&gt;" in run.page

    def test_ids_are_unique_though_figures_are_inlined(self, run: Any) -> None:
        ids = [attributes["id"] for _, attributes in Page(run.page).tags if "id" in attributes]
        assert len(ids) == len(set(ids))


class TestContent:
    def test_flow_sums_up(self, run: Any) -> None:
        flow = run.metrics["flow"]
        assert flow["files"] == flow["films"] + flow["excluded"] == 42
        assert sum(row["count"] for row in flow["excluded_by_reason"]) == flow["excluded"] == 2
        assert flow["subjects"] == flow["with_outcome"] + flow["without_outcome"] == 40
        assert flow["with_outcome"] == flow["evaluable"] + flow["not_evaluable"] == 30
        assert flow["evaluable"] == flow["positive"] + flow["negative"] == 29

    def test_dice_leaves_out_the_films_that_trained_the_segmenter(self, run: Any) -> None:
        segmentation = run.metrics["segmentation"]
        assert (segmentation["films_tested"], segmentation["films_trained_on"]) == (30, 10)
        first = segmentation["regions"][2]
        assert (first["found"], first["films"], first["dice"]["min"]) == (39, 40, 0.0)

    def test_films_come_worst_first(self, run: Any) -> None:
        films = run.metrics["films"]
        dice = [film["dice"] for film in films["worst"] + films["rest"]]
        assert dice == sorted(dice) and dice[0] < 0.8 < dice[1]
        assert (films["worst_shown"], films["rest_shown"], films["not_shown"]) == (4, 36, 0)

    def test_subjects_come_most_probable_first(self, run: Any) -> None:
        subjects = run.metrics["subjects"]
        probabilities = [row["probability"] for row in subjects["rows"]]
        assert probabilities == sorted(probabilities, reverse=True)
        assert len(probabilities) == subjects["total"] == 29

    def test_tables_hold_every_row(self, run: Any) -> None:
        folder, source = run.out / "report", run.out / "classify"
        for name, schema in (("subjects", schemas.SUBJECTS), ("regions", schemas.REGIONS)):
            ours = read_table(folder / f"{name}.parquet", schema)
            pd.testing.assert_frame_equal(ours, read_table(source / f"{name}.parquet", schema))
        assert len(read_table(folder / "films.parquet", schemas.FILM_INDEX)) == 40
        assert len(read_table(folder / "exclusions.parquet", schemas.EXCLUSIONS)) == 2

    def test_phantoms_are_stamped_everywhere(self, run: Any) -> None:
        page = Page(run.page)
        figures = [attributes for tag, attributes in page.tags if tag == "figure"]
        assert page.text.count("PHANTOM DATA") >= len([f for f in figures if "class" not in f])
        for path in (run.out / "report" / "figures").iterdir():
            assert "PHANTOM DATA" in path.read_text(), path.name

    def test_real_films_are_not_stamped_but_their_reader_is_warned(
        self, cohorts: ModuleType, tmp_path: Path
    ) -> None:
        store = cohorts.make_store(tmp_path / "store", 6, 0, kind="real")
        cohorts.write_segmentation(store, tmp_path / "out", reference="")
        text = cohorts.Run(store.root, tmp_path / "out").report()
        assert "PHANTOM" not in text
        assert "markers and anything burnt in included" in text
        assert "agreement is not measured" in text
        assert "Research use only, not a medical device" in text

    def test_an_auc_above_the_oracle_raises_the_alarm(self, run: Any, tmp_path: Path) -> None:
        oracle = tmp_path / "oracle.json"
        write_json(oracle, {"auc": 0.5, "low": 0.45, "high": 0.55})
        shutil.copytree(run.out, tmp_path / "out")
        leaky = replace(run, out=tmp_path / "out", oracle=oracle)
        assert "Leak alarm." in leaky.report()
        assert leaky.metrics["evaluation"]["oracle"]["alarm"]
        assert "Leak alarm." not in run.page


class TestProtocols:
    def test_the_papers_protocol_has_its_own_table_under_a_warning(self, run: Any, tmp_path: Path) -> None:
        """Two seeds, each with other subjects: no interval can be given, and the page says what it is."""
        shutil.copytree(run.out, tmp_path / "out", ignore=shutil.ignore_patterns("report"))
        folder = tmp_path / "out" / "classify"
        protocol = json.loads((folder / "protocol.json").read_text())
        write_json(folder / "protocol.json", protocol | {"splits": {"protocol": "paper"}})
        table = read_table(folder / "subjects.parquet", schemas.SUBJECTS)
        small = table[table["fold"] == 0].assign(seed=lambda rows: rows["repeat"] + 2023)
        write_table(folder / "subjects.parquet", small, schemas.SUBJECTS)
        paper = replace(run, out=tmp_path / "out")
        assert "The paper's own protocol." in paper.report()
        metrics = paper.metrics
        assert metrics["evaluation"] is None
        assert [row["seed"] for row in metrics["paper"]["seeds"]] == [2023, 2024]
        assert sum(row["n"] + row["not_evaluable"] for row in metrics["paper"]["seeds"]) == len(small)

    def test_a_fixed_test_set_has_delongs_interval_and_no_trained_baseline(
        self, cohorts: ModuleType, tmp_path: Path
    ) -> None:
        store = cohorts.make_store(tmp_path / "store", 40, 30)
        folder = tmp_path / "out" / "evaluate"
        cohorts.write_predictions(folder, store, repeats=1, folds=1)
        for name in ("inner", "scores"):
            (folder / f"{name}.parquet").unlink()
        subjects = read_table(folder / "subjects.parquet", schemas.SUBJECTS)
        regions = read_table(folder / "regions.parquet", schemas.REGIONS)
        background = Background(people=people(store), limit=-2.5)
        write_json(folder / "metrics.json", evaluate_subjects(subjects, 1, regions, background=background))
        fixed = cohorts.Run(store.root, tmp_path / "out")
        page = fixed.report()
        assert "DeLong's interval holds as well" in page
        assert not re.findall(r"(?i)[^.]*\b(?:folds?|repeats?)\b[^.]*", Page(page).text)
        evaluation = fixed.metrics["evaluation"]
        assert {row["name"] for row in evaluation["baselines"]} == {"ost", "mci2"}
        assert evaluation["contrasts"]["primary"] is None and "added_value" not in evaluation

    @pytest.mark.parametrize(
        ("names", "said"), [(["whole"], "The film was read whole"), (PATCHES, "squares anywhere on the film")]
    )
    def test_what_was_not_read_by_bone_is_not_told_by_bone(
        self, run: Any, tmp_path: Path, names: list[str], said: str
    ) -> None:
        shutil.copytree(run.out, tmp_path / "out", ignore=shutil.ignore_patterns("report"))
        folder = tmp_path / "out" / "classify"
        regions = read_table(folder / "regions.parquet", schemas.REGIONS)
        place = regions.groupby(["repeat", "subject", "key"]).cumcount()
        kept = regions[place < len(names)].assign(region=place.map(dict(enumerate(names))))
        write_table(folder / "regions.parquet", kept, schemas.REGIONS)
        other = replace(run, out=tmp_path / "out")
        page = other.report()
        words = Page(page).text
        assert said in words and said not in Page(run.page).text
        assert not re.findall(r"(?i)\bbones?\b|metacarpal\d|ulna|patch\d", words)
        figures = {path.stem for path in (other.out / "report" / "figures").iterdir()}
        assert {"forest", "curves", "calibration", "decision"} <= figures and not figures & {
            "dice",
            "regions",
        }
        forest = (other.out / "report" / "figures" / "forest.svg").read_text()
        assert "alone" not in forest and "every region" not in forest
        assert "region_probability" not in other.metrics and other.metrics["evaluation"]["regions"] == []
        for attributes, shown in Page(page).numbers:
            value = look_up(other.metrics, attributes["data-key"])
            assert shown == written(value, attributes["data-form"])

    @pytest.mark.parametrize("method", ["supcon", "simclr, fine-tuned"])
    def test_where_the_encoder_learnt_outcomes_the_thresholds_come_from_whom_it_held_back(
        self, method: str, run: Any, tmp_path: Path
    ) -> None:
        shutil.copytree(run.out, tmp_path / "out", ignore=shutil.ignore_patterns("report"))
        path = tmp_path / "out" / "classify" / "subjects.parquet"
        table = read_table(path, schemas.SUBJECTS)
        write_table(path, table.assign(method=method), schemas.SUBJECTS)
        words = Page(replace(run, out=tmp_path / "out").report()).text
        assert "inner folds" not in words and "those of each training part who were held back" in words
        assert "the pooled inner folds of the training parts" in Page(run.page).text

    def test_whom_the_model_has_met_before_stands_above_the_figures(
        self, cohorts: ModuleType, tmp_path: Path
    ) -> None:
        store = cohorts.make_store(tmp_path / "store", 40, 30)
        folder = tmp_path / "out" / "evaluate"
        cohorts.write_predictions(folder, store, repeats=1, folds=1)
        subjects = read_table(folder / "subjects.parquet", schemas.SUBJECTS)
        evaluation = evaluate_subjects(subjects, 1, background=Background(people=people(store), limit=-2.5))
        met = [{"part": "encoder", "subjects": 3, "of": 30, "sentence": "were among the films"}]
        write_json(folder / "metrics.json", evaluation | {"met_before": met})
        words = Page(cohorts.Run(store.root, tmp_path / "out").report()).text
        assert re.search(r"No strangers\. +of +subjects with outcome were among the films", words)

    def test_the_locked_contrast_counts_whatever_is_asked_for_later(self, run: Any) -> None:
        evaluation, lock = run.metrics["evaluation"], run.metrics["lock"]
        assert evaluation["contrasts"]["primary"]["name"] == "age_sex"
        assert (lock["evaluations"], lock["protocols"], lock["of_this_protocol"]) == (1, 1, 1)
        assert lock["id"] in run.page


class TestAbsent:
    def test_a_store_alone_says_what_comes_next(self, cohorts: ModuleType, tmp_path: Path) -> None:
        store = cohorts.make_store(tmp_path / "store", 6, 3)
        words = Page(cohorts.Run(store.root, tmp_path / "out").report()).text
        assert "The bones have not been looked for yet" in words
        assert "There are no predictions yet; the stage classify comes first." in words
        assert "Nothing was trained in this run." in words
        assert "The stages left no record of their times and versions." in words
        assert len(read_table(tmp_path / "out" / "report" / "subjects.parquet", schemas.SUBJECTS)) == 0

    def test_without_outcomes_there_is_no_roc_and_it_says_why(
        self, cohorts: ModuleType, tmp_path: Path
    ) -> None:
        store = cohorts.make_store(tmp_path / "store", 6, 0)
        page = cohorts.Run(store.root, tmp_path / "out").report()
        assert "The store holds no outcomes of these subjects" in page
        assert not (tmp_path / "out" / "report" / "figures" / "curves.svg").exists()

    def test_one_outcome_only_is_named(self, cohorts: ModuleType, tmp_path: Path) -> None:
        store = cohorts.make_store(tmp_path / "store", 6, 1)
        cohorts.write_predictions(tmp_path / "out" / "classify", store)
        page = cohorts.Run(store.root, tmp_path / "out").report()
        assert "All 1 evaluable subjects have the same outcome" in page

    @pytest.mark.parametrize(("population", "age_years"), [("child", 66.0), ("adult", 9.0)])
    def test_children_get_overlays_and_no_probability(
        self, cohorts: ModuleType, tmp_path: Path, population: str, age_years: float
    ) -> None:
        store = cohorts.make_store(tmp_path / "store", 6, 4, age_years=age_years, kind="real")
        cohorts.write_segmentation(store, tmp_path / "out")
        cohorts.write_records(store, tmp_path / "out")
        children = cohorts.Run(store.root, tmp_path / "out")
        assert "Outside the intended population." in children.report(population)
        assert children.metrics["subjects"]["rows"] == [] and children.metrics["evaluation"] is None
        assert children.metrics["films"]["worst_shown"] == 4

    def test_children_get_no_probability_from_an_earlier_run(
        self, cohorts: ModuleType, tmp_path: Path
    ) -> None:
        store = cohorts.make_store(tmp_path / "store", 12, 9)
        cohorts.write_predictions(tmp_path / "out" / "classify", store)
        children = cohorts.Run(store.root, tmp_path / "out")
        children.report("child")
        assert children.metrics["subjects"]["rows"] == []

    def test_an_oracle_that_is_not_there(self, cohorts: ModuleType, tmp_path: Path) -> None:
        cohorts.make_store(tmp_path / "store", 2, 0)
        missing = tmp_path / "oracle.json"
        sentence = f"oracle must name the oracle.json of a phantom cohort, but {missing} is not a file."
        with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
            cohorts.Run(tmp_path / "store", tmp_path / "out", missing).report()
