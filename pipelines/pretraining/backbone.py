"""Encoders from timm, for one gray channel, from random weights: radmill downloads nothing."""

from __future__ import annotations

from difflib import get_close_matches

import timm
from torch import nn

from storage.errors import ConfigError


def build_backbone(name: str) -> nn.Module:
    """A model that maps images N1HW to pooled features ND."""
    if not timm.is_model(name):
        close = ", ".join(get_close_matches(name, timm.list_models(), 3)) or "resnet50"
        raise ConfigError(f"pretraining.backbone must be a model of timm (perhaps {close}), but is {name}.")
    backbone: nn.Module = timm.create_model(name, pretrained=False, in_chans=1, num_classes=0)
    return backbone


def num_features(backbone: nn.Module) -> int:
    """Length D of the features."""
    return int(backbone.num_features)  # type: ignore[arg-type]
