"""The HSG paper's network: an encoder (1280 features of EfficientNet-B0), a reduction to 128, one logit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from pipelines.classification.supervised_config import SupervisedConfig
from pipelines.pretraining.backbone import build_backbone, num_features
from pipelines.pretraining.philox import uniforms

ROTATION, SHIFT, ZOOM, LIGHT = np.deg2rad(15), 0.08, 0.15, 0.3
_BATCH = 64


class FilmEncoder(nn.Module):
    """Films N1SS in [0, 1] to embeddings NE."""

    def __init__(self, config: SupervisedConfig) -> None:
        super().__init__()
        self.channels = config.channels
        self.backbone = build_backbone(config.backbone, config.channels)
        self.reduce = nn.Linear(num_features(self.backbone), config.embedding)

    def forward(self, films_N1SS: Tensor) -> Tensor:
        embedding_NE: Tensor = self.reduce(self.backbone(films_N1SS))
        return embedding_NE


class FilmHead(nn.Module):
    """Embeddings NE to one logit each, N; standardised first, so that one rate fits every encoder."""

    def __init__(self, embedding: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(embedding, affine=False)
        self.classify = nn.Linear(embedding, 1)

    def forward(self, embedding_NE: Tensor) -> Tensor:
        logit_N: Tensor = self.classify(F.relu(self.norm(embedding_NE)))[:, 0]
        return logit_N


class FilmNet(nn.Module):
    """Both, trained together or one after the other."""

    def __init__(self, config: SupervisedConfig) -> None:
        super().__init__()
        self.encoder = FilmEncoder(config)
        self.head = FilmHead(config.embedding)

    def forward(self, films_N1SS: Tensor) -> Tensor:
        logit_N: Tensor = self.head(self.encoder(films_N1SS))
        return logit_N


def load_net(folder: Path, config: SupervisedConfig) -> FilmNet:
    """The network that `train_films` has left in a folder, on the CPU, in eval mode.

    FileNotFoundError, SafetensorError or RuntimeError where other weights, or none, are there.
    """
    model = FilmNet(config)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.eval()


def as_films(images_NSS: NDArray[np.uint8]) -> Tensor:
    """Films N1SS in [0, 1], float32."""
    return torch.from_numpy(images_NSS).float()[:, None] / 255


@torch.no_grad()
def outputs(model: nn.Module, films_N1SS: Tensor) -> Tensor:
    """What a model gives for many films, on the CPU, in eval mode."""
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    parts = [model(part.to(device)).float().cpu() for part in torch.split(films_N1SS, _BATCH)]
    model.train(was_training)
    return torch.cat(parts)


def views(
    images_NSS: NDArray[np.uint8], samples_N: NDArray[np.int64], seed: int, epoch: int, num_views: int
) -> Tensor:
    """Random views V x N flattened, (VN)1SS: turned, moved, scaled, mirrored, brighter or darker.

    A view follows from (seed, epoch, sample, view) alone. Mirroring swaps right and left tube, which an
    outcome per exam does not tell apart.
    """
    draws_NV8 = uniforms(seed, epoch, samples_N, num_views, range(2)).reshape(len(samples_N), num_views, 8)
    draws_VN8 = torch.from_numpy(draws_NV8).transpose(0, 1)
    signed_VN8 = 2 * draws_VN8 - 1
    angle_VN, zoom_VN = signed_VN8[..., 0] * ROTATION, 1 + signed_VN8[..., 1] * ZOOM
    flip_VN = torch.where(draws_VN8[..., 2] < 0.5, -1.0, 1.0)
    cos_VN, sin_VN = zoom_VN * angle_VN.cos(), zoom_VN * angle_VN.sin()
    shift_VN2 = signed_VN8[..., 3:5] * 2 * SHIFT
    rows = [
        torch.stack([flip_VN * cos_VN, -sin_VN, shift_VN2[..., 0]], dim=-1),
        torch.stack([flip_VN * sin_VN, cos_VN, shift_VN2[..., 1]], dim=-1),
    ]
    affine_R23 = torch.stack(rows, dim=-2).flatten(0, 1)
    films_R1SS = as_films(images_NSS).repeat(num_views, 1, 1, 1)
    grid = F.affine_grid(affine_R23, list(films_R1SS.shape), align_corners=False)
    turned_R1SS = F.grid_sample(films_R1SS, grid, align_corners=False)
    light_R = (1 + signed_VN8[..., 5] * LIGHT).flatten()[:, None, None, None]
    contrast_R = (1 + signed_VN8[..., 6] * LIGHT).flatten()[:, None, None, None]
    middle_R = turned_R1SS.mean(dim=(1, 2, 3), keepdim=True)
    return (((turned_R1SS - middle_R) * contrast_R + middle_R) * light_R).clamp(0, 1)
