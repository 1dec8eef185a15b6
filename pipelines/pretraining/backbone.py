"""Encoders from timm for gray images, from random weights: radmill downloads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import partial

import timm
import torch
from timm.models import get_pretrained_cfg
from torch import Tensor, nn

from storage.errors import ConfigError


def build_backbone(name: str, channels: int = 1, section: str = "pretraining") -> nn.Module:
    """A model that maps gray images N1HW in [0, 1] to pooled features ND.

    channels: 1, or 3 as the published weights have it. With 3 the model repeats the gray channel and
    normalises as those weights expect; its parameters keep timm's names.
    """
    if not timm.is_model(name):
        close = ", ".join(get_close_matches(name, timm.list_models(), 3)) or "resnet50"
        raise ConfigError(f"{section}.backbone must be a model of timm (perhaps {close}), but is {name}.")
    backbone: nn.Module = timm.create_model(name, pretrained=False, in_chans=channels, num_classes=0)
    if channels == 3:
        config = get_pretrained_cfg(name)
        backbone.register_forward_pre_hook(partial(_to_color, config.mean, config.std))
    return backbone


def num_features(backbone: nn.Module) -> int:
    """Length D of the features: what a classifier would take, which can be wider than the last places' channels."""
    return int(getattr(backbone, "head_hidden_size", None) or backbone.num_features)  # type: ignore[arg-type]


def check_sizes(
    backbone: nn.Module, name: str, sizes: Mapping[str, int], section: str = "pretraining"
) -> None:
    """ConfigError where the model takes no image of one of these sides in pixels, by the field that asks for it."""
    was_training = backbone.training
    backbone.eval()
    for field, size in sizes.items():
        try:
            with torch.no_grad():
                backbone(torch.zeros(1, 1, size, size))
        except (AssertionError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"{section}.backbone={name} takes no images of {size} x {size} pixels ({field}): {error};"
                " choose another size, or a backbone that takes any, such as resnet50."
            ) from error
    backbone.train(was_training)


def channels_of(name: str, tensors: Mapping[str, Tensor]) -> int:
    """Channels that a state of this timm model takes; 1 where its first layer is not there."""
    config = get_pretrained_cfg(name) if timm.is_model(name) else None
    first = config.first_conv if config else None
    weight = tensors.get(f"{first[0] if isinstance(first, list | tuple) else first}.weight")
    return 1 if weight is None else int(weight.shape[1])


def _to_color(
    mean: tuple[float, ...], std: tuple[float, ...], model: nn.Module, images: tuple[Tensor]
) -> tuple[Tensor]:
    gray_N1HW = images[0]
    mean_311 = gray_N1HW.new_tensor(mean)[:, None, None]
    std_311 = gray_N1HW.new_tensor(std)[:, None, None]
    color_N3HW = (gray_N1HW - mean_311) / std_311
    return (color_N3HW.contiguous(memory_format=torch.channels_last),)
