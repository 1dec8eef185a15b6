"""Stage classify: a linear layer on frozen features in repeated subject-wise folds, then on everyone.

For every repeat and fold: the inner folds of the training part choose penalty, threshold and calibration; the
layer is fitted on all bones of the training subjects; the test subjects get a probability per bone and the
mean of them. The splits come from the store's files, so that every method meets the same folds. Last, a layer
fitted on all subjects goes into the finished model. After SupCon every fold has an encoder of its own, and
subjects held back from it take the place of the inner folds (`supervision`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from pipelines.classification.config import ClassificationConfig
from pipelines.classification.cortical import subject_indices
from pipelines.classification.features import region_features
from pipelines.classification.fine_tune import fine_tuning
from pipelines.classification.finished import check_segmenter, read_part, write_model
from pipelines.classification.fitting import Fitting, Labelled
from pipelines.classification.labelled import outside_population, people, subject_outcomes
from pipelines.classification.probe import Segments
from pipelines.classification.regress import predicted_scores
from pipelines.classification.rounds import Round, final_round, rounds_of
from pipelines.classification.rows import (
    Origin,
    check_segmented,
    evaluable_table,
    film_rows,
    fold_row,
    region_indices,
    region_table,
    subject_table,
)
from pipelines.classification.supervised_config import SupervisedConfig
from pipelines.classification.supervision import Encoders
from pipelines.config import StudyConfig
from pipelines.evaluation.cohort import Cohort
from pipelines.evaluation.discrimination import mean_auc
from pipelines.evaluation.intervals import BOOTSTRAP_SEED, bootstrap_weights
from pipelines.evaluation.ledger import PRIMARY, lock, record
from pipelines.evaluation.paper import paper_table
from pipelines.progress import Progress, silent
from pipelines.segmentation.stored import Segmentation, regions_of
from pipelines.training.session import Session
from storage.atomic import remove_folder, write_json
from storage.config import SplitConfig
from storage.errors import TrainingError
from storage.manifest import Store
from storage.schemas import EVALUABLE, FOLDS, INNER, REGIONS, SCORES, SUBJECTS
from storage.tables import write_table

_log = logging.getLogger(__name__)
_SCHEMAS = {"regions": REGIONS, "subjects": SUBJECTS, "folds": FOLDS, "inner": INNER, "scores": SCORES}


def classify(
    store: Store,
    segmentation: Segmentation,
    segmenter: Path,
    encoder: Path,
    folder: Path,
    config: ClassificationConfig,
    split: SplitConfig,
    study: StudyConfig,
    progress: Progress = silent,
    contrast: str = "age_sex",
    supervised: SupervisedConfig | None = None,
    session: Session | None = None,
) -> str:
    """Write {regions,subjects,folds,inner,scores,evaluable}.parquet and the finished model; return a line.

    segmenter, encoder: folders of the models that `segmentation` and the features come from; they go into the
    finished model. After SupCon the folds' encoders lie in the encoder's folder. contrast: the comparison fixed
    beforehand; the protocol is locked before anything is tested (`ledger`) and stands in protocol.json. supervised,
    session: for classification.encoder=fine_tuned.
    Raises ConfigError or TrainingError where there are too few subjects, InputError where films are not segmented,
    or were by another segmenter, or an encoder learnt from other subjects.
    """
    check_segmenter(segmenter, segmentation.model_id)
    protocol = _protocol(config, split, study, contrast, supervised)
    identity = lock(store.root, protocol)
    write_json(folder / "protocol.json", {"id": identity, **protocol})
    outcomes = subject_outcomes(store, study)
    rounds, last = rounds_of(store, split, outcomes), final_round(split, outcomes)
    encoders = Encoders(encoder, str(read_part(encoder, "encoder")[0]["method"]))
    _warn_of_one_encoder(encoders, split)
    readers = dict.fromkeys(encoders.of(one)[0] for one in (*rounds, last))
    films = store.manifest[store.manifest["subject"].isin(outcomes)]
    check_segmented(store, segmentation.regions, set(films["key"]))
    outside = outside_population(films, study, "adult", store.outcomes)
    chosen = regions_of(store.root, segmentation, config.regions)
    read = replace(study, regions=study.names(config.regions))
    labelled = _labelled(store, segmentation, chosen, config, read, outcomes, outside, progress)
    tuning = None
    if config.encoder == "fine_tuned":
        tuning = fine_tuning(
            store,
            chosen,
            encoder,
            labelled.rows,
            labelled.unread,
            folder,
            config,
            len(read.regions),
            supervised,
            session,
        )
    else:
        for reader in readers:
            labelled.segments(reader)  # into STORE/arrays, on all CPUs
    fitting = Fitting(
        labelled=labelled,
        encoders=encoders,
        tuning=tuning,
        config=config,
        protocol=split.protocol,
        num_regions=len(read.regions),
        progress=progress,
    )
    # One thread: sums in another order would differ in the last bit, and with them the tables.
    with nullcontext() if tuning else threadpool_limits(1):
        tables = _cross_validate(fitting, rounds)
        final = fitting.of(last)
    head, selection, _ = final.fitted
    for name, schema in _SCHEMAS.items():
        write_table(folder / f"{name}.parquet", tables[name], schema)
    record(store.root, identity, tables["subjects"])
    write_table(folder / "evaluable.parquet", evaluable_table(labelled.rows, outside), EVALUABLE)
    write_model(folder, segmenter, final.encoder, head, selection, config, study, films)
    if tuning:
        remove_folder(tuning.folder)
    return _summary(tables["subjects"], tables["folds"], split)


def _warn_of_one_encoder(encoders: Encoders, split: SplitConfig) -> None:
    if split.protocol == "paper" and not encoders.by_round and encoders.method != "none":
        _log.warning(
            "splits.protocol=paper, but the encoder was pretrained once, not anew on each seed's training subjects; "
            "radmill pretrain with the same splits.* keys does so, unless pretraining.subjects=all."
        )


def _protocol(
    config: ClassificationConfig,
    split: SplitConfig,
    study: StudyConfig,
    contrast: str,
    supervised: SupervisedConfig | None,
) -> dict[str, Any]:
    """What the analysis lock holds: who counts as positive, who is tested, how it is decided, what is compared."""
    return {
        "primary": PRIMARY,
        "contrast": contrast,
        "study": asdict(study),
        "splits": asdict(split),
        "classification": asdict(config),
        **({"supervised": asdict(supervised)} if supervised else {}),
    }


def _labelled(
    store: Store,
    segmentation: Segmentation,
    chosen: Segmentation,
    config: ClassificationConfig,
    study: StudyConfig,
    outcomes: Mapping[str, int],
    outside: set[str],
    progress: Progress,
) -> Labelled:
    """segmentation: of the bones, whose cortices are measured; chosen: of the regions that are read."""
    regions = chosen.regions
    rows = film_rows(store, regions[regions["subject"].isin(outcomes)], outcomes, outside)
    usable = rows[rows["evaluable"]]
    if usable.empty:
        raise TrainingError(
            f"Of {len(outcomes)} subjects with outcome none has a region that can be read (not found, or "
            f"younger than study.minimum_age_years={study.minimum_age_years:g}); look at the overlays in the "
            "report, or train another segmenter."
        )

    unread = Segments(
        features_ND=np.empty((len(usable), 0)),
        region_N=region_indices(usable, study),
        subject_N=usable["subject"].to_numpy(str),
        outcome_N=usable["outcome"].to_numpy(np.int64),
    )

    @lru_cache(maxsize=1)
    def segments(encoder: Path) -> Segments:
        return replace(unread, features_ND=region_features(store, chosen, encoder, usable, config, progress))

    return Labelled(
        rows=rows,
        unread=unread,
        segments=segments,
        cortical=subject_indices(segmentation, sorted(outcomes), outside),
        measured={str(name): float(value) for name, value in people(store)["score"].items()},
    )


def _cross_validate(fitting: Fitting, rounds: list[Round]) -> dict[str, pd.DataFrame]:
    """The tables of `_SCHEMAS`: test predictions, what each fold chose, and the inner folds' predictions."""
    labelled, parts = fitting.labelled, {name: list[pd.DataFrame]() for name in _SCHEMAS}
    for done, one in enumerate(rounds):
        fitting.progress(done, len(rounds), "folds of the linear layer")
        found = fitting.of(one)
        head, chosen, inner = found.fitted
        origin = Origin(fold=one.fold, repeat=one.repeat, seed=one.seed, method=fitting.method, split="test")
        rows = labelled.rows[labelled.rows["subject"].isin(one.test)]
        probability_N = head.probability(found.test.features_ND, found.test.region_N)
        predicted = region_table(rows, probability_N, origin)
        parts["regions"].append(predicted)
        parts["subjects"].append(subject_table(predicted, chosen.threshold, labelled.cortical, origin))
        parts["folds"].append(pd.DataFrame([fold_row(chosen, origin)]))
        parts["inner"].append(inner.assign(fold=one.fold, repeat=one.repeat))
        parts["scores"].append(
            predicted_scores(found.values, found.test, labelled.measured, fitting.num_regions, origin)
        )
    return {
        name: pd.concat([part for part in tables if len(part)] or tables[:1])
        for name, tables in parts.items()
    }


def _summary(subjects: pd.DataFrame, folds: pd.DataFrame, split: SplitConfig) -> str:
    if split.protocol == "paper":
        table = paper_table(subjects)
        return (
            f"AUC {table['mean']['auc']:.3f} (SD {table['sd']['auc']:.3f}) over {len(table['seeds'])} seeds as in the "
            "paper; its test sets are too small to rank anything"
        )
    cohort = Cohort.from_table(subjects, folds)
    auc = mean_auc(cohort, cohort.probability_NR, bootstrap_weights(cohort.outcome_N, BOOTSTRAP_SEED))
    not_evaluable = subjects["subject"].nunique() - len(cohort.subjects)
    return (
        f"AUC {auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f}) in {len(cohort.subjects)} subjects, "
        f"{int(cohort.outcome_N.sum())} positive, {not_evaluable} not evaluable; "
        f"{split.repeats} x {len(np.unique(cohort.fold_NR))} folds"
    )
