"""Words on the command line to one validated `Settings`, by Hydra's compose API; mistakes become sentences."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from pathlib import Path

from hydra import compose, initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from jobs.choices import check_choice
from jobs.config import Settings
from jobs.job import PATHS, Job
from jobs.rooms import keys_of
from storage.errors import ConfigError


def settings_for(job: Job, words: Sequence[str]) -> Settings:
    """The job's settings from `key=value` words.

    Raises:
        ConfigError: an unknown key, a value of the wrong type or range, or a required key that is absent.
    """
    settings = OmegaConf.to_object(_compose(job, words))
    assert isinstance(settings, Settings)
    if "" in (empty := {getattr(settings, key): key for key in PATHS}):
        raise ConfigError(f"{empty['']}= is empty; name a path, or leave the key away.")
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


def whole_yaml(settings: Settings) -> str:
    """Every value, for `settings_from`."""
    return OmegaConf.to_yaml(OmegaConf.structured(settings))


def settings_from(path: Path) -> Settings:
    """The inverse; ConfigError where the file is not of this version."""
    try:
        merged = OmegaConf.merge(OmegaConf.structured(Settings), OmegaConf.load(path))
        settings = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise ConfigError(
            f"{path} was written by another version of radmill ({str(error).splitlines()[0]}); submit the run again."
        ) from error
    assert isinstance(settings, Settings)
    return settings


def _compose(job: Job, words: Sequence[str]) -> DictConfig:
    overrides = [_qualified(job, word) for word in words]
    ConfigStore.instance().store(name="settings", node=Settings)
    try:
        with initialize_config_module("jobs.conf", version_base="1.3"):
            config = compose(config_name=job.config, overrides=overrides)
            _apply_site(config, {word.partition("=")[0] for word in overrides})
            return config
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_sentence(job, error)) from error


def _apply_site(config: DictConfig, typed: Collection[str]) -> None:
    """What the site says of its cluster, wherever the user did not type that key."""
    if config.cluster.site is None:
        return
    from cluster.sites import site_values

    for name, value in site_values(config.cluster.site).items():
        if f"cluster.{name}" not in typed:
            OmegaConf.update(config, f"cluster.{name}", value)


def _qualified(job: Job, word: str) -> str:
    """`batch_size=4` of the job `pretrain` is `pretraining.batch_size=4`; an unknown key is refused here."""
    word = job.flags.get(word, word)
    if job.bare and "=" not in word and word:
        word = f"{job.bare}={word}"
    key, equals, value = word.partition("=")
    if not equals or not key:
        raise ConfigError(f"{word!r} is not key=value; e.g. {job.example}")
    head, _, rest = key.partition(".")
    if head in (*job.sections, *job.groups) and rest:
        _check_known(job, key, [f"{head}.{name}" for name in keys_of(head)])
    elif head in job.groups:
        check_choice(head, value)
    elif head in job.sections:
        example = next(iter(keys_of(head)))
        raise ConfigError(f"{head} is a section: set its keys one by one, such as {head}.{example}=VALUE.")
    elif head not in job.keys or rest:
        own = list(keys_of(job.section)) if job.section else []
        _check_known(job, key, [*job.single_keys, *own])
        key = f"{job.section}.{key}"
    return f"{key}={_quoted(key, value)}"


def _quoted(key: str, value: str) -> str:
    """Text as Hydra's grammar wants it: a path may hold spaces, commas and brackets without the user quoting them."""
    head, _, rest = key.partition(".")
    if rest:
        kind = keys_of(head)[rest].type if rest in keys_of(head) else ""
    else:
        kind = str(Settings.__dataclass_fields__[head].type)
    if kind not in ("str", "str | None") or value in ("", "null") or value[0] in "'\"":
        return value
    text = str(Path(value).expanduser()) if head in PATHS or rest == "key_file" else value
    return "'" + text.replace("'", "\\'") + "'"


def _check_known(job: Job, key: str, offered: Sequence[str]) -> None:
    """Raise ConfigError unless the key is offered; the nearest is looked for in every section of the job too."""
    if key in offered:
        return
    elsewhere = [section for section in (*job.sections, *job.groups) if section != job.section]
    close = _nearest(
        key, offered, [f"{section}.{name}" for section in elsewhere for name in keys_of(section)]
    )
    if close:
        hint = f"Did you mean {' or '.join(close)}? radmill {job.name} --help lists the keys."
        raise ConfigError(f"radmill {job.name} does not know the key {key!r}. {hint}")
    sections = [f"{section}.KEY" for section in job.sections if section != job.section and "." not in key]
    raise ConfigError(
        f"radmill {job.name} does not know the key {key!r}. It takes: {', '.join([*offered, *sections])}."
    )


def _nearest(key: str, offered: Sequence[str], elsewhere: Sequence[str]) -> list[str]:
    """The keys whose last part is most like this one's, as they are typed: the offered one, else those elsewhere."""
    names = {full: full.rpartition(".")[2] for full in (*offered, *elsewhere)}
    close = difflib.get_close_matches(key.rpartition(".")[2], names.values(), n=1, cutoff=0.7)
    found = [full for full, name in names.items() if name in close]
    return [full for full in found if full in offered] or found[:3]


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
            return f"{cause.full_key}: {str(cause).splitlines()[0].rstrip('.')}."
        cause = cause.__cause__ or cause.__context__
    return f"{str(error).splitlines()[0]}: check brackets, quotes and commas; e.g. {job.example}"
