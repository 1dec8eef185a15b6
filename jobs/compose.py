"""Words on the command line to one validated `Settings`, by Hydra's compose API; mistakes become sentences."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from hydra import compose, initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from jobs.config import Settings
from jobs.registry import PATHS, Job
from storage.errors import ConfigError


def settings_for(job: Job, words: Sequence[str]) -> Settings:
    """The job's settings from `key=value` words.

    Raises:
        ConfigError: an unknown key, a value of the wrong type or range, or a required key that is absent.
    """
    settings = OmegaConf.to_object(_compose(job, words))
    assert isinstance(settings, Settings)
    missing = [key for key in job.required if getattr(settings, key) is None]
    if missing:
        raise ConfigError(
            f"radmill {job.name} needs {' and '.join(f'{key}=' for key in missing)}; e.g. {job.example}"
        )
    return settings


def resolved_yaml(job: Job, words: Sequence[str]) -> str:
    """What `--cfg job --resolve` prints: every value that applies to this job, as YAML."""
    config = _compose(job, words)
    return OmegaConf.to_yaml(OmegaConf.masked_copy(config, [key for key in job.keys if key in config]))


def settings_yaml(job: Job, settings: Settings) -> str:
    """The same for settings that are already built; written beside every run."""
    config = OmegaConf.structured(settings)
    return OmegaConf.to_yaml(OmegaConf.masked_copy(config, [key for key in job.keys if key in config]))


def _compose(job: Job, words: Sequence[str]) -> DictConfig:
    overrides = [_qualified(job, word) for word in words]
    ConfigStore.instance().store(name="settings", node=Settings)
    try:
        with initialize_config_module("jobs.conf", version_base="1.3"):
            return compose(config_name=job.config, overrides=overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_sentence(job, error)) from error


def _qualified(job: Job, word: str) -> str:
    """`batch_size=4` of the job `pretrain` is `pretraining.batch_size=4`; an unknown key is refused here."""
    if job.bare and "=" not in word and word:
        word = f"{job.bare}={word}"
    key, equals, value = word.partition("=")
    if not equals or not key:
        raise ConfigError(f"{word!r} is not key=value; e.g. {job.example}")
    head, _, rest = key.lstrip("+~").partition(".")
    if head in job.keys:
        if rest and head in job.sections:
            _check_known(
                job, rest.split(".")[0], names := _section_keys(head), [f"{head}.{n}" for n in names]
            )
        return f"{key}={_quoted(key, value)}"
    short = _section_keys(job.section) if job.section else []
    _check_known(job, head, short, [*job.keys, *short])
    return f"{job.section}.{key}={_quoted(f'{job.section}.{key}', value)}"


def _quoted(key: str, value: str) -> str:
    """Text as Hydra's grammar wants it: a path may hold spaces, commas and brackets without the user quoting them."""
    head, _, rest = key.partition(".")
    owner = Settings.__dataclass_fields__[head]
    if rest:
        owner = owner.default_factory.__dataclass_fields__.get(rest)  # type: ignore
    if owner is None or owner.type not in ("str", "str | None") or value in ("", "null") or value[0] in "'\"":
        return value
    text = str(Path(value).expanduser()) if head in PATHS or rest == "key_file" else value
    return "'" + text.replace("'", "\\'") + "'"


def _section_keys(section: str) -> list[str]:
    return [field.name for field in fields(Settings.__dataclass_fields__[section].default_factory)]  # type: ignore


def _check_known(job: Job, name: str, known: Sequence[str], offered: Sequence[str]) -> None:
    if name in known:
        return
    close = difflib.get_close_matches(name, [o.split(".")[-1] for o in offered], n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise ConfigError(
        f"radmill {job.name} does not know the key {name!r}.{hint} It takes: {', '.join(offered)}."
    )


def _sentence(job: Job, error: BaseException) -> str:
    """Hydra wraps what OmegaConf says; the innermost message names the value and the dotted key."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConfigError):
            return str(cause)
        if isinstance(cause, ConfigKeyError):
            return (
                f"radmill {job.name} does not know the key {cause.full_key!r}; see radmill {job.name} --help."
            )
        if isinstance(cause, OmegaConfBaseException) and cause.full_key:
            return f"{cause.full_key}: {str(cause).splitlines()[0]}."
        cause = cause.__cause__ or cause.__context__
    return " ".join(str(error).split()) + f" See radmill {job.name} --help."
