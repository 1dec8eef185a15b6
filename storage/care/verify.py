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
from dataclasses import dataclass, field
from pathlib import Path

from storage import generations, schemas, tables
from storage.arrays import GROUP
from storage.care.tars import Payload, read_tar
from storage.errors import InputError, StorageError
from storage.seal import CHECKSUMS, Sum, check_seal, file_sum, from_json, is_sealed, read_sealed_json

Progress = Callable[[int, int, str], None]
MISSING = "it is missing"
CHANGED = "its bytes do not match their checksum"
BARE = "it carries no checksum"
_SMALL = ("store.json", "receipts/*.json", "records/*.json", "*.parquet", "splits/*.parquet")


@dataclass(frozen=True, slots=True, order=True)
class Damage:
    """A file, by its path below the store, what is wrong with it and what is lost by that."""

    file: str
    what: str
    lost: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}; lost: {self.lost}"


@dataclass(slots=True)
class Verified:
    """What was read and what was found. unsealed: files of an older radmill, without a checksum."""

    files: int = 0
    size_bytes: int = 0
    films: int = 0
    damages: list[Damage] = field(default_factory=list)
    unsealed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Check:
    """One large file to read; films counts towards the progress."""

    path: Path
    expected: Sum | None
    members: tuple[Payload, ...]
    films: int
    lost: str  # empty for a shard, where the members tell


def verify(root: Path, threads: int = 1, progress: Progress = lambda *_: None) -> Verified:
    """Read every file of a store; InputError where `root` is none."""
    if not any((root / name).exists() for name in ("store.json", "CURRENT", "generations")):
        raise InputError(f"{root} is not a store: it has neither store.json nor generations.")
    found = Verified()
    for path in _small_files(root):
        _check_small(root, path, found)
    _check_current(root, found)
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


def damaged_names(root: Path) -> set[str]:
    """CURRENT and store.json, where they are damaged: what a look at the rest of a store begins with."""
    found = Verified()
    _check_small(root, root / "store.json", found)
    _check_current(root, found)
    return {damage.file for damage in found.damages}


def whole_generations(root: Path) -> list[str]:
    """Names of the generations whose tables are whole, the oldest first."""
    whole = []
    for folder in sorted((root / "generations").glob("[0-9]*")):
        found = Verified()
        files, _ = _sums_of(root, folder, found)
        for name, expected in files.items():
            _check_small(root, folder / name, found, expected)
        if files and not found.damages:
            whole.append(folder.name)
    return whole


def _small_files(root: Path) -> Iterator[Path]:
    yield root / "store.json"
    if any((root / "receipts").glob("*.json")) or (root / "erased.json").exists():
        yield root / "erased.json"
    for pattern in _SMALL[1:]:
        yield from sorted(path for path in root.glob(pattern) if not path.name.startswith("."))


def _check_small(root: Path, path: Path, found: Verified, expected: Sum | None = None) -> bool:
    """Check a file by its own seal, and where given by its sum; whether it is whole."""
    name = path.relative_to(root).as_posix()
    lost = _LOST.get(path.name, _LOST.get(path.parent.name, "what the file says"))
    try:
        data = path.read_bytes()
        found.files, found.size_bytes = found.files + 1, found.size_bytes + len(data)
        check_seal(path, data)
        if expected is not None and file_sum(path) != expected:
            raise StorageError(CHANGED)
    except FileNotFoundError:
        found.damages.append(Damage(name, MISSING, lost))
        return False
    except OSError as error:  # a StorageError too
        what = CHANGED if isinstance(error, StorageError) else f"it can't be read ({error.strerror})"
        found.damages.append(Damage(name, what, lost))
        return False
    if expected is None and not is_sealed(data):
        found.unsealed.append(name)
    elif path.parent.name == "receipts" and not read_sealed_json(path)["finished"]:
        found.damages.append(
            Damage(name, "its erasure has not ended; run radmill store erase again", "nothing")
        )
    return True


_LOST = {
    "store.json": "no film; the store can't be opened",
    "CURRENT": "no film; which generation is live",
    "erased.json": "who must not come back",
    "manifest.parquet": "the places of all films",
    "annotations.parquet": "the places of all masks",
    "exclusions.parquet": "what was left out and why",
    "shards.txt": "no film; the list for other readers",
    CHECKSUMS: "no film; what the others are checked by",
    "records": "no film; ingest would decode its shard again",
    "outcomes.parquet": "the outcomes",
    "splits": "who trains and who tests",
    "receipts": "proof of an erasure",
}


def _check_current(root: Path, found: Verified) -> None:
    path, lost = root / "CURRENT", _LOST["CURRENT"]
    names = sorted(p.name for p in (root / "generations").glob("[0-9]*") if p.is_dir())
    if not path.exists():
        if names:
            found.damages.append(Damage("CURRENT", MISSING, lost))
        return
    said = path.read_bytes()
    if said not in {f"{name}\n".encode() for name in names}:
        found.damages.append(Damage("CURRENT", "it names no generation that is there", lost))
    elif said.decode().strip() != names[-1]:
        what = f"it names {said.decode().strip()}, but generation {names[-1]} is there: damage, or a killed ingest"
        found.damages.append(Damage("CURRENT", what, lost))


def _shard_checks(root: Path, found: Verified) -> list[_Check]:
    """Check every generation's tables; the shards that they name."""
    sums: dict[str, Sum] = {}
    members: dict[str, set[Payload]] = defaultdict(set)
    for folder in sorted((root / "generations").glob("[0-9]*")):
        files, shards = _sums_of(root, folder, found)
        sums |= shards
        for name in (*(p.name for p in generations.table_paths(root, folder.name).values()), "shards.txt"):
            whole = _check_small(root, folder / name, found, files.get(name))
            if whole and name in ("manifest.parquet", "annotations.parquet"):
                for shard, payload in _payloads(folder / name):
                    members[shard].add(payload)
    checks = []
    for name in sorted(sums.keys() | members.keys()):
        payloads = tuple(members[name])
        films = len({payload.key for payload in payloads}) if name.startswith("radiographs") else 0
        checks.append(_Check(root / "shards" / name, sums.get(name), payloads, films, ""))
    return checks


def _sums_of(root: Path, folder: Path, found: Verified) -> tuple[dict[str, Sum], dict[str, Sum]]:
    path = folder / CHECKSUMS
    name = path.relative_to(root).as_posix()
    try:
        sums = generations.checksums(root, folder.name)
    except FileNotFoundError:
        manifest = folder / "manifest.parquet"
        if manifest.exists() and not is_sealed(manifest.read_bytes()):
            found.unsealed.append(name)  # of an older radmill, which made none
        else:
            found.damages.append(Damage(name, MISSING, _LOST[CHECKSUMS]))
        return {}, {}
    except OSError:
        found.damages.append(Damage(name, CHANGED, _LOST[CHECKSUMS]))
        return {}, {}
    _check_small(root, path, found)
    return sums


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
            _check_small(root, path, found)
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
        _check_small(root, path, found)
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
            f"{check.expected.size - state.whole.size} bytes are missing"
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
    """A file without a checksum is damage where the store's other files carry theirs."""
    sealed_store = not any(name.startswith("generations/") for name in found.unsealed)
    if sealed_store:
        lost = "unknown: nothing tells whether it changed"
        found.damages += [Damage(name, BARE, lost) for name in found.unsealed]
        found.unsealed = []
    found.damages = sorted(set(found.damages))
    return found
