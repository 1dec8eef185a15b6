"""Masks into shards of their own, so that new masks never touch the films' shards."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.annotations.match import ANNOTATORS_FILE, TRUTH, annotators_of, match_names
from pipelines.ingest.decode import Refused, digest_file, encode_mask
from pipelines.ingest.guard import GuardedPool
from pipelines.ingest.identify import Exclusion
from pipelines.progress import Progress
from storage.errors import Quarantined
from storage.identity import Secret
from storage.plan import Film, Planned, plan_shards
from storage.radiograph import Limits
from storage.records import Left, Record, Row, load_record, save_record
from storage.shards import ShardWriter

STAGE = "annotations"


@dataclass(frozen=True, slots=True)
class MarkedFilm:
    """A film of the store that masks may belong to."""

    key: str
    subject: str
    shape: tuple[int, int]  # height, width in pixels


@dataclass(frozen=True, slots=True)
class Mask:
    """A mask file that belongs to a film, by the label of its annotator."""

    name: str
    sha256: str
    film: MarkedFilm
    annotator: str
    weight: float  # NaN: 1 over the masks of its film that are used
    tool: str


@dataclass(frozen=True, slots=True)
class MaskTask:
    """What all tasks share."""

    folder: Path
    names: Sequence[str]  # of the files below the folder
    store_root: Path
    films: Mapping[str, MarkedFilm]  # by path below raw=; several paths may lead to one film
    num_classes: int
    films_per_shard: int
    limits: Limits

    def path(self, shard: str) -> Path:
        """Where the shard lies."""
        return self.store_root / "shards" / shard


def add_annotations(
    task: MaskTask, secret: Secret, pool: GuardedPool, progress: Progress
) -> tuple[list[Row], list[Exclusion]]:
    """Write every mask of the folder that belongs to a film; each other file becomes an exclusion."""
    masks, refused = _find(task, pool)
    by_key: dict[str, dict[str, Mask]] = defaultdict(dict)
    for mask in masks:
        by_key[mask.film.key][mask.annotator] = mask
    planned = _plan(task, by_key)

    def write(plan: Planned) -> Record:
        record = load_record(task.store_root, plan.shard)
        if record is None or not record.lasts or (record.rows and not task.path(plan.shard).exists()):
            return _write(pool, task, plan, by_key)
        return record

    rows: list[Row] = []
    done = 0
    for plan, record in zip(planned, pool.map(write, planned), strict=True):
        rows += record.rows
        refused |= {
            by_key[left.key][left.annotator].name: Refused(left.reason, left.detail) for left in record.left
        }
        done += len(plan.keys)
        progress(done, len(by_key), "films with masks written")
    exclusions = [
        Exclusion(mask_token(secret, name), 0, why.reason, why.detail, STAGE) for name, why in refused.items()
    ]
    return rows, exclusions


def mask_token(secret: Secret, name: str) -> str:
    """The token of a file, by its path below annotations=; no file below raw= has the same."""
    return secret.token(f"annotations/{name}")


def _find(task: MaskTask, pool: GuardedPool) -> tuple[list[Mask], dict[str, Refused]]:
    """The masks that belong to films, and why each other file does not."""
    names = [name for name in task.names if name != ANNOTATORS_FILE]

    def digest(name: str) -> str | Refused:
        try:
            return pool.call(digest_file, task.folder / name, task.limits)
        except Quarantined as error:
            return Refused(error.reason, error.detail)

    digests = dict(zip(names, pool.map(digest, names), strict=True))
    refused = {name: digest for name, digest in digests.items() if isinstance(digest, Refused)}
    readable = {name: digest for name, digest in digests.items() if isinstance(digest, str)}
    named, unmatched = match_names(readable, {name: film.key for name, film in task.films.items()})
    refused |= unmatched
    annotators = annotators_of((match.annotator for match in named), task.folder)
    films = {film.key: film for film in task.films.values()}
    masks = [
        Mask(match.name, readable[match.name], films[match.key], one.label, one.weight, one.tool)
        for match, one in ((match, annotators[match.annotator]) for match in named)
    ]
    return masks, refused


def _plan(task: MaskTask, by_key: Mapping[str, Mapping[str, Mask]]) -> list[Planned]:
    films = []
    for key, masks in by_key.items():
        ordered = sorted(masks.values(), key=lambda mask: mask.annotator)
        content = [(mask.annotator, mask.sha256, mask.weight, mask.tool) for mask in ordered]
        films.append(Film(key, ordered[0].film.subject, repr((task.num_classes, content))))
    return plan_shards(films, task.films_per_shard, "annotations")


def _write(
    pool: GuardedPool, task: MaskTask, planned: Planned, by_key: Mapping[str, Mapping[str, Mask]]
) -> Record:
    rows: list[Row] = []
    left: list[Left] = []
    path = task.path(planned.shard)
    masks: Sequence[Mask] = [mask for key in planned.keys for _, mask in sorted(by_key[key].items())]
    with ShardWriter(path) as shard:
        for mask in masks:
            key, shape = mask.film.key, mask.film.shape
            try:
                png = pool.call(
                    encode_mask, task.folder / mask.name, mask.sha256, shape, task.num_classes, task.limits
                )
            except Quarantined as error:
                left.append(Left(key, mask.annotator, error.reason, error.detail))
                continue
            placed = shard.add(f"{key}.mask.{mask.annotator}.png", png)
            described = {"key": key, "annotator": mask.annotator, "weight": mask.weight, "tool": mask.tool}
            rows.append({**described, "shard": planned.shard, **asdict(placed)})
    used = Counter(row["key"] for row in rows if row["annotator"] != TRUTH)
    for row in rows:
        if math.isnan(row["weight"]):
            row["weight"] = 1 / used[row["key"]]
    if not rows:
        path.unlink()
    record = Record(rows, left, shard.sum if rows else None)
    save_record(task.store_root, planned.shard, record)
    return record
