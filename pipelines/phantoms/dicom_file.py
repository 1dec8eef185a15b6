"""Films as DICOM: Digital X-Ray Image, For Presentation (PS3.3 A.26), with UIDs derived from the cohort."""

from __future__ import annotations

import io
import uuid

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from pipelines.phantoms.film import Film
from pipelines.phantoms.subject import SubjectGeometry

# a fixed name space: equal cohorts get equal UIDs on every machine
NAMESPACE = uuid.UUID("6f1d3c9e-52c4-5c0b-9a53-2f4f0f6d7a11")
IMPLEMENTATION_UID = UID("2.25.147813391190811512311461098237617421841")
MAGNIFICATION = 1.06


def derived_uid(*parts: object) -> UID:
    """Return a UID (2.25 form, PS3.5 B.2) that depends on the parts alone."""
    return UID(f"2.25.{uuid.uuid5(NAMESPACE, '/'.join(map(str, parts))).int}")


def phantom_dicom(film: Film, subject: SubjectGeometry, order: int) -> bytes:
    """Encode a film as an uncompressed DICOM file."""
    study = derived_uid(subject.patient_id, "study")
    instance = derived_uid(subject.patient_id, order)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = instance
    dataset.StudyInstanceUID = study
    dataset.SeriesInstanceUID = derived_uid(subject.patient_id, "series", order)
    dataset.FrameOfReferenceUID = derived_uid(subject.patient_id, "frame", order)
    _describe_patient(dataset, subject)
    _describe_exposure(dataset, film, order)
    _put_pixels(dataset, film)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _describe_patient(dataset: Dataset, subject: SubjectGeometry) -> None:
    dataset.PatientName = "PHANTOM"
    dataset.PatientID = subject.patient_id
    dataset.PatientBirthDate = ""
    dataset.PatientSex = subject.sex
    years = int(subject.age_years)
    dataset.PatientAge = f"{years:03d}Y" if years >= 2 else f"{int(subject.age_years * 12):03d}M"
    dataset.PatientWeight = subject.weight_kg


def _describe_exposure(dataset: Dataset, film: Film, order: int) -> None:
    dataset.StudyDate = dataset.StudyTime = ""
    dataset.AccessionNumber = dataset.StudyID = dataset.ReferringPhysicianName = ""
    dataset.Modality = "DX"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.SeriesNumber = dataset.InstanceNumber = order + 1
    dataset.Manufacturer = film.vendor
    dataset.ManufacturerModelName = "Phantom"
    dataset.ImageType = ["DERIVED", "PRIMARY", "PHANTOM"]
    dataset.BodyPartExamined = "HAND"
    dataset.ViewPosition = "PA"
    dataset.ImageLaterality = film.laterality
    dataset.PatientOrientation = ["R", "F"] if film.laterality == "L" else ["L", "F"]
    dataset.KVP = film.kvp
    dataset.BurnedInAnnotation = "YES"
    dataset.LossyImageCompression = "00"


def _put_pixels(dataset: Dataset, film: Film) -> None:
    spacing = round(film.spacing_mm, 5)
    dataset.PixelSpacing = [spacing, spacing]
    dataset.ImagerPixelSpacing = [round(spacing * MAGNIFICATION, 5)] * 2
    dataset.EstimatedRadiographicMagnificationFactor = MAGNIFICATION
    dataset.PixelSpacingCalibrationType = "GEOMETRY"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = film.photometric
    dataset.PresentationLUTShape = "INVERSE" if film.photometric == "MONOCHROME1" else "IDENTITY"
    dataset.Rows, dataset.Columns = film.pixels.shape
    dataset.BitsAllocated = 8 if film.pixels.dtype == np.uint8 else 16
    dataset.BitsStored = film.bits
    dataset.HighBit = film.bits - 1
    dataset.PixelRepresentation = 0
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = -1 if film.photometric == "MONOCHROME1" else 1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    top = 2**film.bits
    dataset.WindowCenter, dataset.WindowWidth = top / 2, top
    data = np.ascontiguousarray(film.pixels, film.pixels.dtype.newbyteorder("<")).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
