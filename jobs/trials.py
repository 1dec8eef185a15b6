"""What a sweep tries: a YAML file in `jobs/conf/sweeps` names trials, seeds, and the tables to make of them.

study: hand                                   the only study it is for; without, any
seeds: [2023, 2024]
seed_keys:                                    whose value a seed is, by what varies with it
  init: [pretraining.seed]                      weights, order and views
  split: [splits.seed]                          who is tested
seed_controls: both                           init, split or both; what does not vary has the first seed
always: {splits.repeats: 1}                   what every trial sets, unless it says otherwise; the value
                                              "{seed_controls}" is what varies
trials:                                       by name, each with every seed
  simclr: {pretraining.method: simclr}
  imagenet: {pretraining.method: none, needs: pretraining.initial_weights}    left out where the user gives none
tables:                                       as a paper prints them; without, one of all trials
  - title: Table 1
    paper: hand 1
    rows: [{name: SimCLR, trial: simclr, minus: none}]
figures: [views]                              views: of multi-crop on one film; pr: all PR curves of the first table

Instead of names, `trials` may hold keys with lists of values: every combination is a trial. `seed_keys` may be one
list: all of it follows the seed.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from jobs.choices import CONF, check_choice, choices
from jobs.config import Settings
from jobs.rooms import keys_of
from pipelines.evaluation.tables import PaperTable, TableRow
from storage.errors import ConfigError, check_one_of

CONTROLS = ("init", "split", "both")
NEEDS = "needs"
_CONTROLS_HERE = "{seed_controls}"
FIGURES = ("views", "pr")
_REQUIRED = ("seeds", "seed_keys", "trials")
_OPTIONAL = ("study", "seed_controls", "always", "tables", "figures")
_SHAPES = {"seeds": list, "trials": dict, "always": dict, "tables": list, "figures": list}


@dataclass(frozen=True, kw_only=True)
class SweepTrial:
    """One combination with one seed. id: names its folder; changes: dotted key to value; needs: a key to be given."""

    id: str
    name: str
    seed: int
    changes: dict[str, Any]
    needs: str | None = None

    @property
    def params(self) -> str:
        """What it sets, as JSON with sorted keys."""
        return json.dumps(self.changes, sort_keys=True)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A sweep's file, read. name: the file's; study: the only one it is for; seed_controls: what varies."""

    name: str
    study: str | None
    seed_controls: str
    trials: list[SweepTrial]
    tables: list[PaperTable]
    figures: list[str]


@dataclass(kw_only=True)
class _File:
    """The types of what a sweep's file holds."""

    seeds: list[int]
    seed_keys: Any
    trials: dict[str, Any]
    study: str | None = None
    seed_controls: str = "both"
    always: dict[str, Any] = field(default_factory=dict)
    tables: list[PaperTable] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)


def sweep_of(sweep: str, sections: tuple[str, ...], seed_controls: str | None = None) -> Sweep:
    """A sweep by its name or from a YAML file of the user's. seed_controls: instead of the file's.

    Raises:
        ConfigError: there is no such sweep, or its file sets what a trial does not know, or to what its key can't be.
    """
    if not sweep.endswith((".yaml", ".yml")):
        check_choice("sweeps", sweep, "sweep")
        sweep = str(CONF / "sweeps" / f"{sweep}.yaml")
    path = Path(sweep)
    if not path.is_file():
        known = ", ".join(choices("sweeps"))
        raise ConfigError(f"sweep={sweep} does not exist; name a YAML file, or one of {known}.")
    try:
        return _read(path.stem, _file(yaml.safe_load(path.read_text("utf-8"))), sections, seed_controls)
    except (ConfigError, OmegaConfBaseException, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {_said(error)} docs/sweeps.md shows such a file.") from error


def _file(asked: Any) -> _File:
    if not isinstance(asked, dict) or not {*_REQUIRED} <= set(asked) <= {*_REQUIRED, *_OPTIONAL}:
        raise ConfigError(
            f"it must hold {', '.join(_REQUIRED)}, may hold {', '.join(_OPTIONAL)}, and nothing else."
        )
    for key, kind in _SHAPES.items():
        if not isinstance(asked.get(key, kind()), kind):
            shape = "a list" if kind is list else "keys with values"
            raise ConfigError(f"{key} must be {shape}, but is {asked[key]!r}.")
    # PaperTable is frozen, and what is frozen can't be merged into
    schema = OmegaConf.structured(_File, flags={"readonly": False})
    file = OmegaConf.to_object(OmegaConf.merge(schema, asked))
    assert isinstance(file, _File)
    return file


def _said(error: Exception) -> str:
    """What is wrong, as a sentence that names the key where there is one."""
    key = getattr(error, "full_key", None)
    if isinstance(error, ConfigKeyError):  # of the file itself they are known by now
        return f"a table, or a row of one, has no key {key!r}."
    if isinstance(error, MissingMandatoryValue):
        return f"{key} is missing."
    said = str(error).splitlines()[0].rstrip(".")
    return f"{key}: {said}." if key else f"{said}."


def _read(name: str, file: _File, sections: tuple[str, ...], seed_controls: str | None) -> Sweep:
    controls = seed_controls or file.seed_controls
    check_one_of("seed_controls", controls, CONTROLS)
    for figure in file.figures:
        check_one_of("figures", figure, FIGURES)
    varied, fixed = _seed_keys(file.seed_keys, controls)
    named = _named(file.trials)
    if not file.seeds or not named:
        raise ConfigError("seeds and trials must not be empty.")
    known = OmegaConf.structured(Settings)
    trials = []
    for trial, values in named.items():
        needs = values.get(NEEDS)
        if needs is not None:
            _check_key(needs, sections)
        sets = {key: value for key, value in {**file.always, **values}.items() if key not in (NEEDS, needs)}
        sets = {key: controls if value == _CONTROLS_HERE else value for key, value in sets.items()}
        for seed in file.seeds:
            changes = sets | dict.fromkeys(varied, seed) | dict.fromkeys(fixed, file.seeds[0])
            for key in changes:
                _check_key(key, sections)
            changes = {key: _typed(known, key, value) for key, value in changes.items()}
            trials.append(
                SweepTrial(id=f"{trial}_seed-{seed}", name=trial, seed=seed, changes=changes, needs=needs)
            )
    if len({trial.id for trial in trials}) < len(trials):
        raise ConfigError("the same trial is named twice.")
    _check_tables(file.tables, set(named))
    all_trials = PaperTable(title=name, rows=[TableRow(name=trial, trial=trial) for trial in named])
    return Sweep(
        name=name,
        study=file.study,
        seed_controls=controls,
        trials=trials,
        tables=file.tables or [all_trials],
        figures=file.figures,
    )


def _seed_keys(keys: Any, controls: str) -> tuple[list[str], list[str]]:
    """Keys that follow the seed, and those that have the first one."""
    if isinstance(keys, list) and keys:
        if controls != "both":
            raise ConfigError(f"seed_controls={controls} needs seed_keys by init and split.")
        return keys, []
    by_kind = isinstance(keys, dict) and keys and set(keys) <= {"init", "split"}
    if not by_kind or not all(isinstance(listed, list) for listed in keys.values()):
        raise ConfigError("seed_keys must be a list of keys, or hold such lists under init and split.")
    varied = list(dict.fromkeys(k for kind, ks in keys.items() if controls in (kind, "both") for k in ks))
    if not varied:
        raise ConfigError(
            f"seed_controls={controls} would leave all seeds alike: seed_keys names no key for it."
        )
    return varied, [key for listed in keys.values() for key in listed if key not in varied]


def _named(trials: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Name -> what the trial sets; of lists of values every combination, named by its values."""
    if all(isinstance(values, dict) for values in trials.values()):
        for name in trials:
            if _word(name) != name:
                raise ConfigError(f"a trial's name may hold letters, digits and ._+-, but one is {name!r}.")
        return dict(trials)
    if not all(isinstance(values, list) for values in trials.values()):
        raise ConfigError("trials must hold what each sets by its key, or keys with lists of values.")
    found: dict[str, dict[str, Any]] = {}
    for combination in itertools.product(*trials.values()):
        changes = dict(zip(trials, combination, strict=True))
        name = "_".join(f"{key.rpartition('.')[2]}-{_word(value)}" for key, value in changes.items())
        if name in found:
            raise ConfigError("the same trial is named twice.")
        found[name] = changes
    return found


def _check_key(key: object, sections: tuple[str, ...]) -> None:
    section, _, name = str(key).partition(".")
    if section not in sections or name not in keys_of(section):
        raise ConfigError(f"a trial has no key {key!r}; it takes keys of {', '.join(sections)}.")


def _typed(known: DictConfig, key: str, value: Any) -> Any:
    """The value as the command line would take it; OmegaConf's error where it can't be one of its key."""
    OmegaConf.update(known, key, value)
    taken = OmegaConf.select(known, key)
    return OmegaConf.to_object(taken) if OmegaConf.is_config(taken) else taken


def _check_tables(tables: Sequence[PaperTable], trials: set[str]) -> None:
    named = {name for table in tables for row in table.rows for name in (row.trial, row.minus) if name}
    if unknown := named - trials:
        raise ConfigError(f"a table names trials that are not there: {', '.join(sorted(unknown))}.")


def _word(value: object) -> str:
    parts = value if isinstance(value, list) else [value]
    return "-".join(re.sub(r"[^\w.+-]", "", str(part)) for part in parts)
