"""What a sweep tries: every combination with every seed, each with a name of its own; mistakes are sentences."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jobs.choices import choices
from jobs.registry import JOBS
from jobs.sweep_trial import with_changes
from jobs.trials import SweepTrial, sweep_of
from storage.errors import ConfigError

SECTIONS = JOBS["sweep"].sections
FEW = """
seeds: [1, 2]
seed_keys: [pretraining.seed, splits.seed]
trials:
  pretraining.method: [none, simclr]
  classification.l2: [[0.1], [1.0]]
"""


NAMED = """
seeds: [1, 2]
seed_keys: {init: [pretraining.seed], split: [splits.seed]}
always: {splits.repeats: 1, supervised.seed_controls: "{seed_controls}", pretraining.initial_weights: null}
trials:
  none: {pretraining.method: none}
  given: {pretraining.method: none, splits.repeats: 2, needs: pretraining.initial_weights}
tables:
  - title: Two
    measures: [auc]
    rows: [{name: given weights, trial: given, minus: none}]
"""


def trials_of(sweep: str, seed_controls: str | None = None) -> list[SweepTrial]:
    return sweep_of(sweep, SECTIONS, seed_controls).trials


def written(folder: Path, text: str) -> str:
    (folder / "few.yaml").write_text(text)
    return str(folder / "few.yaml")


def test_every_combination_with_every_seed(tmp_path: Path) -> None:
    trials = trials_of(written(tmp_path, FEW))
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


@pytest.mark.parametrize(
    ("controls", "second"), [("init", (2, 1)), ("split", (1, 2)), ("both", (2, 2)), (None, (2, 2))]
)
def test_seeds_vary_what_was_asked(controls: str | None, second: tuple[int, int], tmp_path: Path) -> None:
    first, other = trials_of(written(tmp_path, NAMED), controls)[:2]
    assert (first.id, other.id) == ("none_seed-1", "none_seed-2")
    assert (first.changes["pretraining.seed"], first.changes["splits.seed"]) == (1, 1)
    assert (other.changes["pretraining.seed"], other.changes["splits.seed"]) == second
    assert other.changes["supervised.seed_controls"] == (controls or "both")


def test_what_every_trial_sets_yields_to_its_own_and_to_what_it_needs(tmp_path: Path) -> None:
    none, _, given, _ = trials_of(written(tmp_path, NAMED))
    assert none.changes["pretraining.initial_weights"] is None and none.changes["splits.repeats"] == 1
    assert given.needs == "pretraining.initial_weights" and given.needs not in given.changes
    assert given.changes["splits.repeats"] == 2


@pytest.mark.parametrize("name", choices("sweeps"))
def test_the_sweeps_that_ship_can_be_set(name: str) -> None:
    from jobs.config import Settings

    for trial in trials_of(name):
        settings = with_changes(Settings(), trial.changes)
        for key, value in trial.changes.items():
            section, _, field = key.partition(".")
            assert getattr(getattr(settings, section), field) == value
        assert re.fullmatch(r"[\w.+-]+", trial.id)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("seeds: [1]", "must hold seeds, seed_keys, trials, may hold study,"),
        (f"{FEW}\ncontrols: both", "and nothing else."),
        (NAMED.replace("minus: none", "minus: all"), "a table names trials that are not there: all."),
        (NAMED.replace("name: given weights", "row: given"), "a table, or a row of one, has no key 'row'."),
        (NAMED.replace("name: given weights, ", ""), "tables[0].rows[0].name is missing."),
        (FEW.replace("l2", "l3"), "a trial has no key 'classification.l3'; it takes keys of pretraining,"),
        (FEW.replace("splits.seed", "cluster.workers"), "a trial has no key 'cluster.workers'"),
        (FEW.replace("[none, simclr]", "[none, none]"), "the same trial is named twice."),
        (FEW.replace("[1, 2]", "many"), "seeds must be a list, but is 'many'."),
        (FEW.replace("[1, 2]", "[1, two]"), "seeds[1]: Value 'two'"),
        (FEW.replace("[1, 2]", "[]"), "seeds and trials must not be empty."),
        (FEW.replace("[[0.1], [1.0]]", "[0.1, 1.0]"), "classification.l2: "),
        (FEW.replace("[[0.1], [1.0]]", "3"), "or keys with lists of values."),
        (NAMED.replace("splits.repeats: 2", "splits.repeats: many"), "splits.repeats: Value 'many'"),
        (NAMED.replace("splits.repeats: 1", "splits.repeats: [1, 2]"), "splits.repeats: Value '[1, 2]'"),
        (NAMED.replace("[auc]", "3"), "measures: "),
        (NAMED.replace("init: [pretraining.seed]", "init: 3"), "seed_keys must be a list of keys"),
        (NAMED.replace("needs: pretraining.initial_weights", "needs: 3"), "a trial has no key 3;"),
        (NAMED.replace("given", "../given"), "a trial's name may hold letters, digits and ._+-"),
        ("3", "must hold seeds, seed_keys, trials"),
        ("seeds: [", "while parsing a flow node"),
    ],
)
def test_a_mistake_is_named(text: str, sentence: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError, match=re.escape(sentence)) as caught:
        trials_of(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_value_is_taken_as_the_command_line_takes_it(tmp_path: Path) -> None:
    trials = trials_of(written(tmp_path, NAMED.replace("splits.repeats: 2", "pretraining.lr: 1e-3")))
    assert trials[2].changes["pretraining.lr"] == 0.001


def test_a_sweep_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r"Did you mean sweeps?=hand_methods\?"):
        trials_of("hand_method")
    with pytest.raises(ConfigError, match=r"^sweep=no\.yaml does not exist; name a YAML file, or one of"):
        trials_of("no.yaml")


def test_seeds_that_would_vary_nothing_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "seeds: [1, 2]\nseed_keys: {split: [splits.seed]}\ntrials:\n  a: {pretraining.method: none}\n"
    )
    with pytest.raises(ConfigError, match="seed_controls=init would leave all seeds alike"):
        trials_of(str(path), "init")


def test_a_list_of_seed_keys_varies_whole(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="seed_controls=init needs seed_keys by init and split"):
        trials_of(written(tmp_path, FEW), "init")
    with pytest.raises(ConfigError, match="seed_controls must be one of init, split, both, but is none"):
        trials_of(written(tmp_path, NAMED), "none")
