"""Help: every key has its line, from the configs' own docstrings, with the values that the job really takes."""

import os
import re
import subprocess
import sys

import pytest

from jobs.__main__ import main
from jobs.choices import choices
from jobs.registry import JOBS
from jobs.rooms import keys_of

SECTIONS = sorted({section for job in JOBS.values() for section in job.sections} | {"study", "cluster"})


def help_of(job: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main([*job.split(), "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_is_described_in_one_line(section: str) -> None:
    for key in keys_of(section).values():
        assert key.about, f"{section}.{key.name} has no docstring in its config"
        assert "\n" not in key.about and len(key.about) <= 120


def test_an_overridden_field_keeps_the_description_of_its_base() -> None:
    assert keys_of("pretraining")["steps"].about == keys_of("segmentation")["steps"].about
    assert keys_of("pretraining")["steps"].default == 14000


@pytest.mark.parametrize("job", JOBS)
def test_descriptions_stand_in_one_column(job: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [re.match(r"  [a-z_.0-9]+=.*?  +(?=\S)", line) for line in help_of(job, capsys).splitlines()]
    assert len({row.end() for row in rows if row}) == 1


def test_help_shows_the_values_that_the_demo_takes(capsys: pytest.CaptureFixture[str]) -> None:
    told = help_of("demo", capsys)
    assert "phantoms.unlabelled=80 " in told and "out=runs/demo " in told
    assert "pretraining.backbone=resnet10t " in told


def test_help_shows_the_values_of_the_study_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    told = help_of("ingest", capsys)
    assert "study.views=[PA] " in told and "study=hand " in told and "cluster=local " in told


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"radmill \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)


def test_a_jobs_own_keys_have_no_prefix_and_the_important_ones_come_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = help_of("pretrain", capsys)
    assert told.index("\n  method=") < told.index("\n  steps=") < told.index("\n  weight_decay=")
    assert "pretraining." not in told


def test_out_says_what_it_is_of_each_job(capsys: pytest.CaptureFixture[str]) -> None:
    assert "PNG file to draw the film into" in help_of("store show", capsys)
    assert "folder of this run" in help_of("classify", capsys)


def test_help_is_fast() -> None:
    before = os.times()  # seconds of the processor: a busy machine must not fail this
    subprocess.run([sys.executable, "-m", "jobs", "run", "--help"], check=True, capture_output=True)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    assert used < 0.4


def test_choices_are_the_files_of_conf() -> None:
    assert choices("study") == ["hand", "hsg"] and choices("cluster") == ["allocation", "local", "slurm"]


def test_the_first_of_two_words_lists_its_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["store", "--help"], ["store", "-h"], ["store"]):
        assert main(words) == 0
        told = capsys.readouterr().out
        assert "store show" in told and "store erase" in told and "ingest " not in told.split("--help")[0]
    assert "outcomes match" in help_of("outcomes", capsys)


def test_no_key_without_effect_is_offered(capsys: pytest.CaptureFixture[str]) -> None:
    for name, common in (
        ("store ls", ()),
        ("store verify", ("cluster",)),
        ("store repair", ("study", "cluster")),
    ):
        told = help_of(name, capsys)
        for group in ("study", "cluster"):
            assert (f"{group}." in told, f"  {group}=" in told) == (group in common,) * 2
        assert "fresh=" not in told
    assert main(["store", "ls", "store=x", "study=hand"]) == 2
    assert "does not know the key 'study'" in capsys.readouterr().err


@pytest.mark.parametrize("name", JOBS)
def test_only_the_clusters_that_a_job_takes_are_offered(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    offered = [line for line in help_of(name, capsys).splitlines() if line.startswith("  cluster=")]
    taken = ", ".join(JOBS[name].clusters)
    assert [line.partition("where to run: ")[2] for line in offered] == [taken] * len(offered)
    assert len(offered) == ("cluster" in JOBS[name].common)
