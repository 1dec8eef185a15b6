"""What is found wrong with a store, and the checks of its small files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from storage import generations
from storage.errors import StorageError
from storage.seal import CHECKSUMS, Sum, check_seal, file_sum, is_sealed, read_sealed_json

MISSING = "it is missing"
CHANGED = "its bytes do not match their checksum"
BARE = "it carries no checksum"
UNENDED = "its erasure has not ended; run radmill store erase again"


@dataclass(frozen=True, slots=True, order=True)
class Damage:
    """A file, by its path below the store, what is wrong with it and what is lost by that."""

    file: str
    what: str
    lost: str

    @property
    def unended(self) -> bool:
        """Whether it is no damage but an erasure that was interrupted."""
        return self.what == UNENDED

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


def damaged_names(root: Path) -> set[str]:
    """CURRENT and store.json, where they are damaged: what a look at the rest of a store begins with."""
    found = Verified()
    check_small(root, root / "store.json", found)
    check_current(root, found)
    # a file without its seal is damage in a store that has them, as `verify` tells; the rest says which
    return {damage.file for damage in found.damages} | set(found.unsealed)


def whole_generations(root: Path) -> list[str]:
    """Names of the generations whose tables are whole, the oldest first."""
    whole = []
    for folder in sorted((root / "generations").glob("[0-9]*")):
        found = Verified()
        files, _ = sums_of(root, folder, found)
        for name, expected in files.items():
            check_small(root, folder / name, found, expected)
        if files and not found.damages:
            whole.append(folder.name)
    return whole


def check_small(root: Path, path: Path, found: Verified, expected: Sum | None = None) -> bool:
    """Check a file by its own seal, and where given by its sum; whether it is whole."""
    name = path.relative_to(root).as_posix()
    lost = LOST.get(path.name, LOST.get(path.parent.name, "what the file says"))
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
        found.damages.append(Damage(name, UNENDED, "nothing"))
    return True


LOST = {
    "store.json": "no film; the store can't be opened",
    "CURRENT": "no film; which generation is live",
    "erased.json": "who must not come back",
    "overrides.json": "no film; that the next ingest must name its overrides",
    "manifest.parquet": "the places of all films",
    "annotations.parquet": "the places of all masks",
    "exclusions.parquet": "what was left out and why",
    "shards.txt": "no film; the list for other readers",
    CHECKSUMS: "no film; what the others are checked by",
    "records": "no film; ingest would decode its shard again",
    "outcomes.parquet": "the outcomes",
    "outcome_exclusions.parquet": "which rows of the outcomes' table were left out and why",
    "splits": "who trains and who tests",
    "receipts": "proof of an erasure",
}


def check_current(root: Path, found: Verified) -> None:
    """Note whether CURRENT names the newest generation."""
    path, lost = root / "CURRENT", LOST["CURRENT"]
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


def sums_of(root: Path, folder: Path, found: Verified) -> tuple[dict[str, Sum], dict[str, Sum]]:
    """The sums of a generation's files and shards, empty where damaged; the list itself is checked too."""
    path = folder / CHECKSUMS
    name = path.relative_to(root).as_posix()
    try:
        sums = generations.checksums(root, folder.name)
    except FileNotFoundError:
        manifest = folder / "manifest.parquet"
        if manifest.exists() and not is_sealed(manifest.read_bytes()):
            found.unsealed.append(name)  # of an older radmill, which made none
        else:
            found.damages.append(Damage(name, MISSING, LOST[CHECKSUMS]))
        return {}, {}
    except OSError:
        found.damages.append(Damage(name, CHANGED, LOST[CHECKSUMS]))
        return {}, {}
    check_small(root, path, found)
    return sums
