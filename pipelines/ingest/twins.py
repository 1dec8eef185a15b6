"""The same exposure twice: as the detector gave it (FOR PROCESSING) and as it is shown (FOR PRESENTATION).

Twins in two parts of a split are a leak, so one of them stays (DICOM PS3.3 C.8.11.1 tells them apart). That is
settled by headers, before a pixel is decoded: the one that stays may still prove unreadable.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import product

from pipelines.ingest.identify import Source
from storage.radiograph import Header

_INTENTS = {"presentation": "FOR PRESENTATION", "processing": "FOR PROCESSING"}
_ASPECT_TOLERANCE = 0.02


def left_out_twins(sources: Iterable[Source], headers: Mapping[str, Header], policy: str) -> set[str]:
    """Tokens of the films whose twin stays by the policy. headers: by token."""
    if policy == "both":
        return set()
    by_exam: dict[tuple[str, str], dict[str, list[Source]]] = defaultdict(lambda: defaultdict(list))
    for source in sources:
        header = headers[source.token]
        by_exam[source.subject, header.identity.study][header.presentation_intent].append(source)
    kept, other = _INTENTS[policy], next(intent for intent in _INTENTS.values() if intent != _INTENTS[policy])
    return {
        twin.token
        for films in by_exam.values()
        for stays, twin in product(films.get(kept, []), films.get(other, []))
        if _same_exposure(headers[stays.token], headers[twin.token])
    }


def _same_exposure(one: Header, other: Header) -> bool:
    """One was made from the other, or both come of one irradiation, or of one moment, side, view and shape."""
    first, second = one.identity, other.identity
    if second.instance in first.made_from or first.instance in second.made_from:
        return True
    if first.event and second.event:
        return first.event == second.event
    alike = ("laterality", "view", "body_part", "frames")
    return (
        first.acquired != ""
        and first.acquired == second.acquired
        and all(getattr(one, name) == getattr(other, name) for name in alike)
        and _same_aspect(one, other)
    )


def _same_aspect(one: Header, other: Header) -> bool:
    """Whether width to height agrees, since a twin may be cropped no more than it is resized."""
    across = one.width * other.height
    along = one.height * other.width
    return abs(across - along) <= _ASPECT_TOLERANCE * max(across, along)
