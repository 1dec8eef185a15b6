"""STORE/erased.json: who was erased, as hashes keyed by the secret, so that no ingest brings them back."""

from __future__ import annotations

from pathlib import Path

from storage.errors import StorageError
from storage.seal import read_sealed_json, write_sealed_json


def load(root: Path) -> set[str]:
    """The tombstones (`Secret.tombstone`) of a store; StorageError where the list is damaged."""
    path = root / "erased.json"
    if not path.exists():
        return set()
    try:
        return set(read_sealed_json(path)["erased"])
    except (KeyError, TypeError) as error:
        raise StorageError(f"{path} is damaged; restore it, or erased people would come back.") from error


def add(root: Path, tombstone: str) -> None:
    """Put one more on the list."""
    write_sealed_json(root / "erased.json", {"erased": sorted(load(root) | {tombstone})})
