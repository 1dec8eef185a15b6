"""Films of the planned shards at 128 x 128, shrunk by the guarded children: what near duplicates are told by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache

from pipelines.ingest.decode import shrink_stored
from pipelines.ingest.guard import GuardedPool
from pipelines.ingest.near import Look, Pair
from pipelines.ingest.plan import planned_shards
from pipelines.ingest.task import IngestTask
from pipelines.ingest.write import write_shard
from storage.errors import Quarantined, StorageError
from storage.records import Record, load_record
from storage.thumbnail import Gray

_IN_MEMORY = 256  # of 128 kB


class SmallPictures:
    """The pictures asked for last stay in memory."""

    def __init__(self, task: IngestTask, pool: GuardedPool) -> None:
        self._task, self._pool = task, pool
        self._read = lru_cache(_IN_MEMORY)(self._shrunk)

    def of(self, look: Look) -> Gray:
        """The film's picture; its planned shard is written again where it was superseded. From one thread alone."""
        if not self._is_there(look):
            planned = next(one for one in planned_shards(self._task) if one.shard == look.shard)
            write_shard(self._pool, self._task, planned)
        return self._read(look)

    def ahead(self, pairs: Iterable[Pair], wanted: Callable[[Pair], bool]) -> Iterator[Pair]:
        """The pairs in their order, while the children shrink the wanted ones that come next.

        Only from shards that are there: of a pair drawn too early nothing may be needed, nor may it end the ingest.
        """

        def prepared(pair: Pair) -> Pair:
            with suppress(StorageError):
                for look in filter(self._is_there, pair if wanted(pair) else ()):
                    self._read(look)
            return pair

        return self._pool.map(prepared, pairs)

    def _is_there(self, look: Look) -> bool:
        return self._task.shard_path(look.shard).exists()

    def _shrunk(self, look: Look) -> Gray:
        record = load_record(self._task.store_root, look.shard) or Record([], [])
        row = next((row for row in record.rows if row["key"] == look.key), None)
        if row is None:
            raise StorageError("A film below raw= changed while it was ingested; run ingest again.")
        place = (row["offset"], row["size"], row["crc32c"], row["codec"])
        try:
            return self._pool.call(shrink_stored, self._task.shard_path(look.shard), *place)
        except Quarantined as error:
            raise StorageError(
                f"The film {look.key} of {look.shard} looks like another one, but can't be compared with it: {error}. "
                "Give it more by ingest.timeout_s or ingest.memory_gb, and run ingest again."
            ) from error
