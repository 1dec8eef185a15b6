"""`radmill plan JOB ...`: what the job would do, in counts, bytes, steps and expected precision; writes nothing."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

from jobs.config import Settings
from jobs.counts import Counts, foreseen_counts, precision_lines, widening
from jobs.folders import existing
from jobs.ingest import new_secret
from jobs.job import Job
from jobs.listing import files_below
from jobs.pretrain import by_round
from jobs.registry import JOBS, PLAIN
from storage.wording import counted

WOMEN_LEAST = 7  # of each class, where whole films are read


def plan(words: Sequence[str]) -> int:
    """Print the plan of `JOB key=value ...` and return 0.

    Raises:
        ConfigError, InputError: the words would not start the job either; the job's own checks say so.
    """
    from jobs.__main__ import check, split_job
    from jobs.compose import settings_for
    from storage.errors import ConfigError

    if list(words) == ["info"]:
        print(_looks("info", PLAIN["info"]))
        return 0
    if not words or words[0] in PLAIN:
        raise ConfigError(
            "radmill plan needs a job with keys of its own; e.g. radmill plan run raw=DIR store=DIR out=DIR"
        )
    name, rest = split_job(words)
    settings = settings_for(JOBS[name], rest)
    job = JOBS[name]
    check(job, settings)
    writes = name.startswith("store ") and settings.out is not None  # `store show KEY out=film.png`
    if job.looks and not writes:
        print(_looks(name, job.summary))
        return 0
    print(f"radmill {name} would do the following; nothing is written.")
    lines = _lines(job, settings)
    # of a job without figures of its own, at least what it is for
    told = lines if lines and not name.startswith("store ") else [job.summary, *lines]
    print("\n".join(f"  {line}" for line in told))
    if settings.cluster.kind == "slurm" and name == "run":
        _print_scripts(settings)
    return 0


def _looks(name: str, summary: str) -> str:
    return (
        f"radmill {name} only looks, so there is nothing to plan; run it without plan. It tells: {summary}."
    )


def _print_scripts(settings: Settings) -> None:
    """What would be submitted, and that Slurm would take it, where there is Slurm."""
    from jobs.submit import check_accepted, planned

    for node, text in planned(settings):
        tasks = f", {counted(node.width, 'task')}" if node.width else ""
        print(f"\n  {node.name}{tasks}:\n" + "\n".join(f"    {line}".rstrip() for line in text.splitlines()))
    if shutil.which("sbatch") is None:
        print("\n  Slurm is not on this machine, so whether it would take them was not asked.")
        return
    check_accepted(settings)
    print("\n  sbatch --test-only takes all of them.")


def _lines(job: Job, settings: Settings) -> list[str]:
    lines: list[str] = []
    if "phantoms" in job.sections:
        lines += _phantom_lines(settings)
    if settings.raw is not None and not job.name.startswith("store "):
        lines += _raw_lines(settings)
    if settings.store is not None and "raw" not in job.required:
        lines += _store_lines(Path(settings.store))
    counts = foreseen_counts(job, settings)
    if counts is not None and (counts.subjects or "classification" in job.sections):
        lines += precision_lines(counts, widening(settings) if "splits" in job.sections else 1.0)
    if job.name == "sweep":
        lines += _sweep_lines(settings)
    if settings.study.whole_films and "supervised" in job.sections:
        return lines + _whole_film_lines(settings, counts)
    for section, stage in (("segmentation", "train-segmenter"), ("pretraining", "pretrain")):
        if job.name in (stage, "demo", "run") and not (section == "segmentation" and settings.segmenter):
            training = getattr(settings, section)
            encoders = _encoders(settings, counts) if stage == "pretrain" else ""
            lines.append(
                f"{stage}: {encoders}{training.steps:,} steps of {training.batch_size}, "
                f"a checkpoint every {training.checkpoint_every_steps}"
            )
    if "classification" in job.sections and (counts is None or counts.subjects):
        splits = settings.splits
        lines.append(
            f"evaluation: {counted(splits.repeats, 'repeat')} of {splits.folds} folds by subject, "
            f"seeds from {splits.seed}"
        )
        lines += _fold_lines(counts, splits.folds)
    return lines


def _encoders(settings: Settings, counts: Counts | None) -> str:
    """How many encoders the stage pretrain trains, where it is more than one."""
    splits = settings.splits
    if not by_round(settings) or settings.study.whole_films or (counts and not counts.subjects):
        return ""
    if splits.by == "site":
        return "an encoder for each X-ray machine and one for all, each of "
    folds = splits.repeats * (1 if splits.protocol == "paper" else splits.folds)
    return f"{folds + 1} encoders, one for each of {counted(folds, 'fold')} and one for all, each of "


def _fold_lines(counts: Counts | None, folds: int) -> list[str]:
    """What classify would refuse, as far as counts alone tell."""
    if counts is None or not counts.subjects:
        return []
    rare, which = min((counts.positives, "positive"), (counts.negatives, "negative"))
    if rare >= folds:
        return []
    advice = f"set splits.folds={rare}" if rare >= 2 else "more subjects are needed"
    return [f"WARNING: {folds} folds, but only {rare} {which}: classify would refuse; {advice}"]


def _whole_film_lines(settings: Settings, counts: Counts | None) -> list[str]:
    """One training, tested once: see pipelines/classification/film_trial.py."""
    training = settings.supervised
    head = f", then {training.head_steps:,} of the classifier" if training.supcon else ""
    lines = [
        f"classify: {training.steps:,} steps of {training.batch_size}{head}, "
        f"a checkpoint every {training.checkpoint_every_steps}",
        "evaluation: a fifth of the women tested once; of the others a fifth chooses weights and thresholds",
    ]
    if (
        counts is not None
        and counts.subjects
        and (rare := min(counts.positives, counts.negatives)) < WOMEN_LEAST
    ):
        lines.append(
            f"WARNING: {counted(rare, 'woman', 'women')} of the rarer class, but classify needs {WOMEN_LEAST}: "
            "it would refuse"
        )
    return lines


def _sweep_lines(settings: Settings) -> list[str]:
    from jobs.sweep import left_out_trials, todo
    from jobs.trials import sweep_of

    sweep = sweep_of(str(settings.sweep), JOBS["sweep"].sections, settings.seed_controls)
    trials = todo(sweep, left_out := left_out_trials(settings, sweep))
    names, seeds = ({getattr(trial, what) for trial in trials} for what in ("name", "seed"))
    lines = [f"sweep: {counted(len(trials), 'trial')}, {len(names)} by {counted(len(seeds), 'seed')}"]
    return lines + [f"left out: {name}, {why}" for name, why in left_out.items()]


def _phantom_lines(settings: Settings) -> list[str]:
    from pipelines.phantoms.study import foreseen

    p = settings.phantoms
    films = counted(foreseen(p, settings.study).films, "film")
    if settings.study.whole_films:
        return [
            f"phantoms: {films} of {p.height} x {p.height}, frames of loops counted, effect {p.effect or 'null'}"
        ]
    return [
        f"phantoms: {films} of {p.height} x {p.width}, {counted(p.annotators, 'annotator')}, "
        f"effect {p.effect or 'null'}"
    ]


def _raw_lines(settings: Settings) -> list[str]:
    raw = existing(str(settings.raw), "raw")
    sizes = [size for file in files_below(raw) if (size := _size(file)) is not None]
    shards = math.ceil(len(sizes) / settings.ingest.films_per_shard)
    lines = [
        f"ingest: {counted(len(sizes), 'file')}, {sum(sizes) / 2**20:,.0f} MB, about {counted(shards, 'shard')}"
    ]
    if said := new_secret(settings):
        lines.append(f"secret: {said}")
    return lines


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except OSError:  # ingest will say so in a row; here its name must not show
        return None


def _store_lines(root: Path) -> list[str]:
    from storage.manifest import Store

    store = Store.open(root)
    films, subjects = len(store.manifest), store.manifest["subject"].nunique()
    with_outcome = store.outcomes["subject"].nunique()
    return [
        f"store: {counted(films, 'film')} of {counted(subjects, 'subject')}, {with_outcome:,} with outcome"
    ]
