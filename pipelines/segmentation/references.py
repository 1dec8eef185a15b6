"""A prediction against the film's own masks, at the film's size."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pipelines.segmentation.metrics import dice_per_class, disagreement_auroc
from pipelines.segmentation.predict import Prediction
from pipelines.segmentation.shapes import warp_linear
from storage.manifest import Store


@dataclass(frozen=True)
class Comparison:
    """Columns of FILM_INDEX; empty for a film without masks."""

    annotator: str = ""
    """Whose mask is the reference: `truth`, else the first annotator."""
    dice: list[float] = field(default_factory=list)
    """Per region; NaN where absent from both."""
    disagreement: list[float] = field(default_factory=list)
    """AUROCs of `disagreement_auroc`; empty with fewer than two annotators, NaN where undefined."""


def compare(store: Store, key: str, prediction: Prediction, num_regions: int) -> Comparison:
    """How the prediction agrees with the reference, and its entropy with the annotators' disagreement."""
    masks = store.read_masks(key)
    if not masks:
        return Comparison()
    annotator = "truth" if "truth" in masks else min(masks)
    dice = dice_per_class(prediction.label_map, masks[annotator], num_regions + 1)
    weights = store.annotator_weights(key)
    opinions = [mask for name, mask in masks.items() if weights[name] > 0]
    if len(opinions) < 2:
        return Comparison(annotator, dice.tolist())
    found = disagreement_auroc(film_entropy(prediction), prediction.label_map, np.stack(opinions))
    return Comparison(annotator, dice.tolist(), list(found))


def film_entropy(prediction: Prediction) -> np.ndarray:
    """The entropy seen at the film's size, HW float32 in nats."""
    to_grid = prediction.placement.matrix
    height, width = prediction.label_map.shape
    return warp_linear(prediction.entropy.astype(np.float32), to_grid, height, width, extend=True)
