"""Contrast outside cavity and tubes: streaks between bowel loops, pockets, veins, what runs back."""

from __future__ import annotations

import numpy as np

from pipelines.phantoms.arrays import Floats
from pipelines.phantoms.hsg.anatomy import Uterus, empty
from pipelines.phantoms.hsg.splat import Cloud, rotation

LOOPS, ARCS = 10, 60


def free_spill(
    rng: np.random.Generator, fimbria_3: Floats, other_3: Floats, amount: float, crosses: float
) -> Cloud:
    """Comma-like streaks along bowel loops around the fimbria; they spread and thin as the amount grows.

    crosses: share of the streaks that lie along the way to the other side. The same generator gives the same
    loops, so that streaks grow from frame to frame.
    """
    if amount <= 0:
        return empty()
    reach = 10 + 26 * amount**0.7
    centres_L3 = fimbria_3 + rng.normal(0, 1, (LOOPS, 3)) * np.array([0.9, 0.8, 0.6]) * reach
    centres_L3[:, 1] += rng.uniform(0, 10, LOOPS)  # downwards, to the pouch
    along_L = rng.uniform(0.35, 1.15, LOOPS) * (rng.random(LOOPS) < crosses)
    centres_L3 += along_L[:, None] * (other_3 - fimbria_3) + (along_L > 0)[:, None] * np.array([0, 8.0, -8.0])
    radius_L = rng.uniform(7, 17, LOOPS)
    streaks = []
    for _ in range(ARCS):
        loop = int(rng.integers(LOOPS))
        start, turn = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.8)
        thick, born = rng.uniform(0.5, 2.2), rng.random()
        ripple = rng.normal(0, 0.12, 3)
        grown = np.clip((amount * 1.4 - born) * 3, 0, 1)
        if grown > 0:
            thin = 1.25 * thick * grown / (1 + 0.4 * amount)
            streaks.append(_comma(centres_L3[loop], radius_L[loop], start, turn * grown, thin, ripple))
    if not streaks:
        return empty()
    return Cloud(
        np.concatenate([s.points_N3 for s in streaks]), np.concatenate([s.volume_N for s in streaks])
    )


def _comma(
    centre_3: Floats, radius: float, start: float, turn: float, thick: float, ripple_3: Floats
) -> Cloud:
    """A crescent on a circle: thick at its head, thinning to its tail."""
    t_T, u_U = np.linspace(0, 1, 60), np.linspace(-0.9, 0.9, 9)
    t_TU, u_TU = np.meshgrid(t_T, u_U, indexing="ij")
    width_TU = 0.5 + 2.2 * thick * (1 - t_TU) ** 0.7 * np.minimum(1, 8 * t_TU)
    from_centre_TU = radius * (1 + ripple_3[0] * np.sin(3 * turn * t_TU + 9 * ripple_3[1])) + u_TU * width_TU
    angle_TU = start + turn * t_TU
    offset_3N = np.stack(
        [
            from_centre_TU * np.cos(angle_TU),
            0.75 * from_centre_TU * np.sin(angle_TU),
            np.zeros_like(t_TU) + 10 * ripple_3[2],
        ]
    )
    volume_TU = 0.38 * thick * (1 - u_TU**2) * width_TU * (u_U[1] - u_U[0]) * radius * abs(turn) / len(t_T)
    return Cloud(centre_3 + offset_3N.reshape(3, -1).T, volume_TU.ravel())


def pocket(rng: np.random.Generator, fimbria_3: Floats, amount: float) -> Cloud:
    """Loculated spill: a smooth pool that adhesions hold around the fimbria, brighter at its rim."""
    if amount <= 0:
        return empty()
    size = rng.uniform(9, 15) * min(1.0, amount / 0.3) ** 0.4
    a_A, r_R = np.linspace(0, 2 * np.pi, 120, endpoint=False), np.linspace(0.02, 1, 40)
    a_AR, r_AR = np.meshgrid(a_A, r_R, indexing="ij")
    lobes = 1 + 0.22 * np.sin(2 * a_AR + rng.uniform(0, 6)) + 0.12 * np.sin(3 * a_AR + rng.uniform(0, 6))
    offset_3N = np.stack(
        [size * r_AR * lobes * np.cos(a_AR), 0.8 * size * r_AR * lobes * np.sin(a_AR), 0 * a_AR]
    )
    away_3 = np.array([np.sign(fimbria_3[0]) * 0.3 * size, 0.5 * size, 0])
    depth_AR = rng.uniform(1.5, 3.2) * min(1.0, amount / 0.3) * (0.35 + 0.65 * r_AR**3)
    volume_AR = depth_AR * 0.8 * size**2 * lobes**2 * r_AR * (2 * np.pi / len(a_A)) / len(r_R)
    return Cloud(fimbria_3 + away_3 + offset_3N.reshape(3, -1).T, volume_AR.ravel())


def veins(rng: np.random.Generator, uterus: Uterus, amount: float) -> Cloud:
    """Intravasation: a net in the wall and thin vessels to the side that may pass for a tube."""
    if amount <= 0:
        return empty()
    side = int(rng.choice([-1, 1]))
    lines = []
    for number in range(9):
        begin_3 = uterus.frame_33 @ np.array(
            [
                side * rng.uniform(0.5, 1.1) * uterus.wide,
                rng.uniform(0.4, 1.05) * uterus.length,
                rng.normal(0, 4),
            ]
        )
        length = rng.uniform(55, 95) if number < 2 else rng.uniform(10, 28)
        t_N = np.linspace(0, 1, 160)
        heading_N = rng.uniform(-0.5, 0.9) + 0.5 * np.sin(
            2 * np.pi * (rng.uniform(0.6, 1.6) * t_N + rng.random())
        )
        step_N3 = np.stack([side * np.cos(heading_N), -np.sin(heading_N), 0.2 * np.cos(5 * t_N)], axis=1)
        line_N3 = begin_3 + np.cumsum(step_N3, axis=0) * length / len(t_N)
        radius = rng.uniform(0.5, 0.9) * (1 - 0.5 * t_N)
        shown = t_N < amount * rng.uniform(0.8, 1.3)
        lines.append(Cloud(line_N3[shown], (np.pi * radius**2 * length / len(t_N))[shown]))
    return Cloud(np.concatenate([v.points_N3 for v in lines]), np.concatenate([v.volume_N for v in lines]))


def reflux(rng: np.random.Generator, uterus: Uterus, amount: float) -> Cloud:
    """Contrast that runs back into the vagina: a ragged pool around the cannula."""
    if amount <= 0:
        return empty()
    count = 2600
    axis_3 = -(uterus.frame_33[:, 1] + np.array([0.0, -1.0, 0.0])) / 2
    middle_3 = axis_3 * 28 + np.array([rng.normal(0, 4), 7.0, 0.0])
    spread = np.array([7 + 9 * amount, 4 + 6 * amount, 3])
    points_N3 = rng.normal(0, 1, (count, 3)) * spread
    # folds of the vagina: layers across
    points_N3[:, 1] += 1.5 * np.sin(points_N3[:, 0] / 2.2)
    points_N3 = points_N3 @ rotation("z", rng.normal(0, 20)).T + middle_3
    return Cloud(points_N3, np.full(count, 900 * amount / count))
