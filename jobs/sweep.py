"""Many trials over one store, side by side, and the paper's tables of them; a trial that is done is kept.

Of a study with bones a trial is pretrain and classify over this run's segmentation; of whole films, classify.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cluster.local import num_processes
from cluster.search import Row, Trial, forget, search
from jobs import films_stage
from jobs.compose import whole_yaml
from jobs.config import Settings
from jobs.folders import held, opened_store, regions_id, segmentation_id
from jobs.pretrain import check_method
from jobs.progress import console
from jobs.registry import JOBS
from jobs.session import stop_file, stopped_by_signals
from jobs.sweep_tables import write_sweep_tables
from jobs.sweep_trial import TRIAL, run_trial, twins_of, with_changes, write_trial
from jobs.training import FOLDER
from jobs.trials import Sweep, SweepTrial, sweep_of
from pipelines.config import WHOLE
from storage.atomic import remove_folder, write_json, write_text
from storage.errors import ConfigError, InputError, check_one_of
from storage.wording import counted

ASKED = "asked.json"


def check(settings: Settings) -> None:
    """There is a store with outcomes, this run has segmented it, and the sweep's file makes sense."""
    sweep = _sweep(settings)
    if settings.population == "child":
        raise ConfigError("A sweep compares predictions, and children get none; set population=adult.")
    if sweep.study is not None and sweep.study != settings.study.name:
        raise ConfigError(f"sweep={sweep.name} is for study={sweep.study}, but study={settings.study.name}.")
    _check_tables(sweep)
    left_out = left_out_trials(settings, sweep)
    if not todo(sweep, left_out):
        raise ConfigError(next(iter(left_out.values())))
    store = opened_store(settings)
    if settings.study.whole_films:
        films_stage.check(store, settings)
        return
    from pipelines.classification.labelled import subject_outcomes
    from pipelines.segmentation.stored import open_segmentation

    open_segmentation(store.root, segmentation_id(Path(str(settings.out))))
    if not subject_outcomes(store, settings.study):
        raise InputError(
            f"store={settings.store} holds no outcome of a subject with a film, and a sweep compares predictions; "
            "ingest with outcomes=FILE."
        )


def _check_tables(sweep: Sweep) -> None:
    """ConfigError for a measure or a paper's table that there is not, before anything trains for it."""
    from pipelines.evaluation.trials import MEASURES
    from pipelines.reporting.papers import PAPERS

    if "views" in sweep.figures and sweep.study == "hsg":
        raise ConfigError("figures: views shows crops of bones, which the study hsg has not.")
    for table in sweep.tables:
        for measure in table.measures:
            check_one_of("measures", measure, MEASURES)
        if table.paper:
            check_one_of("paper", table.paper, tuple(PAPERS))


def main(settings: Settings) -> int:
    """`radmill sweep sweep=NAME store=DIR out=DIR`: OUT/sweep/<trial>/, sweep.parquet, table.csv and table.html."""
    store, out = Path(str(settings.store)), Path(str(settings.out))
    with held("sweep", out, store):
        run_sweep(settings, store.resolve(), out.resolve())
    return 0


def run_sweep(settings: Settings, store: Path, out: Path) -> None:
    """Run the trials that have no Parquet file yet, then write sweep.parquet and the tables of all that have."""
    folder, sweep = out / "sweep", _sweep(settings)
    left_out = left_out_trials(settings, sweep)
    trials = todo(sweep, left_out)
    if settings.fresh:
        forget(out / FOLDER, "sweep")
        for trial in trials:
            remove_folder(folder / trial.id)
    asked = folder / "settings.yaml"
    write_text(asked, whole_yaml(replace(settings, fresh=False)))
    for name, why in left_out.items():
        console.print(f"sweep            {name} is left out: {why}", markup=False)
    kept = _Kept(folder, sweep.name, trials, _questions(settings, trials, store, out))
    _prepare(settings, trials, store, out)
    stop = stop_file() or out / FOLDER / "sweep.stop"
    if stop_file() is None:
        stop.unlink(missing_ok=True)
    stop.parent.mkdir(exist_ok=True)
    common = {"settings": str(asked), "store": str(store), "out": str(out), "stop_file": str(stop)}
    with stopped_by_signals(stop.touch):
        search(
            run_trial,
            [Trial(id=trial.id, params=common | kept.params(trial)) for trial in trials],
            folder=out / FOLDER,
            name="sweep",
            cpus=num_processes(settings.cluster),
            cpus_per_trial=_threads(settings),
            gpus_per_trial=settings.cluster.gpus_per_worker,
            is_done=kept.is_done,
            on_done=kept.keep,
            stop_file=stop,
        )
    _aggregate(folder, sweep.name, trials)
    page = write_sweep_tables(_shown(settings, trials), sweep, trials, left_out, store, out)
    console.print(
        f"Sweep: {counted(len(trials), 'trial')} in {folder / 'sweep.parquet'}, tables in {page}",
        markup=False,
    )


@dataclass(frozen=True)
class _Kept:
    """The trials' files below `folder`: a trial is done where its file answers the question asked now."""

    folder: Path
    sweep: str
    trials: Sequence[SweepTrial]
    questions: Mapping[str, Row]

    def params(self, trial: SweepTrial) -> Row:
        """The digest lets Tune's notes be taken up for this very question alone."""
        question = json.dumps(self.questions[trial.id], sort_keys=True).encode()
        return {
            "id": trial.id,
            "changes": trial.changes,
            "twins": twins_of(trial, self.trials),
            "question": hashlib.sha256(question).hexdigest()[:16],
        }

    def is_done(self, trial: str) -> bool:
        answered = self.folder / trial / ASKED
        if not (self.folder / trial / TRIAL).is_file():
            return False
        return bool(json.loads(answered.read_text("utf-8")) == self.questions[trial])

    def keep(self, trial: str, row: Row) -> None:
        (self.folder / trial / TRIAL).unlink(missing_ok=True)
        write_json(self.folder / trial / ASKED, self.questions[trial])
        write_trial(self.folder, self.sweep, next(one for one in self.trials if one.id == trial), row)
        done = sum(self.is_done(one.id) for one in self.trials)
        console.print(
            f"sweep            {done} of {counted(len(self.trials), 'trial')}: {trial}", markup=False
        )


def _shown(settings: Settings, trials: Sequence[SweepTrial]) -> Settings:
    """Those of the trial whose protocol has to be told: one of the paper's, else the first."""
    changed = [with_changes(settings, trial.changes) for trial in trials]
    paper = (one for one in changed if "paper" in (one.splits.protocol, one.supervised.protocol))
    return next(paper, changed[0])


def _sweep(settings: Settings) -> Sweep:
    return sweep_of(str(settings.sweep), JOBS["sweep"].sections, settings.seed_controls)


def left_out_trials(settings: Settings, sweep: Sweep) -> dict[str, str]:
    """By name the trials that can't be run with these settings, and why."""
    found: dict[str, str] = {}
    for trial in sweep.trials:
        section, _, name = (trial.needs or "").partition(".")
        if trial.needs and getattr(getattr(settings, section), name) is None:
            found[trial.name] = f"it needs {trial.needs}=FILE, and none is given"
            continue
        try:
            changed = with_changes(settings, trial.changes)
        except ConfigError as error:
            raise ConfigError(f"sweep={settings.sweep}, trial {trial.name}: {error}") from error
        try:
            check_method(changed)
        except ConfigError as error:
            found[trial.name] = str(error)
    return found


def todo(sweep: Sweep, left_out: Mapping[str, str]) -> list[SweepTrial]:
    """The trials that can be run."""
    return [trial for trial in sweep.trials if trial.name not in left_out]


def _threads(settings: Settings) -> int:
    """CPUs of a trial: on a machine of our own one, unless set, so that many trials run side by side."""
    cluster = settings.cluster
    return cluster.threads_per_worker or (1 if cluster.kind == "local" else cluster.cpus_per_worker)


def _prepare(settings: Settings, trials: Sequence[SweepTrial], store_root: Path, out: Path) -> None:
    """The caches of crops, which have one writer each, before the trials come for them."""
    from pipelines.pretraining.crops import open_crops
    from pipelines.segmentation.stored import open_segmentation

    caches = set()
    for trial in trials:
        changed = with_changes(settings, trial.changes)
        if settings.study.whole_films:
            caches.add((WHOLE[0], changed.supervised.input_size, 0.0))
        elif changed.pretraining.method != "none":
            own = changed.pretraining
            caches.add((regions_id(own.regions, out), own.crop_pixels, own.crop_mm_per_pixel))
    for model_id, size, mm_per_pixel in sorted(caches):
        open_crops(store_root, open_segmentation(store_root, model_id), size, mm_per_pixel=mm_per_pixel)


def _questions(
    settings: Settings, trials: Sequence[SweepTrial], store_root: Path, out: Path
) -> dict[str, dict[str, Any]]:
    """What each trial's row answers, by its id; the same question in another sweep is the same trial."""
    from storage.manifest import Store

    store = Store.open(store_root)
    inputs = {
        "version": version("radmill"),
        "store": store.fingerprint(),
        "outcomes": store.outcomes_fingerprint(),
        "segmentation": WHOLE[0] if settings.study.whole_films else segmentation_id(out),
    }
    questions = {}
    for trial in trials:
        changed = with_changes(settings, trial.changes)
        config = {name: asdict(getattr(changed, name)) for name in ("study", *JOBS["sweep"].sections)}
        questions[trial.id] = dict(json.loads(json.dumps(inputs | {"config": config})))
    return questions


def _aggregate(folder: Path, sweep: str, trials: list[SweepTrial]) -> None:
    import pandas as pd

    from storage.schemas import SWEEP
    from storage.tables import read_table, write_table

    tables = [
        read_table(folder / trial.id / TRIAL, SWEEP) for trial in sorted(trials, key=lambda trial: trial.id)
    ]
    together = pd.concat(tables, ignore_index=True).assign(sweep=sweep)  # another may have made some
    write_table(folder / "sweep.parquet", together, SWEEP)
