"""Pretrain an encoder on the bones of subjects without outcome."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pipelines.config import StudyConfig
from pipelines.pretraining.backbone import build_backbone, num_features
from pipelines.pretraining.collapse import collapse_warning, embedding_spread
from pipelines.pretraining.config import PretrainingConfig
from pipelines.pretraining.crops import Crops, open_crops
from pipelines.pretraining.encoder import KIND, masked
from pipelines.pretraining.gather import gather_rows
from pipelines.pretraining.multicrop import draw_views, render
from pipelines.pretraining.simclr import nt_xent, projection_head
from pipelines.progress import Progress, silent
from pipelines.segmentation.stored import Segmentation
from pipelines.training.loop import Batch, fit, save_weights
from pipelines.training.seeding import seed_torch
from pipelines.training.session import Session, StoppedEarly, until_stopped
from storage.atomic import write_json
from storage.errors import InputError
from storage.manifest import Store

_WEIGHTS = 2  # stream of randomness beside those of the loop
_PROBE = 256  # crops on which the spread is watched
_SETTLED = 50  # steps after which the running means of batch norm describe the crops
_log = logging.getLogger(__name__)


def pretrain(
    store: Store,
    segmentation: Segmentation,
    folder: Path,
    config: PretrainingConfig,
    study: StudyConfig,
    session: Session,
    progress: Progress = silent,
) -> dict[str, float]:
    """Write folder/model.safetensors (the encoder alone) and folder/model.json; return figures.

    Raises InputError where no crop may be used, StoppedEarly where the session ends it before its last step.
    """
    seed_torch(config.seed, _WEIGHTS)
    backbone = build_backbone(config.backbone)
    figures: dict[str, float] = {}
    warning = None
    if config.method != "none":
        if session.rank == 0:
            preparing = until_stopped(session, config.steps, progress)
            open_crops(store.root, segmentation, config.crop_pixels, preparing)
        session.report({})  # a barrier: the cache has one writer
        crops = open_crops(store.root, segmentation, config.crop_pixels)
        chosen = choose_crops(crops, store, config, study)
        learner = SimclrLearner(backbone, *crops.load(chosen), config)
        samples = f"{store.fingerprint()} {segmentation.model_id}"
        result = fit(learner, config, session, folder, samples, progress)
        if result.stopped:
            raise StoppedEarly(result.steps, config.steps)
        figures = {"crops": len(chosen), "steps": result.steps, **result.metrics}
        warning = learner.warning
    if session.rank == 0:
        save_weights(backbone, folder / "model.safetensors")
        description = {"backbone": config.backbone, "method": config.method}
        document = {"format": 1, "kind": KIND, KIND: description, "training": {**figures, "warning": warning}}
        write_json(folder / "model.json", document)
    return figures


def choose_crops(
    crops: Crops, store: Store, config: PretrainingConfig, study: StudyConfig
) -> NDArray[np.int64]:
    """Rows to train on: the study's regions, by default of subjects without outcome."""
    use = crops.rows["region"].isin(study.regions)
    if config.subjects == "without_outcome":
        use &= ~crops.rows["subject"].isin(store.outcomes["subject"])
    chosen: NDArray[np.int64] = np.flatnonzero(use.to_numpy())
    if not len(chosen):
        raise InputError(
            f"None of the {len(crops.rows)} regions found belongs to a subject without outcome, and only these"
            " pretrain: add such films, or set pretraining.subjects=all, which pretrains on images of test"
            " subjects too, or pretraining.method=none."
        )
    return chosen


class MultiCropModel(nn.Module):
    """Encoder and projection head; one pass of the encoder per resolution, one of the head."""

    def __init__(self, backbone: nn.Module, config: PretrainingConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = projection_head(num_features(backbone), config.projection_hidden, config.projection_size)

    def forward(self, views: list[Tensor]) -> Tensor:
        """Embeddings RD of views (R_i, 1, size_i, size_i), in their order."""
        embeddings: Tensor = self.head(torch.cat([self.backbone(view) for view in views]))
        return embeddings


class SimclrLearner:
    """SimCLR as the loop wants it; see `pipelines.training.learner.Learner`."""

    def __init__(
        self,
        backbone: nn.Module,
        images_NSS: NDArray[np.uint8],
        masks_NSS: NDArray[np.uint8],
        config: PretrainingConfig,
    ) -> None:
        self.model: nn.Module = MultiCropModel(backbone, config)
        self.model.to(memory_format=torch.channels_last)
        self.num_samples = len(images_NSS)
        self.validate_every = max(1, config.steps // 10)
        self.warning: str | None = None
        """What is wrong with the embeddings at the latest validation."""
        self._images_NSS, self._masks_NSS, self._config = images_NSS, masks_NSS, config
        scales = [(config.global_scale_min, config.global_scale_max)] * config.num_global
        scales += [(config.local_scale_min, config.local_scale_max)] * config.num_local
        self._scales_V2 = np.asarray(scales, np.float32)

    def batch(self, indices_N: NDArray[np.int64], weights_N: NDArray[np.float32], epoch: int) -> Batch:
        """Crops and the numbers of their views; padding has a place in `crop` and `real` alone."""
        real_N = weights_N > 0
        used = indices_N[real_N] if real_N.any() else indices_N[:1]  # no rank may come with nothing
        masks_NSS, config = self._masks_NSS[used], self._config
        content = config.min_content if config.content_aware else 0.0
        draws = draw_views(masks_NSS, used, config.seed, epoch, self._scales_V2, content)
        return {
            "image": torch.from_numpy(self._images_NSS[used]),
            "mask": torch.from_numpy(masks_NSS),
            "affine": torch.from_numpy(draws.affine_NV23),
            "light": torch.from_numpy(draws.light_NV2),
            "content": torch.from_numpy(draws.content_NV),
            "fell_back": torch.from_numpy(draws.fell_back_NV),
            "crop": torch.from_numpy(indices_N),
            "real": torch.from_numpy(real_N),
        }

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """NT-Xent over the views of all ranks; figures of this rank's embeddings and views."""
        z_RD = model(self.views(batch))
        with torch.autocast(z_RD.device.type, enabled=False):
            num_slots, num_views = len(batch["crop"]), self._config.num_views
            z_VND = z_RD.float().unflatten(0, (num_views, -1))
            slots_RD = F.pad(z_VND, (0, 0, 0, num_slots - z_VND.shape[1])).flatten(0, 1)
            loss = nt_xent(
                gather_rows(slots_RD),
                gather_rows(batch["crop"].repeat(num_views)),
                gather_rows(batch["real"].repeat(num_views)),
                self._config.temperature,
            )
        figures = embedding_spread(z_RD.detach())
        figures["content"] = batch["content"].mean().item()
        figures["fell_back"] = batch["fell_back"].sum().item()
        return loss, figures

    @torch.no_grad()
    def views(self, batch: Batch) -> list[Tensor]:
        """Global views, then local ones, each (views * N, 1, size, size) with views outermost."""
        crops_N2SS = torch.stack((batch["image"].float() / 255, (batch["mask"] > 0).float()), dim=1)
        affine, light, first = batch["affine"], batch["light"], self._config.num_global
        views = [render(crops_N2SS, affine[:, :first], light[:, :first], self._config.global_size)]
        if self._config.num_local:
            views.append(render(crops_N2SS, affine[:, first:], light[:, first:], self._config.local_size))
        return views

    def validate(self, model: nn.Module, step: int) -> dict[str, float]:
        """Spread of the embeddings of whole bones; logs a sentence where they collapse."""
        chosen = np.linspace(0, self.num_samples - 1, min(_PROBE, self.num_samples)).astype(np.int64)
        device = next(model.parameters()).device
        images, masks = (torch.from_numpy(whole[chosen]) for whole in (self._images_NSS, self._masks_NSS))
        size = self._config.global_size
        whole_N1TT = F.interpolate(
            masked(images.to(device), masks.to(device)), (size, size), mode="bilinear", antialias=True
        )
        spread = embedding_spread(model([whole_N1TT]).float())
        self.warning = collapse_warning(spread, self._config.projection_size) if step >= _SETTLED else None
        if self.warning:
            _log.warning("Step %d: %s", step, self.warning)
        return {f"whole/{name}": value for name, value in spread.items()}

    def score(self, metrics: dict[str, float]) -> None:
        """No weights are better than the last: the loss knows nothing of the outcome."""

    def state_dict(self) -> dict[str, Any]:
        """The warning, which model.json repeats."""
        return {"warning": self.warning}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.warning = state["warning"]
