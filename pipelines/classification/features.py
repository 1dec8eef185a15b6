"""Features of bones by a frozen encoder: computed once, cached in STORE/arrays/features-<id>.zarr."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from pipelines.classification.config import ClassificationConfig
from pipelines.classification.finished import load_encoder, read_part
from pipelines.config import BONES
from pipelines.evaluation.metrics import Floats
from pipelines.inference import side_by_side
from pipelines.pretraining.crops import fingerprint, scales, square_crops
from pipelines.progress import Progress, silent
from pipelines.segmentation.stored import Segmentation
from storage.arrays import create_array, open_array, writing_group
from storage.errors import StorageError
from storage.manifest import Store

_CHUNK = 1024  # regions
_log = logging.getLogger(__name__)


def region_features(
    store: Store,
    segmentation: Segmentation,
    encoder: Path,
    rows: pd.DataFrame,
    config: ClassificationConfig,
    progress: Progress = silent,
) -> Floats:
    """Features (N x D) of whole bones, those that `rows` (key, region) names, in its order.

    encoder: a folder with an encoder, alone or in a finished model.
    """
    found = segmentation.regions.set_index(["key", "region"], drop=False)
    wanted = found.loc[list(zip(rows["key"], rows["region"], strict=True))].reset_index(drop=True)
    scale_N = encoder_scales(store, encoder, wanted, config)
    weights = (encoder / "model.safetensors").read_bytes()
    parts = (hashlib.sha256(weights).hexdigest(), fingerprint(wanted, scale_N), str(config.input_size))
    identity = hashlib.sha256(" ".join(parts).encode()).hexdigest()[:12]
    path = store.root / "arrays" / f"features-{identity}.zarr"
    if not path.exists():
        try:
            _compute(path, segmentation, encoder, wanted, scale_N, config, progress)
        except StorageError:
            if not path.exists():  # another trial of a sweep wrote the same features meanwhile
                raise
    return np.asarray(open_array(path, "features")[:], dtype=np.float64)


def encoder_scales(
    store: Store, encoder: Path, rows: pd.DataFrame, config: ClassificationConfig
) -> Floats | None:
    """The `crops.scales` of bones (N) for an encoder whose crops all showed as many millimetres.

    None where they filled their squares, as whole films always do; so do bones of films without a spacing, NaN.
    """
    crop_mm = read_part(encoder, "encoder")[0].get("crop_mm")
    if crop_mm is None or config.regions != BONES:
        return None
    scale_N = scales(store, rows, 1000 * crop_mm / config.input_size)
    if unknown := int(np.isnan(scale_N).sum()):
        _log.warning(
            "%d of %d regions have no pixel spacing; the encoder, which knows bones at their true size, reads them "
            "fitted into its square.",
            unknown,
            len(rows),
        )
    return scale_N


def _compute(
    path: Path,
    segmentation: Segmentation,
    encoder: Path,
    rows: pd.DataFrame,
    scale_N: Floats | None,
    config: ClassificationConfig,
    progress: Progress,
) -> None:
    model = load_encoder(encoder, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    features_ND = np.empty((len(rows), model.num_features), dtype=np.float32)
    starts = range(0, len(rows), config.batch_size)

    def features(start: int) -> NDArray[np.float32]:
        batch = slice(start, start + config.batch_size)
        of_batch = None if scale_N is None else scale_N[batch]
        crops_N2SS = square_crops(segmentation, rows.iloc[batch], config.input_size, of_batch)
        return model.features(crops_N2SS[:, 0], crops_N2SS[:, 1])

    for start, found_ND in zip(starts, side_by_side(starts, features), strict=True):
        features_ND[start : start + len(found_ND)] = found_ND
        progress(start + len(found_ND), len(rows), "features of bones")
    with writing_group(path) as group:
        shape = features_ND.shape
        array = create_array(group, "features", shape, (_CHUNK, shape[1]), np.float32, {})
        array[:] = features_ND
