"""Films as the objects that a fluoroscopy room sends: XA and RF spots and loops, and secondary captures.

X-Ray Angiographic and Radiofluoroscopic Image (PS3.3 A.14, A.16), multi-frame for loops; Secondary Capture
(A.8). UIDs follow from the names alone.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    XRayAngiographicImageStorage,
    XRayRadiofluoroscopicImageStorage,
)

from pipelines.phantoms.arrays import Pixels
from pipelines.phantoms.dicom_file import IMPLEMENTATION_UID, derived_uid
from pipelines.phantoms.hsg.receptor import Receptor

MAGNIFICATION = 1.2
_CLASSES: dict[str, UID] = {"XA": XRayAngiographicImageStorage, "RF": XRayRadiofluoroscopicImageStorage}


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What the header says of one object: whose, which exam, when, on what."""

    patient_id: str
    age_years: int
    exam: int
    day: str
    clock: str
    number: int
    modality: str
    spacing_mm: float
    room: Receptor
    capture: bool = False


def exam_uid(patient_id: str, exam: int) -> str:
    """Study instance UID of a woman's exam, counted from 1."""
    return str(derived_uid(patient_id, "exam", exam))


def phantom_object(frames: list[Pixels], taken: Taken) -> bytes:
    """Encode frames as one uncompressed DICOM file."""
    sop_class = SecondaryCaptureImageStorage if taken.capture else _CLASSES[taken.modality]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = derived_uid(taken.patient_id, taken.exam, taken.number)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = exam_uid(taken.patient_id, taken.exam)
    dataset.SeriesInstanceUID = derived_uid(taken.patient_id, taken.exam, "series", taken.number)
    dataset.PatientName = "PHANTOM"
    dataset.PatientID = taken.patient_id
    dataset.PatientBirthDate = ""
    dataset.PatientSex = "F"
    dataset.PatientAge = f"{taken.age_years:03d}Y"
    dataset.StudyDate = dataset.AcquisitionDate = taken.day
    dataset.StudyTime = ""
    dataset.AcquisitionTime = taken.clock
    dataset.AccessionNumber = dataset.StudyID = dataset.ReferringPhysicianName = ""
    dataset.Modality = taken.modality
    dataset.SeriesNumber = dataset.InstanceNumber = taken.number + 1
    dataset.Manufacturer = taken.room.vendor
    dataset.ManufacturerModelName = "Phantom II" if taken.room.intensifier else "Phantom FP"
    dataset.ImageType = ["DERIVED", "PRIMARY", "SINGLE PLANE", "PHANTOM"]
    dataset.StudyDescription = "Hysterosalpingography"
    dataset.KVP = taken.room.kvp
    dataset.BurnedInAnnotation = "YES" if taken.room.text or taken.capture else "NO"
    dataset.LossyImageCompression = "00"
    if taken.capture:
        dataset.ConversionType = "WSD"
    else:
        dataset.ImagerPixelSpacing = [round(taken.spacing_mm * MAGNIFICATION, 5)] * 2
        dataset.EstimatedRadiographicMagnificationFactor = MAGNIFICATION
        dataset.PixelIntensityRelationship = "DISP"
    _put_frames(dataset, frames, taken.room)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _put_frames(dataset: FileDataset, frames: list[Pixels], room: Receptor) -> None:
    pixels = np.stack(frames)
    if len(frames) > 1:
        dataset.NumberOfFrames = len(frames)
        dataset.FrameTime = 500
        dataset.FrameIncrementPointer = 0x00181063
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if room.monochrome1 else "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[1:]
    dataset.BitsAllocated = 8 if pixels.dtype == np.uint8 else 16
    dataset.BitsStored, dataset.HighBit = room.bits, room.bits - 1
    dataset.PixelRepresentation = 0
    data = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<")).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
