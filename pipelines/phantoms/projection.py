"""Ray paths through the skeleton: how many mm of cortex, spongiosa and marrow lie on every pixel's ray."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from pipelines.phantoms.arrays import Floats, Labels
from pipelines.phantoms.bones import Bone
from pipelines.phantoms.camera import Camera
from pipelines.phantoms.effects import BoneHealth
from pipelines.phantoms.profiles import STATIONS

Window = tuple[slice, slice]
TEXTURE_SIZE = 256
ROUGHNESS_MM = 0.45


@dataclass(slots=True)
class Canvas:
    """What projection fills in, all HxW.

    cortex_mm, spongiosa_mm, marrow_mm: path lengths; truth: class of the bone in which a pixel lies deepest;
    depth_px: that depth; ends: 1 near the ends of an annotated bone; cover: bones on the ray.
    """

    cortex_mm: Floats
    spongiosa_mm: Floats
    marrow_mm: Floats
    truth: Labels
    depth_px: Floats
    ends: Floats
    cover: Labels

    @staticmethod
    def blank(height: int, width: int) -> Canvas:
        """Return an empty canvas."""
        planes = [np.zeros((height, width), np.float32) for _ in range(5)]
        truth, cover = (np.zeros((height, width), np.uint8) for _ in range(2))
        cortex, spongiosa, marrow, depth, ends = planes
        return Canvas(cortex, spongiosa, marrow, truth, depth, ends, cover)


@cache
def trabecular_tile() -> Floats:
    """Return a periodic tile of zero mean and unit variance: fine plates over coarser clusters."""
    fine = np.random.default_rng(0).standard_normal((TEXTURE_SIZE, TEXTURE_SIZE)).astype(np.float32)
    middle = slice(TEXTURE_SIZE, 2 * TEXTURE_SIZE)
    layers = [cv2.GaussianBlur(np.tile(fine, (3, 3)), (0, 0), sigma)[middle, middle] for sigma in (1.2, 3.5)]
    tile = layers[0] / layers[0].std() + 0.6 * layers[1] / layers[1].std()
    return np.ascontiguousarray(tile / tile.std())


def window_around(points_px: Floats, margin: float, shape: tuple[int, ...]) -> Window | None:
    """Rows and columns around the points, or None where they miss the film."""
    x0, y0 = np.maximum(np.floor(points_px.min(0) - margin), 0).astype(int)
    x1, y1 = np.ceil(points_px.max(0) + margin).astype(int) + 1
    y1, x1 = min(int(y1), shape[0]), min(int(x1), shape[1])
    return None if x1 <= x0 or y1 <= y0 else (slice(int(y0), y1), slice(int(x0), x1))


def project_bone(canvas: Canvas, bone: Bone, camera: Camera, health: BoneHealth) -> None:
    """Add one tubular bone to the canvas."""
    start, end = camera.project(bone.axis_22)
    scale, length_mm = camera.pixels_per_mm, bone.length_mm
    length_px = float(np.hypot(*(end - start)))
    margin = float(bone.outer_K2.max()) * scale + abs(bone.bow) * length_px + 3
    window = window_around(np.stack([start, end]), margin, canvas.truth.shape)
    if window is None or length_px < 2:
        return
    along = (end - start) / length_px
    radial = camera.handedness * np.array([-along[1], along[0]])
    y, x = np.mgrid[window].astype(np.float32)
    x, y = x - np.float32(start[0]), y - np.float32(start[1])
    t = (x * np.float32(along[0]) + y * np.float32(along[1])) / np.float32(length_px)
    u_mm = (x * np.float32(radial[0]) + y * np.float32(radial[1])) / np.float32(scale)
    t, u_mm = _bent(bone, t, u_mm, length_mm)
    _add_paths(canvas, bone, window, t, u_mm, scale, health)


def _bent(bone: Bone, t: Floats, u_mm: Floats, length_mm: float) -> tuple[Floats, Floats]:
    """Undo bow, oblique ends and the doming of the growth plate."""
    if bone.bow:
        u_mm = u_mm - np.float32(bone.bow * length_mm * 4) * t * (1 - t)
    proximal, distal = bone.tilt_2
    if proximal or distal:
        slope = np.where(t < 0.5, proximal * (1 - 2 * t), distal * (2 * t - 1))
        t = t - slope * u_mm / np.float32(length_mm)
    if bone.plate_curve:
        near = np.exp(-(((t - bone.plate_at) / 0.05) ** 2))
        t = t - bone.plate_curve * near * (u_mm / bone.outer_K2.max()) ** 2
    return t.astype(np.float32), u_mm.astype(np.float32)


def _add_paths(
    canvas: Canvas, bone: Bone, window: Window, t: Floats, u_mm: Floats, scale: float, health: BoneHealth
) -> None:
    station, row = t * (STATIONS - 1), np.zeros_like(t)
    outline_K4 = np.concatenate([bone.outer_K2, bone.inner_K2], axis=1)
    outer_r, outer_u, inner_r, inner_u = _looked_up(outline_K4, station, row, cv2.BORDER_CONSTANT)
    filling_K2 = np.stack([bone.solid_K, bone.spongy_K], axis=1)
    solid, spongy = _looked_up(filling_K2, station, row, cv2.BORDER_REPLICATE)
    radial_side, distance = u_mm > 0, np.abs(u_mm)
    outer: Floats = np.where(radial_side, outer_r, outer_u)
    inner: Floats = np.where(radial_side, inner_r, inner_u)
    depth_px = (outer - distance) * scale
    mineral = np.clip(depth_px + 0.5, 0, 1) * (outer > 0) * solid * bone.density
    chord = bone.depth_ratio * (outer_r + outer_u) * _arc(distance, outer)
    cavity = np.minimum(bone.depth_ratio * (inner_r + inner_u) * _arc(distance, inner), chord)
    plates, streaks = _texture(bone, t * np.float32(bone.length_mm), u_mm, health)
    canvas.cortex_mm[window] += (chord - cavity) * mineral * (1 - health.porosity * (1 + 0.8 * streaks))
    # many trabeculae on one ray average out
    rough = np.maximum(cavity + ROUGHNESS_MM * plates * np.sqrt(cavity), 0)
    canvas.spongiosa_mm[window] += rough * spongy * mineral * health.trabecular_density
    canvas.marrow_mm[window] += cavity * (1 - spongy) * mineral
    canvas.cover[window] += depth_px > 0
    if bone.label:
        _add_truth(canvas, bone, window, t, depth_px)


def _looked_up(table_KC: Floats, station: Floats, row: Floats, border: int) -> list[Floats]:
    """Interpolate every column of a table at the pixels' stations; a constant border is 0."""
    table = np.ascontiguousarray(table_KC[None], np.float32)
    found = cv2.remap(table, station, row, cv2.INTER_LINEAR, borderMode=border)
    columns: list[Floats] = list(cv2.split(found))
    return columns


def _arc(distance: Floats, half_width: Floats) -> Floats:
    """Height of the unit ellipse at a relative distance from its axis."""
    relative = np.minimum(distance / np.maximum(half_width, 0.01), 1)
    height: Floats = np.sqrt(1 - relative * relative)
    return height


def _texture(bone: Bone, along_mm: Floats, across_mm: Floats, health: BoneHealth) -> tuple[Floats, Floats]:
    """Trabeculae and intracortical streaks at positions in the bone, stretched along its axis."""
    tile, (x, y) = trabecular_tile(), bone.texture_at_2

    def sampled(across_per_mm: float, along_per_mm: float) -> Floats:
        columns = across_mm * np.float32(across_per_mm) + np.float32(x)
        rows = along_mm * np.float32(along_per_mm) + np.float32(y)
        texture: Floats = cv2.remap(tile, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        return texture

    pitch = 6 / health.trabecular_spacing_mm
    return sampled(1.3 * pitch, 0.45 * pitch), sampled(9.0, 1.2)


def _add_truth(canvas: Canvas, bone: Bone, window: Window, t: Floats, depth_px: Floats) -> None:
    deepest = depth_px > np.maximum(canvas.depth_px[window], 0)
    canvas.truth[window][deepest] = bone.label
    canvas.depth_px[window][deepest] = depth_px[deepest]
    # forearm bones end at the wrist alone; the other end lies off the film
    reach = np.maximum(t - 0.82, 0.22 - t if bone.label > 2 else t - 0.86)
    near = (depth_px > -4) * np.clip(reach * 12, 0, 1)
    canvas.ends[window] = np.maximum(canvas.ends[window], near)
