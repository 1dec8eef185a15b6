"""`radmill plan JOB ...`: what the job would do, in counts, bytes, steps and expected precision; writes nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from jobs.config import Settings
from jobs.folders import existing
from jobs.listing import files_below
from jobs.registry import JOBS, Job

EXPECTED_AUC = 0.8


def plan(words: Sequence[str]) -> int:
    """Print the plan of `JOB key=value ...` and return 0.

    Raises:
        ConfigError: the words would not start the job either.
    """
    from jobs.__main__ import split_job
    from jobs.compose import settings_for
    from jobs.stages import check_segmenter
    from storage.errors import ConfigError

    if words and words[-1] in ("-h", "--help"):
        print("radmill plan JOB key=value ...: the job's own words; says what it would do, writes nothing.")
        return 0
    if not words:
        raise ConfigError("radmill plan needs a job; e.g. radmill plan run raw=DIR store=DIR out=DIR")
    name, rest = split_job(words)
    settings = settings_for(JOBS[name], rest)
    if name == "run":
        check_segmenter(settings)
    print(f"radmill {name} would do the following; nothing is written.")
    print("\n".join(f"  {line}" for line in _lines(JOBS[name], settings)))
    return 0


def _lines(job: Job, settings: Settings) -> list[str]:
    lines: list[str] = []
    if "phantoms" in job.sections:
        lines += _phantom_lines(settings)
    if settings.raw is not None:
        lines += _raw_lines(settings)
    if settings.store is not None and "raw" not in job.required:
        lines += _store_lines(Path(settings.store))
    if settings.outcomes is not None:
        lines += _outcome_lines(settings)
    for section, stage in (("segmentation", "train-segmenter"), ("pretraining", "pretrain")):
        if section in job.sections and not (section == "segmentation" and settings.segmenter):
            training = getattr(settings, section)
            lines.append(
                f"{stage}: {training.steps:,} steps of {training.batch_size}, "
                f"a checkpoint every {training.checkpoint_every_steps}"
            )
    if "splits" in job.sections:
        splits = settings.splits
        lines.append(
            f"evaluation: {splits.repeats} repeats of {splits.folds} folds by subject, seeds from {splits.seed}"
        )
    return lines


def _phantom_lines(settings: Settings) -> list[str]:
    p = settings.phantoms
    films = p.subjects + p.unlabelled
    lines = [
        f"phantoms: {films:,} films of {p.height} x {p.width}, {p.annotators} annotators, effect {p.effect or 'null'}"
    ]
    return [*lines, _precision(p.subjects, round(0.284 * p.subjects))] if p.subjects else lines


def _raw_lines(settings: Settings) -> list[str]:
    raw = existing(str(settings.raw), "raw")
    sizes = [size for file in files_below(raw) if (size := _size(file)) is not None]
    shards = math.ceil(len(sizes) / settings.ingest.films_per_shard)
    return [f"ingest: {len(sizes):,} files, {sum(sizes) / 2**20:,.0f} MB, about {shards:,} shards"]


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except OSError:  # ingest will say so in a row; here its name must not show
        return None


def _store_lines(root: Path) -> list[str]:
    from storage.manifest import Store

    store = Store.open(root)
    films, subjects, labelled = store.manifest["key"], store.manifest["subject"], store.outcomes["subject"]
    counts = f"{len(films):,} films of {subjects.nunique():,} subjects, {labelled.nunique():,} with outcome"
    return [f"store: {counts}"]


def _outcome_lines(settings: Settings) -> list[str]:
    """Counts from the sheet alone; matching it with the films is ingest's work."""
    from pipelines.ingest.sheet import column_name, read_sheet
    from pipelines.ingest.values import number
    from pipelines.outcomes.rule import parse_rule

    column = column_name(settings.study.outcome_column)
    sheet = read_sheet(existing(str(settings.outcomes), "outcomes"), "outcomes", (column,))
    rule = parse_rule(settings.study.outcome_rule)
    values = [value for row in sheet.rows if not math.isnan(value := number(row.get(column)))]
    positives = sum(map(rule.outcome, values))
    return [f"outcomes: {len(values):,} rows, {positives:,} positive", _precision(len(values), positives)]


def _precision(subjects: int, positives: int) -> str:
    half = auc_half_width(EXPECTED_AUC, positives, subjects - positives)
    counts = f"{positives:,} of {subjects:,} positive"
    return f"expected precision: AUC {EXPECTED_AUC:.2f} +- {half:.2f} (95 %) with {counts}"


def auc_half_width(auc: float, positives: int, negatives: int) -> float:
    """Half of an AUC's 95 % interval (Hanley and McNeil, Radiology 1982;143:29-36); NaN without both classes."""
    if positives < 1 or negatives < 1:
        return math.nan
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
    return 1.96 * math.sqrt(spread / (positives * negatives))
