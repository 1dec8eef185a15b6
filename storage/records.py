"""What became of each shard's samples, beside the shards: a rerun rebuilds the tables without decoding.

STORE/records/<shard>.json follows its tar. A record without its tar still tells which films are duplicates.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from storage.atomic import write_bytes
from storage.errors import StorageError
from storage.seal import BLANK, Sum, read_sealed_json, sealed

ACROSS = "of another subject"
Row = dict[str, Any]  # a row of the manifest or of the annotations, without what depends on paths


@dataclass(frozen=True, slots=True)
class Left:
    """A planned sample that is not in its shard."""

    key: str
    annotator: str  # empty for a film
    reason: str
    detail: str
    same_as: str = ""  # of a duplicate: key of the film that stays
    whole: bool = False  # its file, of which it is the first planned frame, can't be read at all


@dataclass(frozen=True, slots=True)
class Record:
    """The samples of one planned shard: in it, or left out."""

    rows: list[Row]
    left: list[Left]
    tar: Sum | None = None  # of the whole shard as it was written; None where it has no film, or is not known

    @property
    def lasts(self) -> bool:
        """Whether a rerun may rely on it: what vanished may be back, rights, time or memory suffice."""
        return not any(left.reason in ("vanished", "no_permission", "timeout") for left in self.left)


def same_as(what: str, key: str, *, across: bool = False) -> str:
    """The detail of a duplicate: "the same pixels as KEY", the film that stays. across: that is another subject's."""
    return f"{what} {ACROSS} as {key}" if across else f"{what} as {key}"


def without_names(detail: str, keys: Collection[str]) -> str:
    """The detail without the film that stays, where that is one of these, whose person was erased."""
    what, _, key = detail.rpartition(" as ")
    return what if key in keys else detail


def is_recorded(store_root: Path, shard: str) -> bool:
    """Whether the shard was finished."""
    return _path(store_root, shard).exists()


def load_record(store_root: Path, shard: str) -> Record | None:
    """The record of a shard; None where it was never finished."""
    path = _path(store_root, shard)
    return _read(path) if path.exists() else None


def save_record(store_root: Path, shard: str, record: Record) -> Record:
    """Write the record; its shard is whole by then. Returns it as a rerun reads it: unknown numbers are None."""
    rows = [{name: _known(value) for name, value in row.items()} for row in record.rows]
    # on one line: with an indent json is ten times slower
    tar = record.tar and record.tar._asdict()
    content = {"rows": rows, "left": list(map(asdict, record.left)), "tar": tar, "seal": BLANK}
    data = json.dumps(content, sort_keys=True).encode() + b"\n"
    write_bytes(_path(store_root, shard), sealed(data))
    return _read(_path(store_root, shard))


def _known(value: Any) -> Any:
    """JSON has no NaN."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _read(path: Path) -> Record:
    try:
        content = read_sealed_json(path)
        tar = Sum(**content["tar"]) if content.get("tar") else None
        return Record(content["rows"], [Left(**left) for left in content["left"]], tar)
    except (StorageError, KeyError, TypeError) as error:
        raise StorageError(f"{path} is damaged; remove it and run ingest again.") from error


def _path(store_root: Path, shard: str) -> Path:
    return store_root / "records" / f"{shard.removesuffix('.tar')}.json"
