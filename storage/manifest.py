"""The store: its tables at one generation, and films and masks read through them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from storage import generations, schemas, tables
from storage.atomic import write_bytes
from storage.codec import decode, decode_png
from storage.errors import InputError, StorageError
from storage.seal import Sum, read_sealed_json, write_sealed_json
from storage.shards import read_member

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class _Place(NamedTuple):
    shard: str
    offset: int
    size: int
    crc32c: int


class _Film(NamedTuple):
    place: _Place
    shape: tuple[int, int]
    codec: str


class Store:
    """A store at one generation: readers keep it though CURRENT moves on. Writers hold its FolderLock.

    Its tables are read once and shared: copy one before changing it.
    """

    def __init__(self, root: Path, key_id: str, generation: str | None) -> None:
        """Use `create` or `open`."""
        self.root = root
        self.key_id = key_id
        self.generation = generation  # None before the first commit
        self._tables: dict[str, pd.DataFrame] = {}
        self._films: dict[str, _Film] = {}
        self._masks: dict[str, dict[str, tuple[_Place, float]]] = {}
        self._valid: dict[str, _Place] | None = None

    @classmethod
    def create(cls, root: Path, key_id: str) -> Store:
        """Make a store, or take up the one there is; InputError where it has another key or newer format."""
        if not (root / "store.json").exists():
            write_sealed_json(root / "store.json", {"format": schemas.FORMAT, "key_id": key_id})
        store = cls(root, key_id_of(root), generations.current(root))
        if store.key_id != key_id:
            raise InputError(
                f"{root} was made with key {store.key_id}, but the key given is {key_id}: one person would "
                "get two pseudonyms. Give the first key as key_file=, or choose another store=."
            )
        return store

    @classmethod
    def open(cls, root: Path) -> Store:
        """Open the live generation; InputError where there is no store, no generation or a newer format."""
        store = cls(root, key_id_of(root), generations.current(root))
        store._live()
        return store

    @property
    def manifest(self) -> pd.DataFrame:
        """One row per film, ordered by key (schemas.MANIFEST)."""
        return self._table("manifest")

    @property
    def annotations(self) -> pd.DataFrame:
        """One row per mask, ordered by key and annotator (schemas.ANNOTATIONS)."""
        return self._table("annotations")

    @property
    def exclusions(self) -> pd.DataFrame:
        """One row per film, frame or mask that is not in the generation (schemas.EXCLUSIONS)."""
        return self._table("exclusions")

    @property
    def outcomes(self) -> pd.DataFrame:
        """One row per subject, ordered by them (schemas.OUTCOMES); no rows where none were given."""
        return self._given("outcomes", schemas.OUTCOMES)

    @property
    def outcome_exclusions(self) -> pd.DataFrame:
        """One row per row of the outcomes' table that was left out (schemas.EXCLUSIONS)."""
        return self._given("outcome_exclusions", schemas.EXCLUSIONS)

    @property
    def all_exclusions(self) -> pd.DataFrame:
        """Films, frames, masks and outcomes that were left out (schemas.EXCLUSIONS)."""
        import pandas as pd

        return pd.concat([self.exclusions, self.outcome_exclusions], ignore_index=True)

    def read_image(self, key: str) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """The film's pixels HxW; StorageError where the shard is damaged or the key unknown."""
        film = self._film(key)
        pixels = decode(self._read(film.place), film.codec)
        if pixels.shape != film.shape:
            raise StorageError(f"Film {key} must have the shape {film.shape}, but has {pixels.shape}.")
        return pixels

    def read_valid(self, key: str) -> NDArray[np.bool_] | None:
        """HxW, false where a shutter, a collimator or padding hides the patient; None where nothing does."""
        shape = self._film(key).shape
        if self._valid is None:
            known = self.manifest[self.manifest["valid_offset"].notna()]
            places = known[["shard", "valid_offset", "valid_size", "valid_crc32c"]]
            rows = places.itertuples(index=False, name=None)
            self._valid = {
                name: _Place(shard, int(offset), int(size), int(crc32c))
                for name, (shard, offset, size, crc32c) in zip(known["key"], rows, strict=True)
            }
        if key not in self._valid:
            return None
        valid: NDArray[np.bool_] = decode_png(self._read(self._valid[key])) > 0
        if valid.shape != shape:
            raise StorageError(
                f"The valid pixels of film {key} must have the shape {shape}, not {valid.shape}."
            )
        return valid

    def read_masks(self, key: str) -> dict[str, NDArray[np.uint8]]:
        """Annotator -> label map HxW of class indices; empty for a film without masks."""
        shape = self._film(key).shape
        masks = {}
        for annotator, (place, _) in self._masks_of(key).items():
            mask = decode_png(self._read(place))
            if mask.shape != shape or mask.dtype != np.uint8:
                raise StorageError(
                    f"Mask {annotator} of film {key} must be uint8 of shape {shape}, but is {mask.shape}."
                )
            masks[annotator] = mask.astype(np.uint8, copy=False)
        return masks

    def annotator_weights(self, key: str) -> dict[str, float]:
        """Annotator -> weight of that mask; 0 means reference only, never trained on."""
        return {annotator: weight for annotator, (_, weight) in self._masks_of(key).items()}

    def commit(
        self,
        manifest: pd.DataFrame | pa.Table,
        annotations: pd.DataFrame,
        exclusions: pd.DataFrame,
        outcomes: tuple[pd.DataFrame, pd.DataFrame] | None = None,
        sums: Mapping[str, Sum] | None = None,
    ) -> str:
        """Make the tables, in canonical order, the live generation; return its name.

        outcomes: those of `write_outcomes`, checked before and written after the generation; None keeps what
        is there. sums: of shards as they were written; others are read. The same tables make no new generation.
        StorageError where a key comes twice, a mask has no film, a reason is not in the vocabulary, a column
        does not fit or a shard is missing.
        """
        beside = self._outcome_files(*outcomes) if outcomes else {}
        frames = {"manifest": manifest, "annotations": annotations, "exclusions": exclusions}
        self.generation = generations.write(self.root, self.generation, frames, sums or {})
        for cache in (self._tables, self._films, self._masks):
            cache.clear()
        self._valid = None
        self._replace(beside)
        return self.generation

    def write_outcomes(self, outcomes: pd.DataFrame, exclusions: pd.DataFrame | None = None) -> None:
        """Replace the outcomes, ordered by subject and exam, and what was left out of them; no new generation.

        The outcomes come last: whoever finds new ones finds what was left out of them too. A run that is
        killed in between leaves old outcomes beside new exclusions, until the next ingest.
        """
        left_out = tables.empty(schemas.EXCLUSIONS) if exclusions is None else exclusions
        self._replace(self._outcome_files(outcomes, left_out))

    def fingerprint(self) -> str:
        """SHA-256 over films, masks, exclusions, and who has an outcome: what the learning without outcomes reads.

        Such stages leave out the subjects with an outcome, whatever it is.
        """
        subjects = "".join(f"{subject}\n" for subject in sorted(set(self.outcomes["subject"])))
        files = generations.table_paths(self.root, self._live()).values()
        return _digest({**{path.name: path.read_bytes() for path in files}, "subjects": subjects.encode()})

    def outcomes_fingerprint(self) -> str:
        """SHA-256 over the outcomes and what was left out of them."""
        files = [self._beside(name) for name in ("outcomes", "outcome_exclusions")]
        return _digest({path.name: path.read_bytes() if path.exists() else b"" for path in files})

    def _outcome_files(self, outcomes: pd.DataFrame, left_out: pd.DataFrame) -> dict[str, bytes]:
        """Name of the table -> its bytes, in the order in which they are written."""
        generations.check_reasons(
            tables.conform(left_out, schemas.EXCLUSIONS, "outcome_exclusions")["reason"]
        )
        left_out = left_out.sort_values(["token", "frame"], kind="stable")
        ordered = outcomes.sort_values(["subject", "exam"], kind="stable", na_position="first")
        return {
            "outcome_exclusions": tables.encode_table(left_out, schemas.EXCLUSIONS, "outcome_exclusions"),
            "outcomes": tables.encode_table(ordered, schemas.OUTCOMES, "outcomes"),
        }

    def _replace(self, files: Mapping[str, bytes]) -> None:
        for name, data in files.items():
            write_bytes(self._beside(name), data)
            self._tables.pop(name, None)

    def _beside(self, name: str) -> Path:
        return self.root / f"{name}.parquet"

    def _given(self, name: str, schema: pa.Schema) -> pd.DataFrame:
        if name not in self._tables:
            path = self._beside(name)
            self._tables[name] = tables.read_table(path, schema) if path.exists() else tables.empty(schema)
        return self._tables[name]

    def _live(self) -> str:
        if self.generation is None:
            raise InputError(
                f"{self.root} is a store without films: its ingest has not ended. Run radmill ingest again."
            )
        return self.generation

    def _table(self, name: str) -> pd.DataFrame:
        if name not in self._tables:
            self._tables[name] = generations.read(self.root, self._live(), name)
        return self._tables[name]

    def _film(self, key: str) -> _Film:
        if not self._films:
            frame = self.manifest
            shapes = zip(frame["height"].tolist(), frame["width"].tolist(), strict=True)
            films = map(_Film, _places(frame), shapes, frame["codec"].tolist())
            self._films = dict(zip(frame["key"], films, strict=True))
        if key not in self._films:
            raise StorageError(f"Generation {self.generation} of {self.root} holds no film {key}.")
        return self._films[key]

    def _masks_of(self, key: str) -> dict[str, tuple[_Place, float]]:
        if not self._masks:
            frame = self.annotations
            masks = zip(_places(frame), frame["weight"].tolist(), strict=True)
            for name, annotator, mask in zip(frame["key"], frame["annotator"], masks, strict=True):
                self._masks.setdefault(name, {})[annotator] = mask
        return self._masks.get(key, {})

    def _read(self, place: _Place) -> bytes:
        return read_member(self.root / "shards" / place.shard, place.offset, place.size, place.crc32c)


def _digest(parts: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, data in parts.items():
        digest.update(f"{name} {len(data)}\n".encode() + data)
    return digest.hexdigest()


def check_format(root: Path) -> None:
    """Raise InputError where a store lies there that a newer radmill made."""
    if (root / "store.json").exists():
        key_id_of(root)


def check_not_newer(root: Path) -> None:
    """The same for who looks at damage: a store.json that can't be read is let through."""
    with suppress(StorageError):
        check_format(root)


def _places(frame: pd.DataFrame) -> list[_Place]:
    columns = [frame[name].tolist() for name in _Place._fields]
    return [_Place(*values) for values in zip(*columns, strict=True)]


def key_id_of(root: Path) -> str:
    """Names the secret behind a store's pseudonyms; InputError where there is no store or a newer format."""
    path = root / "store.json"
    try:
        settings = read_sealed_json(path)
        version, key_id = int(settings["format"]), str(settings["key_id"])
    except FileNotFoundError:
        raise InputError(
            f"{root} is not a store: it has no store.json. Make one with radmill ingest raw=DIR store={root}."
        ) from None
    except (StorageError, ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{path} is damaged; run radmill store repair store={root}.") from error
    if version > schemas.FORMAT:
        raise InputError(
            f"{root} has format {version}, but this radmill reads {schemas.FORMAT}; install a newer one."
        )
    return key_id
