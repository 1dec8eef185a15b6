"""Figures of a segmenter on held-out annotated films, at the size of the grid."""

from __future__ import annotations

import math

import numpy as np

from pipelines.segmentation.experts import ExpertSegmenter, SampledLogits, mean_probability
from pipelines.segmentation.metrics import consensus, dice_per_class, energy_distance
from pipelines.segmentation.prepare import standardise
from pipelines.segmentation.samples import AnnotatedFilm

BATCH = 8


def validation_metrics(
    model: ExpertSegmenter, films: list[AnnotatedFilm], regions: list[str]
) -> dict[str, float]:
    """Means over the films: Dice of the mean prediction with the consensus, GED.

    ged: unbiased, or the V-statistic with one code per expert; dice: mean over the regions. A figure without
    any film that defines it is left out.
    """
    rows = []
    for start in range(0, len(films), BATCH):
        part = films[start : start + BATCH]
        image_BCHW = standardise(np.stack([film.channels_HWC for film in part])).to(model.mean_KL.device)
        output = model(image_BCHW, model.fixed_noise(len(part)))
        rows += [film_metrics(output, row, film, regions) for row, film in enumerate(part)]
    names = dict.fromkeys(name for row in rows for name in row)
    means = {name: _mean([row.get(name, math.nan) for row in rows]) for name in names}
    means["dice"] = _mean([means[f"dice_{region}"] for region in regions])
    return {name: value for name, value in means.items() if not math.isnan(value)}


def film_metrics(
    output: SampledLogits, row: int, film: AnnotatedFilm, regions: list[str]
) -> dict[str, float]:
    """Figures of one film; NaN where it doesn't define them."""
    num_classes = len(regions) + 1
    single = SampledLogits(output.logits_BNCHW[row : row + 1], output.log_pi_BK[row : row + 1])
    mean_CHW = mean_probability(single)[0]
    reference = consensus(film.masks_MHW)
    label_map_HW = mean_CHW.argmax(0).cpu().numpy()
    dice = dice_per_class(label_map_HW, reference, num_classes)
    metrics = {f"dice_{region}": float(value) for region, value in zip(regions, dice, strict=True)}
    maps_NHW = single.logits_BNCHW[0].argmax(1).cpu().numpy()
    pi_K = single.log_pi_BK[0].exp().double().cpu().numpy()
    energy = energy_distance(maps_NHW, pi_K / pi_K.sum(), film.masks_MHW, film.beta_M, num_classes)
    metrics["ged"] = energy.v_statistic if math.isnan(energy.unbiased) else energy.unbiased
    metrics["ged_v"] = energy.v_statistic
    return metrics


def _mean(values: list[float]) -> float:
    """Mean of the values that are numbers; NaN without any."""
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan
