"""Caches of a store, made anew from its tars."""

from __future__ import annotations

from jobs.config import Settings
from jobs.folders import existing, held
from jobs.progress import console, shown


def main(settings: Settings) -> int:
    """`radmill store rebuild store=DIR [what=all|crops]`; features, which need a model, go."""
    from pipelines.pretraining.rebuild import rebuild_crops
    from storage.atomic import remove_folder

    root = existing(str(settings.store), "store")
    with held("store rebuild", root), shown("store rebuild") as progress:
        made = rebuild_crops(root, progress=progress)
        others = (
            sorted(path for path in (root / "arrays").glob("features-*.zarr"))
            if settings.rebuild.what == "all"
            else []
        )
        for path in others:
            remove_folder(path)
    removed = f"; {len(others)} caches of features removed, the next classify makes them" if others else ""
    console.print(f"{len(made)} caches rebuilt{removed}", markup=False)
    return 0
