"""What an ingest without annotations= keeps of the live generation: its masks, and which of them were left out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipelines.annotations.write import STAGE
from pipelines.ingest.identify import Exclusion
from storage import generations
from storage.errors import InputError, StorageError
from storage.manifest import Store
from storage.records import Row, load_record
from storage.schemas import ANNOTATIONS

if TYPE_CHECKING:
    import pandas as pd

FORGOTTEN = (
    "which masks were left out is not known any more, as that table was damaged: annotations= tells it anew"
)


def live_masks(store: Store, manifest: pa.Table) -> list[Row]:
    """The masks of the live generation whose films are still there; by their records where its table is damaged.

    InputError where those are damaged too.
    """
    if store.generation is None:
        return []
    keys = set(manifest["key"].to_pylist())
    try:
        rows = [dict(zip(ANNOTATIONS.names, row, strict=True)) for row in _tuples(store.annotations)]
    except StorageError:
        rows = _recorded_masks(store)
    return [row for row in rows if row["key"] in keys]


def live_exclusions(store: Store) -> tuple[list[Exclusion], str]:
    """The masks that the live generation leaves out, and what to tell the user where its table is damaged."""
    if store.generation is None:
        return [], ""
    try:
        left_out = store.exclusions[store.exclusions["stage"] == STAGE]
    except StorageError:
        return [], FORGOTTEN if _mask_shards(store) else ""
    return [Exclusion(*row) for row in _tuples(left_out)], ""


def _recorded_masks(store: Store) -> list[Row]:
    rows: list[Row] = []
    for shard in _mask_shards(store):
        try:
            record = load_record(store.root, shard)
        except StorageError:
            record = None
        if record is None:
            raise InputError(
                f"The table of the masks of {store.root} is damaged, and so is a record of theirs: "
                "name annotations=DIR, the folder that they came from."
            )
        rows += record.rows
    return rows


def _mask_shards(store: Store) -> list[str]:
    """The shards of masks that the live generation names; InputError where the list is damaged too."""
    assert store.generation is not None
    try:
        shards = generations.checksums(store.root, store.generation)[1]
    except (StorageError, FileNotFoundError) as error:
        raise InputError(
            f"Tables of the live generation of {store.root} are damaged, and so is the list of its shards: "
            "name annotations=DIR, the folder that its masks came from, or an empty one where it has none."
        ) from error
    return sorted(name for name in shards if name.startswith("annotations-"))


def _tuples(frame: pd.DataFrame) -> Iterable[tuple[Any, ...]]:
    return frame.itertuples(index=False, name=None)
