"""What is settled of a decoded film by a person or by its content, before it is written."""

from __future__ import annotations

from dataclasses import replace

from pipelines.ingest.overrides import Override
from storage.both_hands import HAND_PARTS, shows_both_hands
from storage.polarity import settled
from storage.radiograph import Radiograph
from storage.thumbnail import shrunk


def amended(film: Radiograph, override: Override) -> Radiograph:
    """The film with polarity, side and view settled: a person's word first, then the content, then the header."""
    film = settled(film, override.polarity)
    meta = film.meta
    if override.laterality:
        meta = replace(meta, laterality=override.laterality, laterality_source="override")
    elif meta.laterality != "B" and meta.body_part in HAND_PARTS and shows_both_hands(shrunk(film.pixels)):
        meta = replace(meta, laterality="B", laterality_source="content")
    if override.view:
        meta = replace(meta, view=override.view, view_source="override")
    return replace(film, meta=meta)
