"""Exactly what is damaged, made again: shards from the raw files, caches from the shards; the rest is named.

The caller holds the store's lock.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from pathlib import Path

from pipelines.config import StudyConfig
from pipelines.ingest.remake import Repaired, origin_of, remake_films
from pipelines.ingest.remake_masks import remake_masks
from pipelines.pretraining.rebuild import rebuild_caches
from pipelines.progress import Progress, silent
from storage import generations
from storage.atomic import remove_folder, write_text
from storage.care.findings import Damage, damaged_names, whole_generations
from storage.care.verify import verify
from storage.config import IngestConfig
from storage.errors import InputError
from storage.identity import Secret, key_path
from storage.manifest import Store, check_not_newer
from storage.schemas import FORMAT
from storage.seal import read_sealed_json, write_sealed_json


def repair(
    root: Path,
    config: IngestConfig,
    study: StudyConfig,
    raw: Path | None = None,
    annotations: Path | None = None,
    processes: int = 1,
    progress: Progress = silent,
) -> Repaired:
    """Verify the store and make again what is damaged, as far as it can be.

    Raises:
        InputError: the store has a newer format, or a film's shard is damaged and raw= is not given, or is not
            where the films came from.
        StorageError: source files are gone or changed, or decode to other bytes; nothing was overwritten.
    """
    check_not_newer(root)
    done = Repaired()
    _restore_names(root, config, done)
    damages = verify(root, processes, progress).damages
    by_room: dict[str, list[str]] = defaultdict(list)
    for damage in damages:
        by_room[_room(damage)].append(damage.file)
    films, masks = by_room.pop("films", []), by_room.pop("masks", [])
    if (films or masks) and _live_tables_damaged(root, by_room["generations"]):
        done.advice.append(
            f"{len(films) + len(masks)} damaged shards wait for the tables that name them: once radmill ingest "
            "has made these, run radmill store repair again."
        )
    elif films or masks:
        store = Store.open(root)
        origin = origin_of(store, config, study, raw, annotations, films or masks)
        with origin.task.pool(processes) as pool:
            remake_films(store, films, origin, pool, progress, done)
            remake_masks(store, masks, origin, pool, progress, done)
    _remove_records(root, by_room.pop("records", []), done)
    _remove_folders(root, by_room, progress, done)
    return done


def _live_tables_damaged(root: Path, files: list[str]) -> bool:
    live = generations.current(root)
    return any(file.split("/")[1] == live for file in files)


def _room(damage: Damage) -> str:
    """Which part of the store a damaged file belongs to."""
    folder, _, rest = damage.file.partition("/")
    if folder == "shards":
        return "films" if rest.startswith("radiographs-") else "masks"
    return folder


def _restore_names(root: Path, config: IngestConfig, done: Repaired) -> None:
    """CURRENT and store.json, which say nothing that the rest of the store and the secret do not know."""
    damaged, names = damaged_names(root), whole_generations(root)
    if "CURRENT" in damaged and names:
        write_text(root / "CURRENT", f"{names[-1]}\n")
        done.made.append("CURRENT")
    if "store.json" in damaged and names:
        secret = _proven(root, config, names[-1])
        write_sealed_json(root / "store.json", {"format": FORMAT, "key_id": secret.key_id})
        done.made.append("store.json")


def _proven(root: Path, config: IngestConfig, generation: str) -> Secret:
    """The secret under which the generation's keys were made; InputError where it is not at hand."""
    row = generations.read(root, generation, "manifest").iloc[:1].to_dict("records")
    candidates = [Secret.phantom()]
    if (path := key_path(root, config.key_file)).exists():
        candidates.append(Secret.load_or_create(path))
    for secret in candidates:
        if row and secret.film_key(row[0]["source_sha256"], row[0]["frame"]) == row[0]["key"]:
            return secret
    raise InputError(
        f"store.json of {root} is damaged, and no key at hand made its films; name theirs as key_file=."
    )


def _remove_records(root: Path, files: list[str], done: Repaired) -> None:
    for file in files:
        (root / file).unlink(missing_ok=True)
        done.removed.append(file)
    if files:
        done.advice.append(
            f"{len(files)} damaged records were removed; the next radmill ingest writes them anew."
        )


def _remove_folders(root: Path, by_room: dict[str, list[str]], progress: Progress, done: Repaired) -> None:
    """Segmentations, caches and older generations go as a whole; most caches come back from their tars."""
    live = generations.current(root)
    lost = {
        room: sorted({file.split("/")[1] for file in files})
        for room, files in by_room.items()
        if room in _FOLDERS
    }
    for name in lost.get("segmentations", []):
        remove_folder(root / "segmentations" / name)
        done.removed.append(f"segmentations/{name}")
        done.advice.append(
            f"Segmentation {name} was damaged and removed; run radmill segment with its model again."
        )
    for name in lost.get("arrays", []):
        made = []
        with suppress(InputError):  # its segmentation is not there: whoever needs the cache makes it then
            made = rebuild_caches(root, [name], progress)
        if made:
            done.made.append(f"arrays/{name}")
        else:
            remove_folder(root / "arrays" / name)
            done.removed.append(f"arrays/{name}")
    for name in lost.get("generations", []):
        if name == live:
            done.advice.append(f"Tables of the live generation {name} are damaged; run radmill ingest again.")
        else:
            remove_folder(root / "generations" / name)
            done.removed.append(f"generations/{name}")
    for room, files in sorted(by_room.items()):
        if room not in (*_FOLDERS, "CURRENT", "store.json"):
            done.advice += [f"{file} can't be made again; {_advice(root, room, file)}" for file in files]


def _advice(root: Path, room: str, file: str) -> str:
    with suppress(OSError):  # a StorageError too
        if room == "receipts" and not read_sealed_json(root / file)["finished"]:
            return "run radmill store erase again, which ends the erasure."
    return _ADVICE.get(room, "restore it from a backup.")


_FOLDERS = ("segmentations", "arrays", "generations")
_ADVICE = {
    "outcomes.parquet": "run radmill ingest with outcomes=.",
    "outcome_exclusions.parquet": "run radmill ingest with outcomes=.",
    "overrides.json": "remove it, and name ingest.overrides with the next ingest.",
    "splits": "remove it, and evaluate everything anew.",
    "erased.json": "restore it from a backup, or remove it and run radmill store erase again for all erased people.",
}
