"""Inference gives the same bits on any number of CPUs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipelines.inference import side_by_side
from pipelines.pretraining.backbone import build_backbone
from pipelines.pretraining.encoder import Encoder

NAME = "resnet10t"


@pytest.mark.parametrize("threads", [2, 3])
def test_features_do_not_depend_on_the_number_of_threads(threads: int) -> None:
    torch.manual_seed(0)
    encoder = Encoder(NAME, build_backbone(NAME, 1).state_dict())
    images = np.random.default_rng(0).integers(0, 255, (4, 3, 32, 32), dtype=np.uint8)
    before = torch.get_num_threads()

    def features(number: int) -> list[np.ndarray]:
        torch.set_num_threads(number)
        found = list(side_by_side(images, lambda crops: encoder.features(crops, np.ones_like(crops))))
        assert torch.get_num_threads() == number
        return found

    try:
        np.testing.assert_array_equal(features(1), features(threads))
    finally:
        torch.set_num_threads(before)


def test_results_come_in_order_and_an_error_at_its_place() -> None:
    def infer(number: int) -> float:
        return 1 / (3 - number)

    before, found = torch.get_num_threads(), []
    with pytest.raises(ZeroDivisionError):
        for value in side_by_side(range(5), infer):
            found.append(value)
    assert found == [1 / 3, 1 / 2, 1.0]
    assert torch.get_num_threads() == before
