"""The look of a film in 1024 bits: which of its lowest 32 x 32 cosine frequencies lie above their median."""

from __future__ import annotations

import imagehash
import numpy as np
from PIL import Image

from storage.thumbnail import Gray, stretched

HASH_SIDE = 32


def fingerprint(small_HW: Gray) -> str:
    """256 hex digits (imagehash's phash) of a film, shrunk; the same for it resized or windowed, but for a few bits."""
    gray_HW = stretched(small_HW)
    if gray_HW is None:  # less than a hundredth of it differs from the rest
        return "0" * (HASH_SIDE**2 // 4)
    picture = Image.fromarray((gray_HW * 255).round().astype(np.uint8))
    return np.packbits(imagehash.phash(picture, hash_size=HASH_SIDE).hash).tobytes().hex()
