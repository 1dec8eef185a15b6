"""What a method takes where the user leaves it open, and what is said of unsafe mixes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pipelines.pretraining.config import METHODS, PretrainingConfig
from pipelines.pretraining.recipes import resolved, unsafe_mixes


def config(**changes: Any) -> PretrainingConfig:
    return PretrainingConfig(**changes)


@pytest.mark.parametrize(
    ("changes", "lr"),
    [
        ({"method": "simclr", "batch_size": 256}, 1.2),
        ({"method": "supcon", "batch_size": 64}, 0.6),
        ({"method": "swav", "batch_size": 256}, 0.6),
        ({"method": "vicreg", "batch_size": 128}, 0.4),
        ({"method": "vicreg", "batch_size": 256}, 0.5),
        ({"method": "vicreg", "batch_size": 2048}, 3.2),
        ({"method": "vicreg", "optimizer": "adamw", "batch_size": 256}, 0.0005),
        ({"method": "swav", "lr": 0.25}, 0.25),
    ],
)
def test_rates_are_the_authors(changes: dict[str, Any], lr: float) -> None:
    assert resolved(config(**changes), 512, 1000).lr == pytest.approx(lr)


def test_sizes_are_the_authors_for_a_resnet50_and_smaller_for_less() -> None:
    def sizes(method: str, features: int) -> tuple[int, int]:
        own = resolved(config(method=method), features, 1000)
        return own.projection_hidden, own.projection_size

    assert [sizes(method, 2048) for method in METHODS[:-1]] == [(2048, 128)] * 3 + [(8192, 8192)]
    assert sizes("vicreg", 512) == (2048, 2048)
    prototypes = [resolved(config(method="swav"), 2048, crops).num_prototypes for crops in (50, 8000, 10**6)]
    assert prototypes == [16, 800, 3000]


def test_what_the_user_says_stays() -> None:
    said = {"lr": 0.2, "temperature": 0.3, "larc_exclude": "vectors", "projection_hidden": 7}
    own = resolved(config(method="swav", projection_size=5, num_prototypes=9, **said), 512, 1000)
    assert {key: getattr(own, key) for key in said} == said
    assert (own.projection_size, own.num_prototypes) == (5, 9)
    assert resolved(config(method="swav"), 512, 1000).larc_exclude == "nothing"
    assert resolved(config(method="simclr"), 512, 1000).larc_exclude == "vectors"


@pytest.mark.parametrize("method", METHODS[:-1])
def test_the_defaults_are_safe(method: str) -> None:
    assert unsafe_mixes(resolved(config(method=method), 2048, 8000), 8000) == []


@pytest.mark.parametrize(
    ("changes", "num_crops", "sentence"),
    [
        (
            {"steps": 500, "warmup_steps": 700},
            8000,
            "pretraining.warmup_steps=700 of pretraining.steps=500: the rate never falls;",
        ),
        (
            {"optimizer": "adamw", "lr": 0.3},
            8000,
            "pretraining.lr=0.3 is a rate for larc; adamw wants 0.001 or less.",
        ),
        (
            {"method": "vicreg", "warmup_steps": 0},
            8000,
            "VICReg without larc or without warm-up is known to end in NaN;",
        ),
        ({"method": "vicreg", "optimizer": "adamw"}, 8000, "VICReg without larc or without warm-up"),
        (
            {"batch_size": 8},
            8000,
            "A step compares 8 crops with one another, and simclr learns little from so few;",
        ),
        (
            {"method": "vicreg"},
            9,
            "There are 9 crops in all to compare with one another, and vicreg learns little",
        ),
        (
            {"method": "swav", "mask_same_subject": True},
            8000,
            "pretraining.mask_same_subject does nothing in swav, which has no negatives.",
        ),
        (
            {"method": "swav", "num_prototypes": 3000},
            4000,
            "SwAV with 3000 prototypes for 4000 crops tends to stay at its first loss; set"
            " pretraining.num_prototypes to 400 or so.",
        ),
        (
            {"method": "swav"},
            2048,
            "SwAV's queue of 1920 embeddings holds old ones of the very crops of a step, of which there are only"
            " 2048; set pretraining.queue_batches=4.",
        ),
    ],
)
def test_an_unsafe_mix_is_said(changes: dict[str, Any], num_crops: int, sentence: str) -> None:
    (said,) = unsafe_mixes(resolved(config(**changes), 512, num_crops), num_crops)
    assert re.match(re.escape(sentence), said)
