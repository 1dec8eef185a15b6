"""One film of a store: its row, its masks, what segmentations made of it, and its picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jobs.config import Settings
from jobs.folders import existing, opened_store, png_file
from jobs.progress import console
from storage.errors import ConfigError

if TYPE_CHECKING:
    from storage.manifest import Store


def check(settings: Settings) -> None:
    """The store is there; a film is named, and a PNG file if any."""
    if not settings.show.key:
        raise ConfigError("radmill store show needs a key; e.g. radmill store show KEY store=DIR")
    existing(str(settings.store), "store")
    if settings.out is not None:
        png_file(settings.out)


def main(settings: Settings) -> int:
    """`radmill store show KEY store=DIR [out=film.png]`; of the key its beginning is enough."""
    from storage.care import look

    store = opened_store(settings)
    keys = look.table(store, "manifest", ["key"])["key"].to_pylist()
    key = look.whole_key(keys, str(settings.show.key))
    [row] = look.rows_where(look.table(store, "manifest"), "key", key)
    for name, value in row.items():
        print(f"{name:20} {_shown(value)}")
    print(f"{'outcome':20} {_outcome(store, row)}")
    for mask in look.rows_where(look.table(store, "annotations"), "key", key):
        print(
            f"{'mask ' + mask['annotator']:20} weight {mask['weight']:.3g} {mask['tool']} {mask['shard']}".rstrip()
        )
    for model_id, film in look.segmentation_rows(store.root, key).items():
        found = ", ".join(region["region"] for region in film["regions"] if region["found"]) or "nothing"
        print(f"{'segmentation':20} {model_id}: {found}")
    if settings.out is not None:
        from pipelines.reporting.sheet import write_film

        console.print(f"Picture: {write_film(png_file(settings.out), store, row)}", markup=False)
    return 0


def _outcome(store: Store, film: Mapping[str, Any]) -> str:
    """What is known of the film's exam, else of its person: class, value, rule, site and days."""
    from storage import tables
    from storage.care import look

    path = store.root / "outcomes.parquet"
    rows = look.rows_where(tables.read_arrow(path), "subject", film["subject"]) if path.exists() else []
    told = {row["exam"]: row for row in rows}
    row = told.get(film["exam"]) or told.get("")
    if row is None:
        return "-"
    parts = [f"value {_shown(row['t_score'])}", f"rule {_shown(row['rule'])}"]
    parts += [row["dxa_site"]] * bool(row["dxa_site"])
    if row["days"] is not None:
        parts.append(f"{row['days']:+d} days from the film")
    return f"{row['outcome']} ({', '.join(parts)})"


def _shown(value: object) -> str:
    """A cell without the digits that single precision makes up."""
    if value in (None, ""):
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
