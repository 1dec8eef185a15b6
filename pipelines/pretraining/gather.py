"""Rows of all ranks in one tensor, with exact gradients.

Every rank computes the whole loss from all rows, so the gradient of a row is the sum over ranks; DDP's mean
over ranks then gives what one process would have computed.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import Function, once_differentiable


def gather_rows(rows_RD: Tensor) -> Tensor:
    """The rows of all ranks, rank after rank; all must give equally many. Alone, the rows themselves."""
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return rows_RD
    gathered: Tensor = _Gather.apply(rows_RD)
    return gathered


class _Gather(Function):
    @staticmethod
    def forward(ctx: Any, rows_RD: Tensor) -> Tensor:
        parts = [torch.empty_like(rows_RD) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows_RD.contiguous())
        return torch.cat(parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_RD: Tensor) -> Tensor:
        gradient_RD = gradient_RD.contiguous()
        dist.all_reduce(gradient_RD)
        return gradient_RD.chunk(dist.get_world_size())[dist.get_rank()]
