"""Dice of a segmenter on real hands: python tests/benchmarks/real_hands.py MODEL_DIR

Reads the label maps in RADMILL_REAL_DATA/hands/labels (rsna_NNN.label.png) and their films in
RADMILL_REAL_DATA/hands/rsna, and prints Dice per film and bone at the film's own size. Exit code 1 if the
mean is below the bar.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.segmentation.metrics import dice_per_class
from pipelines.segmentation.predict import Segmenter

BAR = 0.85


def main() -> int:
    """Print one line per film, then the mean of each bone and of all."""
    if len(sys.argv) != 2 or "RADMILL_REAL_DATA" not in os.environ:
        print("usage: RADMILL_REAL_DATA=DIR python tests/benchmarks/real_hands.py MODEL_DIR")
        return 2
    segmenter = Segmenter.load(Path(sys.argv[1]))
    hands = Path(os.environ["RADMILL_REAL_DATA"]) / "hands"
    regions = segmenter.settings.regions
    print(f"{'film':9s} mean   " + " ".join(f"{name[:4] + name[-1]:6s}" for name in regions))
    rows = []
    began = time.perf_counter()
    for path in sorted((hands / "labels").glob("*.label.png")):
        film = path.name.removesuffix(".label.png")
        pixels = np.asarray(Image.open(hands / "rsna" / f"{film}.png").convert("L"))
        reference = np.asarray(Image.open(path))
        rows.append(dice_per_class(segmenter.predict(pixels, 8).label_map, reference, len(regions) + 1))
        print_row(film, rows[-1])
    dice = np.array(rows)
    print_row("mean", np.nanmean(dice, axis=0))
    seconds = (time.perf_counter() - began) / len(rows)
    mean, failed = float(np.nanmean(dice)), int((dice < 0.5).sum())
    print(f"{mean:.4f} mean Dice, {failed} bones below .5, {seconds:.2f} s per film")
    return 0 if mean >= BAR else 1


def print_row(name: str, dice: np.ndarray) -> None:
    """One line: mean and the value of each bone."""
    print(f"{name:9s} {np.nanmean(dice):.3f}  " + " ".join(f"{value:.3f} " for value in dice))


if __name__ == "__main__":
    sys.exit(main())
