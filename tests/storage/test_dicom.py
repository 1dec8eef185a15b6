from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless

from storage.dicom import looks_like_dicom, read_dicom, read_dicom_header
from storage.errors import Quarantined
from storage.radiograph import Limits

LIMITS = Limits()


def refused(path: Path, limits: Limits = LIMITS) -> str:
    """The same reason from the header alone and from the whole file."""
    reasons = set()
    for read in (read_dicom_header, read_dicom):
        with pytest.raises(Quarantined) as caught:
            read(path, limits)
        reasons.add(caught.value.reason)
    [reason] = reasons
    return reason


def test_monochrome2_values_stay(write_dicom: Any, ramp: NDArray[np.uint16]) -> None:
    [film] = read_dicom(write_dicom(ramp, BitsStored=12), LIMITS)
    assert np.array_equal(film.pixels, ramp)
    assert (film.bits, film.pixels.dtype, film.meta.polarity_flag) == (12, np.uint16, "")


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("shape", [(40, 50), (41, 51), (3, 41, 51)])
def test_plain_pixels_are_those_of_pydicom(write_dicom: Any, bits: int, shape: tuple[int, ...]) -> None:
    dtype = np.uint8 if bits == 8 else np.uint16
    full = np.iinfo(dtype).max  # above the bits stored lie an overlay's
    pixels = np.random.default_rng(bits).integers(0, full, shape, dtype, endpoint=True)
    path = write_dicom(pixels, BitsStored=bits)
    films = read_dicom(path, LIMITS)
    expected = pydicom.dcmread(path).pixel_array.reshape(-1, *shape[-2:])
    for film, frame in zip(films, expected, strict=True):
        np.testing.assert_array_equal(film.pixels, frame)


def test_d4_monochrome1_is_inverted_about_the_bit_range_not_the_maximum(
    write_dicom: Any, ramp: NDArray[np.uint16]
) -> None:
    [film] = read_dicom(write_dicom(ramp, BitsStored=12, PhotometricInterpretation="MONOCHROME1"), LIMITS)
    assert np.array_equal(film.pixels, 4095 - ramp)
    assert film.meta.polarity_flag == "inverted"


@pytest.mark.parametrize(
    ("photometric", "shape", "flag", "inverted"),
    [
        ("MONOCHROME1", "INVERSE", "inverted", True),
        ("MONOCHROME2", "IDENTITY", "", False),
        ("MONOCHROME1", "IDENTITY", "conflict", True),
        ("MONOCHROME2", "INVERSE", "conflict", False),
    ],
)
def test_d2_photometric_and_lut_shape_mean_one_inversion(
    write_dicom: Any, ramp: NDArray[np.uint16], photometric: str, shape: str, flag: str, inverted: bool
) -> None:
    path = write_dicom(ramp, BitsStored=11, PhotometricInterpretation=photometric, PresentationLUTShape=shape)
    [film] = read_dicom(path, LIMITS)
    assert film.meta.polarity_flag == flag
    assert np.array_equal(film.pixels, 2047 - ramp if inverted else ramp)


@pytest.mark.parametrize(
    ("slope", "intercept", "expected", "bits"),
    [
        (1, 0, lambda v: v, 12),
        (2, 100, lambda v: 2 * v + 100, 14),
        (1, -1024, lambda v: v, 12),  # moved up to 0 again
        (-1, 4095, lambda v: 4095 - v, 12),
        (0.5, 7, lambda v: v, 12),  # not integral
        (-0.5, 7, lambda v: 4095 - v, 12),  # not integral, but the sign is polarity
        (100, 0, lambda v: v, 12),  # beyond 16 bits
    ],
)
def test_d1_rescale(
    write_dicom: Any, ramp: NDArray[np.uint16], slope: float, intercept: float, expected: Any, bits: int
) -> None:
    path = write_dicom(ramp, BitsStored=12, RescaleSlope=slope, RescaleIntercept=intercept)
    [film] = read_dicom(path, LIMITS)
    assert np.array_equal(film.pixels, expected(ramp.astype(int)))
    assert film.bits == bits


def test_d1_modality_lut_comes_before_inversion(write_dicom: Any) -> None:
    stored = np.tile(np.arange(16, dtype=np.uint8), (32, 4))
    table = pydicom.Dataset()
    table.LUTDescriptor = [16, 0, 10]
    table.ModalityLUTType = "US"
    table.LUTData = [60 * index for index in range(16)]
    for element in ("LUTDescriptor", "LUTData"):
        table[element].VR = "US"
    path = write_dicom(
        stored, BitsStored=4, PhotometricInterpretation="MONOCHROME1", ModalityLUTSequence=[table]
    )
    [film] = read_dicom(path, LIMITS)
    assert np.array_equal(film.pixels, 1023 - 60 * stored.astype(int))
    assert film.bits == 10


def test_d8_signed_values_start_at_zero(write_dicom: Any) -> None:
    stored = np.arange(-1000, 1000, dtype=np.int16).reshape(40, 50)
    [film] = read_dicom(write_dicom(stored, BitsStored=12), LIMITS)
    assert np.array_equal(film.pixels, stored.astype(int) + 2048)
    assert film.bits == 12


def test_d8_bits_above_the_stored_ones_are_not_values(write_dicom: Any, ramp: NDArray[np.uint16]) -> None:
    overlay = ramp | np.uint16(0x8000)
    [film] = read_dicom(write_dicom(overlay, BitsStored=12), LIMITS)
    assert np.array_equal(film.pixels, ramp)


def test_d8_values_at_the_upper_end_of_the_word(write_dicom: Any, ramp: NDArray[np.uint16]) -> None:
    [film] = read_dicom(write_dicom(ramp << np.uint16(4), BitsStored=12, HighBit=15), LIMITS)
    assert np.array_equal(film.pixels, ramp)
    assert film.bits == 12


def test_eight_bits_stay_eight(write_dicom: Any, ramp: NDArray[np.uint16]) -> None:
    small = (ramp % 251).astype(np.uint8)
    [film] = read_dicom(write_dicom(small), LIMITS)
    assert film.pixels.dtype == np.uint8
    assert np.array_equal(film.pixels, small)


def test_d14_each_frame_is_a_film(write_dicom: Any, ramp: NDArray[np.uint16]) -> None:
    path = write_dicom(np.stack([ramp, ramp + 1, ramp + 2]))
    assert read_dicom_header(path, LIMITS).frames == 3
    assert [int(film.pixels[0, 0]) for film in read_dicom(path, LIMITS)] == [0, 1, 2]


def test_the_cap_of_pixels_is_for_a_frame_and_only_chosen_ones_are_decoded(
    write_dicom: Any, ramp: NDArray[np.uint16]
) -> None:
    """A fluoroscopy run of a minute is no larger than its frames, unless all of them are asked for."""
    path = write_dicom(np.stack([ramp + number for number in range(9)]))
    limits = Limits(max_megapixels=0.002)
    assert read_dicom_header(path, limits).frames == 9
    chosen = read_dicom(path, limits, [4, 5])
    assert [int(film.pixels[0, 0]) for film in chosen] == [4, 5]
    with pytest.raises(Quarantined, match="too_large: its chosen frames"):
        read_dicom(path, limits)
    assert refused(path, Limits(max_megapixels=0.0019)) == "too_large"


@pytest.mark.parametrize(
    ("elements", "spacing_mm", "source"),
    [
        ({}, math.nan, ""),
        ({"PixelSpacing": [0.1, 0.1], "PixelSpacingCalibrationType": "FIDUCIAL"}, 0.1, "calibrated"),
        ({"PixelSpacing": [0.1, 0.1], "ImagerPixelSpacing": [0.11, 0.11]}, 0.1, "calibrated"),
        ({"PixelSpacing": [0.1, 0.1], "ImagerPixelSpacing": [0.1, 0.1]}, 0.1, "detector"),
        (
            {"ImagerPixelSpacing": [0.15, 0.15], "EstimatedRadiographicMagnificationFactor": 1.5},
            0.1,
            "magnified",
        ),
        ({"ImagerPixelSpacing": [0.15, 0.15]}, 0.15, "detector"),
        ({"PixelSpacing": [0.2, 0.2]}, 0.2, "unspecified"),
        ({"PixelSpacing": [0.0, 0.0]}, math.nan, ""),
        ({"PixelSpacing": [0.1, 0.2]}, math.nan, ""),
    ],
)
def test_d9_spacing_comes_with_its_source(
    write_dicom: Any, ramp: NDArray[np.uint16], elements: dict[str, Any], spacing_mm: float, source: str
) -> None:
    [film] = read_dicom(write_dicom(ramp, **elements), LIMITS)
    assert film.meta.spacing_mm == pytest.approx(spacing_mm, nan_ok=True)
    assert film.meta.spacing_source == source


@pytest.mark.parametrize(
    ("elements", "side", "source"),
    [
        ({"ImageLaterality": "L", "Laterality": "R"}, "L", "image"),
        ({"Laterality": "R", "SeriesDescription": "left hand"}, "R", "series"),
        ({"SeriesDescription": "Hand links PA"}, "L", "text"),
        ({"SeriesDescription": "left and right"}, "", ""),
        ({"SeriesDescription": "bright leftover"}, "", ""),
        ({"AcquisitionDeviceProcessingDescription": "HAND R"}, "R", "text"),
        ({"ProtocolName": "Handgelenk li."}, "L", "text"),
        ({"SeriesDescription": "both hands"}, "B", "text"),
        ({"StudyDescription": "left hand"}, "L", "study"),
        ({"StudyDescription": "both hands", "SeriesDescription": "right"}, "R", "text"),
        ({"StudyDescription": "left hand", "SeriesDescription": "left and right"}, "", ""),
    ],
)
def test_d15_laterality_comes_with_its_source(
    write_dicom: Any, ramp: NDArray[np.uint16], elements: dict[str, Any], side: str, source: str
) -> None:
    [film] = read_dicom(write_dicom(ramp, **elements), LIMITS)
    assert (film.meta.laterality, film.meta.laterality_source) == (side, source)


def test_d6_exposure_age_and_intent(write_dicom: Any, ramp: NDArray[np.uint16]) -> None:
    path = write_dicom(
        ramp,
        KVP="55",
        XRayTubeCurrent=200,
        ExposureTime=20,
        PatientBirthDate="19500101",
        StudyDate="20200101",
        PatientSex="F",
        ViewPosition="PA",
        PresentationIntentType="FOR PROCESSING",
        PixelIntensityRelationship="LOG",
        PixelIntensityRelationshipSign=-1,
    )
    [film] = read_dicom(path, LIMITS)
    assert (film.meta.kvp, film.meta.mas, film.meta.age_years) == (55, 4, 70)
    assert film.meta.intensity == "LOG-1"
    assert (film.meta.sex, film.meta.view, film.meta.presentation_intent) == ("F", "PA", "FOR PROCESSING")


@pytest.mark.parametrize(
    ("sop_class", "modality", "detail"),
    [
        ("1.2.840.10008.5.1.4.1.1.7", "SC", "secondary capture"),
        ("1.2.840.10008.5.1.4.1.1.7.2", "SC", "secondary capture"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "PR", "presentation state"),
        ("1.2.840.10008.5.1.4.1.1.88.59", "KO", "key object"),
        ("1.2.840.10008.5.1.4.1.1.88.33", "SR", "structured report"),
        ("1.2.840.10008.5.1.4.1.1.1.2", "MG", "mammogram"),
        ("1.2.840.10008.5.1.4.1.1.1.2.1", "MG", "mammogram"),
    ],
)
def test_d13_other_objects_are_dropped_by_their_class(
    write_dicom: Any, ramp: NDArray[np.uint16], sop_class: str, modality: str, detail: str
) -> None:
    """Though they say to be DX; a modality named in the configuration admits them."""
    path = write_dicom(ramp, SOPClassUID=sop_class)
    assert refused(path) == "wrong_modality"
    with pytest.raises(Quarantined, match=detail):
        read_dicom_header(path, LIMITS)
    assert len(read_dicom(path, Limits(modalities=("DX", modality)))) == 1


@pytest.mark.parametrize("sop_class", ["1", "1.1", "1.1.1", "12.1", "12.2", "12.1.1"])
def test_d13_radiographs_are_kept_by_their_class(
    write_dicom: Any, ramp: NDArray[np.uint16], sop_class: str
) -> None:
    path = write_dicom(ramp, SOPClassUID=f"1.2.840.10008.5.1.4.1.1.{sop_class}")
    assert len(read_dicom(path, LIMITS)) == 1


@pytest.mark.parametrize(
    ("elements", "lossy", "ratio"),
    [
        ({}, False, math.nan),
        ({"LossyImageCompression": "00"}, False, math.nan),
        ({"LossyImageCompression": "01", "LossyImageCompressionRatio": "10"}, True, 10),
        ({"LossyImageCompression": "01", "LossyImageCompressionRatio": ["10", "2.5"]}, True, 25),
    ],
)
def test_d12_loss_is_recorded(
    write_dicom: Any, ramp: NDArray[np.uint16], elements: dict[str, Any], lossy: bool, ratio: float
) -> None:
    [film] = read_dicom(write_dicom(ramp, **elements), LIMITS)
    assert film.meta.lossy == lossy
    assert film.meta.lossy_ratio == pytest.approx(ratio, nan_ok=True)


def test_d5_windows_are_not_applied(write_dicom: Any, ramp: NDArray[np.uint16]) -> None:
    path = write_dicom(ramp, BitsStored=12, WindowCenter=[1000, 500], WindowWidth=[100, 50])
    [film] = read_dicom(path, LIMITS)
    assert np.array_equal(film.pixels, ramp)


def test_d18_orientation_never_turns_a_film(write_dicom: Any, ramp: NDArray[np.uint16]) -> None:
    for orientation in (["R", "F"], ["L", "F"], ["LEFT", "TOE"]):
        [film] = read_dicom(write_dicom(ramp, PatientOrientation=orientation), LIMITS)
        assert np.array_equal(film.pixels, ramp)


@pytest.mark.parametrize(
    ("elements", "part", "view", "source"),
    [
        ({"BodyPartExamined": "HAND", "ViewPosition": "PA"}, "hand", "PA", "header"),
        ({"BodyPartExamined": "", "SeriesDescription": "Hand d.p."}, "hand", "PA", "text"),
        ({"BodyPartExamined": "EXTREMITY", "StudyDescription": "Wrist 2 views"}, "wrist", "", ""),
        ({"ViewPosition": "LAT", "SeriesDescription": "PA"}, "", "LATERAL", "header"),
        ({"SeriesDescription": "PA + lateral"}, "", "", ""),
        ({}, "", "", ""),
    ],
)
def test_d16_body_part_and_view_come_with_their_source(
    write_dicom: Any, ramp: NDArray[np.uint16], elements: dict[str, Any], part: str, view: str, source: str
) -> None:
    path = write_dicom(ramp, **elements)
    [film] = read_dicom(path, LIMITS)
    assert (film.meta.body_part, film.meta.view, film.meta.view_source) == (part, view, source)
    header = read_dicom_header(path, LIMITS)
    assert (header.body_part, header.view) == (part, view)


@pytest.mark.parametrize(
    ("elements", "kind"),
    [
        ({}, "real"),
        ({"ImageType": ["DERIVED", "PRIMARY", "PHANTOM"]}, "phantom"),
        ({"PatientName": "PHANTOM"}, "phantom"),
    ],
)
def test_phantoms_say_so(
    write_dicom: Any, ramp: NDArray[np.uint16], elements: dict[str, Any], kind: str
) -> None:
    assert read_dicom_header(write_dicom(ramp, **elements), LIMITS).data_kind == kind


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"Modality": "MR"}, "wrong_modality"),
        ({"Modality": None}, "wrong_modality"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.59", "Rows": None}, "wrong_modality"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "unsupported"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "unsupported"),
        ({"BitsAllocated": 32}, "unsupported"),
        ({"Rows": 9000, "Columns": 9000}, "too_large"),
        ({"NumberOfFrames": 1_000_000}, "too_large"),
        ({"Rows": 16}, "too_small"),
        ({"Rows": None}, "not_an_image"),
    ],
)
def test_what_is_no_film_is_refused_before_decoding(
    write_dicom: Any, ramp: NDArray[np.uint16], elements: dict[str, Any], reason: str
) -> None:
    assert refused(write_dicom(ramp, **elements)) == reason


def test_d11_deflated_files_are_never_inflated(write_dicom: Any, ramp: NDArray[np.uint16]) -> None:
    assert refused(write_dicom(ramp, syntax=DeflatedExplicitVRLittleEndian)) == "unsupported"


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_compressed_pixels_that_are_cut_are_unreadable(
    write_dicom: Any, ramp: NDArray[np.uint16], share: float
) -> None:
    """A copy that stopped half-way: its modality is not in doubt."""
    path = write_dicom(np.tile(ramp, (8, 8)), syntax=JPEG2000Lossless, BitsStored=12)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert read_dicom_header(path, LIMITS).frames == 1
    with pytest.raises(Quarantined, match="unreadable: the file is cut short"):
        read_dicom(path, LIMITS)


def test_truncated_pixels_are_unreadable(write_dicom: Any, ramp: NDArray[np.uint16]) -> None:
    path = write_dicom(ramp)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(Quarantined, match="unreadable"):
        read_dicom(path, LIMITS)


def test_a_claim_of_pixels_costs_no_memory(write_dicom: Any, ramp: NDArray[np.uint16]) -> None:
    """A few hundred bytes of RLE that claim 30000 x 30000 pixels are refused with a small peak."""
    path = write_dicom(ramp, syntax="1.2.840.10008.1.2.5", Rows=30000, Columns=30000)
    code = (
        "import resource, sys; from pathlib import Path; from storage.dicom import read_dicom\n"
        "from storage.errors import Quarantined; from storage.radiograph import Limits\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: read_dicom(Path(sys.argv[1]), Limits())\n"
        "except Quarantined as error: print(error.reason)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.split() == ["too_large", "True"]


def test_a_vanished_file(tmp_path: Path) -> None:
    assert refused(tmp_path / "gone.dcm") == "vanished"


def test_content_tells_dicom(write_dicom: Any, ramp: NDArray[np.uint16]) -> None:
    data = write_dicom(ramp).read_bytes()
    assert looks_like_dicom(data[:512])
    assert looks_like_dicom(data[132:512]), "without preamble"
    assert not looks_like_dicom(b"patient, t_score\n" * 20)
    assert not looks_like_dicom(b"")


@pytest.mark.parametrize("name", ["RG1", "RG2", "RG3", "XA1"])
def test_d11_all_encodings_of_a_real_film_agree(real_data: Path, name: str) -> None:
    """Lossless transfer syntaxes of one film give the same pixels, lossy ones nearly."""
    folder = real_data / "dicom" / "radiographs"
    limits = Limits(modalities=(*LIMITS.modalities, "SC"))  # what XA1 says it is
    exact = next(
        folder / f"{name}_{code}.dcm"
        for code in ("UNC", "RLE", "J2KR")
        if (folder / f"{name}_{code}.dcm").exists()
    )
    [reference] = read_dicom(exact, limits)
    span = 2**reference.bits - 1
    for path in sorted(folder.glob(f"{name}_*.dcm")):
        [film] = read_dicom(path, limits)
        error = np.abs(film.pixels.astype(int) - reference.pixels)
        lossless = path.stem.split("_")[1] in ("UNC", "RLE", "J2KR", "JLSL", "JPLL")
        assert error.max() == 0 if lossless else error.max() < 0.25 * span, path.stem
        assert error.mean() < 0.01 * span, path.stem
        assert film.meta.lossy == (not lossless), path.stem
        assert film.bits == reference.bits


@pytest.mark.parametrize(("name", "bone", "air"), [("RG1", 3, 2), ("RG3", 4, 2)])
def test_d3_bone_is_bright_on_real_films(real_data: Path, name: str, bone: int, air: int) -> None:
    """The spine beside a lung, a shin beside air: eighths of the width, in the upper half. Both are MONOCHROME1."""
    path = real_data / "dicom" / "radiographs" / f"{name}_J2KR.dcm"
    [film] = read_dicom(path, LIMITS)
    dataset = pydicom.dcmread(path)
    assert (dataset.PhotometricInterpretation, film.meta.polarity_flag) == ("MONOCHROME1", "inverted")
    stored_HW = dataset.pixel_array.astype(int)
    assert np.corrcoef(film.pixels[::16, ::16].ravel(), stored_HW[::16, ::16].ravel())[0, 1] < -0.999
    upper_HW = film.pixels[len(film.pixels) // 8 : len(film.pixels) // 2]
    columns = np.array_split(upper_HW, 8, axis=1)
    assert np.median(columns[bone]) > 1.2 * np.median(columns[air])


def test_odd_files_are_read_or_refused(real_data: Path) -> None:
    """Nothing but Quarantined comes out of odd files, whatever modality they claim."""
    limits = Limits(modalities=("SC", "CR", "DX", "CT", "MR", "US", "NM", "OT", "SEG", "RTDOSE", ""))
    outcomes = set()
    for path in sorted((real_data / "dicom" / "odd").glob("*.dcm")):
        try:
            films = read_dicom(path, limits)
            outcomes.add("read")
            assert all(film.pixels.ndim == 2 and film.pixels.max() < 2**film.bits for film in films)
        except Quarantined as error:
            outcomes.add(error.reason)
    assert {"read", "unsupported", "not_an_image"} <= outcomes
