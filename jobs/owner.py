"""Whose folder `out` is: one run of one job over one store, for good."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from storage.atomic import write_json
from storage.errors import ConfigError


def check_owner(out: Path, identity: Mapping[str, str], fresh: bool) -> None:
    """Refuse the folder of another run.

    Raises:
        ConfigError: `out` belongs to another run; the sentence says what differs.
    """
    record = out / "run.json"
    if record.is_file() and not fresh:
        before = json.loads(record.read_text())
        differing = [f"{k}={before.get(k)}, now {k}={v}" for k, v in identity.items() if before.get(k) != v]
        if differing:
            raise ConfigError(
                f"out={out} belongs to another run ({'; '.join(differing)}). "
                "Choose another out, or fresh=true to start this one over."
            )


def claim(out: Path, identity: Mapping[str, str], fresh: bool) -> None:
    """Write OUT/run.json on first use; later runs must be the same one (ConfigError as `check_owner`)."""
    check_owner(out, identity, fresh)
    write_json(out / "run.json", dict(identity))
