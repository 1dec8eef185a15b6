"""A pretrained encoder, frozen: bone crops in, features out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.pretraining.backbone import build_backbone, channels_of, num_features
from storage.errors import StorageError

KIND = "encoder"
_BATCH = 64


class Encoder:
    """Features of whole bones in float32; equal crops in equal order give equal bits on one machine."""

    def __init__(
        self, backbone: str, tensors: Mapping[str, Tensor], device: torch.device | None = None
    ) -> None:
        """backbone: name of a timm model; tensors: its state."""
        self.backbone = backbone
        self.device = device or torch.device("cpu")
        self._model = build_backbone(backbone, channels_of(backbone, tensors))
        try:
            self._model.load_state_dict(dict(tensors))
        except RuntimeError as error:
            raise StorageError(f"The weights are not those of a {backbone}; run radmill pretrain.") from error
        self._model.eval().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def num_features(self) -> int:
        """Length of a feature vector."""
        return num_features(self._model)

    def state_dict(self) -> dict[str, Tensor]:
        """The weights, on the CPU."""
        return {name: tensor.detach().cpu().contiguous() for name, tensor in self._model.state_dict().items()}

    @torch.inference_mode()
    def features(self, images_NSS: NDArray[np.uint8], masks_NSS: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (N, d) of square crops and masks (nonzero is bone), as `crops.square_crop` makes them."""
        found = np.empty((len(images_NSS), self.num_features), np.float32)
        for start in range(0, len(images_NSS), _BATCH):
            part = slice(start, start + _BATCH)
            bones_N1SS = masked(torch.from_numpy(images_NSS[part]), torch.from_numpy(masks_NSS[part]))
            found[part] = self._model(bones_N1SS.to(self.device)).float().cpu().numpy()
        return found


def masked(images_NSS: Tensor, masks_NSS: Tensor) -> Tensor:
    """Hadamard product of image and mask, N1SS in [0, 1]."""
    return (images_NSS * (masks_NSS > 0)).float()[:, None] / 255
