"""What nothing in a store needs any more: old generations, shards that none names, leftovers of killed runs.

The caller holds the lock of the store. Generations go first, so that none ever names a shard that is gone.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from storage import generations, tables
from storage.atomic import remove_folder
from storage.errors import StorageError
from storage.manifest import Store
from storage.records import load_record
from storage.windows import KINDS, cache_path

_FOLDERS = ("generations", "shards", "records", "segmentations", "arrays", "splits", "receipts")
# What our own temporary files and folders end in; other hidden names (.snapshot, .git) are not ours.
_OURS = (".tmp", ".lock", ".gone", ".damaged", ".parts")


@dataclass(slots=True)
class Freed:
    """What was removed, or would be: files and folders by kind, and bytes."""

    counts: Counter[str] = field(default_factory=Counter)
    size_bytes: int = 0

    def __str__(self) -> str:
        what = ", ".join(f"{count} {kind}" for kind, count in sorted(self.counts.items())) or "nothing"
        return f"{what}: {self.size_bytes / 1e6:,.1f} MB"


def collect(root: Path, keep: int = 1, dry: bool = False) -> Freed:
    """Remove what no kept generation needs; keep: how many older generations stay beside the live one.

    Raises StorageError where a table of a kept generation is damaged: nothing is removed then.
    """
    store = Store.open(root)
    assert store.generation is not None
    freed = Freed()
    for kind, path in list(_doomed(root, store.generation, keep)):
        freed.counts[kind] += 1
        freed.size_bytes += _size(path)
        if not dry:
            _remove(path)
    return freed


def _doomed(root: Path, live: str, keep: int) -> Iterator[tuple[str, Path]]:
    folders = sorted(path for path in (root / "generations").glob("[0-9]*") if path.is_dir())
    older = [path.name for path in folders if path.name < live]
    kept = {live, *older[len(older) - min(keep, len(older)) :]}
    shards, keys = _needed(root, kept)
    yield from (("generations", path) for path in folders if path.name not in kept)
    yield from (
        ("shards", path) for path in sorted((root / "shards").glob("[!.]*.tar")) if path.name not in shards
    )
    yield from (
        ("records", path) for path in sorted((root / "records").glob("[!.]*.json")) if _is_stale(path, keys)
    )
    yield from (("caches", path) for path in (*_caches_without_model(root), *_caches_of_none(root, kept)))
    yield from (("leftovers", path) for path in _leftovers(root, live))


def _needed(root: Path, kept: set[str]) -> tuple[set[str], set[str]]:
    """The shards and keys that the kept generations name."""
    shards, keys = set(), set()
    for name in kept:
        paths = generations.table_paths(root, name)
        for table in ("manifest", "annotations"):
            rows = tables.read_arrow(paths[table], ["shard", "key"])
            shards |= set(rows["shard"].unique().to_pylist())
            keys |= set(rows["key"].unique().to_pylist())
    return shards, keys


def _is_stale(record: Path, keys: set[str]) -> bool:
    """Whether it tells of no film that is kept; one without its tar may still spare a rerun the decoding."""
    try:
        told = load_record(record.parents[1], record.stem)
    except StorageError:
        return False  # damaged: verify and repair see to it
    return told is not None and bool(told.rows) and not any(row["key"] in keys for row in told.rows)


def _caches_without_model(root: Path) -> Iterator[Path]:
    models = {path.name for path in (root / "segmentations").glob("[!.]*") if path.is_dir()}
    for path in sorted((root / "arrays").glob("[!.]*.zarr")):
        what, model = path.name.split("-")[0], path.name.removesuffix(".zarr").split("-")[1:2]
        # a cache of features does not name its model: it goes with the last segmentation
        if (what == "crops" and not models & set(model)) or (what == "features" and not models):
            yield path


def _caches_of_none(root: Path, kept: set[str]) -> Iterator[Path]:
    """Windows and whole films of generations that are not kept."""
    there = [path for kind in KINDS for path in sorted((root / "arrays").glob(f"{kind}-*.zarr"))]
    if there:
        key_id = Store.open(root).key_id
        needed = {cache_path(Store(root, key_id, name), kind) for name in kept for kind in KINDS}
        yield from (path for path in there if path not in needed)


def _leftovers(root: Path, live: str) -> Iterator[Path]:
    """Temporary files and folders that no running process holds; a segmentation under way goes on."""
    for folder in (root, *(root / name for name in _FOLDERS)):
        for path in sorted(path for path in folder.glob(".*") if path.suffix in _OURS):
            if not path.name.endswith(f"-{live}.parts") and not in_use(path):
                yield path
    if (root / ".repair").is_dir():
        yield root / ".repair"


def in_use(temporary: Path) -> bool:
    """Whether a process holds the kernel's lock on a temporary file, or on the one beside a temporary folder."""
    lock = (
        temporary.with_name(f"{temporary.name.removesuffix('.tmp')}.lock")
        if temporary.is_dir()
        else temporary
    )
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(descriptor)


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(Path(parent, name).stat().st_size for parent, _, names in os.walk(path) for name in names)


def _remove(path: Path) -> None:
    if path.is_file():
        path.unlink(missing_ok=True)
    elif path.name.startswith("."):
        shutil.rmtree(path, ignore_errors=True)
    else:
        remove_folder(path)
