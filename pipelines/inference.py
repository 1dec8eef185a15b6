"""Inference whose bits do not depend on how many CPUs there are: a node's tables equal a laptop's.

Torch splits some sums over its threads, so that their last bits follow the number of threads. Here every piece of
work has one thread, and as many pieces run beside each other as torch had threads; for small batches on a CPU that
is the faster way, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from storage.prefetch import prefetch

P = TypeVar("P")
R = TypeVar("R")


def side_by_side(pieces: Sequence[P], infer: Callable[[P], R]) -> Iterator[R]:
    """Yield infer(piece) of each piece, in order; infer is called from several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _, found in prefetch(pieces, infer, threads):
            yield found
    finally:
        torch.set_num_threads(threads)
