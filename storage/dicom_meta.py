"""What a DICOM header says of a radiograph, through the allow-list, and who it is, for the pseudonyms."""

from __future__ import annotations

import math
from datetime import datetime

import pydicom

from storage import deidentify
from storage.radiograph import NAN, Header, Identity, RadiographMeta

Dataset = pydicom.Dataset

KEYWORDS = [
    *deidentify.ALLOWED_HEADERS,
    *("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "ImageType"),
    *("StudyDate", "AcquisitionDate", "ContentDate", "AcquisitionTime", "ContentTime"),
    *("SeriesNumber", "InstanceNumber"),
    *("SamplesPerPixel", "BitsAllocated", "HighBit", "PixelRepresentation", "PlanarConfiguration"),
    "SharedFunctionalGroupsSequence",
]


def header(dataset: Dataset) -> Header:
    """Frames, kind and identity of a file."""
    return Header(frames=num_frames(dataset), data_kind=_data_kind(dataset), identity=_identity(dataset))


def num_frames(dataset: Dataset) -> int:
    """Number of frames (0028,0008); 1 where it is absent."""
    return max(1, int(dataset.get("NumberOfFrames") or 1))


def metadata(dataset: Dataset, polarity_flag: str) -> RadiographMeta:
    """The columns of the manifest that come from the header."""
    spacing_mm, spacing_source = _spacing(dataset)
    side, side_source = _laterality(dataset)
    return RadiographMeta(
        spacing_mm=spacing_mm,
        spacing_source=spacing_source,
        laterality=side,
        laterality_source=side_source,
        view=deidentify.word(dataset.get("ViewPosition"), deidentify.VIEWS),
        photometric=deidentify.word(dataset.get("PhotometricInterpretation"), deidentify.PHOTOMETRIC),
        polarity_flag=polarity_flag,
        modality=text(dataset, "Modality").upper(),
        age_years=_age_years(dataset),
        sex=deidentify.word(dataset.get("PatientSex"), deidentify.SEXES),
        presentation_intent=deidentify.word(dataset.get("PresentationIntentType"), deidentify.INTENTS),
        kvp=_positive(dataset, "KVP"),
        mas=_mas(dataset),
        data_kind=_data_kind(dataset),
    )


def text(dataset: Dataset, keyword: str) -> str:
    """An element as text without spaces around; empty where it is absent."""
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip()


def _identity(dataset: Dataset) -> Identity:
    days = [text(dataset, keyword) for keyword in ("AcquisitionDate", "ContentDate", "StudyDate")]
    times = [text(dataset, keyword) for keyword in ("AcquisitionTime", "ContentTime")]
    numbers = [text(dataset, keyword).zfill(8) for keyword in ("SeriesNumber", "InstanceNumber")]
    return Identity(
        patient_id=text(dataset, "PatientID"),
        issuer=text(dataset, "IssuerOfPatientID"),
        study=text(dataset, "StudyInstanceUID"),
        taken=(next(filter(None, days), ""), next(filter(None, times), ""), *numbers),
        manufacturer=text(dataset, "Manufacturer"),
        model=text(dataset, "ManufacturerModelName"),
    )


def _data_kind(dataset: Dataset) -> str:
    image_type = dataset.get("ImageType") or []
    kinds = [image_type] if isinstance(image_type, str) else list(image_type)
    says_so = "PHANTOM" in kinds or text(dataset, "PatientName").upper() == "PHANTOM"
    return "phantom" if says_so else "real"


def _positive(dataset: Dataset, keyword: str) -> float:
    """A single number above 0, else NaN."""
    try:
        value = float(dataset.get(keyword))
    except (TypeError, ValueError):
        return NAN
    return value if math.isfinite(value) and value > 0 else NAN


def _square_spacing(dataset: Dataset, keyword: str) -> float:
    """Spacing in mm where rows and columns agree within 1 %, else NaN; vendors write 0.000 for unknown."""
    try:
        rows_mm, columns_mm = (float(value) for value in dataset.get(keyword))
    except (TypeError, ValueError):
        return NAN
    usable = math.isfinite(rows_mm) and rows_mm > 0 and abs(rows_mm - columns_mm) <= 0.01 * rows_mm
    return rows_mm if usable else NAN


def _spacing(dataset: Dataset) -> tuple[float, str]:
    """Spacing in mm and its source (PS3.3 10.7.1.3): at the bone if calibrated, else at the detector."""
    patient_mm = _square_spacing(dataset, "PixelSpacing")
    detector_mm = _square_spacing(dataset, "ImagerPixelSpacing")
    magnification = _positive(dataset, "EstimatedRadiographicMagnificationFactor")
    calibration = deidentify.word(dataset.get("PixelSpacingCalibrationType"), ("GEOMETRY", "FIDUCIAL"))
    differs = math.isfinite(detector_mm) and patient_mm != detector_mm
    if math.isfinite(patient_mm) and (calibration or differs):
        return patient_mm, "calibrated"
    if math.isfinite(detector_mm) and math.isfinite(magnification):
        return detector_mm / magnification, "magnified"
    if math.isfinite(detector_mm):
        return detector_mm, "detector"
    return (patient_mm, "unspecified") if math.isfinite(patient_mm) else (NAN, "")


def _laterality(dataset: Dataset) -> tuple[str, str]:
    """Side and its source, the most specific first; descriptions last, since they are often wrong."""
    for keyword, source in (("ImageLaterality", "image"), ("Laterality", "series")):
        if side := deidentify.word(dataset.get(keyword), deidentify.SIDES):
            return side, source
    for group in dataset.get("SharedFunctionalGroupsSequence") or []:
        for anatomy in group.get("FrameAnatomySequence") or []:
            if side := deidentify.word(anatomy.get("FrameLaterality"), deidentify.SIDES):
                return side, "frame"
    described = ("SeriesDescription", "ProtocolName", "BodyPartExamined")
    side = deidentify.side_from_text(" ".join(text(dataset, keyword) for keyword in described))
    return side, "text" if side else ""


def _age_years(dataset: Dataset) -> float:
    """Age at the film: as written, else from the birth date."""
    years = deidentify.age_from_text(dataset.get("PatientAge"))
    if math.isfinite(years):
        return years
    days = [text(dataset, keyword) for keyword in ("AcquisitionDate", "StudyDate")]
    try:
        taken = datetime.strptime(next(filter(None, days), ""), "%Y%m%d")
        born = datetime.strptime(text(dataset, "PatientBirthDate"), "%Y%m%d")
    except ValueError:
        return NAN
    # days would tell the birth date of a known film
    return deidentify.capped_age(round((taken - born).days / 365.25, 1))


def _mas(dataset: Dataset) -> float:
    """Exposure in mAs: as written, else from uAs, else tube current (mA) times exposure time (ms)."""
    mas = _positive(dataset, "Exposure")
    if math.isfinite(mas):
        return mas
    micro = _positive(dataset, "ExposureInuAs")
    if math.isfinite(micro):
        return micro / 1000
    return _positive(dataset, "XRayTubeCurrent") * _positive(dataset, "ExposureTime") / 1000
