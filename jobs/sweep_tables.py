"""The tables of a sweep: OUT/sweep/table.csv for machines, table.html for readers, and its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.config import Settings
from jobs.folders import segmentation_id
from jobs.sweep_results import LEVELS, tested
from jobs.trials import Sweep, SweepTrial
from storage.atomic import write_text

if TYPE_CHECKING:
    import pandas as pd

    from storage.manifest import Store


def write_sweep_tables(
    settings: Settings,
    sweep: Sweep,
    trials: Sequence[SweepTrial],
    left_out: Mapping[str, str],
    store_root: Path,
    out: Path,
) -> Path:
    """Write tables and figures of finished trials from their predictions; returns the page's path."""
    from pipelines.reporting.sweep import SweepPage, write_page
    from storage.manifest import Store

    predictions: dict[str, dict[str, dict[int, pd.DataFrame]]] = {}
    for trial in trials:
        for level, rows in tested(out / "sweep" / trial.id / "classify").items():
            predictions.setdefault(level, {}).setdefault(trial.name, {})[trial.seed] = rows
    store = Store.open(store_root)
    kinds = sorted(set(store.manifest["data_kind"]))
    figures = _figures(settings, sweep, store, out, predictions, "phantom" in kinds)
    page = SweepPage(
        title=sweep.name,
        tables=sweep.tables,
        predictions={level: predictions[level] for level in LEVELS if level in predictions},
        left_out=left_out,
        positive=settings.study.positive,
        seed_controls=sweep.seed_controls,
        protocol=_protocol(settings),
        data_kinds=kinds,
        figures=figures,
    )
    return write_page(page, out / "sweep")


def _figures(
    settings: Settings,
    sweep: Sweep,
    store: Store,
    out: Path,
    predictions: Mapping[str, Mapping[str, Mapping[int, pd.DataFrame]]],
    phantom: bool,
) -> dict[str, Path]:
    """By caption each figure that the sweep's file asks for, in OUT/sweep/figures."""
    stamp, folder, found = "PHANTOM DATA" if phantom else "", out / "sweep" / "figures", {}
    if "views" in sweep.figures:
        from pipelines.reporting.views import views_figure
        from pipelines.segmentation.stored import open_segmentation

        segmentation = open_segmentation(store.root, segmentation_id(out))
        svg = views_figure(store, segmentation, settings.pretraining, settings.study, stamp)
        write_text(folder / "views.svg", svg)
        caption = (
            "Figure 3: the regions of one film, and of each a global and all local views by conventional and by "
            f"content-aware multi-crop; dashed: less than {settings.pretraining.min_content:.0%} of it is bone"
        )
        found[caption] = folder / "views.svg"
    if "pr" in sweep.figures:
        from pipelines.classification.film_classify import OPTIMISTIC
        from pipelines.classification.hsg_losses import pr_figure

        names = {row.trial: row.name for row in sweep.tables[0].rows}
        banner = OPTIMISTIC if settings.supervised.protocol == "paper" else ""
        for level, by_trial in predictions.items():
            curves = {
                names[trial]: [rows.dropna(subset=["probability"]) for rows in seeds.values()]
                for trial, seeds in by_trial.items()
                if trial in names
            }
            if not curves:  # all trials of the first table are left out
                continue
            path = pr_figure(folder / f"pr-{level}.svg", curves, stamp, banner)
            found[f"Precision and recall by {level}: the mean over seeds at each recall"] = path
    return found


def _protocol(settings: Settings) -> str:
    """How a seed tests, in words."""
    if settings.study.whole_films:
        how = "one fifth of the women tests"
        how += (
            ""
            if settings.supervised.protocol == "paper"
            else ", a fifth of the others chooses, the rest trains"
        )
        optimistic = "; weights chosen on the test women: SELECTED ON THE TEST SET, OPTIMISTIC"
        return how + (optimistic if settings.supervised.protocol == "paper" else "")
    splits = settings.splits
    if splits.protocol == "paper":
        return "80 % train, 10 % validate, 10 % test, as in the paper; the test sets are too small to rank anything"
    return (
        f"{splits.folds} folds by {'X-ray machine' if splits.by == 'site' else 'subject'}, each tested once"
    )
