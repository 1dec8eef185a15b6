"""What is settled of a decoded film by a person or by its content, before it is written."""

from __future__ import annotations

from dataclasses import replace

from pipelines.ingest.overrides import Override
from storage.both_hands import HAND_PARTS, shows_both_hands
from storage.polarity import settled
from storage.radiograph import Radiograph
from storage.thumbnail import Gray, shrunk


def amended(film: Radiograph, override: Override) -> tuple[Radiograph, Gray]:
    """The film with polarity, part, side and view settled, and as it looks when it is shrunk.

    A person's word comes first, then the content, then the header.
    """
    gray_HW, pixels_HW = shrunk(film.pixels), film.pixels
    film = settled(film, override.polarity, gray_HW)
    if film.pixels is not pixels_HW:
        gray_HW = shrunk(film.pixels)
    meta = film.meta
    if override.body_part:
        meta = replace(meta, body_part=override.body_part)
    if override.laterality:
        meta = replace(meta, laterality=override.laterality, laterality_source="override")
    elif meta.laterality != "B" and meta.body_part in HAND_PARTS and shows_both_hands(gray_HW):
        meta = replace(meta, laterality="B", laterality_source="content")
    if override.view:
        meta = replace(meta, view=override.view, view_source="override")
    return replace(film, meta=meta), gray_HW
