"""What a DICOM header says of a radiograph, through the allow-list, and who it is, for the pseudonyms."""

from __future__ import annotations

import math
import re
from datetime import datetime

import pydicom
from pydicom.multival import MultiValue

from storage import deidentify, dicom_anatomy
from storage.dicom_anatomy import text
from storage.radiograph import NAN, Header, Identity, RadiographMeta

Dataset = pydicom.Dataset
_TO_THE_SECOND = re.compile(r"\d{14}")

KEYWORDS = [
    *deidentify.ALLOWED_HEADERS,
    *("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "ImageType"),
    *("StudyDate", "AcquisitionDate", "ContentDate", "AcquisitionTime", "ContentTime"),
    *("SeriesNumber", "InstanceNumber"),
    *("SamplesPerPixel", "BitsAllocated", "HighBit", "PixelRepresentation", "PlanarConfiguration"),
    *("SOPClassUID", "SOPInstanceUID", "SourceImageSequence", "IrradiationEventUID", "AcquisitionDateTime"),
    "SharedFunctionalGroupsSequence",
]


def header(dataset: Dataset) -> Header:
    """Frames, kind, identity and what a film is chosen by."""
    return Header(
        frames=num_frames(dataset),
        data_kind=_data_kind(dataset),
        height=int(dataset.Rows),
        width=int(dataset.Columns),
        laterality=dicom_anatomy.laterality(dataset)[0],
        body_part=dicom_anatomy.body_part(dataset),
        view=dicom_anatomy.view(dataset)[0],
        presentation_intent=deidentify.word(dataset.get("PresentationIntentType"), deidentify.INTENTS),
        identity=_identity(dataset),
    )


def num_frames(dataset: Dataset) -> int:
    """Number of frames (0028,0008); 1 where it is absent."""
    return max(1, int(dataset.get("NumberOfFrames") or 1))


def metadata(dataset: Dataset, polarity_flag: str) -> RadiographMeta:
    """The columns of the manifest that come from the header."""
    spacing_mm, spacing_source = _spacing(dataset)
    side, side_source = dicom_anatomy.laterality(dataset)
    view, view_source = dicom_anatomy.view(dataset)
    return RadiographMeta(
        spacing_mm=spacing_mm,
        spacing_source=spacing_source,
        laterality=side,
        laterality_source=side_source,
        view=view,
        view_source=view_source,
        body_part=dicom_anatomy.body_part(dataset),
        photometric=deidentify.word(dataset.get("PhotometricInterpretation"), deidentify.PHOTOMETRIC),
        polarity_flag=polarity_flag,
        modality=text(dataset, "Modality").upper(),
        age_years=_age_years(dataset),
        sex=deidentify.word(dataset.get("PatientSex"), deidentify.SEXES),
        presentation_intent=deidentify.word(dataset.get("PresentationIntentType"), deidentify.INTENTS),
        kvp=_positive(dataset, "KVP"),
        mas=_mas(dataset),
        data_kind=_data_kind(dataset),
        lossy=_lossy(dataset),
        lossy_ratio=_lossy_ratio(dataset),
        intensity=_intensity(dataset),
    )


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
        instance=text(dataset, "SOPInstanceUID"),
        made_from=tuple(
            text(source, "ReferencedSOPInstanceUID") for source in dataset.get("SourceImageSequence") or []
        ),
        event=text(dataset, "IrradiationEventUID"),
        acquired=_acquired(dataset),
    )


def _acquired(dataset: Dataset) -> str:
    """Day and time of the acquisition; empty unless both are known to the second (PS3.5 6.2, DT and TM).

    A DT may end after its year, its day or its hour, and then many exposures share it.
    """
    parted = text(dataset, "AcquisitionDate") + text(dataset, "AcquisitionTime")
    candidates = (text(dataset, "AcquisitionDateTime"), parted)
    return next(filter(_TO_THE_SECOND.match, candidates), "")


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


def _lossy(dataset: Dataset) -> bool:
    """Whether loss came with a compression, now or before (0028,2110); JPEG's first two processes always lose."""
    always = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
    return text(dataset, "LossyImageCompression") == "01" or dataset.file_meta.TransferSyntaxUID in always


def _lossy_ratio(dataset: Dataset) -> float:
    """Of all compressions so far (0028,2112): they multiply. NaN where it is not known."""
    ratios = dataset.get("LossyImageCompressionRatio")
    try:
        product = math.prod(
            float(ratio) for ratio in (ratios if isinstance(ratios, MultiValue) else [ratios])
        )
    except (TypeError, ValueError):
        return NAN
    return product if math.isfinite(product) and product >= 1 else NAN


def _intensity(dataset: Dataset) -> str:
    """LIN, LOG or DISP, and whether more X-rays gave higher values: LOG-1 (PS3.3 C.8.11.3.1.2)."""
    relation = deidentify.word(dataset.get("PixelIntensityRelationship"), ("LIN", "LOG", "DISP"))
    sign = {"1": "+1", "-1": "-1"}.get(text(dataset, "PixelIntensityRelationshipSign"), "")
    return relation + sign if relation else ""


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
