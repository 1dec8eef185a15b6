"""A store with a file of every kind, made without ingest: five subjects, two films each."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from storage import schemas, tables
from storage.arrays import create_array, writing_group
from storage.atomic import new_folder
from storage.care import tombstones
from storage.codec import encode_png
from storage.identity import Secret
from storage.manifest import Store
from storage.seal import CHECKSUMS, as_json, folder_sums, sealed_json, write_sealed_json
from storage.shards import ShardWriter

SECRET = Secret.phantom()
SUBJECTS = [SECRET.subject("", f"p{number}") for number in range(5)]


def rows(schema: Any, values: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame([dict.fromkeys(schema.names) | value for value in values], columns=schema.names)


def film_key(subject: int, number: int) -> str:
    return SECRET.film_key(f"{subject}-{number}", 0)


def make_films(root: Path) -> list[dict[str, Any]]:
    films = []
    for index, subjects in enumerate(((0, 1, 2), (3, 4))):
        with ShardWriter(root / "shards" / f"radiographs-{index:06d}-0000000{index}.tar") as writer:
            for subject, number in ((s, n) for s in subjects for n in range(2)):
                key, rng = film_key(subject, number), np.random.default_rng(10 * subject + number)
                row = {
                    "key": key,
                    "subject": SUBJECTS[subject],
                    "token": SECRET.token(f"{subject}/{number}.png"),
                    "frame": 0,
                    "source_sha256": f"{subject}-{number}",
                    "height": 40,
                    "width": 36,
                    "bits": 16,
                    "modality": "DX",
                    "laterality": "L" if number else "",
                    "polarity_flag": "conflict" if subject == 4 else "",
                    "age_years": 60.5,
                    "data_kind": "phantom",
                    "codec": "png",
                }
                png = encode_png(rng.integers(0, 65536, (40, 36), dtype=np.uint16))
                placed = writer.add(f"{key}.image.png", png)
                writer.add(f"{key}.json", (key + SUBJECTS[subject]).encode())
                films.append(row | {"shard": writer.path.name, **asdict(placed)})
        record = [film for film in films if film["shard"] == writer.path.name]
        write_sealed_json(root / "records" / f"{writer.path.stem}.json", {"rows": record, "left": []})
    return films


def make_masks(root: Path) -> list[dict[str, Any]]:
    masks = []
    mask = np.zeros((40, 36), np.uint8)
    mask[5:20, 5:20] = 3
    with ShardWriter(root / "shards" / "annotations-000000-00000000.tar") as writer:
        for subject in range(3):
            for annotator in ("a0", "a1"):
                key = film_key(subject, 0)
                mask[6, 6] = subject  # every payload differs
                placed = writer.add(f"{key}.mask.{annotator}.png", encode_png(mask + (annotator == "a1")))
                described = {"key": key, "annotator": annotator, "weight": 0.5, "tool": "itk"}
                masks.append({**described, "shard": writer.path.name, **asdict(placed)})
    return masks


def make_segmentation(root: Path, films: list[dict[str, Any]]) -> None:
    with new_folder(root / "segmentations" / "aaaabbbbcccc") as folder:
        found = []
        with ShardWriter(folder / "regions-000000.tar") as writer:
            for row, film in enumerate(films):
                crops = [
                    writer.add(f"{film['key']}.ulna.{kind}.png", encode_png(np.full((5, 5), row, np.uint8)))
                    for kind in ("image", "mask")
                ]
                place = {
                    f"{kind}_{name}": value
                    for kind, crop in zip(("image", "mask"), crops, strict=True)
                    for name, value in asdict(crop).items()
                }
                described = {"key": film["key"], "subject": film["subject"], "region": "ulna", "found": True}
                found.append({**described, "row": row, "shard": writer.path.name, **place})
        zeros = dict.fromkeys(("y0", "x0", "y1", "x1", "area_px"), 0)
        tables.write_table(
            folder / "index.parquet",
            rows(schemas.REGION_INDEX, [zeros | row for row in found]),
            schemas.REGION_INDEX,
        )
        each = [
            {"key": film["key"], "subject": film["subject"], "row": row} for row, film in enumerate(films)
        ]
        tables.write_table(folder / "films.parquet", rows(schemas.FILM_INDEX, each), schemas.FILM_INDEX)
        with writing_group(folder / "arrays.zarr") as group:
            create_array(group, "label_map", (10, 8, 8), (4, 8, 8), np.uint8, {})[:] = 3
        write_sealed_json(folder / "segmentation.json", {"model_id": "aaaabbbbcccc", "films": len(films)})
        (folder / CHECKSUMS).write_bytes(sealed_json({"files": as_json(folder_sums(folder, CHECKSUMS))}))


def make_store(root: Path) -> Path:
    store = Store.create(root, SECRET.key_id)
    films, masks = make_films(root), make_masks(root)
    left_out = [
        {"token": token, "frame": 0, "reason": reason, "detail": "", "stage": "scan"}
        for token, reason in ((SECRET.token("letter.txt"), "not_an_image"), (SUBJECTS[0], "no_film"))
    ]
    manifest, annotations = rows(schemas.MANIFEST, films), rows(schemas.ANNOTATIONS, masks)
    store.commit(manifest, annotations, rows(schemas.EXCLUSIONS, left_out[:1]))
    store.commit(manifest, annotations, rows(schemas.EXCLUSIONS, left_out))
    superseded = {"token": SUBJECTS[0], "frame": 0, "reason": "superseded", "detail": "", "stage": "outcomes"}
    store.write_outcomes(
        rows(schemas.OUTCOMES, [{"subject": s, "exam": "", "t_score": -1.0, "outcome": 0} for s in SUBJECTS]),
        rows(schemas.EXCLUSIONS, [superseded]),
    )
    folds = [{"subject": s, "fold": fold, "split": "train"} for s in SUBJECTS for fold in range(2)]
    tables.write_table(root / "splits" / "folds-1.parquet", rows(schemas.SPLITS, folds), schemas.SPLITS)
    make_segmentation(root, films)
    with writing_group(root / "arrays" / "crops-aaaabbbbcccc-8.zarr") as group:
        create_array(group, "image", (10, 8, 8), (4, 8, 8), np.uint8, {"regions": "x"})[:] = 7
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The store's folder."""
    return make_store(tmp_path / "store")


def with_receipt(root: Path) -> None:
    """What an erasure of someone else leaves."""
    tombstones.add(root, SECRET.tombstone("other"))
    write_sealed_json(root / "receipts" / "x.json", {"finished": True})


def files(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}
