"""How a hand lies on the film: a shape model of 37 landmarks, joints that bend, and the wrist's turn.

Landmarks (left hand, back of the hand up): 0-2 distal ulna, 3-5 distal radius, 6-12 carpals, 13-16 bases of
metacarpals 5, 4, 3, 2; 17-20 thumb from its base to its tip; 21-24, 25-28, 29-32, 33-36 heads, joints and
tips of rays 2 to 5. Coordinates are in units of the third metacarpal's length with its base as the origin.
hand_shape.json holds mean and 12 principal modes (per 1000 and standard deviation) of 895 landmark sets of
the Digital Hand Atlas.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np

from pipelines.phantoms.arrays import Floats

# per finger ray 2..5: landmark of the metacarpal's base, then head, joints and tip
RAYS = ((16, (21, 22, 23, 24)), (15, (25, 26, 27, 28)), (14, (29, 30, 31, 32)), (13, (33, 34, 35, 36)))
THUMB = (17, 18, 19, 20)
FOREARM = slice(0, 6)
PROXIMAL_CARPALS = slice(6, 9)
WRIST_CENTRE = np.array([0.0, 0.40])
# clinic poses vary more than the atlas' children, who were laid out with care
MODE_SPREAD = 1.25
LANDMARK_NOISE = 0.012


@cache
def _shape_model() -> tuple[Floats, Floats]:
    model = json.loads(Path(__file__).with_name("hand_shape.json").read_text())
    mean_372 = np.array(model["mean"], dtype=float).reshape(37, 2) / 1000
    return mean_372, np.array(model["modes"], dtype=float).reshape(-1, 37, 2) / 1000


def draw_landmarks(rng: np.random.Generator) -> Floats:
    """Draw a resting hand, 37x2."""
    mean_372, modes_M372 = _shape_model()
    weights_M = rng.normal(0, MODE_SPREAD, len(modes_M372))
    return mean_372 + np.tensordot(weights_M, modes_M372, 1) + rng.normal(0, LANDMARK_NOISE, mean_372.shape)


def turned(points_N2: Floats, centre_2: Floats, degrees: float) -> Floats:
    """Return the points turned about a centre."""
    angle = np.deg2rad(degrees)
    matrix_22 = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    moved_N2: Floats = (points_N2 - centre_2) @ matrix_22 + centre_2
    return moved_N2


def pose_hand(rng: np.random.Generator, landmarks_372: Floats, looseness: float) -> Floats:
    """Return the hand as it was laid down this time: fanned, bent, turned in the wrist, a little pronated.

    looseness: 1 for any pose at all, less where a radiographer arranged the hand.
    """
    hand = landmarks_372.copy()
    _fan_and_bend_fingers(rng, hand, looseness)
    _move_thumb(rng, hand, looseness)
    deviation = rng.normal(0, 9 * looseness)
    hand[PROXIMAL_CARPALS] = turned(hand[PROXIMAL_CARPALS], WRIST_CENTRE, 0.5 * deviation)
    hand[FOREARM] = turned(hand[FOREARM], WRIST_CENTRE, deviation) + rng.normal(0, 0.012, 2)
    return _pronated(hand, rng.normal(0, 8))


def _fan_and_bend_fingers(rng: np.random.Generator, hand: Floats, looseness: float) -> None:
    carpus = np.array([0.0, 0.25])
    fan = rng.normal(0.8, 2.5) * looseness
    for ray, (base, joints) in enumerate(RAYS):
        whole, finger = [base, *joints], list(joints)
        hand[whole] = turned(hand[whole], carpus, fan * (1 - ray) + rng.normal(0, 1.8 * looseness))
        hand[finger] = turned(
            hand[finger], hand[finger[0]], fan * (1.3 - ray) + rng.normal(0, 4.0 * looseness)
        )
        for joint in (1, 2):
            beyond = finger[joint:]
            hand[beyond] = turned(hand[beyond], hand[finger[joint]], rng.normal(0, 4.5 * looseness))
            if rng.random() < 0.15 * looseness:  # a flexed finger is foreshortened
                bone = hand[finger[joint]] - hand[finger[joint - 1]]
                hand[beyond] += bone * (rng.uniform(0.55, 1) - 1)


def _move_thumb(rng: np.random.Generator, hand: Floats, looseness: float) -> None:
    thumb = list(THUMB)
    spread = rng.normal(3, 13 * looseness) if rng.random() > 0.15 else rng.uniform(0, 45 * looseness)
    hand[thumb] = turned(hand[thumb], hand[thumb[0]], spread)
    for first in (1, 2):
        beyond = thumb[first:]
        hand[beyond] = turned(hand[beyond], hand[thumb[first]], rng.normal(0, 9 * looseness))
    hand[thumb] += rng.normal(0, 0.02, 2)


def _pronated(hand: Floats, degrees: float) -> Floats:
    """Turn about the long axis: the metacarpals lie on an arch, the thumb in front of the palm."""
    height = -0.30 * hand[:, 0] ** 2
    height[list(THUMB)] = -0.22 - 0.10 * np.arange(4)
    angle = np.deg2rad(degrees)
    posed = hand.copy()
    posed[:, 0] = hand[:, 0] * np.cos(angle) + (height - height[15]) * np.sin(angle)
    return posed
