"""What an ingest is asked to do, and where its state lies between the steps.

The steps may run in different processes and on different machines. What passes between them, paths below
raw= and who is on which film, must never be at rest in the store: it lies beside the key file, in a folder
that its owner alone may open, and goes away when the ingest is committed.

    work/run.json                    the id of this run: parts of an earlier one, which was killed, do not count
    work/scan-00003-of-00008.jsonl   the run's id, then [name, what it is], a line per file that this part looked at
    work/plan.jsonl                  a line per shard: its name and the files whose films it takes
    work/plan.json                   how many files and films, and whether the films are phantoms
    work/excluded.jsonl              a line per file that stays out as a whole
    work/names.jsonl                 [name, key of its first film]; of equal files the same
    work/patients.jsonl              [normalised patient id, pseudonyms], one per issuer
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.config import StudyConfig
from pipelines.ingest.guard import GuardedPool
from storage.atomic import remove_folder, replacing, write_json
from storage.config import IngestConfig
from storage.errors import InputError, StorageError
from storage.identity import Secret, key_path, lost_secret, owner_secret, work_path
from storage.radiograph import Limits

_DECODERS = ("pipelines.ingest.decode",)
_WRITTEN = 4  # grows when the same film comes to be written otherwise: shards and records are then made anew


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestTask:
    """The same for every step and part; arguments as of `pipelines.ingest.run.ingest`."""

    raw: Path
    store_root: Path
    config: IngestConfig
    study: StudyConfig
    outcomes: Path | None = None
    mapping: Path | None = None
    annotations: Path | None = None
    data_kind: str | None = None
    skip: tuple[Path, ...] = ()

    @property
    def limits(self) -> Limits:
        """What a decoder refuses."""
        return limits_of(self.config)

    @property
    def overrides(self) -> Path | None:
        """The table of what a person says of some films."""
        return Path(self.config.overrides) if self.config.overrides else None

    @property
    def settings(self) -> str:
        """What decides over the films' bytes beside the films, for the names of the shards."""
        return repr((_WRITTEN, self.limits, self.data_kind, self.config.codec))

    @property
    def key_path(self) -> Path:
        """Where the secret lies: as configured, else STORE.key beside the store."""
        return key_path(self.store_root, self.config.key_file)

    @property
    def work(self) -> Path:
        """The folder of this ingest's state."""
        return work_path(self.store_root, self.config.key_file)

    @property
    def no_films(self) -> list[Path]:
        """Files and folders that are no input though they may lie below raw."""
        tables = (self.outcomes, self.mapping, self.overrides)
        ours = (self.store_root, *tables, self.annotations, self.key_path, self.work)
        return [path for path in (*ours, *self.skip) if path]

    def shard_path(self, shard: str) -> Path:
        """Where a shard lies."""
        return self.store_root / "shards" / shard

    def pool(self, processes: int) -> GuardedPool:
        """Guarded decoders for any step."""
        return decoders(self.config, processes)

    def secret(self, *, phantoms: bool) -> Secret:
        """The key of all pseudonyms; phantoms alone need no secret one.

        InputError where the store has films already and its key is gone, as another would name everyone anew, or
        where it holds phantoms under the public key.
        """
        from storage.manifest import key_id_of

        if phantoms and not self.config.key_file:
            return Secret.phantom()
        there = (self.store_root / "store.json").exists()
        if there and key_id_of(self.store_root) == Secret.phantom().key_id:
            raise InputError(
                f"{self.store_root} holds phantoms under their public key, with which anyone could undo the pseudonyms "
                "of people. Put real films into another store=."
            )
        if there and not self.key_path.exists():
            raise lost_secret(self.store_root, self.key_path)
        return Secret.load_or_create(self.key_path)

    def check_secret(self) -> None:
        """InputError where the secret can't be the one of this store, as far as that shows before a film is read."""
        if self.key_path.resolve().is_relative_to(self.store_root.resolve()):
            raise InputError(
                f"key_file={self.key_path} lies inside the store, where whoever gets the store gets the secret too; "
                "move it out, and name its new path."
            )
        if (self.store_root / "store.json").exists():
            from storage.manifest import key_id_of

            owner_secret(self.store_root, self.config.key_file, key_id_of(self.store_root))
        elif self.key_path.exists():
            Secret.load_or_create(self.key_path)

    def begin(self) -> None:
        """Forget what an earlier ingest left between its steps, and give this one an id; before any part.

        Raises StorageError where the folder can't be written.
        """
        self.discard_work()
        _make_work(self)
        write_json(self.work / "run.json", {"id": secrets.token_hex(8)})

    @property
    def run_id(self) -> str:
        """What `begin` gave; StorageError where it was not called."""
        path = self.work / "run.json"
        if not path.exists():
            raise StorageError(f"{path} is missing: this ingest is not begun yet; begin it first.")
        return str(json.loads(path.read_text())["id"])

    @contextmanager
    def leaving_nothing(self) -> Iterator[None]:
        """What a refused ingest (InputError) made where there was nothing goes again: its key, the empty store."""
        root = self.store_root
        ours = [self.key_path, *(root / name for name in ("store.json", "records", "shards", "generations"))]
        new = not any(path.exists() for path in ours)
        try:
            yield
        except InputError:
            for path in ours if new and not (root / "CURRENT").exists() else ():
                if path.is_dir():
                    remove_folder(path)
                path.unlink(missing_ok=True)
            raise

    def discard_work(self) -> None:
        """Forget what an earlier ingest left between its steps."""
        shutil.rmtree(self.work, ignore_errors=True)


def limits_of(config: IngestConfig) -> Limits:
    """What the readers refuse."""
    return Limits(
        max_megapixels=config.max_megapixels,
        max_file_mb=config.max_file_mb,
        modalities=tuple(modality.upper() for modality in config.modalities),
    )


def decoders(config: IngestConfig, processes: int) -> GuardedPool:
    """Guarded children that read raw files."""
    return GuardedPool(processes, config.memory_gb, config.timeout_s, _DECODERS)


def _make_work(task: IngestTask) -> None:
    """Make the folder of the state, for its owner alone. Raises StorageError where it can't be written."""
    try:
        task.work.parent.mkdir(parents=True, exist_ok=True)
        task.work.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{task.work.parent} can't be written: {error.strerror}; the key file and what ingest must "
            "remember until it ends lie there: name another key_file=."
        ) from error


def write_lines(path: Path, values: Iterable[object]) -> None:
    """Replace the file by one JSON value per line, whole or not at all."""
    with replacing(path) as temporary, temporary.open("w", encoding="ascii") as file:
        for value in values:
            file.write(json.dumps(value, separators=(",", ":")) + "\n")


def read_lines(path: Path) -> Iterator[Any]:
    """The values that `write_lines` wrote, one in memory at a time."""
    try:
        with path.open(encoding="ascii") as file:
            for line in file:
                yield json.loads(line)
    except FileNotFoundError:
        raise StorageError(
            f"{path} is missing: an earlier step of ingest has not ended; run it first."
        ) from None
