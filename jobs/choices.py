"""What may stand right of `study=` and `cluster=`: the names of the YAML files in `jobs/conf`."""

from __future__ import annotations

import difflib
from pathlib import Path

from storage.errors import ConfigError

CONF = Path(__file__).parent / "conf"
GROUPS = ("study", "cluster")


def choices(group: str) -> list[str]:
    """The names to choose from, in order."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def check_choice(group: str, name: str, key: str = "") -> None:
    """Raise ConfigError, with the choices and the nearest of them, unless the name is one. key: what the user typed."""
    known = choices(group)
    if name in known:
        return
    close = difflib.get_close_matches(name, known, n=1)
    key = key or group
    hint = f" Did you mean {key}={close[0]}?" if close else ""
    raise ConfigError(f"{key} must be one of {', '.join(known)}, but is {name or 'empty'}.{hint}")
