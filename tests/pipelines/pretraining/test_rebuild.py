"""Caches come back from the tars in the bytes that they had, by rebuild and by repair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest

from pipelines.config import StudyConfig
from pipelines.ingest.repair import repair
from pipelines.pretraining.crops import open_crops
from pipelines.pretraining.rebuild import rebuild_crops
from pipelines.segmentation.stored import Segmentation
from storage.config import IngestConfig
from storage.manifest import Store
from storage.schemas import ANNOTATIONS, EXCLUSIONS, MANIFEST
from storage.seal import CHECKSUMS, as_json, folder_sums, sealed_json
from storage.shards import ShardWriter
from storage.tables import empty


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def segmented(make_segmentation: Callable[[int], Segmentation], tmp_path: Path) -> tuple[Path, Segmentation]:
    """Four films, segmented and sealed as the stage does it."""
    segmentation, root = make_segmentation(4), tmp_path / "store"
    sums = folder_sums(segmentation.folder, without=CHECKSUMS)
    (segmentation.folder / CHECKSUMS).write_bytes(sealed_json({"files": as_json(sums)}))
    store = Store.create(root, "phantom")
    with ShardWriter(root / "shards" / "radiographs-000000-0.tar") as shard:
        placed = {f"key{number}": asdict(shard.add(f"key{number}.image.png", b"x")) for number in range(4)}
    known = {"subject": "s", "shard": shard.path.name}
    films = [dict.fromkeys(MANIFEST.names) | known | {"key": key} | at for key, at in placed.items()]
    store.commit(pd.DataFrame(films), empty(ANNOTATIONS), empty(EXCLUSIONS))
    return root, segmentation


def test_a_cache_is_rebuilt(segmented: tuple[Path, Segmentation]) -> None:
    root, segmentation = segmented
    path = open_crops(root, segmentation, 24).path
    before = files(path)
    (path / "image" / "zarr.json").write_text("{}")
    (root / "arrays" / "features-abc.zarr").mkdir()
    assert rebuild_crops(root) == [path.name]
    assert files(path) == before


def test_repair_rebuilds_a_damaged_chunk(segmented: tuple[Path, Segmentation]) -> None:
    root, segmentation = segmented
    path = open_crops(root, segmentation, 24).path
    before = files(path)
    chunk = next(name for name in before if "/c/" in name)
    data = bytearray(before[chunk])
    data[-20] ^= 1
    (path / chunk).write_bytes(data)
    done = repair(root, IngestConfig(), StudyConfig())
    assert f"arrays/{path.name}" in done.made
    assert files(path) == before
