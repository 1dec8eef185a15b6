"""Projection heads: what stands between encoder and loss during pretraining, and is thrown away after it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn


def projection_head(sizes: Sequence[int], norm: bool = True, last_bias: bool = True) -> nn.Sequential:
    """Linear layers from size to size with ReLU between them, after batch norm if `norm`."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes[:-1]):
        layers.append(nn.Linear(inputs, outputs, bias=not norm))
        if norm:
            layers.append(nn.BatchNorm1d(outputs))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1], bias=last_bias))
