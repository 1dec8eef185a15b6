"""Randomness that depends on the place in a training, not on its history: no generator's state is kept."""

from __future__ import annotations

import numpy as np
import torch


def seed_torch(seed: int, *place: int) -> None:
    """Seed torch's generators on every device from the seed and a place, e.g. (step, rank)."""
    torch.manual_seed(int(np.random.SeedSequence((seed, *place)).generate_state(1, np.uint64)[0]))
