"""The geometry on the film is the geometry that the oracle knows."""

from __future__ import annotations

import numpy as np

from pipelines.phantoms.bones import Bone
from pipelines.phantoms.config import PhantomsConfig
from pipelines.phantoms.film import subject_of
from pipelines.phantoms.hand import Hand, make_hand
from pipelines.phantoms.profiles import T_K
from pipelines.phantoms.streams import Stream, stream

CONFIG = PhantomsConfig(effect="demo", seed=9)
MID_SHAFT = (T_K > 0.44) & (T_K < 0.56)


def _hand(number: int, order: int = 0) -> Hand:
    pose = stream(CONFIG.seed, number, order, Stream.POSE)
    return make_hand(subject_of(CONFIG, number), pose, stream(CONFIG.seed, number, 0, Stream.ANATOMY), 0.5)


def _measured_index(bone: Bone) -> float:
    outer, inner = bone.outer_K2[MID_SHAFT].sum(), bone.inner_K2[MID_SHAFT].sum()
    return float(1 - inner / outer)


def test_metacarpals_have_the_subjects_cortical_index() -> None:
    planned, measured = [], []
    for number in range(60):
        bones = [bone for bone in _hand(number).bones if bone.label > 2]
        planned.append(subject_of(CONFIG, number).health.cortical_index)
        measured.append(np.mean([_measured_index(bone) for bone in bones]))
    assert np.corrcoef(planned, measured)[0, 1] > 0.97
    assert abs(np.mean(measured) - np.mean(planned)) < 0.02


def test_endosteal_thinning_leaves_the_outline_alone() -> None:
    thin, thick = (PhantomsConfig(effect=effect, seed=9) for effect in ("null", "demo"))
    outlines = []
    for config in (thin, thick):
        pose, anatomy = (stream(config.seed, 2, 0, kind) for kind in (Stream.POSE, Stream.ANATOMY))
        bones = make_hand(subject_of(config, 2), pose, anatomy, 0.5).bones
        outlines.append(np.stack([bone.outer_K2 for bone in bones]))
    np.testing.assert_array_equal(*outlines)


def test_two_films_of_a_subject_show_the_same_bones_in_another_pose() -> None:
    first, second = _hand(1, order=0), _hand(1, order=1)
    lengths = [[bone.length_mm for bone in hand.bones if bone.label == 5] for hand in (first, second)]
    np.testing.assert_allclose(*lengths, rtol=0.06)
    assert not np.allclose(first.landmarks_372, second.landmarks_372)


def test_a_hand_has_its_bones_and_carpals() -> None:
    hand = _hand(1)
    assert sorted(bone.label for bone in hand.bones if bone.label) == [1, 2, 3, 4, 5, 6, 7]
    assert sum(bone.label == 0 for bone in hand.bones) == 14
    assert len(hand.carpals) >= 8
