"""A cluster described once: a YAML file whose values stand in for the defaults of `cluster`."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from cluster.config import ClusterConfig
from storage.errors import ConfigError

_FOLDER = Path(__file__).parent
_NOT_A_SITES = ("kind", "site")


def site_values(site: str) -> dict[str, object]:
    """The keys of `cluster` that a site gives, by their names without the prefix.

    Args:
        site: the name of a file in this folder, without .yaml, or a path.

    Raises:
        ConfigError: there is no such site, or its file is not a mapping of keys of `cluster`.
    """
    import yaml

    path = (
        _FOLDER / f"{site}.yaml"
        if "/" not in site and not site.endswith(".yaml")
        else Path(site).expanduser()
    )
    try:
        values = yaml.safe_load(path.read_text("utf-8")) or {}
    except OSError:
        known = ", ".join(sorted(one.stem for one in _FOLDER.glob("*.yaml")))
        raise ConfigError(
            f"cluster.site={site} is neither one of {known} nor a YAML file that can be read."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"cluster.site={site} is not YAML: {str(error).splitlines()[0]}.") from error
    if not isinstance(values, dict):
        raise ConfigError(f"cluster.site={site} must hold lines such as partition: main.")
    allowed = [one.name for one in fields(ClusterConfig) if one.name not in _NOT_A_SITES]
    if unknown := [str(key) for key in values if key not in allowed]:
        raise ConfigError(
            f"cluster.site={site} has {', '.join(unknown)}; a site may give: {', '.join(allowed)}."
        )
    return {str(key): value for key, value in values.items()}
