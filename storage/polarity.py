"""Which way round a film is, told by its content where its header contradicts itself or says nothing.

A limb stands in air: the silhouette enters the film from one side and the air surrounds it on the other
three. Air is dark where attenuation is bright. The test looks at the film without ever wider margins, since
collimators and scanners leave frames of either kind, and speaks only where three margins in a row agree and
none disagrees: chest films, angiograms and all that fills its frame leave it silent.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from storage.radiograph import Pixels, Radiograph
from storage.thumbnail import Gray, shrunk, stretched

POLARITIES = ("keep", "invert")  # of the file's own header, or of a raster file as it is

_MARGINS = (0.0, 0.02, 0.04, 0.06, 0.09, 0.12, 0.15)  # of the shorter side
_AGREEING = 3  # margins in a row
_CONTRASTS = (0.08, 0.12, 0.18)  # of the range of gray levels, between air and limb
_WIDEST_CONTRAST = 0.25  # air that varies more than that is no air
_RING = 0.04


def settled(film: Radiograph, polarity: str = "", gray_HW: Gray | None = None) -> Radiograph:
    """The film with its polarity decided: by the user, else by its content where its flag asks for it.

    polarity: keep, invert or empty. gray_HW: the film shrunk, where that is known already. Flags that ask:
    conflict (photometric interpretation against LUT shape, which PS3.3 C.11.6 ties together) and unstated
    (raster files). Where the content is silent, the photometric interpretation stands, and so does the flag.
    """
    flag = film.meta.polarity_flag
    if polarity:
        return _flagged(film if polarity == "keep" else _inverted(film), "override")
    if flag == "unstated":
        return _flagged(_inverted(film), "inverted_content") if air_says(film, -1, gray_HW) else film
    if flag == "conflict" and (says := air_says(film, 0, gray_HW)):
        return _flagged(_inverted(film) if says < 0 else film, "conflict_settled")
    return film


def air_says(film: Radiograph, asked: int = 0, gray_HW: Gray | None = None) -> int:
    """1: the air around a limb is dark, as it should be; -1: it is bright; 0: there is no telling.

    asked: the one answer of interest, 1 or -1, else 0; all others are told as 0, sooner.
    """
    gray_HW = shrunk(film.pixels) if gray_HW is None else gray_HW
    if film.valid is not None:
        # a shutter's fill is neither air nor limb: only the box of valid pixels is looked at
        rows, columns = (np.flatnonzero((shrunk(film.valid) > 0.5).any(axis)) for axis in (1, 0))
        if not len(rows) or not len(columns):
            return 0
        gray_HW = gray_HW[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    says, agreeing, longest = asked, 0, 0
    for margin in _MARGINS:
        votes = _votes(gray_HW, margin)
        says = says or max(votes, default=0, key=abs)
        if votes - {says}:
            return 0
        agreeing = agreeing + 1 if votes else 0
        longest = max(longest, agreeing)
    return says if longest >= _AGREEING else 0


def _inverted(film: Radiograph) -> Radiograph:
    """About the range of the bits, not the image's own maximum: equal exposures stay equal."""
    pixels_HW: Pixels = (2**film.bits - 1 - film.pixels).astype(film.pixels.dtype)
    return replace(film, pixels=pixels_HW)


def _flagged(film: Radiograph, flag: str) -> Radiograph:
    return replace(film, meta=replace(film.meta, polarity_flag=flag))


def _votes(gray_HW: Gray, margin: float) -> set[int]:
    """What the film without its margin says at each contrast: 1, -1 or nothing."""
    height, width = gray_HW.shape
    cut = round(margin * min(height, width))
    inner_HW = stretched(gray_HW[cut : height - cut, cut : width - cut])
    if inner_HW is None:
        return set()
    air, spread = _air(inner_HW)
    votes = set()
    for contrast in {max(least, 2 * spread) for least in _CONTRASTS}:
        above_HW, below_HW = inner_HW > air + contrast, inner_HW < air - contrast
        if contrast <= _WIDEST_CONTRAST and min(above_HW.mean(), below_HW.mean()) < 0.03:
            bright = above_HW.sum() > below_HW.sum()
            if _enters_from_one_side(above_HW if bright else below_HW):
                votes.add(1 if bright else -1)
    return votes


def _air(gray_HW: Gray) -> tuple[float, float]:
    """Level and spread of the three sides that are most alike."""
    ring = max(2, round(_RING * min(gray_HW.shape)))
    sides = [gray_HW[:ring], gray_HW[-ring:], gray_HW[:, :ring], gray_HW[:, -ring:]]
    levels = []
    for left_out in range(4):
        three = np.concatenate([side.ravel() for index, side in enumerate(sides) if index != left_out])
        level = float(np.median(three))
        levels.append((float(np.percentile(np.abs(three - level), 75)), level))
    spread, level = min(levels)
    return level, spread


def _enters_from_one_side(limb_HW: NDArray[np.bool_]) -> bool:
    """Whether the set is one large piece that crosses one side of the film, reaches deep, and touches no other."""
    labels_HW, pieces = ndimage.label(limb_HW)
    if not pieces:
        return False
    areas = np.bincount(labels_HW.ravel())[1:]
    if areas.max() < 0.75 * areas.sum() or not 0.06 < areas.max() / limb_HW.size < 0.65:
        return False
    piece_HW = labels_HW == areas.argmax() + 1
    touched = [piece_HW[:2].mean(), piece_HW[-2:].mean(), piece_HW[:, :2].mean(), piece_HW[:, -2:].mean()]
    side = int(np.argmax(touched))
    depth = piece_HW.any(axis=1 if side < 2 else 0).mean()
    others = max(share for index, share in enumerate(touched) if index != side)
    return bool(0.08 < touched[side] < 0.7 and others < 0.05 and depth > 0.6)
