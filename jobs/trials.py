"""What a sweep tries: a YAML file in `jobs/conf/sweeps` names keys, their values and the seeds.

seeds: [2023, 2024]
seed_keys: [pretraining.seed, splits.seed]    every seed is the value of all of these
trials:                                       every combination of the values, with every seed
  pretraining.method: [none, simclr]
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from jobs.choices import CONF, check_choice, choices
from jobs.rooms import keys_of
from storage.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class SweepTrial:
    """One combination. id: its values in words, which names its folder; changes: dotted key to value."""

    id: str
    seed: int
    changes: dict[str, Any]

    @property
    def params(self) -> str:
        """What it sets, as JSON with sorted keys."""
        return json.dumps(self.changes, sort_keys=True)


def trials_of(sweep: str, sections: tuple[str, ...]) -> list[SweepTrial]:
    """The trials of a sweep in order, by its name or from a YAML file of the user's.

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
    asked = yaml.safe_load(path.read_text("utf-8"))
    if not isinstance(asked, dict) or set(asked) != {"seeds", "seed_keys", "trials"}:
        raise ConfigError(f"{path} must hold seeds, seed_keys and trials, and nothing else.")
    for key in (*asked["seed_keys"], *asked["trials"]):
        section, _, name = key.partition(".")
        if section not in sections or name not in keys_of(section):
            raise ConfigError(f"{path}: a trial has no key {key!r}; it takes keys of {', '.join(sections)}.")
    names, values = list(asked["trials"]), list(asked["trials"].values())
    found = []
    for combination in itertools.product(*values):
        for seed in asked["seeds"]:
            changes = dict(zip(names, combination, strict=True)) | dict.fromkeys(asked["seed_keys"], seed)
            words = [f"{key.rpartition('.')[2]}-{_word(changes[key])}" for key in names]
            found.append(SweepTrial(id="_".join([*words, f"seed-{seed}"]), seed=int(seed), changes=changes))
    if len({trial.id for trial in found}) < len(found):
        raise ConfigError(f"{path} names the same trial twice.")
    return found


def _word(value: object) -> str:
    parts = value if isinstance(value, list) else [value]
    return "-".join(re.sub(r"[^\w.+-]", "", str(part)) for part in parts)
