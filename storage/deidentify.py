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
    "AcquisitionDeviceProcessingDescription": "laterality",
    "AnatomicRegionSequence": "body_part",
    "BitsStored": "bits",
    "BodyPartExamined": "body_part",
    "CenterOfCircularCollimator": "valid_offset",
    "CenterOfCircularShutter": "valid_offset",
    "CollimatorLeftVerticalEdge": "valid_offset",
    "CollimatorLowerHorizontalEdge": "valid_offset",
    "CollimatorRightVerticalEdge": "valid_offset",
    "CollimatorShape": "valid_offset",
    "CollimatorUpperHorizontalEdge": "valid_offset",
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
    "LossyImageCompression": "lossy",
    "LossyImageCompressionRatio": "lossy_ratio",
    "Manufacturer": "device",
    "ManufacturerModelName": "device",
    "Modality": "modality",
    "NumberOfFrames": "frame",
    "PatientAge": "age_years",
    "PatientSex": "sex",
    "PhotometricInterpretation": "photometric",
    "PixelIntensityRelationship": "intensity",
    "PixelIntensityRelationshipSign": "intensity",
    "PixelPaddingRangeLimit": "valid_offset",
    "PixelPaddingValue": "valid_offset",
    "PixelSpacing": "spacing_mm",
    "PixelSpacingCalibrationType": "spacing_source",
    "PresentationIntentType": "presentation_intent",
    "PresentationLUTShape": "polarity_flag",
    "ProtocolName": "laterality",
    "RadiusOfCircularCollimator": "valid_offset",
    "RadiusOfCircularShutter": "valid_offset",
    "Rows": "height",
    "SeriesDescription": "laterality",
    "ShutterLeftVerticalEdge": "valid_offset",
    "ShutterLowerHorizontalEdge": "valid_offset",
    "ShutterRightVerticalEdge": "valid_offset",
    "ShutterShape": "valid_offset",
    "ShutterUpperHorizontalEdge": "valid_offset",
    "StudyDescription": "laterality",
    "VerticesOfThePolygonalCollimator": "valid_offset",
    "VerticesOfThePolygonalShutter": "valid_offset",
    "ViewCodeSequence": "view",
    "ViewPosition": "view",
    "XRayTubeCurrent": "mas",
}

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


def device(manufacturer: str, model: str, secret: Secret) -> str:
    """The vendor from a closed list and a pseudonym of the model: siemens-k3f2ab; empty if unknown."""
    if not manufacturer and not model:
        return ""
    name = normalise(manufacturer)
    vendor = next((vendor for vendor in _VENDORS if re.match(rf"{vendor}(?![a-z])", name)), "other")
    return f"{vendor.replace(' ', '_')}-{secret.device(manufacturer, model)}"
