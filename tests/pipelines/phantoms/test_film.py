"""Laws of a rendered film: reproducible, seven regions, gray free of the outcome."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.phantoms.config import PhantomsConfig
from pipelines.phantoms.film import Film, render, subject_of


def _bright_bone(film: Film) -> np.ndarray:
    levels = film.pixels.astype(float) / (2**film.bits - 1)
    return 1 - levels if film.photometric == "MONOCHROME1" else levels


@pytest.mark.parametrize(
    ("population", "appearance"),
    [("adult", "clinic"), ("child", "random"), ("child", "clinic"), ("adult", "random")],
)
def test_the_same_subject_gives_the_same_bytes(population: str, appearance: str) -> None:
    config = PhantomsConfig(population=population, appearance=appearance, height=160, width=128)
    first, again = (render(subject_of(config, 4), 0, config) for _ in range(2))
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.truth_HW, again.truth_HW)
    other = render(subject_of(config, 5), 0, config)
    assert not np.array_equal(first.pixels, other.pixels)


def test_truth_has_the_seven_regions_of_a_complete_hand() -> None:
    config = PhantomsConfig(height=256, width=200)
    for number in range(12):
        subject = subject_of(config, number)
        if not subject.missing:
            assert set(np.unique(render(subject, 0, config).truth_HW)) == set(range(8)), number


def test_a_missing_bone_is_missing_in_the_truth() -> None:
    config = PhantomsConfig(subjects=600, height=160, width=128)
    subjects = [subject_of(config, number) for number in range(600)]
    for subject in [s for s in subjects if s.missing][:8]:
        present = set(np.unique(render(subject, 0, config).truth_HW))
        gone = {1, 2} if subject.missing == "forearm" else {subject.missing_label}
        assert present == set(range(8)) - gone, subject.missing


def test_pixels_keep_within_their_bits() -> None:
    for appearance in ("clinic", "random"):
        config = PhantomsConfig(appearance=appearance, height=128, width=100)
        for number in range(10):
            film = render(subject_of(config, number), 0, config)
            assert film.pixels.dtype == (np.uint8 if film.bits == 8 else np.uint16)
            assert film.pixels.max() < 2**film.bits
            assert film.pixels.shape == film.truth_HW.shape == (128, 100)


def test_bone_is_bright_once_polarity_is_settled() -> None:
    config = PhantomsConfig(height=160, width=128)
    kinds = set()
    for number in range(12):
        film = render(subject_of(config, number), 0, config)
        levels = _bright_bone(film)
        assert levels[film.truth_HW > 0].mean() > levels.mean()
        kinds.add(film.photometric)
    assert kinds == {"MONOCHROME1", "MONOCHROME2"}


def test_mean_gray_does_not_tell_the_t_score() -> None:
    config = PhantomsConfig(subjects=120, effect="demo", height=128, width=100, seed=11)
    films = [
        (subject_of(config, number), render(subject_of(config, number), 0, config)) for number in range(120)
    ]
    t_score = np.array([subject.health.t_score for subject, _ in films])
    whole = np.array([_bright_bone(film).mean() for _, film in films])
    bones = np.array([_bright_bone(film)[film.truth_HW > 0].mean() for _, film in films])
    # 120 subjects: |r| stays below .24 at 99 % where there is no relation
    assert abs(np.corrcoef(whole, t_score)[0, 1]) < 0.24
    assert abs(np.corrcoef(bones, t_score)[0, 1]) < 0.24


def test_right_hands_are_mirrored() -> None:
    config = PhantomsConfig(height=160, width=128)
    for number in range(8):
        subject = subject_of(config, number)
        if subject.missing == "ray":
            continue
        film = render(subject, 0, config)
        little, thumb = (np.nonzero(film.truth_HW == label)[1].mean() for label in (7, 3))
        assert (thumb > little) == (film.laterality == "L")
