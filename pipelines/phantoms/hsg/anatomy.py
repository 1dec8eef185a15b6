"""Uterus and tubes of one woman, in mm around the internal os: a tilted triangle, and two curves in space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.phantoms.arrays import Floats
from pipelines.phantoms.hsg.case import Exam, Tube
from pipelines.phantoms.hsg.splat import Cloud, rotation

STATIONS = 420
SEED_MM = 0.35  # distance of the points of a cloud
FIMBRIA_FROM = 0.90  # share of a tube's length


@dataclass(frozen=True, slots=True, kw_only=True)
class TubeShape:
    """Centre line N3, radius N of the lumen in mm, share N of it that mucosal folds leave to contrast."""

    line_N3: Floats
    radius_N: Floats
    lumen_N: Floats
    phase: float

    @property
    def fimbria_3(self) -> Floats:
        """The tube's end."""
        end_3: Floats = self.line_N3[-1]
        return end_3


@dataclass(frozen=True, slots=True, kw_only=True)
class Uterus:
    """Cavity of `length` and half width `wide` in mm, of `depth` at its thickest; axes are columns of frame_33."""

    length: float
    wide: float
    depth: float
    dip: float
    waist: float
    frame_33: Floats
    tubes: tuple[TubeShape, TubeShape]

    def cornu(self, side: int) -> Floats:
        """Where a tube begins; side -1 is the patient's right, on the image's left."""
        corner_3: Floats = self.frame_33 @ np.array([side * self.wide, self.length, 0.0])
        return corner_3


def draw_uterus(rng: np.random.Generator, exam: Exam) -> Uterus:
    """Draw the anatomy; dilated tubes are shorter and wider at their end."""
    tilt = float(rng.choice([1, 1, 1, -1])) * rng.uniform(5, 55)  # anteverted, or retroverted
    frame_33 = rotation("z", rng.normal(0, 9)) @ rotation("x", tilt) @ rotation("y", rng.normal(0, 8))
    frame_33 = frame_33 @ np.diag([1.0, -1.0, 1.0])  # the cavity's own axis runs up
    length, wide = rng.uniform(32, 42), rng.uniform(15, 22)
    shape = {
        "length": float(length),
        "wide": float(wide),
        "depth": float(rng.uniform(3.5, 7.0)),
        "dip": float(rng.normal(0.02, 0.05) + (rng.uniform(0.1, 0.25) if rng.random() < 0.06 else 0)),
        "waist": float(rng.uniform(1.3, 2.1)),
    }
    tubes = []
    for side, tube in zip((-1, 1), exam.tubes, strict=True):
        corner_3 = frame_33 @ np.array([side * wide, length, 0.0])
        tubes.append(_draw_tube(rng, side, corner_3, tube))
    return Uterus(frame_33=frame_33, tubes=(tubes[0], tubes[1]), **shape)


def cavity(uterus: Uterus, fill: float, ball: tuple[float, float, float], bubbles_B3: Floats) -> Cloud:
    """Contrast in cavity and cervical canal.

    fill: 0 to 1, from the canal up to tense cornua; ball: place along the axis (mm), across (mm) and radius of
    a catheter's balloon, radius 0 for none; bubbles_B3: the same three numbers for air bubbles.
    """
    s_S, u_U = np.linspace(0, 1, 150), np.linspace(-1, 1, 111)
    s_SU, u_SU = np.meshgrid(s_S, u_U, indexing="ij")
    half_SU = 1.6 + (uterus.wide - 1.6) * s_SU**uterus.waist
    # the fundus is a little concave or convex; the cornua point up
    up_SU = uterus.length * s_SU * (1 - uterus.dip * s_SU**3 * (1 - u_SU**2) + 0.05 * s_SU**4 * u_SU**4)
    across_SU = half_SU * u_SU
    depth_SU = uterus.depth * np.maximum(1 - u_SU**2, 0) ** 0.6 * np.minimum(1, 5 * (1 - s_SU) + 0.3) ** 0.5
    # little contrast: the canal and the middle fill first, the cornua last
    reached_SU = np.clip((1.35 * fill - s_SU * (0.7 + 0.3 * u_SU**2)) * 5, 0, 1)
    depth_SU = depth_SU * reached_SU * (0.35 + 0.65 * fill)
    for along, beside, radius in (ball, *bubbles_B3):
        gap_SU = 1 - ((up_SU - along) ** 2 + (across_SU - beside) ** 2) / max(radius, 1e-6) ** 2
        depth_SU = np.maximum(depth_SU - 2 * radius * np.sqrt(np.maximum(gap_SU, 0)), 0)
    area_SU = half_SU * (u_U[1] - u_U[0]) * uterus.length * (s_S[1] - s_S[0])
    local_N3 = np.stack([across_SU.ravel(), up_SU.ravel(), np.zeros(s_SU.size)], axis=1)
    body = Cloud(local_N3 @ uterus.frame_33.T, (depth_SU * area_SU).ravel())
    return _joined(body, _canal(uterus, min(1.0, 3 * fill)))


def _canal(uterus: Uterus, fill: float) -> Cloud:
    """Cervical canal, 28 mm down from the internal os, with its folds; it follows the cavity's tilt by half."""
    t_T, u_U = np.linspace(0, 1, 110), np.linspace(-1, 1, 15)
    t_TU, u_TU = np.meshgrid(t_T, u_U, indexing="ij")
    radius_TU = 1.4 + 1.0 * np.sin(np.pi * t_TU) + 0.15 * np.sin(31 * t_TU + 4 * u_TU)
    axis_3 = -(uterus.frame_33[:, 1] + np.array([0.0, -1.0, 0.0])) / 2
    points_3N = axis_3[:, None, None] * 28 * t_TU + uterus.frame_33[:, 0][:, None, None] * radius_TU * u_TU
    volume_TU = 2 * radius_TU**2 * np.sqrt(1 - u_TU**2) * (u_U[1] - u_U[0]) * 28 * (t_T[1] - t_T[0])
    return Cloud(points_3N.reshape(3, -1).T, (fill * volume_TU).ravel())


def _draw_tube(rng: np.random.Generator, side: int, corner_3: Floats, tube: Tube) -> TubeShape:
    """Out of the cornu to the side, in waves, then down and back around the ovary."""
    length = rng.uniform(92, 122) * (0.85 if tube.dilated else 1)
    t_N = np.linspace(0, 1, STATIONS)
    waves, phase = rng.uniform(1.6, 3.2), rng.uniform(0, 2 * np.pi)
    bend = np.deg2rad(rng.uniform(90, 200)) / (1 + np.exp(-(t_N - rng.uniform(0.38, 0.62)) * 10))
    heading_N = np.deg2rad(rng.normal(18, 14)) - bend
    heading_N = heading_N + rng.uniform(0.5, 1.15) * np.minimum(4 * t_N, 1) * np.sin(
        2 * np.pi * waves * t_N + phase
    )
    heading_N = heading_N + rng.uniform(0.15, 0.5) * np.sin(2 * np.pi * 2.7 * waves * t_N + 2 * phase)
    depth_N = 0.55 * np.sin(2 * np.pi * (rng.uniform(0.5, 1.2) * t_N + rng.random())) - 0.35 * t_N
    flat_N = np.cos(np.arcsin(np.clip(depth_N, -0.95, 0.95)))
    step_N3 = np.stack([side * flat_N * np.cos(heading_N), -flat_N * np.sin(heading_N), depth_N], axis=1)
    line_N3 = corner_3 + np.cumsum(step_N3, axis=0) * (length / STATIONS)
    widest = rng.uniform(2.2, 4.2)
    # radius: interstitial, isthmus, ampulla, infundibulum; share of the length
    radius_N = np.interp(
        t_N,
        [0, 0.08, 0.12, 0.40, 0.60, 0.85, 1.0],
        [0.8, 0.45, 0.35, 0.45, 0.6 * widest, widest, 1.15 * widest],
    )
    lumen_N = np.interp(t_N, [0, 0.4, 0.6, 1.0], [1.0, 0.9, 0.42, 0.38])
    if tube.dilated:
        club = rng.uniform(6.0, 11.0)
        wide_N = np.interp(t_N, [0, 0.42, 0.62, 0.85, 0.97, 1.0], [0, 0, 0.55, 1.0, 0.75, 0.2])
        radius_N = np.maximum(radius_N, club * wide_N * (1 + 0.12 * np.sin(17 * t_N + phase)))
        lumen_N = np.where(wide_N > 0.2, 0.75, lumen_N)
    return TubeShape(line_N3=line_N3, radius_N=radius_N, lumen_N=lumen_N, phase=float(phase))


def lumen(shape: TubeShape, front: float) -> Cloud:
    """Contrast in a tube up to a share of its length, folds as lengthwise streaks in the ampulla."""
    filled = max(0, round(front * STATIONS))
    return _band(shape, slice(0, filled), folded=True) if filled > 1 else empty()


def body(shape: TubeShape, start: float, stop: float) -> Cloud:
    """The tube itself as a solid, from one share of its length to another: for the truth's masks."""
    return _band(shape, slice(round(start * STATIONS), round(stop * STATIONS)), folded=False)


def _band(shape: TubeShape, part: slice, folded: bool) -> Cloud:
    """Strips side by side along the line, each with the chord of a round lumen."""
    line_N3, radius_N = shape.line_N3[part], shape.radius_N[part]
    strips = max(5, int(2 * radius_N.max() / SEED_MM) | 1)
    u_U = (np.arange(strips) + 0.5) * (2 / strips) - 1
    tangent_N3 = np.gradient(line_N3, axis=0)
    step_N = np.linalg.norm(tangent_N3, axis=1)
    # strips lie across the line as the beam sees it
    normal_N3 = np.stack([-tangent_N3[:, 1], tangent_N3[:, 0], np.zeros(len(step_N))], axis=1)
    normal_N3 /= np.maximum(np.linalg.norm(normal_N3, axis=1, keepdims=True), 1e-6)
    points_NU3 = line_N3[:, None] + normal_N3[:, None] * (radius_N[:, None] * u_U)[..., None]
    volume_NU = 2 * radius_N[:, None] ** 2 * np.sqrt(1 - u_U**2) * (2 / strips) * step_N[:, None]
    if folded:
        wave_NU = np.sin(
            7 * u_U + 3 * np.sin(0.05 * np.arange(len(step_N)))[:, None] * (1 + u_U) + shape.phase
        )
        loose_N1 = 1 - shape.lumen_N[part][:, None]
        volume_NU = volume_NU * (1 - loose_N1 + 0.9 * loose_N1 * wave_NU * (loose_N1 > 0.3)).clip(0.05)
        if len(step_N) < STATIONS:  # the front thins out
            volume_NU = volume_NU * np.clip((len(step_N) - np.arange(len(step_N))) / 12, 0, 1)[:, None]
    return Cloud(points_NU3.reshape(-1, 3), volume_NU.ravel())


def empty() -> Cloud:
    """No contrast."""
    return Cloud(np.zeros((0, 3)), np.zeros(0))


def _joined(*clouds: Cloud) -> Cloud:
    return Cloud(np.concatenate([c.points_N3 for c in clouds]), np.concatenate([c.volume_N for c in clouds]))
