"""Crops that are trained on, side by side in one plain file, so that memory does not grow with their number.

A batch's rows are read when it is made. The file is no part of any process: the kernel keeps what it has memory
for, once for all ranks of a node. Rank 0 writes it anew at every start and removes it at the end.

    row 0: image SxS, mask SxS; row 1: image, mask; ...     uint8, no header
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.pretraining.crops import Crops
from storage.atomic import replacing
from storage.errors import StorageError

NAME = "crops.packed"
_ROWS = 512  # read from the cache and written at a time
_PLANES = {"image": 0, "mask": 1}

Ints = NDArray[np.int64]


def pack(crops: Crops, chosen: Ints, path: Path) -> None:
    """Write these rows of a cache, in this order."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        for start in range(0, len(chosen), _ROWS):
            images_NSS, masks_NSS = crops.load(chosen[start : start + _ROWS])
            file.write(np.stack((images_NSS, masks_NSS), axis=1).tobytes())


class PackedRows:
    """Images or masks of a packed file, NSS, of which rows are taken as of an array."""

    def __init__(self, path: Path, plane: str, side: int) -> None:
        """plane: image or mask; side: of the squares, in pixels. StorageError where the file is cut short."""
        self.path = path
        self._plane, self._side = _PLANES[plane], side
        self._row_bytes = len(_PLANES) * side * side
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)
        size = os.fstat(self._descriptor).st_size
        if size % self._row_bytes:
            raise StorageError(f"{path} is cut short; run the same command again, which writes it anew.")
        self._num_rows = size // self._row_bytes

    def __len__(self) -> int:
        return self._num_rows

    def __getitem__(self, rows_n: Ints) -> NDArray[np.uint8]:
        """Squares nSS; safe from several threads."""
        found_nSS = np.empty((len(rows_n), self._side, self._side), np.uint8)
        for square_SS, row in zip(found_nSS, rows_n.tolist(), strict=True):
            if not 0 <= row < self._num_rows:
                raise IndexError(f"row {row} of {self._num_rows}")
            offset = row * self._row_bytes + self._plane * square_SS.nbytes
            if os.preadv(self._descriptor, [square_SS.data], offset) != square_SS.nbytes:
                raise StorageError(
                    f"{self.path} is cut short; run the same command again, which writes it anew."
                )
        return found_nSS
