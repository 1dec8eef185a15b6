"""`radmill plan JOB ...`: what the job would do, in counts, bytes, steps and expected precision; writes nothing."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jobs.config import Settings
from jobs.folders import existing
from jobs.ingest import new_secret
from jobs.job import Job
from jobs.listing import files_below
from jobs.registry import JOBS, PLAIN
from storage.wording import counted

EXPECTED_AUC = 0.8
MOST_HALF_WIDTH = 0.5  # a wider interval would say nothing
HELD_BACK = 0.25  # of a training part, where the encoder learns from outcomes
TESTED, WOMEN_LEAST = 0.2, 7  # of whole films: share of the women, and how many of each class there must be
PHANTOMS_POSITIVE = 0.284  # share of the subjects with outcome


class Counts(NamedTuple):
    """Subjects with an outcome."""

    subjects: int
    positives: int
    tested: float = 1.0
    """Share of them."""

    @property
    def negatives(self) -> int:
        return self.subjects - self.positives


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
    counts = _counts(job, settings)
    if counts is not None and (counts.subjects or "classification" in job.sections):
        lines += _precision_lines(counts, _widening(settings) if "splits" in job.sections else 1.0)
    if settings.study.whole_films and "supervised" in job.sections:
        return lines + _whole_film_lines(settings, counts)
    for section, stage in (("segmentation", "train-segmenter"), ("pretraining", "pretrain")):
        if job.name in (stage, "demo", "run") and not (section == "segmentation" and settings.segmenter):
            training = getattr(settings, section)
            encoders = _encoders(settings) if stage == "pretrain" else ""
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


def _encoders(settings: Settings) -> str:
    """How many encoders the stage pretrain trains, where it is more than one."""
    if settings.pretraining.method != "supcon" or settings.study.whole_films:
        return ""
    splits = settings.splits
    if splits.by == "site":
        return "an encoder for each X-ray machine and one for all, each of "
    folds = splits.repeats * (1 if splits.protocol == "paper" else splits.folds)
    return f"{folds + 1} encoders, one for each of {counted(folds, 'fold')} and one for all, each of "


def _counts(job: Job, settings: Settings) -> Counts | None:
    """Subjects and positives among them, where something tells: the phantoms, the sheet, or the store."""
    if settings.population == "child":
        return Counts(0, 0)
    if "phantoms" in job.sections:
        subjects = settings.phantoms.subjects if settings.phantoms.population == "adult" else 0
        return Counts(subjects, round(PHANTOMS_POSITIVE * subjects))
    if settings.outcomes is not None:
        return _sheet_counts(settings)
    if job.name == "run" and not (Path(str(settings.store)) / "CURRENT").is_file():
        return Counts(0, 0)
    if job.name in ("classify", "evaluate", "run"):
        from pipelines.classification.exams import exam_outcomes
        from pipelines.classification.labelled import subject_outcomes
        from storage.manifest import Store

        store = Store.open(Path(str(settings.store)))
        if settings.study.whole_films:
            share = TESTED if job.name == "classify" else 1.0
            return _women(exam_outcomes(store, settings.study))._replace(tested=share)
        outcomes = subject_outcomes(store, settings.study)
        return Counts(len(outcomes), sum(outcomes.values()))
    return None


def _women(outcomes: Mapping[tuple[str, str], int]) -> Counts:
    """Women with an outcome, positive if any exam is."""
    positive: dict[str, int] = {}
    for (subject, _), outcome in outcomes.items():
        positive[subject] = max(positive.get(subject, 0), outcome)
    return Counts(len(positive), sum(positive.values()))


def _widening(settings: Settings) -> float:
    """How much wider the folds' intervals are than those of one fixed test set, as the report stretches them."""
    from pipelines.evaluation.intervals import fold_widening

    folds = 1 if settings.study.whole_films else settings.splits.folds
    held_back = settings.pretraining.method == "supcon" or settings.classification.encoder == "fine_tuned"
    learnt = 1 - HELD_BACK if held_back else 1.0
    return fold_widening(folds, 1 / (learnt * (folds - 1))) if folds > 1 else 1.0


def _precision_lines(counts: Counts, widening: float) -> list[str]:
    """How wide the interval of an AUC will be, never beyond what an AUC can be."""
    if not counts.subjects:
        return ["outcomes: none, so embeddings alone come out, no probability"]
    tested = (round(counts.tested * number) for number in (counts.positives, counts.negatives))
    half = widening * auc_half_width(EXPECTED_AUC, *tested)
    if not half <= MOST_HALF_WIDTH:
        expected = "too few to say"
    else:
        low, high = max(0.0, EXPECTED_AUC - half), min(1.0, EXPECTED_AUC + half)
        expected = f"an AUC of {EXPECTED_AUC:.2f} would have the 95 % interval {low:.2f} to {high:.2f}"
    return [
        f"outcomes: {counted(counts.subjects, 'subject')}, {counts.positives:,} positive",
        f"expected precision: {expected}",
    ]


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


def _phantom_lines(settings: Settings) -> list[str]:
    p = settings.phantoms
    films = p.subjects + p.unlabelled
    return [
        f"phantoms: {counted(films, 'film')} of {p.height} x {p.width}, {counted(p.annotators, 'annotator')}, "
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


def _sheet_counts(settings: Settings) -> Counts:
    """Patients of the sheet alone, positive if any row is; matching them with the films is ingest's work."""
    from pipelines.ingest.values import number
    from pipelines.outcomes.rule import parse_rule
    from pipelines.outcomes.sheet import PATIENT, read_outcome_sheet
    from pipelines.outcomes.tubes import told_by_patient

    table = read_outcome_sheet(existing(str(settings.outcomes), "outcomes"), settings.study)
    if settings.study.unit == "exam":
        told = told_by_patient(table, settings.study)
        return Counts(len(told), sum(told.values()), TESTED)
    rule = parse_rule(settings.study.outcome_rule)
    positive: dict[str, bool] = {}
    for row in table.sheet.rows:
        if not math.isnan(value := number(row.get(table.column))):
            patient = table.film_id(row.get(PATIENT))
            positive[patient] = positive.get(patient, False) or bool(rule.outcome(value))
    return Counts(len(positive), sum(positive.values()))


def auc_half_width(auc: float, positives: int, negatives: int) -> float:
    """Half of an AUC's 95 % interval (Hanley and McNeil, Radiology 1982;143:29-36); NaN without both classes."""
    if positives < 1 or negatives < 1:
        return math.nan
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
    return 1.96 * math.sqrt(spread / (positives * negatives))
