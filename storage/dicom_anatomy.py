"""Which part, from which view and of which side: what a DICOM header says of a film's anatomy, and where."""

from __future__ import annotations

import pydicom

from storage import vocabulary
from storage.deidentify import SIDES, word

# Texts of the image or its series; the study's may be about several films.
_DESCRIPTIONS = (
    *("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription"),
    "BodyPartExamined",
)


def text(dataset: pydicom.Dataset, keyword: str) -> str:
    """An element as text without spaces around; empty where it is absent."""
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip()


def body_part(dataset: pydicom.Dataset) -> str:
    """A word of vocabulary.BODY_PARTS from the first source that names one, else empty.

    The code of the region (0008,2218) and (0018,0015) come first, descriptions after them.
    """
    texts = [_meaning(dataset, "AnatomicRegionSequence"), text(dataset, "BodyPartExamined")]
    texts += [text(dataset, keyword) for keyword in ("SeriesDescription", "ProtocolName", "StudyDescription")]
    return next(filter(None, map(vocabulary.body_part, texts)), "")


def view(dataset: pydicom.Dataset) -> tuple[str, str]:
    """A word of vocabulary.VIEWS and its source: header for (0018,5101) and (0054,0220), text for descriptions."""
    position = text(dataset, "ViewPosition")
    stated = word(position, vocabulary.VIEWS) or vocabulary.view(position)
    if stated := stated or vocabulary.view(_meaning(dataset, "ViewCodeSequence")):
        return stated, "header"
    described = vocabulary.view(" / ".join(text(dataset, keyword) for keyword in _DESCRIPTIONS))
    return described, "text" if described else ""


def laterality(dataset: pydicom.Dataset) -> tuple[str, str]:
    """Side and its source, the surest first: descriptions are often wrong, a study's may be of both sides."""
    for keyword, source in (("ImageLaterality", "image"), ("Laterality", "series")):
        if side := word(dataset.get(keyword), SIDES):
            return side, source
    for group in dataset.get("SharedFunctionalGroupsSequence") or []:
        for anatomy in group.get("FrameAnatomySequence") or []:
            if side := word(anatomy.get("FrameLaterality"), SIDES):
                return side, "frame"
    described = " / ".join(text(dataset, keyword) for keyword in _DESCRIPTIONS)
    if side := vocabulary.side(described):
        return side, "text"
    # a text of the series that names both sides is not overruled by one of the study
    side = "" if vocabulary.names_side(described) else vocabulary.side(text(dataset, "StudyDescription"))
    return side, "study" if side else ""


def _meaning(dataset: pydicom.Dataset, keyword: str) -> str:
    """The meaning of the first code of a sequence."""
    codes = dataset.get(keyword) or []
    return text(codes[0], "CodeMeaning") if len(codes) else ""
