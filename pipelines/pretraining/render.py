"""Views of bones from their numbers (`multicrop.draw_views`), on whatever device the crops are.

One bilinear resampling for all of the geometry, then brightness and contrast, and the Hadamard product with the mask.
A view depends on its numbers and its crop alone. Names as in `multicrop`.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.pretraining.multicrop import in_pixels


def render(
    images_NSS: Tensor, masks_NSS: Tensor, affine_NV23: Tensor, light_NV2: Tensor, size: int
) -> Tensor:
    """Views (V * N, 1, size, size) of crops in uint8, white 1; nonzero in a mask is bone; views outermost.

    Brightness scales; contrast stretches about the mean inside the mask. Outside the mask a view is 0. Values
    may pass 1: clipping them, as screens do, would only lose texture.
    """
    way = _on_cpu if images_NSS.device.type == "cpu" else _at_once
    return way(images_NSS, masks_NSS, affine_NV23, light_NV2, size)


def _at_once(
    images_NSS: Tensor, masks_NSS: Tensor, affine_NV23: Tensor, light_NV2: Tensor, size: int
) -> Tensor:
    """A view of all crops at a time."""
    crops_N2SS = torch.stack((images_NSS / 255, (masks_NSS > 0).float()), dim=1)
    num_crops, num_views = affine_NV23.shape[:2]
    views_VN1TT = crops_N2SS.new_empty((num_views, num_crops, 1, size, size))
    for view in range(num_views):
        views_VN1TT[view] = _lit(_sampled(crops_N2SS, affine_NV23[:, view], size), light_NV2[:, view])
    return views_VN1TT.flatten(0, 1)


def _sampled(crops_N2SS: Tensor, affine_N23: Tensor, size: int) -> Tensor:
    """One view of each crop and its mask, N2TT; 0 around the crop."""
    centre_T = (2 * torch.arange(size, device=crops_N2SS.device, dtype=torch.float32) + 1) / size - 1
    a_N1123 = affine_N23[:, None, None]
    # written out: autocast would round a matrix product to bfloat16, which moves places by a pixel
    x_N1T2 = a_N1123[..., 0] * centre_T[None, None, :, None]
    y_NT12 = a_N1123[..., 1] * centre_T[None, :, None, None] + a_N1123[..., 2]
    return F.grid_sample(crops_N2SS, x_N1T2 + y_NT12, align_corners=False)


def _on_cpu(
    images_NSS: Tensor, masks_NSS: Tensor, affine_NV23: Tensor, light_NV2: Tensor, size: int
) -> Tensor:
    """All views of a crop at a time, in places that stay in the cache; by OpenCV, there the faster one."""
    num_crops, num_views = affine_NV23.shape[:2]
    pixel_NV23 = in_pixels(affine_NV23.numpy(), size, images_NSS.shape[-1])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    views_VN1TT = torch.empty((num_views, num_crops, 1, size, size), dtype=torch.float32)
    seen_V2TT = torch.empty((num_views, 2, size, size), dtype=torch.float32)
    crop_2SS = np.empty((2, *images_NSS.shape[1:]), np.float32)
    for n, (image_SS, mask_SS) in enumerate(zip(images_NSS.numpy(), masks_NSS.numpy(), strict=True)):
        np.divide(image_SS, np.float32(255), out=crop_2SS[0])
        np.greater(mask_SS, 0, out=crop_2SS[1])
        for view, channel in np.ndindex(num_views, 2):
            seen_TT = seen_V2TT[view, channel].numpy()
            cv2.warpAffine(crop_2SS[channel], pixel_NV23[n, view], (size, size), dst=seen_TT, flags=flags)
        views_VN1TT[:, n] = _lit(seen_V2TT, light_NV2[n])
    return views_VN1TT.flatten(0, 1)


def _lit(seen_N2TT: Tensor, light_N2: Tensor) -> Tensor:
    """The views N1TT in their light, 0 outside the mask; what was seen is used up."""
    mask_N1TT = seen_N2TT[:, 1:].ge_(0.5)
    image_N1TT = seen_N2TT[:, :1].mul_(mask_N1TT)
    area_N111 = mask_N1TT.sum((2, 3), keepdim=True).clamp(min=1)
    mean_N111 = image_N1TT.sum((2, 3), keepdim=True) / area_N111
    brightness_N111, contrast_N111 = light_N2[:, :, None, None, None].unbind(1)
    image_N1TT *= brightness_N111 * contrast_N111
    return image_N1TT.addcmul_(mask_N1TT, brightness_N111 * (1 - contrast_N111) * mean_N111)
