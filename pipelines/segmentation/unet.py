"""A small U-Net whose first and last step trade pixels for channels, so that all convolutions run at half
size.

Ronneberger et al., https://arxiv.org/abs/1505.04597; pixel unshuffle as in https://arxiv.org/abs/1609.05158.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEM = 2  # the film's side over the side of the finest feature map


class ConvBlock(nn.Sequential):
    """3x3 convolution, batch norm, ReLU."""

    def __init__(self, num_in: int, num_out: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(num_in, num_out, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(num_out),
            nn.ReLU(inplace=True),
        )


class UNet(nn.Module):
    """Image (B, in, H, W) -> a map per level, the deepest first, features (B, channels[0], H/2, W/2) last.

    Any H and W that are multiples of 2 will do; channels holds one width per level, each level half the size.
    """

    def __init__(self, num_in: int, channels: list[int]) -> None:
        super().__init__()
        self.stem = nn.PixelUnshuffle(STEM)
        widths = [num_in * STEM**2, *channels]
        self.encoder = nn.ModuleList(
            nn.Sequential(ConvBlock(before, width, 1 if level == 0 else 2), ConvBlock(width, width))
            for level, (before, width) in enumerate(pairwise(widths))
        )
        self.bottleneck = ConvBlock(channels[-1], channels[-1])
        self.reduce = nn.ModuleList(nn.Conv2d(below, width, 1) for width, below in pairwise(channels))
        self.decoder = nn.ModuleList(
            nn.Sequential(ConvBlock(2 * width, width), ConvBlock(width, width)) for width in channels[:-1]
        )

    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        map_BCHW = self.stem(image_BCHW)
        skips = []
        for block in self.encoder:
            map_BCHW = block(map_BCHW)
            skips.append(map_BCHW)
        map_BCHW = self.bottleneck(skips.pop())
        maps = [map_BCHW]
        for level in reversed(range(len(skips))):
            skip = skips[level]
            up = F.interpolate(self.reduce[level](map_BCHW), skip.shape[-2:], mode="bilinear")
            map_BCHW = self.decoder[level](torch.cat([up, skip], 1))
            maps.append(map_BCHW)
        return maps
