"""Caches come back from the tars in the bytes that they had, by rebuild and by repair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.config import StudyConfig
from pipelines.ingest.repair import repair
from pipelines.pretraining.crops import open_crops
from pipelines.pretraining.rebuild import cache_names, rebuild_caches
from pipelines.segmentation.patches import Patches
from pipelines.segmentation.stored import Segmentation
from pipelines.segmentation.whole import WholeFilms
from storage.care.gc import collect
from storage.codec import encode
from storage.config import IngestConfig
from storage.manifest import Store
from storage.schemas import ANNOTATIONS, EXCLUSIONS, MANIFEST
from storage.seal import CHECKSUMS, as_json, folder_sums, sealed_json
from storage.shards import ShardWriter
from storage.tables import empty
from storage.windows import KINDS, open_cache


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
    assert rebuild_caches(root, cache_names(root, ["crops"])) == [path.name]
    assert files(path) == before


@pytest.mark.parametrize("stands_for", [WholeFilms, Patches])
def test_a_cache_of_what_stands_for_bones_is_rebuilt(
    tmp_path: Path, stands_for: type[WholeFilms | Patches]
) -> None:
    root = tmp_path / "store"
    path = open_crops(root, stands_for(made_large(root)), 24).path
    before = files(path)
    (path / "image" / "zarr.json").write_text("{}")
    assert path.name in ("crops-whole-24.zarr", "crops-patches-24.zarr")
    assert rebuild_caches(root, cache_names(root, ["crops"])) == [path.name]
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


def made_large(root: Path) -> Store:
    """A store with one film that both caches hold, and one too small for windows."""
    store, rows = Store.create(root, "phantom"), []
    with ShardWriter(root / "shards" / "radiographs-000000-0.tar") as shard:
        for key, side in (("large", 2001), ("small", 50)):
            pixels_HW = (np.add.outer(np.arange(side), np.arange(side)) % 4096).astype(np.uint16)
            at = asdict(shard.add(f"{key}.image.png", encode(pixels_HW, "png")))
            known = {"key": key, "subject": "s", "height": side, "width": side, "bits": 12, "codec": "png"}
            rows.append(dict.fromkeys(MANIFEST.names) | known | {"shard": shard.path.name} | at)
    store.commit(pd.DataFrame(rows), empty(ANNOTATIONS), empty(EXCLUSIONS))
    return store


def test_caches_of_films_are_rebuilt_repaired_and_collected(tmp_path: Path) -> None:
    root = tmp_path / "store"
    store = made_large(root)
    kept = [open_cache(store, kind).path for kind in KINDS]
    before = files(root / "arrays")
    stale = root / "arrays" / "films-0123456789ab.zarr"
    stale.mkdir()
    assert rebuild_caches(root, cache_names(root, KINDS)) == sorted(path.name for path in kept)
    assert files(root / "arrays") == before and not stale.exists()
    for path in kept:
        (path / "large" / "c" / "0" / "0").unlink()
    done = repair(root, IngestConfig(), StudyConfig())
    assert sorted(done.made) == sorted(f"arrays/{path.name}" for path in kept) and not done.removed
    assert files(root / "arrays") == before
    store.commit(store.manifest[store.manifest["key"] == "small"], store.annotations, store.exclusions)
    collect(root, keep=1)
    assert files(root / "arrays") == before
    collect(root, keep=0)
    assert files(root / "arrays") == {}
