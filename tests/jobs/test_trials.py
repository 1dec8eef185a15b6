"""What a sweep tries: every combination with every seed, each with a name of its own; mistakes are sentences."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jobs.choices import choices
from jobs.registry import JOBS
from jobs.sweep import _changed
from jobs.trials import trials_of
from storage.errors import ConfigError

SECTIONS = JOBS["sweep"].sections
FEW = """
seeds: [1, 2]
seed_keys: [pretraining.seed, splits.seed]
trials:
  pretraining.method: [none, simclr]
  classification.l2: [[0.1], [1.0]]
"""


def written(folder: Path, text: str) -> str:
    (folder / "few.yaml").write_text(text)
    return str(folder / "few.yaml")


def test_every_combination_with_every_seed(tmp_path: Path) -> None:
    trials = trials_of(written(tmp_path, FEW), SECTIONS)
    assert [trial.id for trial in trials][:3] == [
        "method-none_l2-0.1_seed-1",
        "method-none_l2-0.1_seed-2",
        "method-none_l2-1.0_seed-1",
    ]
    assert len({trial.id for trial in trials}) == 8
    assert trials[-1].changes == {
        "pretraining.method": "simclr",
        "classification.l2": [1.0],
        "pretraining.seed": 2,
        "splits.seed": 2,
    }


@pytest.mark.parametrize("name", choices("sweeps"))
def test_the_sweeps_that_ship_can_be_set(name: str) -> None:
    from jobs.config import Settings

    for trial in trials_of(name, SECTIONS):
        changed = _changed(Settings(), trial.changes)
        for key, value in trial.changes.items():
            section, _, field = key.partition(".")
            assert getattr(getattr(changed, section), field) == value
        assert re.fullmatch(r"[\w.+-]+", trial.id)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("seeds: [1]", "must hold seeds, seed_keys and trials, and nothing else."),
        (FEW.replace("l2", "l3"), "a trial has no key 'classification.l3'; it takes keys of pretraining,"),
        (FEW.replace("splits.seed", "cluster.workers"), "a trial has no key 'cluster.workers'"),
        (FEW.replace("[none, simclr]", "[none, none]"), "names the same trial twice."),
    ],
)
def test_a_mistake_is_named(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        trials_of(written(tmp_path, text), SECTIONS)


def test_a_sweep_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r"Did you mean sweeps?=hand_methods\?"):
        trials_of("hand_method", SECTIONS)
    with pytest.raises(ConfigError, match=r"^sweep=no\.yaml does not exist; name a YAML file, or one of"):
        trials_of("no.yaml", SECTIONS)
