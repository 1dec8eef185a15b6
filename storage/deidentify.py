"""The allow-list: what a header may leave behind in a store, all of it closed vocabularies and plain numbers.

An allow-list beats a deny-list: what nobody thought of stays behind. Free text never passes: names stand in
it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from storage.identity import Secret, normalise
from storage.radiograph import NAN

# DICOM keyword -> column of the manifest that is made of it; every other header stays behind.
ALLOWED_HEADERS: dict[str, str] = {
    "BitsStored": "bits",
    "BodyPartExamined": "laterality",
    "Columns": "width",
    "EstimatedRadiographicMagnificationFactor": "spacing_mm",
    "Exposure": "mas",
    "ExposureInuAs": "mas",
    "ExposureTime": "mas",
    "FrameLaterality": "laterality",
    "ImageLaterality": "laterality",
    "ImagerPixelSpacing": "spacing_mm",
    "KVP": "kvp",
    "Laterality": "laterality",
    "Manufacturer": "device",
    "ManufacturerModelName": "device",
    "Modality": "modality",
    "NumberOfFrames": "frame",
    "PatientAge": "age_years",
    "PatientSex": "sex",
    "PhotometricInterpretation": "photometric",
    "PixelSpacing": "spacing_mm",
    "PixelSpacingCalibrationType": "spacing_source",
    "PresentationIntentType": "presentation_intent",
    "PresentationLUTShape": "polarity_flag",
    "ProtocolName": "laterality",
    "Rows": "height",
    "SeriesDescription": "laterality",
    "ViewPosition": "view",
    "XRayTubeCurrent": "mas",
}

VIEWS = ("AP", "PA", "LL", "RL", "RLD", "LLD", "RLO", "LLO", "LATERAL", "OBLIQUE")
PHOTOMETRIC = ("MONOCHROME1", "MONOCHROME2", "RGB")
INTENTS = ("FOR PRESENTATION", "FOR PROCESSING")
SEXES = ("F", "M", "O")
SIDES = ("L", "R", "B")
DXA_SITES = ("lumbar_spine", "total_hip", "femoral_neck", "radius_33")
OLDEST_YEARS = 90.0  # stands for every age above 89: the oldest are few enough to be found
_VENDORS = (
    *("agfa", "canon", "carestream", "fuji", "fujifilm", "ge", "general electric", "hologic"),
    *(
        "kodak",
        "konica",
        "philips",
        "samsung",
        "shimadzu",
        "siemens",
        "swissray",
        "toshiba",
        "varian",
        "vieworks",
    ),
)
_AGE = re.compile(r"(\d{1,3})([DWMY])")
_YEARS_PER_UNIT = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
_LEFT = re.compile(r"(?<![a-z])(left|lt|links|gauche|izquierda|sinistra)(?![a-z])")
_RIGHT = re.compile(r"(?<![a-z])(right|rt|rechts|droite|derecha|destra)(?![a-z])")


def word(value: object, allowed: Sequence[str]) -> str:
    """The value in capitals where it is one of the allowed words, else empty."""
    text = str(value or "").strip().upper()
    return text if text in allowed else ""


def capped_age(age_years: float) -> float:
    """Age in years; above 89 becomes 90, below 0 or not finite NaN."""
    if not math.isfinite(age_years) or age_years < 0:
        return NAN
    return OLDEST_YEARS if age_years > 89 else age_years


def age_from_text(text: object) -> float:
    """Years from a DICOM age string such as 045Y or 018M; NaN where it is none."""
    match = _AGE.fullmatch(str(text or "").strip().upper())
    return capped_age(int(match[1]) * _YEARS_PER_UNIT[match[2]]) if match else NAN


def side_from_text(text: str) -> str:
    """L or R where a description names exactly one side, else empty."""
    left, right = _LEFT.search(text.casefold()), _RIGHT.search(text.casefold())
    return ("L" if left else "R") if bool(left) != bool(right) else ""


def device(manufacturer: str, model: str, secret: Secret) -> str:
    """The vendor from a closed list and a pseudonym of the model: siemens-k3f2ab; empty if unknown."""
    if not manufacturer and not model:
        return ""
    name = normalise(manufacturer)
    vendor = next((vendor for vendor in _VENDORS if re.match(rf"{vendor}(?![a-z])", name)), "other")
    return f"{vendor.replace(' ', '_')}-{secret.device(manufacturer, model)}"
