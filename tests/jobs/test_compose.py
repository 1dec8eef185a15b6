"""Words to settings: every mistake is one sentence that names the key."""

from pathlib import Path

import pytest

from jobs.compose import resolved_yaml, settings_for
from jobs.registry import JOBS
from storage.errors import ConfigError

OUT = ["store=s", "out=o"]


def test_short_keys_belong_to_the_jobs_own_room() -> None:
    assert settings_for(JOBS["pretrain"], [*OUT, "batch_size=7"]).pretraining.batch_size == 7
    assert settings_for(JOBS["pretrain"], [*OUT, "pretraining.batch_size=7"]).pretraining.batch_size == 7


def test_demo_values_come_from_yaml_and_can_be_overridden() -> None:
    assert settings_for(JOBS["demo"], []).phantoms.effect == "demo"
    assert settings_for(JOBS["demo"], ["phantoms.effect=null"]).phantoms.effect in (None, "null")


@pytest.mark.parametrize(
    ("job", "words", "sentence"),
    [
        ("pretrain", [*OUT, "batch_size=0"], "pretraining.batch_size must be at least 1, but is 0."),
        (
            "train-segmenter",
            [*OUT, "segmentation.batch_size=0"],
            "segmentation.batch_size must be at least 1, but is 0.",
        ),
        ("demo", ["population=adult"], "radmill demo does not know the key 'population'."),
        ("pretrain", [*OUT, "batchsize=4"], "Did you mean batch_size?"),
        ("demo", ["segmentation.stepz=4"], "'segmentation.stepz'. Did you mean segmentation.steps?"),
        ("ingest", ["ingest.subject_form=file"], "Did you mean ingest.subject_from?"),
        ("ingest", ["subject_form=file"], "Did you mean subject_from?"),
        ("run", ["step=4"], "Did you mean segmentation.steps or pretraining.steps or supervised.steps?"),
        ("run", ["segmentatoin.experts=4"], "Did you mean segmentation.experts?"),
        ("run", ["segmentation=4"], "segmentation is a section: set its keys one by one"),
        ("demo", ["segmentation.steps.x=4"], "does not know the key 'segmentation.steps.x'"),
        (
            "demo",
            ["splits.qqq=4"],
            "It takes: splits.protocol, splits.by, splits.folds, splits.repeats, splits.seed.",
        ),
        ("pretrain", [*OUT, "batch_size=many"], "pretraining.batch_size: "),
        ("run", ["raw=r"], "radmill run needs store= and out="),
        (
            "run",
            ["raw=r", *OUT, "population=elderly"],
            "population must be one of adult, child, but is elderly.",
        ),
        (
            "run",
            ["raw=r", *OUT, "study=hnd"],
            "study must be one of hand, hsg, but is hnd. Did you mean study=hand?",
        ),
        ("run", ["raw=r", *OUT, "study=foot"], "study must be one of hand, hsg, but is foot."),
        (
            "run",
            ["raw=r", *OUT, "cluster=lokal"],
            "cluster must be one of allocation, local, slurm, but is lokal. Did you mean",
        ),
        ("pretrain", ["store=s", "out="], "out= is empty; name a path, or leave the key away."),
        ("train-segmenter", [*OUT, "channels=[24"], "check brackets, quotes and commas"),
        ("train-segmenter", [*OUT, "channels=24"], "ListConfig, list or tuple."),
        ("ingest", ["raw"], "'raw' is not key=value"),
        ("store gc", ["store=s", "keep=-1"], "gc.keep must be at least 0, but is -1."),
        (
            "store rebuild",
            ["store=s", "what=masks"],
            "rebuild.what must be one of all, crops, windows, films",
        ),
        ("store ls", ["store=s", "reason=erasd"], "ls.reason must be one of not_an_image, "),
    ],
)
def test_mistakes_are_sentences(job: str, words: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_for(JOBS[job], words)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_word_alone_is_the_key_of_the_film_to_show() -> None:
    assert settings_for(JOBS["store show"], ["a2c", "store=s"]).show.key == "a2c"
    assert settings_for(JOBS["store show"], ["key=a2c", "store=s"]).show.key == "a2c"


def test_a_section_is_not_among_its_own_keys() -> None:
    with pytest.raises(ConfigError) as caught:
        settings_for(JOBS["ingest"], ["qqq=1"])
    offered = str(caught.value).partition("It takes: ")[2].rstrip(".").split(", ")
    assert "subject_from" in offered and not {"ingest", "ingest.KEY"} & set(offered)


@pytest.mark.parametrize(
    "path", ["/data/hand films (2023)", "/data/a,b", "/data/o=1", "/data/O'Neil", "C:\\films"]
)
def test_paths_need_no_quoting(path: str) -> None:
    assert settings_for(JOBS["ingest"], [f"raw={path}", "store=s"]).raw == path


def test_text_values_need_no_quoting() -> None:
    words = ["raw=r", "store=s", "subject_from=regex:([^/]+)/", "study.outcome_rule=<= -1.0"]
    settings = settings_for(JOBS["ingest"], words)
    assert settings.ingest.subject_from == "regex:([^/]+)/"
    assert settings.study.outcome_rule == "<= -1.0"


def test_a_study_says_what_its_films_show() -> None:
    words = ["raw=r", "store=s"]
    hand = settings_for(JOBS["ingest"], [*words, "study=hand"]).study
    assert (hand.views, hand.body_parts) == (["PA"], ["hand", "wrist", "finger", "forearm"])
    hsg = settings_for(JOBS["ingest"], [*words, "study=hsg"]).study
    assert (hsg.views, hsg.body_parts) == ([], [])
    assert settings_for(JOBS["ingest"], [*words, "study=hand", "study.views=[]"]).study.views == []


def test_home_is_expanded_in_paths() -> None:
    assert settings_for(JOBS["ingest"], ["raw=~/films", "store=s"]).raw == str(Path.home() / "films")


def test_resolved_yaml_shows_what_applies() -> None:
    text = resolved_yaml(JOBS["segment"], [*OUT])
    assert "segmentation:" in text
    assert "pretraining:" not in text
