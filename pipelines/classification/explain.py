"""Grad-CAM of a film model (https://arxiv.org/abs/1610.02391, by captum), and two checks that it means anything.

1. Randomised weights (https://arxiv.org/abs/1810.03292): a map that stays the same when the model forgets
   all it has learnt shows edges of the film, not reasons.
2. Energy on the truth: on phantoms, the share of the map that lies on tubes and fimbriae, beside that of the
   randomised models and beside the share of the film that they cover.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from captum.attr import LayerAttribution, LayerGradCam
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor, nn

from pipelines.classification.film_model import FilmNet, as_films
from pipelines.training.seeding import seed_torch

RANDOM_MODELS = 8  # the maps of some are empty: nothing in them speaks for the positive class
_RANDOM = 9  # stream of randomness
_BATCH = 32

Maps = NDArray[np.float32]


def grad_cam(model: FilmNet, images_NSS: NDArray[np.uint8]) -> Maps:
    """Maps NSS for the positive class, at least 0, each summing to 1 (or to 0 where nothing speaks for it)."""
    model.eval()
    method = LayerGradCam(model, last_places(model.encoder.backbone, as_films(images_NSS[:1])))
    parts = []
    for films_N1SS in torch.split(as_films(images_NSS), _BATCH):
        low_N1HW = method.attribute(films_N1SS.requires_grad_(), relu_attributions=True)
        full_N1SS = LayerAttribution.interpolate(low_N1HW.detach(), films_N1SS.shape[2:], "bilinear")
        parts.append(full_N1SS[:, 0].clamp(min=0).numpy())
    maps_NSS = np.concatenate(parts).astype(np.float32)
    total_N11 = maps_NSS.sum(axis=(1, 2), keepdims=True)
    scaled: Maps = np.divide(maps_NSS, total_N11, out=np.zeros_like(maps_NSS), where=total_N11 > 0)
    return scaled


def has_places(model: FilmNet, side: int) -> bool:
    """Whether the backbone's last features are a map of channels (NCHW): those of transformers are tokens, of which
    Grad-CAM's weights mean nothing. side: of the films in pixels."""
    backbone = model.encoder.backbone.eval()
    film = torch.zeros(1, model.encoder.channels, side, side)
    with torch.no_grad():
        last = backbone.forward_features(film)  # type: ignore[operator]
    return bool(last.ndim == 4 and last.shape[1] == backbone.num_features)


def last_places(backbone: nn.Module, film_11SS: Tensor) -> nn.Module:
    """The last layer whose output still has places: what Grad-CAM weighs."""
    found: list[nn.Module] = []

    def look(module: nn.Module, _: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[-1] > 1:
            found.append(module)

    hooks = [module.register_forward_hook(look) for module in backbone.modules()]
    with torch.no_grad():
        backbone(film_11SS)
    for hook in hooks:
        hook.remove()
    return found[-1]


def randomised(model: FilmNet, seed: int) -> FilmNet:
    """The same architecture with weights as they were before any training."""
    other = copy.deepcopy(model)
    seed_torch(seed, _RANDOM)
    for module in other.modules():
        if isinstance(module, nn.Conv2d):
            # keeps the variance over the layers; the layer's own reset lets it vanish
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d):
            module.reset_parameters()
    return other.eval()


def energy(maps_NSS: Maps, truth_NSS: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of each map inside its truth; NaN where a map is empty."""
    inside_N = (maps_NSS * truth_NSS).sum(axis=(1, 2), dtype=np.float64)
    total_N = maps_NSS.sum(axis=(1, 2), dtype=np.float64)
    share_N: NDArray[np.float64] = np.where(total_N > 0, inside_N / np.where(total_N > 0, total_N, 1), np.nan)
    return share_N


def check_maps(
    model: FilmNet,
    images_NSS: NDArray[np.uint8],
    truth_NSS: NDArray[np.bool_] | None = None,
    seeds: Sequence[int] = range(RANDOM_MODELS),
) -> dict[str, Any]:
    """Both checks as plain numbers.

    similarity: mean rank correlation of the maps with those of randomised models, near 0 where they follow
    what was learnt; empty: films whose map is empty; energy, energy_randomised, covered: means over the films
    of the truth's share, where the truth is given.
    """
    own_NSS = grad_cam(model, images_NSS)
    others = [grad_cam(randomised(model, seed), images_NSS) for seed in seeds]
    found: dict[str, Any] = {
        "films": len(own_NSS),
        "empty": int((own_NSS.sum(axis=(1, 2)) == 0).sum()),
        "similarity": _mean([_similarity(own_NSS, other) for other in others]),
    }
    if truth_NSS is not None:
        found["energy"] = _mean(energy(own_NSS, truth_NSS))
        found["energy_randomised"] = _mean([_mean(energy(other, truth_NSS)) for other in others])
        found["covered"] = float(truth_NSS.mean())
    return found


def _mean(values: Sequence[float] | NDArray[np.float64]) -> float:
    """Mean of what is defined; NaN where nothing is."""
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def _similarity(own_NSS: Maps, other_NSS: Maps) -> float:
    """Mean Spearman correlation over films where both maps say something."""
    found = [
        spearmanr(own.ravel(), other.ravel()).statistic
        for own, other in zip(own_NSS, other_NSS, strict=True)
        if own.max() > own.min() and other.max() > other.min()
    ]
    return float(np.mean(found)) if found else float("nan")
