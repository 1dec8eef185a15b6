"""What passes between the readers of raw files and the writers of the store."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from storage.errors import Quarantined

NAN = float("nan")
MIN_SIDE_PX = 32  # no radiograph is smaller; icons and thumbnails are
_FRAMES_AT_ONCE = 4  # of the largest size
MAX_FRAMES = 10_000  # five minutes of fluoroscopy at 30 per second; the number is but a claim of the header

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a reader refuses before it decodes anything."""

    max_megapixels: float = 64.0  # rows x columns of a frame
    max_file_mb: float = 512.0
    modalities: tuple[str, ...] = ("CR", "DX", "RG", "RF", "XA")  # of DICOM (0008,0060)


def check_chosen(pixels: int, limits: Limits) -> None:
    """Raise Quarantined where the chosen frames of a file are together more than a process should hold."""
    if pixels > _FRAMES_AT_ONCE * limits.max_megapixels * 1e6:
        detail = f"its chosen frames are {_FRAMES_AT_ONCE} times ingest.max_megapixels; choose fewer by ingest.frames"
        raise Quarantined("too_large", detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who and when, as the header says it: known to ingest until it ends, never at rest in the store."""

    patient_id: str = ""
    issuer: str = ""
    study: str = ""  # study instance UID
    taken: tuple[str, ...] = ()  # date, time, series and instance numbers; sorts a subject's films
    manufacturer: str = ""
    model: str = ""
    instance: str = ""  # SOP instance UID
    made_from: tuple[str, ...] = ()  # SOP instance UIDs of the images this one was made from
    event: str = ""  # irradiation event UID
    acquired: str = ""  # date and time of the acquisition


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a file says of itself before its pixels are decoded."""

    frames: int = 1
    data_kind: str = "real"  # real | phantom
    height: int = 0
    width: int = 0
    laterality: str = ""
    body_part: str = ""
    view: str = ""
    presentation_intent: str = ""
    identity: Identity = field(default_factory=Identity)


@dataclass(frozen=True, slots=True, kw_only=True)
class RadiographMeta:
    """The allow-list of what leaves ingest with the pixels; unknown words are empty, unknown numbers NaN."""

    spacing_mm: float = NAN  # distance of pixel centres
    spacing_source: str = ""  # calibrated | detector | magnified | unspecified
    laterality: str = ""  # L | R | B
    laterality_source: str = (
        ""  # image | series | frame | text | study | content | override, the surest first
    )
    view: str = ""  # PA, AP, LL ...
    photometric: str = ""  # as stored in the source
    polarity_flag: str = ""  # inverted | conflict | conflict_settled | unstated | inverted_content | override
    modality: str = ""
    age_years: float = NAN  # 90 stands for all older than 89
    sex: str = ""  # F | M | O
    presentation_intent: str = ""  # FOR PRESENTATION | FOR PROCESSING
    kvp: float = NAN  # kV
    mas: float = NAN  # mAs
    data_kind: str = "real"
    body_part: str = ""  # a word of storage.vocabulary.BODY_PARTS
    view_source: str = ""  # header | text | override
    lossy: bool = False  # compressed with loss at any time before
    lossy_ratio: float = NAN  # of that compression
    intensity: str = ""  # LIN, LOG or DISP of (0028,1040), and the sign of (0028,1041): +1, -1


@dataclass(frozen=True, slots=True)
class Radiograph:
    """One film or frame: pixels HxW, more attenuation brighter, in the lowest `bits` bits.

    valid: HxW, false where a shutter, a collimator or padding hides the patient; None where nothing does.
    """

    pixels: Pixels
    bits: int
    meta: RadiographMeta
    valid: NDArray[np.bool_] | None = None
    jpeg: bytes | None = None
    """The source's own JPEG, without metadata; a writer takes it only where it decodes to these pixels."""
