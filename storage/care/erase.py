"""A person out of a store: out of every table, shard, segmentation, cache and older generation.

1. The tombstone, so that a killed erasure is not undone by an ingest, and a receipt that says `finished: false`.
   What a killed ingest left beside the key names the person as the hospital does: it goes.
2. Shards with films or masks of the person are copied, payload by payload, into ones without.
3. Outcomes and splits lose the person's rows; segmentations and caches, which hold all films, go.
4. A new generation; older ones, the old shards and all leftovers go. Then the receipt says `finished: true`.

Each step may be repeated: after a kill the same command ends the work. The caller holds the lock of the store.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from storage import generations, tables
from storage.atomic import remove_folder, write_bytes
from storage.care import tombstones
from storage.care.gc import collect, in_use
from storage.errors import InputError, LockedError, StorageError
from storage.identity import Secret, work_path
from storage.manifest import Store
from storage.records import Record, Row, load_record, save_record, without_names
from storage.seal import Sum, file_sum, read_sealed_json, write_sealed_json
from storage.shards import Member, ShardWriter, checksum, iterate_members

if TYPE_CHECKING:
    import pandas as pd

_Sample = tuple[str, str | None]  # key and, of a mask, annotator
# Kind of a member that a row of a table names -> what its columns begin with.
_COLUMNS = {"image": "", "mask": "", "valid": "valid_"}


def erase(root: Path, subject: str, secret: Secret, key_file: str | None = None) -> dict[str, Any]:
    """Remove a subject, by pseudonym, from the store; the receipt, as it lies in STORE/receipts.

    secret: the store's own (`identity.owner_secret`); key_file: as named to ingest.
    InputError where the store knows no such subject.
    """
    store = Store.open(root)
    tombstone = secret.tombstone(subject)
    path = root / "receipts" / f"{tombstone}.json"
    receipt = read_sealed_json(path) if path.exists() else _begun(store, subject, tombstone)
    keys = _keys(store, subject)
    if receipt["finished"] and not keys:
        tombstones.add(root, tombstone)  # the list may have been lost since
        return receipt
    _check_idle(root)
    tombstones.add(root, tombstone)
    write_sealed_json(path, receipt | {"finished": False})
    shutil.rmtree(work_path(root, key_file), ignore_errors=True)
    generation = _commit_without(store, subject, keys)
    for loose in _loose_tables(root):
        _drop_rows(loose, {subject, *keys})
    for folder in (*(root / "segmentations").glob("[!.]*"), *(root / "arrays").glob("[!.]*")):
        if folder.is_dir():
            remove_folder(folder)
    _drop_records(root, {subject, *keys})
    collect(root, keep=0)
    receipt |= {"finished": True, "generation": generation, "time": _now()}
    write_sealed_json(path, receipt)
    return receipt


def erased_before(root: Path, subject: str, secret: Secret) -> dict[str, Any] | None:
    """The receipt of an erasure that ended; None where there is none."""
    path = root / "receipts" / f"{secret.tombstone(subject)}.json"
    receipt = read_sealed_json(path) if path.exists() else None
    return receipt if receipt and receipt["finished"] else None


def _begun(store: Store, subject: str, tombstone: str) -> dict[str, Any]:
    """A receipt with what there is to remove; InputError where there is nothing."""
    films = int((store.manifest["subject"] == subject).sum())
    outcomes = int((store.outcomes["subject"] == subject).sum())
    left_out = int((store.all_exclusions["token"] == subject).sum())
    keys = _keys(store, subject)
    if not (films or outcomes or left_out or keys):
        raise InputError(
            f"{store.root} knows no subject {subject!r}. radmill store ls lists them; "
            "with the key, patient=ID names one as the hospital does, and issuer= too where headers name one."
        )
    masks = int(store.annotations["key"].isin(list(keys)).sum())
    counts = {"films": films, "masks": masks, "outcomes": outcomes, "exclusions": left_out}
    return {"tombstone": tombstone, "finished": False, "removed": counts}


def _keys(store: Store, subject: str) -> set[str]:
    """Keys of the person's films in any generation and any record."""
    keys: set[str] = set()
    for path in (store.root / "generations").glob("[0-9]*/manifest.parquet"):
        rows = tables.read_arrow(path, ["key", "subject"])
        keys |= set(rows.filter(pc.equal(rows["subject"], subject))["key"].to_pylist())
    for path in (store.root / "records").glob("[!.]*.json"):
        keys |= {row["key"] for row in _recorded(store.root, path.stem) if row.get("subject") == subject}
    return keys


def _recorded(root: Path, shard: str) -> list[Row]:
    """The rows of a shard's record; none where it is damaged or gone."""
    try:
        record = load_record(root, shard)
    except StorageError:
        return []
    return record.rows if record is not None else []


def _check_idle(root: Path) -> None:
    busy = [
        path for path in (*(root / "arrays").glob(".*"), *(root / "segmentations").glob(".*")) if in_use(path)
    ]
    if busy:
        raise LockedError(f"A running job writes {busy[0]}; wait until it ends, then erase.")


def _commit_without(store: Store, subject: str, keys: set[str]) -> str:
    kept, sums = [], _shard_sums(store)
    for frame in (store.manifest, store.annotations):
        gone = frame["key"].isin(list(keys))
        rest = frame[~gone].copy()
        places: dict[_Sample, dict[str, Any]] = {}
        for shard in sorted(set(frame.loc[gone, "shard"])):
            places |= _rewrite(store.root, shard, rest[rest["shard"] == shard], keys, sums.get(shard))
        for column in sorted({column for place in places.values() for column in place}):
            pairs = zip(_samples(rest), rest[column], strict=True)
            rest[column] = [places.get(sample, {}).get(column, old) for sample, old in pairs]
        kept.append(rest)
    exclusions = store.exclusions[store.exclusions["token"] != subject].copy()
    exclusions["detail"] = [without_names(detail, keys) for detail in exclusions["detail"].fillna("")]
    return store.commit(kept[0], kept[1], exclusions)


def _shard_sums(store: Store) -> dict[str, Sum]:
    """What the live generation's shards must be; nothing in a store of an older radmill, which noted no sums."""
    assert store.generation is not None
    try:
        return generations.checksums(store.root, store.generation)[1]
    except FileNotFoundError:
        return {}


def _rewrite(
    root: Path, shard: str, rest: pd.DataFrame, keys: Collection[str], expected: Sum | None
) -> dict[_Sample, dict[str, Any]]:
    """Copy a shard without the person; the new places of the other samples, which its record gets too."""
    source = root / "shards" / shard
    if rest.empty:
        return {}
    names = _checked_members(source, rest, keys, expected)
    digest = hashlib.sha256("\n".join(f"{name} {crc32c}" for name, crc32c in names).encode()).hexdigest()[:8]
    target = f"{shard.rsplit('-', 1)[0]}-{digest}.tar"
    with ShardWriter(root / "shards" / target) as writer:
        placed = {member.name: writer.add(member.name, member.data) for member in _others(source, keys)}
    places: dict[_Sample, dict[str, Any]] = {}
    for name, at in placed.items():
        prefix = _COLUMNS.get(name.split(".")[1])
        if prefix is not None:
            columns = {f"{prefix}{column}": value for column, value in asdict(at).items()}
            places.setdefault(_sample(name), {"shard": target}).update(columns)
    if rows := [row for row in _recorded(root, shard) if row["key"] not in keys]:
        save_record(
            root, target, Record([row | places[row["key"], row.get("annotator")] for row in rows], [])
        )
    return places


def _checked_members(
    source: Path, rows: pd.DataFrame, keys: Collection[str], expected: Sum | None
) -> list[tuple[str, int]]:
    """Names and checksums of the members that stay; StorageError where the shard is damaged.

    Else the copy would carry the damage under new, fitting sums. expected: of the whole tar, which covers the
    side files too; None where it is not known.
    """
    payloads: dict[tuple[_Sample, str], int] = {}
    for prefix in ("", "valid_") if "valid_crc32c" in rows else ("",):
        known = rows[rows[f"{prefix}crc32c"].notna()]
        sums = known[f"{prefix}crc32c"].astype(int).tolist()
        payloads |= {(sample, prefix): crc32c for sample, crc32c in zip(_samples(known), sums, strict=True)}
    found = [(member.name, checksum(member.data)) for member in _others(source, keys)]
    kinds = ((name, crc32c, _COLUMNS.get(name.split(".")[1])) for name, crc32c in found)
    there = {(_sample(name), prefix): crc32c for name, crc32c, prefix in kinds if prefix is not None}
    # masks of films that left the generation lie in the tar too
    if not payloads.items() <= there.items() or expected not in (None, file_sum(source)):
        raise StorageError(f"{source} is damaged; run radmill store repair first, then erase.")
    return found


def _others(source: Path, keys: Collection[str]) -> Iterator[Member]:
    return (member for member in iterate_members(source) if member.name.split(".", 1)[0] not in keys)


def _samples(rows: pd.DataFrame) -> list[_Sample]:
    annotators = rows["annotator"] if "annotator" in rows else [None] * len(rows)
    return list(zip(rows["key"], annotators, strict=True))


def _sample(name: str) -> _Sample:
    """(key, annotator) of `<key>.mask.<annotator>.png`, (key, None) of `<key>.image.<codec>`."""
    parts = name.split(".")
    return parts[0], parts[2] if parts[1] == "mask" else None


def _loose_tables(root: Path) -> list[Path]:
    """The tables that change without a generation: outcomes, splits."""
    return [path for pattern in ("*.parquet", "splits/*.parquet") for path in sorted(root.glob(pattern))]


def _drop_rows(path: Path, words: Collection[str]) -> None:
    """Remove a table's rows in which any of the words stands."""
    rows = tables.read_arrow(path)
    keep = pa.array([True] * len(rows), pa.bool_())
    for name in rows.column_names:
        if pa.types.is_string(rows[name].type):
            named = pc.is_in(rows[name], pa.array(sorted(words), pa.string())).combine_chunks()
            keep = pc.and_(keep, pc.invert(named))
    kept = rows.filter(keep)
    if len(kept) < len(rows):
        write_bytes(path, tables.encode_table(kept, rows.schema, path.name))


def _drop_records(root: Path, words: Collection[str]) -> None:
    """Remove the records that name the person; ingest decodes what they told of again, should it need it."""
    needles = [word.encode() for word in words]
    for path in sorted((root / "records").glob("[!.]*.json")):
        data = path.read_bytes()
        if any(needle in data for needle in needles):
            path.unlink()


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
