"""Views: the same whatever the batch, full of bone, and resampled once with the right geometry."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp

from pipelines.pretraining import render as module
from pipelines.pretraining.multicrop import GRID, ViewDraws, draw_views
from pipelines.pretraining.render import render

SCALES_V2 = np.array([(0.14, 1.0)] * 2 + [(0.05, 0.14)] * 4, np.float32)


def bars(count: int, side: int, width: float = 0.15) -> tuple[np.ndarray, np.ndarray]:
    """Textured upright bars at different places, and their masks."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (count, side, side), dtype=np.uint8)
    masks = np.zeros((count, side, side), np.uint8)
    for number, centre in enumerate(rng.uniform(0.2, 0.8, count)):
        masks[number, :, round((centre - width / 2) * side) : round((centre + width / 2) * side)] = 1
    return images, masks


Crops = tuple[torch.Tensor, torch.Tensor]  # images and masks NSS in uint8


def crops_of(images: np.ndarray, masks: np.ndarray) -> Crops:
    return torch.from_numpy(images), torch.from_numpy(masks)


def draw(masks: np.ndarray, samples: np.ndarray, min_content: float = 0.1, **place: int) -> ViewDraws:
    return draw_views(masks, samples, place.get("seed", 5), place.get("epoch", 2), SCALES_V2, min_content)


def render_all(crops: Crops, draws: ViewDraws, size: int) -> torch.Tensor:
    views = render(*crops, torch.from_numpy(draws.affine_NV23), torch.from_numpy(draws.light_NV2), size)
    return views.unflatten(0, (len(SCALES_V2), -1)).transpose(0, 1)


def test_a_view_does_not_depend_on_its_batch() -> None:
    images, masks = bars(12, 96)
    whole = draw(masks, np.arange(12))
    part = draw(masks[[7, 2]], np.array([7, 2]))
    for name in ("affine_NV23", "light_NV2", "content_NV", "fell_back_NV"):
        assert np.array_equal(getattr(part, name), getattr(whole, name)[[7, 2]]), name
    seen, two = crops_of(images, masks), crops_of(images[[7, 2]], masks[[7, 2]])
    assert torch.equal(render_all(two, part, 32), render_all(seen, whole, 32)[[7, 2]])


@pytest.mark.parametrize("place", [{"seed": 6}, {"epoch": 3}])
def test_another_place_gives_other_views(place: dict[str, int]) -> None:
    _, masks = bars(4, 64)
    first, other = draw(masks, np.arange(4)), draw(masks, np.arange(4), **place)
    assert not np.isclose(first.affine_NV23, other.affine_NV23).all(axis=(2, 3)).any()
    assert len(np.unique(first.light_NV2[..., 0])) == 4 * len(SCALES_V2)


def test_content_aware_views_hold_bone_and_conventional_ones_need_not() -> None:
    images, masks = bars(100, 96)
    crops = crops_of(np.full_like(images, 255), masks)
    aware, conventional = draw(masks, np.arange(100)), draw(masks, np.arange(100), min_content=0.0)
    assert not aware.fell_back_NV.any()
    assert aware.content_NV.min() >= 0.1
    rendered = (render_all(crops, aware, 48) > 0).float().mean((2, 3, 4)).numpy()
    # the grid's cells are counted, but pixels are rendered: shares may differ by a strip at the mask's edge
    assert np.abs(rendered - aware.content_NV).max() < 0.1
    assert np.quantile(rendered, 0.01) > 0.08
    assert (conventional.content_NV[:, 2:] < 0.1).mean() > 0.3
    kept = conventional.content_NV >= 0.1
    assert np.array_equal(aware.affine_NV23[kept], conventional.affine_NV23[kept])  # the first that will do


def naive_views(mask_SS: np.ndarray, scale: tuple[float, float], count: int, seed: int) -> np.ndarray:
    """Content, side and height of the middle of views by a loop that draws boxes until one has enough bone."""
    rng, size = np.random.default_rng(seed), len(mask_SS)
    found = []
    for _ in range(count):
        turned = cv2.getRotationMatrix2D(((size - 1) / 2,) * 2, rng.uniform(-30, 30), 1)
        turned[:, 2] += rng.uniform(-0.1, 0.1, 2) * size
        seen_SS = cv2.warpAffine(mask_SS, turned, (size, size), flags=cv2.INTER_NEAREST)
        while True:
            side = np.sqrt(rng.uniform(*scale))
            x, y = rng.uniform(0, 1 - side, 2)
            box = seen_SS[
                round(y * size) : round((y + side) * size), round(x * size) : round((x + side) * size)
            ]
            if box.mean() >= 0.1:
                break
        found.append((box.mean(), side))
    return np.array(found)


@pytest.mark.parametrize(("view", "scale"), [(0, (0.14, 1.0)), (5, (0.05, 0.14))])
def test_content_is_distributed_as_by_the_naive_loop(view: int, scale: tuple[float, float]) -> None:
    _, masks = bars(1, 192, width=0.12)
    draws = draw(np.repeat(masks, 1500, 0), np.arange(1500))
    naive = naive_views(masks[0], scale, 1500, seed=1)
    side = np.sqrt(np.abs(np.linalg.det(draws.affine_NV23[:, view, :, :2])))
    assert ks_2samp(draws.content_NV[:, view], naive[:, 0]).pvalue > 0.01
    # sides are whole cells of the grid: the naive ones are rounded alike
    assert ks_2samp(side, np.rint(naive[:, 1] * GRID) / GRID).pvalue > 0.01
    conventional = draw(np.repeat(masks, 1500, 0), np.arange(1500), min_content=0.0)
    assert ks_2samp(conventional.content_NV[:, view], naive[:, 0]).pvalue < 1e-6


def test_without_enough_bone_the_fullest_candidate_is_taken_and_counted() -> None:
    masks = np.zeros((20, 96, 96), np.uint8)
    masks[:, 46:50, 46:50] = 1
    draws = draw(masks, np.arange(20), min_content=0.9)
    assert draws.fell_back_NV.all()
    any_view = draw(masks, np.arange(20), min_content=0.0)
    assert (draws.content_NV >= any_view.content_NV).all()
    assert (draws.content_NV > 0).all()
    assert not any_view.fell_back_NV.any()


def test_draws_stay_within_the_papers_ranges() -> None:
    _, masks = bars(300, 64)
    draws = draw(masks, np.arange(300), min_content=0.0)
    linear, offset = draws.affine_NV23[..., :2], draws.affine_NV23[..., 2]
    side = np.sqrt(np.abs(np.linalg.det(linear)))
    area = side**2
    tolerance = 2 / GRID
    assert (area[:, :2] > 0.14 - tolerance).all() and (area <= 1 + 1e-5).all()
    assert (area[:, 2:] < 0.14 + tolerance).all() and (area[:, 2:] > 0.05 - tolerance).all()
    flips = np.sign(np.linalg.det(linear))
    assert 0.4 < (flips > 0).mean() < 0.6
    upright = linear * np.sign(linear[..., [0], [0]])[..., None]
    angle = np.degrees(np.arctan2(upright[..., 1, 0], upright[..., 0, 0]))
    assert -30 <= angle.min() < -28 and 28 < angle.max() <= 30
    assert 0.5 <= draws.light_NV2.min() < 0.52 and 1.48 < draws.light_NV2.max() <= 1.5
    assert np.abs(offset).max() < np.sqrt(2) * (1 + 0.2)


def test_no_change_gives_the_masked_crop_and_a_shift_moves_it() -> None:
    images, masks = bars(3, 40)
    crops = crops_of(images, masks)
    affine = torch.eye(2, 3).expand(3, 1, 2, 3).clone()
    light = torch.ones(3, 1, 2)
    masked = (crops[0] / 255 * crops[1])[:, None]
    torch.testing.assert_close(render(*crops, affine, light, 40), masked, atol=1e-5, rtol=0)
    affine[..., 0, 2] = 2 * 3 / 40
    moved = render(*crops, affine, light, 40)
    torch.testing.assert_close(moved[..., :-3], masked[..., 3:], atol=1e-4, rtol=0)
    assert (moved[..., -3:] == 0).all()


def test_a_gpu_would_render_the_same() -> None:
    images, masks = bars(6, 96)
    crops, draws = crops_of(images, masks), draw(masks, np.arange(6))
    numbers = torch.from_numpy(draws.affine_NV23), torch.from_numpy(draws.light_NV2)
    for size in (64, 33):
        expected = module._at_once(*crops, *numbers, size)
        differs = (render(*crops, *numbers, size) - expected).abs() > 1e-3
        assert differs.float().mean() < 1e-4  # where a mask is half there, rounding decides


def test_brightness_scales_and_contrast_stretches_about_the_bones_mean() -> None:
    images, masks = bars(2, 40)
    crops = crops_of(images, masks)
    affine = torch.eye(2, 3).expand(2, 1, 2, 3)
    seen = render(*crops, affine, torch.tensor([0.5, 1.5]).expand(2, 1, 2), 40)
    for number in range(2):
        bone = crops[1][number] > 0
        plain = crops[0][number][bone] / 255 * 0.5
        expected = (plain - plain.mean()) * 1.5 + plain.mean()
        torch.testing.assert_close(seen[number, 0][bone], expected, atol=1e-5, rtol=0)
        assert (seen[number, 0][~bone] == 0).all()


def test_mixed_precision_does_not_move_pixels() -> None:
    images, masks = bars(2, 64)
    draws = draw(masks, np.arange(2))
    drawn = (*crops_of(images, masks), torch.from_numpy(draws.affine_NV23), torch.from_numpy(draws.light_NV2))
    plain = module._at_once(*drawn, 32)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(module._at_once(*drawn, 32), plain)
