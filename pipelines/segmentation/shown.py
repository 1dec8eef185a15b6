"""Films as the segmenter reads them, in training and after: without what a shutter or a padding is drawn in.

That may be brighter than any bone, and would set the contrast of all that the film shows.
"""

from __future__ import annotations

import numpy as np

from storage.manifest import Store
from storage.radiograph import Pixels


def read_shown(store: Store, key: str) -> Pixels:
    """The film's pixels HxW; those that show nothing of the patient are as dark as the darkest that do.

    Raises StorageError where the shard is damaged or the key unknown.
    """
    pixels_HW, valid_HW = store.read_image(key), store.read_valid(key)
    if valid_HW is None:
        return pixels_HW
    darkest = pixels_HW[valid_HW].min()
    shown_HW: Pixels = np.where(valid_HW, pixels_HW, darkest)
    return shown_HW
