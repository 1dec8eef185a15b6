"""Small cohorts through the real storage: films with seven bright bars, masks, outcomes, predictions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.config import StudyConfig
from pipelines.evaluation.ledger import lock, record
from pipelines.reporting.build import build_report
from pipelines.reporting.config import ReportingConfig
from pipelines.training import seen
from storage import schemas
from storage.arrays import create_array, writing_group
from storage.atomic import new_folder, write_json, write_text
from storage.codec import encode_png
from storage.manifest import Store
from storage.shards import ShardWriter
from storage.tables import write_table


@dataclass
class Run:
    """A store, an OUT and the oracle beside them."""

    store: Path
    out: Path
    oracle: Path | None = None

    def report(self, population: str = "adult", worst: int = 4) -> str:
        """Make the report; returns the page's text."""
        config = ReportingConfig(worst=worst)
        page = build_report(self.store, self.out, StudyConfig(), config, self.oracle, population)
        return page.read_text("utf-8")

    @property
    def metrics(self) -> dict[str, Any]:
        """metrics.json of the report."""
        loaded: dict[str, Any] = json.loads((self.out / "report" / "metrics.json").read_text("utf-8"))
        return loaded

    @property
    def page(self) -> str:
        """report.html."""
        return (self.out / "report" / "report.html").read_text("utf-8")


REGIONS = ["ulna", "radius", *(f"metacarpal{i}" for i in range(1, 6))]
HEIGHT, WIDTH = 120, 96


def film(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A film and its label map: two bars below, five above."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[85:118, 30:42], labels[85:118, 50:64] = 1, 2
    for bone in range(5):
        labels[30:75, 10 + 16 * bone : 19 + 16 * bone] = 3 + bone
    pixels = 400 + 1500.0 * (labels > 0) + rng.normal(0, 60, labels.shape)
    return np.clip(pixels, 0, 4095).astype(np.uint16), labels


def make_store(
    root: Path, subjects: int, with_outcome: int, age_years: float = 66.0, kind: str = "phantom"
) -> Store:
    """One film per subject; the first `with_outcome` subjects have an outcome, every third is positive."""
    rng = np.random.default_rng(5)
    names = [f"SUB{index:04d}{'A' * 19}" for index in range(subjects)]
    films, masks = [], []
    with (
        ShardWriter(root / "shards" / "radiographs-000000-00000000.tar") as film_shard,
        ShardWriter(root / "shards" / "annotations-000000-00000000.tar") as mask_shard,
    ):
        for index, name in enumerate(names):
            key = f"FILM{index:04d}{'B' * 18}"
            pixels, labels = film(rng)
            placed = film_shard.add(f"{key}.image.png", encode_png(pixels))
            films.append(_film_row(key, name, index, age_years, kind, placed))
            for annotator, weight in (("a0", 1.0), ("truth", 0.0)):
                placed = mask_shard.add(f"{key}.mask.{annotator}.png", encode_png(labels))
                masks.append(
                    {
                        "key": key,
                        "annotator": annotator,
                        "weight": weight,
                        "tool": "phantom",
                        "shard": "annotations-000000-00000000.tar",
                        **placed_row(placed),
                    }
                )
    store = Store.create(root, "k0")
    excluded = [("T0", 0, "unreadable", "truncated", "decode"), ("T1", 0, "duplicate", "", "decode")]
    store.commit(
        pd.DataFrame(films, columns=schemas.MANIFEST.names),
        pd.DataFrame(masks, columns=schemas.ANNOTATIONS.names),
        pd.DataFrame(excluded, columns=schemas.EXCLUSIONS.names),
    )
    if with_outcome:
        store.write_outcomes(_outcomes(names[:with_outcome], age_years))
    return Store.open(root)


def placed_row(placed: object) -> dict[str, int]:
    return {name: getattr(placed, name) for name in ("offset", "size", "crc32c")}


def _film_row(
    key: str, subject: str, index: int, age_years: float, kind: str, placed: object
) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(schemas.MANIFEST.names)
    return row | {
        "key": key,
        "subject": subject,
        "token": f"K{index}",
        "frame": 0,
        "pixels_sha256": f"{index:064x}",
        "source_sha256": f"{index:064x}",
        "height": HEIGHT,
        "width": WIDTH,
        "bits": 12,
        "spacing_mm": 0.2 if index % 4 else None,
        "laterality": "LR"[index % 2],
        "age_years": age_years,
        "sex": "FM"[index % 3 == 0],
        "data_kind": kind,
        "order": 0,
        "device": "AB"[index % 2],
        "codec": "png",
        "shard": "radiographs-000000-00000000.tar",
        **placed_row(placed),
    }


def _outcomes(names: list[str], age_years: float) -> pd.DataFrame:
    rows = []
    for index, name in enumerate(names):
        positive = index % 3 == 0
        row: dict[str, object] = dict.fromkeys(schemas.OUTCOMES.names)
        row |= {"subject": name, "outcome": int(positive), "t_score": -2.9 if positive else -1.1}
        row |= {
            "t_score": row["t_score"] + 0.1 * (index % 5),
            "weight_kg": 60.0 + 3 * (index % 6) - 4 * positive,
        }
        row |= {"age_years": age_years + index % 7 + 2 * positive, "sex": "FM"[index % 4 == 0]}
        rows.append(row | {"rule": "<= -2.5", "days": 10 + index})
    return pd.DataFrame(rows, columns=schemas.OUTCOMES.names)


def write_predictions(folder: Path, store: Store, repeats: int = 2, folds: int = 3) -> None:
    """Tables of a classifier that knows something, under a lock; the second subject is not evaluable."""
    rng = np.random.default_rng(9)
    subjects, regions = [], []
    outcomes = store.outcomes.sort_values("subject").reset_index(drop=True)
    person = rng.normal(0, 1.3, len(outcomes))
    for repeat in range(repeats):
        for index, row in outcomes.iterrows():
            read = index != 1
            place = {
                "fold": (index // 3 + repeat) % folds,
                "repeat": repeat,
                "seed": 1,
                "method": "simclr",
                "split": "test",
            }
            latent = 1 / (
                1 + np.exp(1.2 - 1.5 * row["outcome"] - person[index] - rng.normal(0, 0.8, len(REGIONS)))
            )
            probability = float(latent.mean()) if read else np.nan
            subjects.append(
                {
                    "subject": row["subject"],
                    "outcome": row["outcome"],
                    "probability": probability,
                    "spread": 0.03,
                    "prediction": int(probability >= 0.4) if read else -1,
                    "threshold": 0.4,
                    "regions_used": 7 if read else 0,
                    "mci2": float(rng.normal(0.47 - 0.05 * row["outcome"], 0.06)) if index % 5 else np.nan,
                    "mci2_flag": "" if index % 5 else "not_found",
                    **place,
                }
            )
            key = store.manifest["key"][store.manifest["subject"] == row["subject"]].iat[0]
            for region, value in zip(REGIONS, latent, strict=True):
                one = {
                    "subject": row["subject"],
                    "exam": "",
                    "key": key,
                    "region": region,
                    "outcome": row["outcome"],
                }
                regions.append({**one, "probability": value if read else np.nan, "evaluable": read, **place})
    table = pd.DataFrame(subjects)
    tested = table.dropna(subset=["probability"])
    inner = [tested[tested["fold"] != fold].assign(fold=fold) for fold in range(folds)]
    write_table(folder / "inner.parquet", pd.concat(inner)[schemas.INNER.names], schemas.INNER)
    t_scores = tested["subject"].map(outcomes.set_index("subject")["t_score"])
    noise = rng.normal(0, 0.5, len(tested))
    scores = tested.assign(measured=t_scores, predicted=0.6 * t_scores - 0.7 + noise)
    write_table(folder / "scores.parquet", scores[schemas.SCORES.names], schemas.SCORES)
    identity = lock(store.root, {"contrast": "age_sex"})
    record(store.root, identity, table)
    protocol = {
        "contrast": "age_sex",
        "splits": {"protocol": "folds"},
        "classification": {"sensitivity": 0.8},
    }
    write_json(folder / "protocol.json", {"id": identity, **protocol})
    write_table(folder / "subjects.parquet", table, schemas.SUBJECTS)
    write_table(folder / "regions.parquet", pd.DataFrame(regions), schemas.REGIONS)


def write_segmentation(store: Store, out: Path, reference: str = "truth") -> None:
    """One pixel off everywhere, metacarpal1 missing in the first film. The grid is the film halved."""
    model_id = "0f3a9c21be77"
    folder = store.root / "segmentations" / model_id
    films, regions, maps, entropies = [], [], [], []
    for row, (key, subject) in enumerate(zip(store.manifest["key"], store.manifest["subject"], strict=True)):
        truth = store.read_masks(key)["truth"]
        found = np.roll(truth, 1, axis=1)
        if row == 0:
            found[found == 3] = 0
        dice = [dice_of(found == index, truth == index) for index in range(1, 8)]
        grid = found[::2, ::2]
        maps.append(grid)
        entropies.append(np.where(grid != np.roll(grid, 1, axis=1), 0.6, 0.02).astype(np.float16))
        placed = {"scale": 0.5, "offset_y": 0.0, "offset_x": 0.0}
        name = {"key": key, "subject": subject, "row": row}
        films.append(
            name
            | placed
            | {"regions_found": 6 if row == 0 else 7, "entropy": 0.1 + 0.001 * row, "annotator": reference}
            | {"dice": dice if reference else [], "disagreement": [0.8, 0.7, 0.9] if reference else []}
        )
        for index, region in enumerate(REGIONS, start=1):
            one: dict[str, object] = dict.fromkeys(schemas.REGION_INDEX.names)
            regions.append(
                one | name | {"region": region, "found": bool((found == index).any()), "entropy": 0.1}
            )
    with new_folder(folder) as temporary:
        write_json(temporary / "segmentation.json", {"model_id": model_id})
        write_table(temporary / "index.parquet", pd.DataFrame(regions), schemas.REGION_INDEX)
        write_table(temporary / "films.parquet", pd.DataFrame(films), schemas.FILM_INDEX)
        with writing_group(temporary / "arrays.zarr") as group:
            weights = np.full((len(films), 4), 0.25, np.float32)
            for title, values in (("label_map", maps), ("entropy", entropies), ("expert_weights", weights)):
                stacked = np.stack(list(values))
                array = create_array(group, title, stacked.shape, stacked.shape, stacked.dtype, {})
                array[:] = stacked
    write_json(out / "segment" / "segmentation.json", {"model_id": model_id})


def dice_of(found: np.ndarray, truth: np.ndarray) -> float:
    total = found.sum() + truth.sum()
    return float(2 * (found & truth).sum() / total) if total else np.nan


def write_records(store: Store, out: Path) -> None:
    """What the trainers and the jobs layer leave behind; whoever has no outcome trained the segmenter."""
    films = store.manifest
    learnt = films[~films["subject"].isin(store.outcomes["subject"])]
    for stage in ("ingest", "train-segmenter", "segment", "pretrain", "classify"):
        record = {
            "stage": stage,
            "started": "2026-01-02T03:04:05+00:00",
            "seconds": 61.5,
            "peak_memory_mb": 900,
        }
        write_json(out / stage / "provenance.json", record | {"versions": {"torch": "2.0"}, "config": {}})
    for stage, last in (("train-segmenter", 400), ("pretrain", 300)):
        rows = [{"step": step, "loss": 2 / step, "lr": 0.1} for step in range(1, last + 1)]
        for row in rows[99::100]:
            row["dice" if stage == "train-segmenter" else "effective_rank"] = 0.5 + row["step"] / 1000
        write_text(out / stage / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        training = {"steps": last, "films": 40, "dice": 0.93}
        write_json(
            out / stage / "model.json", {"training": training, "seen": {"segmenter": seen.written(learnt)}}
        )
    write_text(out / "resolved.yaml", "study:\n  name: hand <b>\n")
