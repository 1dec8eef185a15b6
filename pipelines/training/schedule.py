"""Learning rate as a pure function of the step."""

from __future__ import annotations

import math


def cosine_with_warmup(step: int, steps: int, warmup: int) -> float:
    """Factor of update number `step` (from 0): linear to 1 over `warmup` updates, then half a cosine to 0.

    The decay is SGDR's without restarts, https://arxiv.org/abs/1608.03983, equation 5.
    """
    if step < warmup:
        return (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
