from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from storage.dicom import read_dicom
from storage.radiograph import Limits


def valid_of(path: Any) -> NDArray[np.bool_] | None:
    [film] = read_dicom(path, Limits())
    return film.valid


@pytest.mark.parametrize("kind", ["Shutter", "Collimator"])
def test_d17_edges_count_from_one_and_are_inside(
    write_dicom: Any, ramp: NDArray[np.uint16], kind: str
) -> None:
    path = write_dicom(
        ramp,
        **{
            f"{kind}Shape": "RECTANGULAR",
            f"{kind}UpperHorizontalEdge": 3,
            f"{kind}LowerHorizontalEdge": 40,
            f"{kind}LeftVerticalEdge": 1,
            f"{kind}RightVerticalEdge": 48,
        },
    )
    expected = np.zeros((40, 50), bool)
    expected[2:, :48] = True
    valid = valid_of(path)
    assert valid is not None
    assert np.array_equal(valid, expected)
    [film] = read_dicom(path, Limits())
    assert np.array_equal(film.pixels, ramp), "nothing is filled"


def test_d17_a_circle_and_a_polygon(write_dicom: Any, ramp: NDArray[np.uint16]) -> None:
    circle = {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [20, 20], "RadiusOfCircularShutter": 15}
    valid = valid_of(write_dicom(ramp, **circle))
    assert valid is not None
    assert valid[19, 19] and valid[4, 19] and valid[19, 34]
    assert not (valid[3, 19] or valid[19, 35] or valid[7, 7])
    square = {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [2, 3, 2, 38, 29, 38, 29, 3]}
    expected = np.zeros((40, 50), bool)
    expected[1:29, 2:38] = True
    polygon = valid_of(write_dicom(ramp, **square))
    assert polygon is not None
    assert np.array_equal(polygon, expected)


def test_d17_several_outlines_hide_together(write_dicom: Any, ramp: NDArray[np.uint16]) -> None:
    valid = valid_of(
        write_dicom(
            ramp,
            ShutterShape=["RECTANGULAR", "CIRCULAR"],
            ShutterUpperHorizontalEdge=1,
            ShutterLowerHorizontalEdge=20,
            ShutterLeftVerticalEdge=1,
            ShutterRightVerticalEdge=50,
            CenterOfCircularShutter=[20, 25],
            RadiusOfCircularShutter=19,
        )
    )
    assert valid is not None
    assert valid[19, 24] and not valid[20, 24] and not valid[0, 0]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_d17_padding_is_a_range_of_stored_values(
    write_dicom: Any, ramp: NDArray[np.uint16], photometric: str
) -> None:
    padded = {"PhotometricInterpretation": photometric, "PixelPaddingValue": 10}
    one = valid_of(write_dicom(ramp, **padded))
    some = valid_of(write_dicom(ramp, PixelPaddingRangeLimit=4, **padded))
    assert one is not None
    assert some is not None
    assert np.array_equal(one, ramp != 10)
    assert np.array_equal(some, (ramp < 4) | (ramp > 10))


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"PixelPaddingValue": 5000},
        {"ShutterShape": "RECTANGULAR"},  # without edges
        {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [500, 500], "RadiusOfCircularShutter": 5},
        {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [1, 1, 2]},
        {"ShutterShape": "BITMAP"},
        {
            "CollimatorShape": "RECTANGULAR",  # in millimetres from the centre
            "CollimatorLeftVerticalEdge": -18,
            "CollimatorRightVerticalEdge": 18,
            "CollimatorUpperHorizontalEdge": 30,
            "CollimatorLowerHorizontalEdge": 60,
        },
    ],
)
def test_d17_an_outline_that_hides_nothing_or_everything_is_no_mask(
    write_dicom: Any, ramp: NDArray[np.uint16], elements: dict[str, Any]
) -> None:
    assert valid_of(write_dicom(ramp, **elements)) is None
