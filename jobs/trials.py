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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from jobs.choices import CONF, check_choice, choices
from jobs.rooms import keys_of
from pipelines.evaluation.tables import PaperTable, TableRow
from storage.errors import ConfigError, check_one_of

CONTROLS = ("init", "split", "both")
NEEDS = "needs"
_CONTROLS_HERE = "{seed_controls}"
_REQUIRED = ("seeds", "seed_keys", "trials")
_OPTIONAL = ("study", "seed_controls", "always", "tables", "figures")
FIGURES = ("views", "pr")


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


def sweep_of(sweep: str, sections: tuple[str, ...], seed_controls: str | None = None) -> Sweep:
    """A sweep by its name or from a YAML file of the user's. seed_controls: instead of the file's.

    Raises:
        ConfigError: there is no such sweep, or its file sets what a trial does not know.
    """
    if not sweep.endswith((".yaml", ".yml")):
        check_choice("sweeps", sweep)
        sweep = str(CONF / "sweeps" / f"{sweep}.yaml")
    path = Path(sweep)
    if not path.is_file():
        known = ", ".join(choices("sweeps"))
        raise ConfigError(f"sweep={sweep} does not exist; name a YAML file, or one of {known}.")
    try:
        return _read(path, yaml.safe_load(path.read_text("utf-8")), sections, seed_controls)
    except (yaml.YAMLError, TypeError, AttributeError, ValueError) as error:
        said = str(error).splitlines()[0]
        raise ConfigError(
            f"{path} is not shaped as a sweep's file ({said}); docs/sweeps.md shows one."
        ) from error


def _read(path: Path, asked: Any, sections: tuple[str, ...], seed_controls: str | None) -> Sweep:
    if not isinstance(asked, dict) or not {*_REQUIRED} <= set(asked) <= {*_REQUIRED, *_OPTIONAL}:
        raise ConfigError(
            f"{path} must hold {', '.join(_REQUIRED)}, may hold {', '.join(_OPTIONAL)}, and nothing else."
        )
    controls = seed_controls or asked.get("seed_controls", "both")
    check_one_of("seed_controls", controls, CONTROLS)
    for figure in asked.get("figures", []):
        check_one_of("figures", figure, FIGURES)
    varied, fixed = _seed_keys(path, asked["seed_keys"], controls)
    always = asked.get("always", {})
    named = _named(path, asked["trials"])
    own = {
        key for values in named.values() for key in (*values, values.get(NEEDS)) if key not in (NEEDS, None)
    }
    for key in sorted({*varied, *fixed, *always, *own}):
        _check_key(path, key, sections)
    seeds = [int(seed) for seed in asked["seeds"]]
    trials = []
    for name, values in named.items():
        needs = values.get(NEEDS)
        sets = {key: value for key, value in {**always, **values}.items() if key not in (NEEDS, needs)}
        sets = {key: controls if value == _CONTROLS_HERE else value for key, value in sets.items()}
        for seed in seeds:
            changes = sets | dict.fromkeys(varied, seed) | dict.fromkeys(fixed, seeds[0])
            trials.append(
                SweepTrial(id=f"{name}_seed-{seed}", name=name, seed=seed, changes=changes, needs=needs)
            )
    if len({trial.id for trial in trials}) < len(trials):
        raise ConfigError(f"{path} names the same trial twice.")
    tables = _tables(path, asked.get("tables", []), set(named)) or [
        PaperTable(title=path.stem, rows=[TableRow(name=name, trial=name) for name in named])
    ]
    return Sweep(
        name=path.stem,
        study=asked.get("study"),
        seed_controls=controls,
        trials=trials,
        tables=tables,
        figures=asked.get("figures", []),
    )


def _seed_keys(path: Path, keys: Any, controls: str) -> tuple[list[str], list[str]]:
    """Keys that follow the seed, and those that have the first one."""
    if isinstance(keys, list) and keys:
        if controls != "both":
            raise ConfigError(f"{path}: seed_controls={controls} needs seed_keys by init and split.")
        return keys, []
    if not isinstance(keys, dict) or not keys or not set(keys) <= {"init", "split"}:
        raise ConfigError(
            f"{path}: seed_keys must be a list of keys, or hold such lists under init and split."
        )
    varied = list(dict.fromkeys(k for kind, ks in keys.items() if controls in (kind, "both") for k in ks))
    return varied, [key for listed in keys.values() for key in listed if key not in varied]


def _named(path: Path, trials: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Name -> what the trial sets; of lists of values every combination, named by its values."""
    if all(isinstance(values, dict) for values in trials.values()):
        return dict(trials)
    found: dict[str, dict[str, Any]] = {}
    for combination in itertools.product(*trials.values()):
        changes = dict(zip(trials, combination, strict=True))
        name = "_".join(f"{key.rpartition('.')[2]}-{_word(value)}" for key, value in changes.items())
        if name in found:
            raise ConfigError(f"{path} names the same trial twice.")
        found[name] = changes
    return found


def _check_key(path: Path, key: str, sections: tuple[str, ...]) -> None:
    section, _, name = key.partition(".")
    if section not in sections or name not in keys_of(section):
        raise ConfigError(f"{path}: a trial has no key {key!r}; it takes keys of {', '.join(sections)}.")


def _tables(path: Path, asked: list[dict[str, Any]], trials: set[str]) -> list[PaperTable]:
    tables = []
    for values in asked:
        try:
            rows = [TableRow(**row) for row in values["rows"]]
            tables.append(PaperTable(**{**values, "rows": rows}))
        except (KeyError, TypeError) as error:
            raise ConfigError(
                f"{path}: a table must hold title and rows of name and trial ({error})."
            ) from error
        if unknown := {name for row in rows for name in (row.trial, row.minus) if name} - trials:
            raise ConfigError(
                f"{path}: a table names trials that are not there: {', '.join(sorted(unknown))}."
            )
    return tables


def _word(value: object) -> str:
    parts = value if isinstance(value, list) else [value]
    return "-".join(re.sub(r"[^\w.+-]", "", str(part)) for part in parts)
