"""U-Net with K stochastic experts and a router: one film in, a weighted set of N = K * S label maps out.

Expert k draws a code z ~ N(mu_k, sigma_k^2 I) and reads the decoder's features u through it,
(1 + W_s z) * (u + W_b z), then through three 1x1 convolutions that all experts share; the router weighs the
experts from the deepest features. Hwang, Lee and Yoon, section 3.1.2; MoSE, https://arxiv.org/abs/2212.07328.
The paper's scale W_s z has no 1: an expert whose mean is near 0 would start without features.

Names: B films, K experts, S codes per expert, N = K * S, L size of a code, F features, C classes, P pixels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines.segmentation.unet import STEM, UNet

NUM_CHANNELS = 2  # of an input: stretched gray values and the same after local equalisation
PHASES = STEM**2


class SampledLogits(NamedTuple):
    """What the model gives for a batch; sample n belongs to expert n // S and weighs pi[n // S] / S."""

    logits_BNCHW: Tensor
    """Class scores; HW is the film's size, or half of it where one phase was asked for."""
    log_pi_BK: Tensor
    """Log weights of the experts, float32."""
    coarse: tuple[Tensor, ...] = ()
    """Class scores (B, C, h, w) read off every coarser level, in training only."""

    @property
    def alpha_BN(self) -> Tensor:
        """The weight of each sample."""
        samples = self.logits_BNCHW.shape[1] // self.log_pi_BK.shape[1]
        return self.log_pi_BK.exp().repeat_interleave(samples, dim=1) / samples


class SharedHead(nn.Module):
    """(1 + W_s z) * (u + W_b z) and three 1x1 convolutions: three matrix products for all codes of a film."""

    def __init__(self, num_features: int, num_hidden: int, num_classes: int, latent: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.scale = nn.Linear(latent, num_features, bias=False)
        self.shift = nn.Linear(latent, num_features, bias=False)
        self.first = nn.Linear(num_features, num_hidden)
        self.second = nn.Linear(num_hidden, num_hidden)
        self.last = nn.Linear(num_hidden, num_classes)
        self.phase = nn.Parameter(torch.zeros(PHASES, num_classes, num_hidden))  # added to last per phase
        for layer in (self.first, self.second, self.last):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def forward(self, features_BFHW: Tensor, code_BNL: Tensor, phase: int | None) -> Tensor:
        """Logits (B, N, C, H, W) of one phase of the pixel grid, or (B, N, C, 2H, 2W) of all four."""
        batch, _, height, width = features_BFHW.shape
        num = code_BNL.shape[1]
        features_BFP = features_BFHW.contiguous().flatten(2)
        scale_BNF, shift_BNF = 1 + self.scale(code_BNL), self.shift(code_BNL)
        # The scale and the shift are folded into the first convolution: (B, N, hidden, F) and (B, N, hidden).
        weight = self.first.weight * scale_BNF[:, :, None]
        bias = F.linear(scale_BNF * shift_BNF, self.first.weight, self.first.bias)
        hidden = torch.baddbmm(
            bias.flatten(1)[..., None].to(features_BFP.dtype),
            weight.flatten(1, 2).to(features_BFP.dtype),
            features_BFP,
        ).relu_()
        hidden = hidden.view(batch * num, -1, height * width)
        hidden = _conv1(hidden, self.second.weight, self.second.bias).relu_()
        if phase is not None:
            logits = _conv1(hidden, self.last.weight + self.phase[phase], self.last.bias)
            return logits.view(batch, num, self.num_classes, height, width)
        every_phase = (self.last.weight + self.phase).flatten(0, 1)
        logits = _conv1(hidden, every_phase, self.last.bias.repeat(PHASES))
        logits = logits.view(batch * num, PHASES, self.num_classes, height, width).transpose(1, 2)
        whole = F.pixel_shuffle(logits.flatten(1, 2), STEM)
        return whole.view(batch, num, self.num_classes, STEM * height, STEM * width)


def _conv1(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """1x1 convolution of (X, in, P); as a batched product it is several times faster on a CPU than conv1d."""
    return torch.baddbmm(
        bias[None, :, None].to(maps.dtype), weight.to(maps.dtype).expand(len(maps), -1, -1), maps
    )


class ExpertSegmenter(nn.Module):
    """The whole model: U-Net, codes, shared head, router."""

    def __init__(
        self, channels: list[int], num_classes: int, experts: int, samples: int, latent: int, hidden: int
    ) -> None:
        super().__init__()
        self.samples = samples
        self.unet = UNet(NUM_CHANNELS, channels)
        self.head = SharedHead(channels[0], hidden, num_classes, latent)
        self.coarse = nn.ModuleList(nn.Conv2d(width, num_classes, 1) for width in channels[:0:-1])
        self.mean_KL = nn.Parameter(torch.randn(experts, latent))
        self.log_sigma_KL = nn.Parameter(torch.full((experts, latent), math.log(1 / 8)))
        deepest = channels[-1]
        choice = nn.Linear(deepest, experts)
        nn.init.zeros_(choice.weight)
        nn.init.zeros_(choice.bias)
        self.router = nn.Sequential(nn.Linear(deepest, deepest), nn.ReLU(), choice)

    @property
    def num_samples(self) -> int:
        """N = K * S."""
        return len(self.mean_KL) * self.samples

    def forward(self, image_BCHW: Tensor, noise_BNL: Tensor, phase: int | None = None) -> SampledLogits:
        """image: standardised (B, 2, H, W); noise: standard normal; phase: one of the four interleaved grids.

        A phase p gives the pixels (2 i + p // 2, 2 j + p % 2), a quarter of the work with nearly all of the
        signal: neighbouring pixels say the same.
        """
        *coarser, features = self.unet(image_BCHW)
        mean_NL = self.mean_KL.repeat_interleave(self.samples, 0)
        sigma_NL = self.log_sigma_KL.exp().repeat_interleave(self.samples, 0)
        logits_BNCHW = self.head(features, mean_NL + sigma_NL * noise_BNL, phase)
        log_pi_BK = self.router(coarser[0].mean((2, 3))).float().log_softmax(1)
        if not self.training:
            return SampledLogits(logits_BNCHW, log_pi_BK)
        coarse = tuple(head(level) for head, level in zip(self.coarse, coarser, strict=True))
        return SampledLogits(logits_BNCHW, log_pi_BK, coarse)

    def fixed_noise(self, batch: int) -> Tensor:
        """The noise of predictions, the same for every film: a film's label map depends on no other film."""
        size = (self.num_samples, self.mean_KL.shape[1])
        noise_NL = torch.randn(size, generator=torch.Generator().manual_seed(0))
        return noise_NL.to(self.mean_KL.device).expand(batch, -1, -1)

    def draw_noise(self, batch: int) -> Tensor:
        """Noise (B, N, L) from torch's generator of the model's device."""
        return torch.randn(batch, self.num_samples, self.mean_KL.shape[1], device=self.mean_KL.device)


def mean_probability(output: SampledLogits) -> Tensor:
    """The pi-weighted mean of all samples' class probabilities, float32 (B, C, H, W)."""
    probability_BNCHW = output.logits_BNCHW.float().softmax(2)
    return (output.alpha_BN[..., None, None, None] * probability_BNCHW).sum(1)
