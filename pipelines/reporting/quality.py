"""How well the regions were found: per region, per film, and which films to look at first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pipelines.reporting.collect import Inputs
from pipelines.reporting.spread import Values, mean_known, spread
from pipelines.segmentation.metrics import DisagreementAuroc


def segmentation_numbers(inputs: Inputs) -> dict[str, Any] | None:
    """Found, Dice and entropy per region, Dice without films that trained the model; None before segment."""
    if inputs.segmentation is None:
        return None
    films, index, regions = inputs.segmentation.films, inputs.segmentation.regions, inputs.study.regions
    referenced = has_reference(films)
    tested = referenced & ~films["key"].isin(trained_on(inputs)).to_numpy()
    dice_FR = dice_table(films, len(regions))[tested]
    found = films["regions_found"].value_counts()
    return {
        "model_id": inputs.segmentation.model_id,
        "films": len(films),
        "films_complete": int((films["regions_found"] == len(regions)).sum()),
        "references": sorted(set(films["annotator"][tested])),
        "films_tested": int(tested.sum()),
        "films_trained_on": int((referenced & ~tested).sum()),
        "doubt": _doubt(films[tested]),
        "regions": [
            _region(name, index[index["region"] == name], dice_FR[:, column])
            for column, name in enumerate(regions)
        ],
        "film_mean": spread(np.array([mean_known(row) for row in dice_FR])),
        "found": [
            {"regions": n, "films": int(found.get(n, 0))}
            for n in range(len(regions), -1, -1)
            if n in found.index
        ],
    }


def worst_first(inputs: Inputs) -> pd.DataFrame:
    """All films with `dice` (mean over the regions) and `trained`, in the order to look at them.

    Dice and entropy can't be compared: films with a reference, lowest Dice first, alternate with films
    without, fewest regions and then highest entropy first.
    """
    assert inputs.segmentation is not None
    films = inputs.segmentation.films.copy()
    films["dice"] = [mean_known(row) for row in dice_table(films, len(inputs.study.regions))]
    films["trained"] = films["key"].isin(trained_on(inputs))
    judged = films[has_reference(films)].sort_values(["dice", "key"], na_position="first")
    unjudged = films[~has_reference(films)].sort_values(
        ["regions_found", "entropy", "key"], ascending=[True, False, True]
    )
    turn = np.concatenate([2.0 * np.arange(len(judged)), 2.0 * np.arange(len(unjudged)) + 1])
    ordered: pd.DataFrame = pd.concat([judged, unjudged]).iloc[np.argsort(turn, kind="stable")]
    return ordered.reset_index(drop=True)


def dice_table(films: pd.DataFrame, num_regions: int) -> Values:
    """Dice per film and region (F x R); NaN where a film has no reference, or neither mask has the region."""
    table = np.full((len(films), num_regions), np.nan)
    for row, values in enumerate(films["dice"]):
        if values is not None and len(values):
            table[row] = values
    return table


def has_reference(films: pd.DataFrame) -> Any:
    """Boolean array: the film has a mask to compare with."""
    return (films["annotator"].fillna("") != "").to_numpy()


def trained_on(inputs: Inputs) -> set[str]:
    """Films that the segmenter learned from or was chosen by, and others of the same subjects."""
    manifest = inputs.store.manifest
    return set(manifest.loc[inputs.seen.of_films(manifest), "key"])


def _doubt(films: pd.DataFrame) -> dict[str, float] | None:
    """Mean AUROCs, over the films, of entropy and of closeness to two edges for the annotators' disagreement."""
    rows = [values for values in films["disagreement"] if values is not None and len(values)]
    if not rows or np.isnan(rows).all(0).any():
        return None
    return dict(zip(DisagreementAuroc._fields, np.nanmean(rows, 0).tolist(), strict=True))


def _region(name: str, rows: pd.DataFrame, dice_F: Values) -> dict[str, Any]:
    found = rows["found"].astype(bool)
    return {
        "region": name,
        "films": len(rows),
        "found": int(found.sum()),
        "dice": spread(dice_F),
        "entropy": spread(rows["entropy"][found].to_numpy(np.float64)),
    }
