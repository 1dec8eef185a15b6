"""Everything the report is made from, read once: the store, its segmentation, what the stages left in OUT."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.config import BONES, StudyConfig
from pipelines.evaluation.ledger import Looks, looks
from pipelines.segmentation.stored import INFO, Segmentation, open_segmentation
from pipelines.training.seen import Seen, seen_by
from storage.errors import InputError
from storage.manifest import Store
from storage.schemas import EXAMS, FOLDS, INNER, REGIONS, SCORES, SUBJECTS
from storage.tables import empty, read_table

# Stages in the order in which they run; `predict` and `evaluate` apply a finished model.
STAGES = ("phantoms", "ingest", "train-segmenter", "segment", "pretrain", "classify", "predict", "evaluate")

# Where every training writes its curve: those of whole films are parts of the stage classify.
TRAININGS = {
    "train-segmenter": "train-segmenter",
    "pretrain": "pretrain",
    "films": "classify/films",
    "supcon": "classify/supcon",
    "head": "classify/head",
}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What lies in the store and in OUT; whatever is absent is empty or None.

    segmentation: None until the stage segment, or a finished model, has found the bones; seen: whom its segmenter has
    met in training.
    source: the stage that the predictions come from, or empty; subjects, exams, regions, folds: its tables; folder:
    where they lie.
    inner, scores: what the inner folds and the regression predicted; protocol: the analysis lock's; looks: how often
    the test outcomes were opened.
    embeddings: number of regions with features where nothing was to be predicted.
    evaluation: metrics.json of the stage evaluate.
    histories, models, stages: metrics.jsonl, model.json and provenance.json per stage.
    oracle: what a perfect reader of these phantoms would reach; resolved: the configuration as YAML.
    """

    study: StudyConfig
    population: str
    store: Store
    segmentation: Segmentation | None
    seen: Seen
    source: str
    folder: Path | None
    subjects: pd.DataFrame
    exams: pd.DataFrame
    regions: pd.DataFrame
    folds: pd.DataFrame | None
    inner: pd.DataFrame | None
    scores: pd.DataFrame | None
    protocol: dict[str, Any] | None
    looks: Looks
    embeddings: int
    evaluation: dict[str, Any] | None
    histories: dict[str, list[dict[str, Any]]]
    models: dict[str, dict[str, Any]]
    stages: list[dict[str, Any]]
    oracle: dict[str, Any] | None
    resolved: str

    @property
    def read(self) -> str:
        """What stands for the study's bones in these predictions, one of REGIONS; bones where there are none yet."""
        found = set(self.regions["region"])
        return next((kind for kind in ("whole", "patches") if found & set(self.study.names(kind))), BONES)

    @property
    def phantom(self) -> bool:
        """True if any film is a phantom: then everything made from the store is stamped."""
        return bool((self.store.manifest["data_kind"] == "phantom").any())


def collect(store_root: Path, out: Path, study: StudyConfig, oracle: Path | None, population: str) -> Inputs:
    """Read the inputs. InputError if there is no store, or if `oracle` names a file that is not there."""
    if oracle is not None and not oracle.is_file():
        raise InputError(f"oracle must name the oracle.json of a phantom cohort, but {oracle} is not a file.")
    # Children get overlays and features, never a probability, whatever an earlier run left behind.
    source = _source(out) if population == "adult" else ""
    protocol = _json(out / source / "protocol.json") if source else None
    records = (_json(out / stage / INFO) for stage in ("segment", "evaluate", "predict"))
    found = next(filter(None, records), {})
    return Inputs(
        study=study,
        population=population,
        store=Store.open(store_root),
        segmentation=open_segmentation(store_root, found["model_id"]) if found else None,
        seen=_seen(out, found),
        source=source,
        folder=out / source if source else None,
        subjects=_predictions(out / source / "subjects.parquet", SUBJECTS, source),
        exams=_predictions(out / source / "exams.parquet", EXAMS, source),
        regions=_predictions(out / source / "regions.parquet", REGIONS, source),
        folds=_table(out / source / "folds.parquet", FOLDS),
        inner=_table(out / source / "inner.parquet", INNER),
        scores=_table(out / source / "scores.parquet", SCORES),
        protocol=protocol,
        looks=looks(store_root, protocol["id"] if protocol else ""),
        embeddings=_num_rows(out / "classify" / "embeddings.parquet"),
        evaluation=_json(out / "evaluate" / "metrics.json"),
        histories={name: _rows(out / folder / "metrics.jsonl") for name, folder in TRAININGS.items()},
        models={stage: model for stage in STAGES if (model := _json(out / stage / "model.json"))},
        stages=[record for stage in STAGES if (record := _json(out / stage / "provenance.json"))],
        oracle=_json(oracle) if oracle else None,
        resolved=(out / "resolved.yaml").read_text("utf-8") if (out / "resolved.yaml").is_file() else "",
    )


def _source(out: Path) -> str:
    """The stage whose predictions are shown: folds first; a finished model's where no model was made here."""
    units = ("subjects.parquet", "exams.parquet")
    stages = ("classify", "evaluate", "predict")
    found = [stage for stage in stages if any((out / stage / table).is_file() for table in units)]
    return found[0] if found else ""


def _predictions(path: Path, schema: pa.Schema, source: str) -> pd.DataFrame:
    return read_table(path, schema) if source and path.is_file() else empty(schema)


def _seen(out: Path, segmentation: Mapping[str, Any]) -> Seen:
    """By the segmenter where it lay, or in OUT if that was moved; nobody where it is in neither place."""
    folders = (Path(segmentation.get("model", out)), out / "train-segmenter")
    folder = next((folder for folder in folders if (folder / "model.json").is_file()), None)
    return Seen.of(seen_by(folder, "segmenter") if folder else {})


def _table(path: Path, schema: pa.Schema) -> pd.DataFrame | None:
    return read_table(path, schema) if path.is_file() else None


def _num_rows(path: Path) -> int:
    """Rows of a Parquet file, from its footer: the vectors may be gigabytes."""
    return int(pq.ParquetFile(path).metadata.num_rows) if path.is_file() else 0


def _json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    loaded: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return loaded


def _rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a metrics.jsonl; a last line cut short by a killed run is left out."""
    rows = []
    for line in path.read_text("utf-8").splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
