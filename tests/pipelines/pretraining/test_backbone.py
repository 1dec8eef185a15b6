"""Encoders of timm: as wide as told, and a size that they don't take is a sentence."""

from __future__ import annotations

import pytest
import torch

from pipelines.pretraining.backbone import build_backbone, check_sizes, num_features
from storage.errors import ConfigError


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "test_resnet", "test_efficientnet"])
def test_features_are_as_long_as_told(name: str) -> None:
    backbone = build_backbone(name).eval()
    with torch.no_grad():
        assert backbone(torch.zeros(1, 1, 64, 64)).shape == (1, num_features(backbone))


def test_a_size_that_a_backbone_does_not_take_is_told() -> None:
    backbone = build_backbone("vit_tiny_patch16_224")
    with pytest.raises(
        ConfigError,
        match=r"^pretraining\.backbone=vit_tiny_patch16_224 takes no images of 96 x 96 pixels \(local",
    ):
        check_sizes(backbone, "vit_tiny_patch16_224", {"local": 96})
    resnet = build_backbone("test_resnet")
    check_sizes(resnet, "test_resnet", {"global": 32})
    assert resnet.training
