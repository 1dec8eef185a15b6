"""Every byte of a store against its checksums; each damaged file by name, with what is lost by it.

1. Small files: store.json, CURRENT, records, outcomes, splits and receipts carry their own seal.
2. Each generation's checksums.json covers its tables and, whole, the shards that they name.
3. A segmentation's checksums.json, and the attributes of a Zarr group, cover all files of their folder.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from storage import generations, schemas, tables
from storage.arrays import GROUP
from storage.care.findings import (
    BARE,
    CHANGED,
    MISSING,
    Damage,
    Verified,
    check_current,
    check_small,
    sums_of,
)
from storage.care.tars import Payload, read_tar
from storage.errors import InputError, StorageError
from storage.manifest import check_not_newer
from storage.seal import CHECKSUMS, Sum, from_json, is_sealed, read_sealed_json
from storage.wording import counted

Progress = Callable[[int, int, str], None]
_SMALL = (
    "store.json",
    "overrides.json",
    "receipts/*.json",
    "records/*.json",
    "*.parquet",
    "splits/*.parquet",
)


@dataclass(frozen=True, slots=True)
class _Check:
    """One large file to read; films counts towards the progress."""

    path: Path
    expected: Sum | None
    members: tuple[Payload, ...]
    films: int
    lost: str  # empty for a shard, where the members tell


def verify(root: Path, threads: int = 1, progress: Progress = lambda *_: None) -> Verified:
    """Read every file of a store; InputError where `root` is none, or of a newer format."""
    if not any((root / name).exists() for name in ("store.json", "CURRENT", "generations")):
        raise InputError(f"{root} is not a store: it has neither store.json nor generations.")
    check_not_newer(root)
    found = Verified()
    for path in _small_files(root):
        check_small(root, path, found)
    check_current(root, found)
    checks = [*_shard_checks(root, found), *_segmentation_checks(root, found), *_array_checks(root, found)]
    total, begun = sum(check.films for check in checks), time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        for check, (size, damages) in zip(checks, pool.map(lambda one: _run(root, one), checks), strict=True):
            found.files += 1
            found.size_bytes += size
            found.films += check.films
            found.damages += damages
            speed = found.size_bytes / 1e6 / max(time.monotonic() - begun, 1e-9)
            progress(
                found.films, total, f"films verified, {speed:,.0f} MB/s, {len(found.damages)} damaged files"
            )
    return _told_apart(root, found)


def _small_files(root: Path) -> Iterator[Path]:
    yield root / "store.json"
    if any((root / "receipts").glob("*.json")) or (root / "erased.json").exists():
        yield root / "erased.json"
    for pattern in _SMALL[1:]:
        yield from sorted(path for path in root.glob(pattern) if not path.name.startswith("."))


def _shard_checks(root: Path, found: Verified) -> list[_Check]:
    """Check every generation's tables; the shards that they name."""
    sums: dict[str, Sum] = {}
    members: dict[str, set[Payload]] = defaultdict(set)
    for folder in sorted((root / "generations").glob("[0-9]*")):
        files, shards = sums_of(root, folder, found)
        sums |= shards
        for name in (*(p.name for p in generations.table_paths(root, folder.name).values()), "shards.txt"):
            whole = check_small(root, folder / name, found, files.get(name))
            if whole and name in ("manifest.parquet", "annotations.parquet"):
                for shard, payload in _payloads(folder / name):
                    members[shard].add(payload)
    checks = []
    for name in sorted(sums.keys() | members.keys()):
        payloads = tuple(members[name])
        films = len({payload.key for payload in payloads}) if name.startswith("radiographs") else 0
        lost = "" if payloads else "not known while the tables of its generation are damaged"
        checks.append(_Check(root / "shards" / name, sums.get(name), payloads, films, lost))
    return checks


def _payloads(path: Path) -> Iterator[tuple[str, Payload]]:
    rows = tables.read_arrow(path, ["shard", "offset", "size", "crc32c", "key"])
    columns = (rows[name].to_pylist() for name in ("shard", "offset", "size", "crc32c", "key"))
    for shard, *payload in zip(*columns, strict=True):
        yield shard, Payload(*payload)


def _segmentation_checks(root: Path, found: Verified) -> list[_Check]:
    checks: list[_Check] = []
    for folder in _visible(root / "segmentations"):
        path, index = folder / CHECKSUMS, folder / "index.parquet"
        if not path.exists() and index.exists() and not is_sealed(index.read_bytes()):
            found.unsealed.append(path.relative_to(root).as_posix())
        else:
            check_small(root, path, found)
        try:
            sums = from_json(read_sealed_json(path)["files"])
        except (OSError, KeyError, TypeError):
            sums = {}
        members: dict[str, list[Payload]] = defaultdict(list)
        try:
            for shard, payload in _crops(index):
                members[shard].append(payload)
        except StorageError:
            pass  # its own sum tells
        for name in sorted(sums.keys() | members.keys()):
            payloads = tuple(members.get(name, ()))
            lost = "" if payloads else "no film; radmill segment makes it again"
            checks.append(_Check(folder / name, sums.get(name), payloads, 0, lost))
    return checks


def _crops(index: Path) -> Iterator[tuple[str, Payload]]:
    rows = tables.conform(tables.read_arrow(index), schemas.REGION_INDEX, str(index)).to_pylist()
    for row in rows:
        for kind in ("image", "mask") if row["found"] else ():
            offset, size, crc32c = (row[f"{kind}_{name}"] for name in ("offset", "size", "crc32c"))
            yield row["shard"], Payload(offset, size, crc32c, row["key"])


def _array_checks(root: Path, found: Verified) -> list[_Check]:
    checks = []
    for folder in _visible(root / "arrays"):
        path = folder / GROUP
        check_small(root, path, found)
        try:
            sums = from_json(read_sealed_json(path)["attributes"]["checksums"])
        except (OSError, KeyError, TypeError):
            continue
        lost = "nothing; a cache"
        checks += [_Check(folder / name, one, (), 0, lost) for name, one in sorted(sums.items())]
    return checks


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_dir() and not path.name.startswith("."))


def _run(root: Path, check: _Check) -> tuple[int, list[Damage]]:
    """Size of the file, and what is wrong with it."""
    name = check.path.relative_to(root).as_posix()
    everything = {payload.key for payload in check.members}
    try:
        state = read_tar(check.path, check.members)
    except FileNotFoundError:
        return 0, [Damage(name, MISSING, check.lost or _films(name, everything))]
    except OSError as error:
        what = f"it can't be read ({error.strerror})"
        return 0, [Damage(name, what, check.lost or _films(name, everything))]
    if state.lost or (check.expected is not None and state.whole != check.expected):
        short = check.expected is not None and state.whole.size < check.expected.size
        what = (
            f"{counted(check.expected.size - state.whole.size, 'byte')} missing"
            if short and check.expected
            else CHANGED
        )
        return state.whole.size, [Damage(name, what, check.lost or _films(name, state.lost))]
    return state.whole.size, []


def _films(name: str, keys: Iterable[str]) -> str:
    count = len(set(keys))
    if not count:
        return "no film; a header, a side file or padding"
    kind = (
        "radiographs"
        if "radiographs-" in name
        else "masks of films"
        if "annotations-" in name
        else "crops of films"
    )
    return f"{count} {'film' + 's' * (count > 1) if kind == 'radiographs' else f'({kind})'}"


def _told_apart(root: Path, found: Verified) -> Verified:
    """A file without a checksum is damage where the store's other files carry theirs.

    Where a list of checksums is damaged itself, its files are not of an older radmill for that.
    """
    listless = {one.file.removesuffix(CHECKSUMS) for one in found.damages if one.file.endswith(CHECKSUMS)}
    found.unsealed = [name for name in found.unsealed if name.removesuffix("shards.txt") not in listless]
    sealed_store = not any(name.startswith("generations/") for name in found.unsealed)
    if sealed_store:
        lost = "unknown: nothing tells whether it changed"
        found.damages += [Damage(name, BARE, lost) for name in found.unsealed]
        found.unsealed = []
    found.damages = sorted(set(found.damages))
    return found
