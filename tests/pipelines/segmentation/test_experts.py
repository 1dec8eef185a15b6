"""The network: folded heads equal the formula, a phase equals the strided whole, weights sum to one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pipelines.segmentation.experts import PHASES, ExpertSegmenter, SharedHead, mean_probability


@pytest.fixture
def model() -> ExpertSegmenter:
    torch.manual_seed(0)
    segmenter = ExpertSegmenter([6, 8, 12], num_classes=3, experts=3, samples=2, latent=4, hidden=5)
    torch.nn.init.normal_(segmenter.head.phase)
    return segmenter.eval()


def test_the_head_computes_the_formula_of_the_paper() -> None:
    torch.manual_seed(1)
    head = SharedHead(num_features=6, num_hidden=5, num_classes=3, latent=4)
    torch.nn.init.normal_(head.phase)
    features, code = torch.randn(2, 6, 4, 5), torch.randn(2, 7, 4)
    expected = []
    for number in range(7):
        z = code[:, number]
        u = (1 + head.scale(z))[..., None, None] * (features + head.shift(z)[..., None, None])
        for layer in (head.first, head.second):
            u = F.conv2d(u, layer.weight[..., None, None], layer.bias).relu()
        logits = [
            F.conv2d(u, (head.last.weight + head.phase[phase])[..., None, None], head.last.bias)
            for phase in range(PHASES)
        ]
        by_phase = torch.stack(logits, 2).flatten(1, 2)
        expected.append(F.pixel_shuffle(by_phase, 2))
    torch.testing.assert_close(head(features, code, None), torch.stack(expected, 1), rtol=1e-4, atol=1e-5)


def test_a_phase_is_the_strided_whole(model: ExpertSegmenter) -> None:
    image, noise = torch.randn(2, 2, 32, 24), torch.randn(2, model.num_samples, 4)
    whole = model(image, noise)
    assert whole.logits_BNCHW.shape == (2, 6, 3, 32, 24)
    for phase in range(PHASES):
        part = model(image, noise, phase).logits_BNCHW
        torch.testing.assert_close(part, whole.logits_BNCHW[..., phase // 2 :: 2, phase % 2 :: 2])


def test_weights_of_samples_and_classes_sum_to_one(model: ExpertSegmenter) -> None:
    output = model(torch.randn(2, 2, 32, 32), model.draw_noise(2))
    torch.testing.assert_close(output.alpha_BN.sum(1), torch.ones(2))
    torch.testing.assert_close(output.alpha_BN, torch.full((2, 6), 1 / 6))  # the router starts undecided
    torch.testing.assert_close(mean_probability(output).sum(1), torch.ones(2, 32, 32))


def test_an_expert_with_code_zero_sees_the_features(model: ExpertSegmenter) -> None:
    features = torch.randn(1, 6, 4, 4)
    logits = model.head(features, torch.zeros(1, 1, 4), None)
    assert logits.std() > 0.01 and not torch.allclose(
        logits, model.head(-features, torch.zeros(1, 1, 4), None)
    )


def test_predictions_use_the_same_noise_for_every_film(model: ExpertSegmenter) -> None:
    torch.manual_seed(5)
    noise = model.fixed_noise(3)
    torch.manual_seed(6)
    assert torch.equal(noise[0], noise[2]) and torch.equal(noise[0], model.fixed_noise(1)[0])
    assert not torch.equal(noise[0, 0], noise[0, 1])
