"""Which DICOM objects are radiographs that we read: refused by kind, syntax and size before anything is decoded."""

from __future__ import annotations

import pydicom

from storage import dicom_meta
from storage.dicom_anatomy import text
from storage.dicom_values import JPEG_BASELINE, JPEG_EXTENDED
from storage.errors import Quarantined
from storage.radiograph import MAX_FRAMES, MIN_SIDE_PX, Limits

_SYNTAXES = {
    *("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"),  # native
    "1.2.840.10008.1.2.5",  # RLE
    *(JPEG_BASELINE, JPEG_EXTENDED, "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"),  # JPEG
    *("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"),  # JPEG-LS
    *("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"),  # JPEG 2000
    *("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203"),  # HTJ2K
}
# Objects that are no exposures of this study, by their SOP class (PS3.4 B.5) -> the modality that admits them.
_OTHER_OBJECTS = {
    "1.2.840.10008.5.1.4.1.1.7": ("SC", "a secondary capture, which may show a name"),
    "1.2.840.10008.5.1.4.1.1.7.": ("SC", "a secondary capture, which may show a name"),
    "1.2.840.10008.5.1.4.1.1.11.": ("PR", "a presentation state, not an image"),
    "1.2.840.10008.5.1.4.1.1.88.59": ("KO", "a key object selection, not an image"),
    "1.2.840.10008.5.1.4.1.1.88.": ("SR", "a structured report, not an image"),
    "1.2.840.10008.5.1.4.1.1.1.2": ("MG", "a mammogram"),
    "1.2.840.10008.5.1.4.1.1.1.2.": ("MG", "a mammogram"),
}


def check_kind(dataset: pydicom.Dataset, limits: Limits) -> None:
    """Raise Quarantined unless it is a gray exposure of one of the modalities, in a syntax that we decode."""
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        native = {(True, True): "1.2.840.10008.1.2", (False, True): "1.2.840.10008.1.2.1"}
        syntax = native.get((bool(implicit), bool(little)), "1.2.840.10008.1.2.2")
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    if text(dataset, "Modality").upper() not in limits.modalities:
        raise Quarantined("wrong_modality", "the modality is not among ingest.modalities")
    _check_object(text(dataset, "SOPClassUID"), limits)
    if dataset.file_meta.TransferSyntaxUID not in _SYNTAXES:
        raise Quarantined("unsupported", "the transfer syntax is not supported")
    if "Rows" not in dataset or "Columns" not in dataset:
        raise Quarantined("not_an_image", "a DICOM object without pixels")
    if int(dataset.get("SamplesPerPixel") or 1) != 1:
        raise Quarantined("unsupported", "a colour image")
    if text(dataset, "PhotometricInterpretation") not in ("MONOCHROME1", "MONOCHROME2"):
        raise Quarantined("unsupported", "neither MONOCHROME1 nor MONOCHROME2")
    if int(dataset.BitsAllocated) not in (8, 16):
        raise Quarantined("unsupported", "neither 8 nor 16 bits per pixel")


def _check_object(sop_class: str, limits: Limits) -> None:
    """Refuse what claims a radiograph's modality and is none; a dot at the end stands for all classes below."""
    for known, (modality, what) in _OTHER_OBJECTS.items():
        if sop_class.startswith(known) if known.endswith(".") else sop_class == known:
            if modality not in limits.modalities:
                raise Quarantined("wrong_modality", f"{what} ({modality} is not among ingest.modalities)")
            return


def check_size(dataset: pydicom.Dataset, limits: Limits) -> None:
    """Raise Quarantined for what is too small to show anything, or larger than a radiograph is."""
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    if min(rows, columns) < MIN_SIDE_PX:
        raise Quarantined("too_small")
    if rows * columns > limits.max_megapixels * 1e6:
        raise Quarantined("too_large", "more pixels than ingest.max_megapixels")
    if dicom_meta.num_frames(dataset) > MAX_FRAMES:
        raise Quarantined("too_large", "more frames than any loop has")
