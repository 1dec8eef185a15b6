"""Caches of a store, made anew from its tars."""

from __future__ import annotations

from jobs.config import Settings
from jobs.folders import existing, held
from jobs.progress import console, shown
from storage.wording import counted


def check(settings: Settings) -> None:
    """The store is there."""
    existing(str(settings.store), "store")


def main(settings: Settings) -> int:
    """`radmill store rebuild store=DIR [what=all|crops|windows|films]`; features, which need a model, go with all."""
    from pipelines.pretraining.rebuild import cache_names, rebuild_caches
    from storage.atomic import remove_folder
    from storage.manifest import check_format

    root, what = existing(str(settings.store), "store"), settings.rebuild.what
    check_format(root)
    kinds = ("crops", "windows", "films") if what == "all" else (what,)
    with held("store rebuild", root), shown("store rebuild") as progress:
        made = rebuild_caches(root, cache_names(root, kinds), progress)
        features = cache_names(root, ["features"]) if what == "all" else []
        for name in features:
            remove_folder(root / "arrays" / name)
    removed = (
        f"; {counted(len(features), 'cache')} of features removed, the next classify makes them"
        if features
        else ""
    )
    console.print(f"{counted(len(made), 'cache')} rebuilt{removed}", markup=False)
    return 0
