"""A small store that several tests of reading share."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from storage import schemas
from storage.codec import SUFFIXES, encode
from storage.manifest import Store
from storage.shards import ShardWriter
from storage.tables import empty


def stored_film(key: str) -> NDArray[np.uint16]:
    """The pixels of film k0 to k9."""
    return np.random.default_rng(int(key[1:])).integers(0, 4096, (30, 20), dtype=np.uint16)


@pytest.fixture
def ten_films(tmp_path: Path) -> Store:
    """Films k0 to k9 in three shards, png and htj2k in turn."""
    store = Store.create(tmp_path / "store", "key1")
    rows = []
    for shard, numbers in enumerate((range(4), range(4, 7), range(7, 10))):
        with ShardWriter(store.root / "shards" / f"radiographs-{shard:06d}-0.tar") as writer:
            for number in numbers:
                key, codec = f"k{number}", ("png", "htj2k")[number % 2]
                at = writer.add(f"{key}.image.{SUFFIXES[codec]}", encode(stored_film(key), codec))
                writer.add(f"{key}.json", b"{}\n")
                row = {"key": key, "height": 30, "width": 20, "codec": codec, "shard": writer.path.name}
                rows.append(dict.fromkeys(schemas.MANIFEST.names) | row | asdict(at))
    none = [empty(schema) for schema in (schemas.ANNOTATIONS, schemas.EXCLUSIONS)]
    store.commit(pd.DataFrame(rows), *none)
    return store
