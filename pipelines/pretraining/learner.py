"""Pretraining as the loop wants it: batches of views, the method's loss, and an eye on the embeddings."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pipelines.pretraining.backbone import num_features
from pipelines.pretraining.collapse import collapse_warning, embedding_spread
from pipelines.pretraining.config import PretrainingConfig
from pipelines.pretraining.encoder import masked
from pipelines.pretraining.method import UNKNOWN, Method, gather_views
from pipelines.pretraining.methods import build_method
from pipelines.pretraining.multicrop import draw_views
from pipelines.pretraining.probes import probe
from pipelines.pretraining.render import render
from pipelines.pretraining.samples import Samples, balanced
from pipelines.training.learner import Batch

_PROBE = 256  # crops on which embeddings are watched
_SETTLED = 50  # steps after which the running means of batch norm describe the crops
_log = logging.getLogger(__name__)


class MultiCropModel(nn.Module):
    """Encoder and method; one pass of the encoder per resolution, one of the head.

    The loss is part of the forward pass, so that all that learns is used within it, swav's prototypes too: DDP
    looks there for what a step uses.
    """

    def __init__(self, backbone: nn.Module, method: Method) -> None:
        super().__init__()
        self.backbone = backbone
        self.method = method

    def forward(
        self, views: list[Tensor], num_views: int, batch: Batch
    ) -> tuple[Tensor, dict[str, float], Tensor]:
        """Loss over the views (R_i, 1, size_i, size_i) of all ranks, its figures, and this rank's embeddings RD.

        batch: crop, subject, outcome, real and epoch of `PretrainingLearner.batch`.
        """
        z_RD: Tensor = self.method.head(torch.cat([self.backbone(view) for view in views]))
        with torch.autocast(z_RD.device.type, enabled=False):
            z_VND, facts = gather_views(
                z_RD.float(),
                num_views,
                crop_n=batch["crop"],
                subject_n=batch["subject"],
                outcome_n=batch["outcome"],
                real_n=batch["real"],
                epoch=int(batch["epoch"]),
            )
            loss, figures = self.method.loss(z_VND, facts)
        return loss, figures, z_RD.detach()


class PretrainingLearner:
    """See `pipelines.training.learner.Learner`. A sample is a crop; where classes are balanced, some come twice."""

    def __init__(self, backbone: nn.Module, samples: Samples, config: PretrainingConfig) -> None:
        """config: resolved (recipes.py)."""
        self._method = build_method(num_features(backbone), config, samples.minority)
        self.model: nn.Module = MultiCropModel(backbone, self._method)
        self.model.to(memory_format=torch.channels_last)
        balances = config.method == "supcon" and config.class_balance
        self._sample_P = balanced(samples.outcome_N) if balances else np.arange(len(samples))
        self.num_samples = len(self._sample_P)
        self.validate_every = max(1, config.steps // 10)
        self.warning: str | None = None
        """What is wrong with the embeddings at the latest validation."""
        self._samples, self._config = samples, config
        self._figures: dict[str, float] = {}
        scales = [(config.global_scale_min, config.global_scale_max)] * config.num_global
        scales += [(config.local_scale_min, config.local_scale_max)] * config.num_local
        self._scales_V2 = np.asarray(scales, np.float32)

    def batch(self, indices_N: NDArray[np.int64], weights_N: NDArray[np.float32], epoch: int) -> Batch:
        """Crops and the numbers of their views; padding has a place in `crop` and its like alone."""
        real_N = weights_N > 0
        used = indices_N[real_N] if real_N.any() else indices_N[:1]  # no rank may come with nothing
        samples, config = self._samples, self._config
        masks_NSS = samples.masks_NSS[self._sample_P[used]]
        content = config.min_content if config.content_aware else 0.0
        draws = draw_views(masks_NSS, used, config.seed, epoch, self._scales_V2, content)
        crop_N = self._sample_P[indices_N]
        arrays: dict[str, NDArray[Any]] = {
            "image": samples.images_NSS[self._sample_P[used]],
            "mask": masks_NSS,
            "affine": draws.affine_NV23,
            "light": draws.light_NV2,
            "content": draws.content_NV,
            "fell_back": draws.fell_back_NV,
            "crop": crop_N,
            "subject": samples.subject_N[crop_N],
            "outcome": samples.outcome_N[crop_N],
            "real": real_N,
            "epoch": np.array(epoch),
        }
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The method's loss over the views of all ranks; figures of it, and of this rank's embeddings and views."""
        loss, figures, z_RD = model(self.views(batch), self._config.num_views, batch)
        if bool(loss.isfinite()):  # the loop says what is wrong otherwise; no figures of such embeddings
            figures |= embedding_spread(z_RD)
        figures["content"] = batch["content"].mean().item()
        figures["fell_back"] = batch["fell_back"].sum().item()
        self._figures = figures
        return loss, figures

    @torch.no_grad()
    def views(self, batch: Batch) -> list[Tensor]:
        """Global views, then local ones, each (views * N, 1, size, size) with views outermost."""
        crops, affine, light = (batch["image"], batch["mask"]), batch["affine"], batch["light"]
        config, first = self._config, self._config.num_global
        views = [render(*crops, affine[:, :first], light[:, :first], config.global_size)]
        if config.num_local:
            views.append(render(*crops, affine[:, first:], light[:, first:], config.local_size))
        return views

    def validate(self, model: nn.Module, step: int) -> dict[str, float]:
        """Spread of whole bones' embeddings, and what their features tell; logs in sentences what is wrong."""
        assert isinstance(model, MultiCropModel)
        samples = self._samples
        chosen = np.linspace(0, len(samples) - 1, min(_PROBE, len(samples))).astype(np.int64)
        features = model.backbone(self._whole(chosen, next(model.parameters()).device))
        spread = embedding_spread(model.method.head(features).float())
        features_ND = features.double().cpu().numpy()
        bones = probe(features_ND, samples.region_N[chosen], samples.subject_N[chosen])
        known = samples.outcome_N[chosen] != UNKNOWN
        labelled = chosen[known]
        outcomes = probe(features_ND[known], samples.outcome_N[labelled], samples.subject_N[labelled])
        told = self._figures | spread | bones
        self.warning = None
        if step >= _SETTLED:
            self.warning = collapse_warning(self._config.method, told, self._config.projection_size)
        if self.warning:
            _log.warning("Step %d: %s", step, self.warning)
        named = {"whole": spread, "bone": bones, "outcome": outcomes}
        return {f"{of}/{name}": value for of, figures in named.items() for name, value in figures.items()}

    def _whole(self, chosen: NDArray[np.int64], device: torch.device) -> Tensor:
        """Whole bones as global views, N1TT."""
        samples, size = self._samples, self._config.global_size
        images, masks = (torch.from_numpy(of[chosen]) for of in (samples.images_NSS, samples.masks_NSS))
        bones_N1SS = masked(images.to(device), masks.to(device))
        return F.interpolate(bones_N1SS, (size, size), mode="bilinear", antialias=True)

    def names(self, indices_N: NDArray[np.int64]) -> list[str]:
        """Film and bone of these samples, for an error."""
        return [self._samples.names[sample] for sample in self._sample_P[indices_N]]

    def score(self, metrics: dict[str, float]) -> None:
        """No weights are better than the last: the loss knows nothing of the outcome."""

    def state_dict(self) -> dict[str, Any]:
        """The warning, which model.json repeats."""
        return {"warning": self.warning}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.warning = state["warning"]
