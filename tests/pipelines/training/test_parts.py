"""Config, schedule, optimizer, tracking, averaging and sessions."""

from __future__ import annotations

import json
import math
import pickle
import re
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from torch import nn

from pipelines.training.config import TrainingConfig
from pipelines.training.optimizer import TRUST, TRUST_CLIPPED, build_optimizer
from pipelines.training.precision import autocast
from pipelines.training.schedule import cosine_with_warmup
from pipelines.training.seeding import seed_torch
from pipelines.training.session import LocalSession, StoppedEarly
from pipelines.training.state import update_average
from pipelines.training.tracking import NullTracker, Tracker
from storage.errors import ConfigError


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"batch_size": 0}, "training.batch_size must be at least 1, but is 0."),
        ({"lr": -1.0}, "training.lr must be at least 0, but is -1.0."),
        ({"lr": math.nan}, "training.lr must be at least 0, but is nan."),
        ({"ema": 1.0}, "training.ema must be between 0 and 0.999999, but is 1.0."),
        ({"optimizer": "adam"}, "training.optimizer must be one of adamw, larc, but is adam."),
    ],
)
def test_a_bad_value_is_named(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(sentence)}$"):
        TrainingConfig(**changes)


def test_schedule_warms_up_and_ends_near_zero() -> None:
    factors = [cosine_with_warmup(step, 100, 10) for step in range(100)]
    assert factors[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert factors[10] == 1.0
    assert factors[55] == pytest.approx(0.5)
    assert all(before > after for before, after in pairwise(factors[10:]))
    assert 0 < factors[-1] < 0.001
    assert cosine_with_warmup(0, 5, 0) == 1.0


def small_model() -> nn.Sequential:
    seed_torch(3)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_larc_is_the_papers_formula_for_kernels_and_sgd_for_the_rest(clip: bool, weight_decay: float) -> None:
    model = small_model()
    config = TrainingConfig(optimizer="larc", larc_clip=clip, lr=0.5, weight_decay=weight_decay)
    optimizer = build_optimizer(model, config)
    model(torch.randn(5, 3)).square().sum().backward()
    expected = []
    for weight in model.parameters():
        assert weight.grad is not None
        if weight.ndim == 1:
            expected.append(weight.detach() - 0.5 * weight.grad)
            continue
        norm, gradient_norm = float(weight.detach().norm()), float(weight.grad.norm())
        local = (TRUST_CLIPPED if clip else TRUST) * norm / (gradient_norm + weight_decay * norm + 1e-8)
        rate = min(local / 0.5, 1.0) * 0.5 if clip else 0.5 * local
        expected.append(weight.detach() - rate * (weight.grad + weight_decay * weight.detach()))
    optimizer.step()
    torch.testing.assert_close([weight.detach() for weight in model.parameters()], expected)


def test_adamw_decays_kernels_alone() -> None:
    model = small_model()
    before = [weight.detach().clone() for weight in model.parameters()]
    optimizer = build_optimizer(model, TrainingConfig(lr=0.1, weight_decay=0.5))
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    for weight, old in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(weight.detach(), old * (0.95 if weight.ndim > 1 else 1.0))


def test_average_starts_quickly_and_copies_counters() -> None:
    model, average = small_model(), small_model().requires_grad_(False)
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        average[0].weight.fill_(0.0)
    model[1].num_batches_tracked += 5
    update_average(average, model, step=1, decay=0.99)
    assert torch.allclose(average[0].weight, torch.full((4, 3), 9 / 11))
    assert int(average[1].num_batches_tracked) == 5


def read_rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_after_a_resume_no_step_appears_twice(tmp_path: Path) -> None:
    with Tracker(tmp_path, 0) as tracker:
        for step in (1, 2, 3):
            tracker.log(step, {"loss": step / 2, "dice": math.nan})
    with Tracker(tmp_path, 2) as tracker:
        tracker.log(3, {"loss": 7.0})
        tracker.flush()
    assert read_rows(tmp_path) == [
        {"step": 1, "loss": 0.5, "dice": None},
        {"step": 2, "loss": 1.0, "dice": None},
        {"step": 3, "loss": 7.0},
    ]
    assert list((tmp_path / "tensorboard").iterdir())


def test_other_ranks_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with NullTracker() as tracker:
        tracker.log(1, {"loss": 1.0})
        tracker.flush()
    assert not list(tmp_path.iterdir())


def test_seeds_differ_by_place_alone() -> None:
    draws = []
    for place in ((0, 1), (1, 0), (0, 1)):
        seed_torch(5, *place)
        draws.append(float(torch.rand(())))
    assert draws[0] == draws[2] != draws[1]


def test_a_local_session_stops_by_its_event() -> None:
    stop = Event()
    session = LocalSession("cpu", stop)
    assert (session.rank, session.world_size, session.should_stop(1)) == (0, 1, False)
    stop.set()
    assert session.should_stop(1)


def test_stopping_early_is_a_sentence_with_its_exit_code() -> None:
    error = pickle.loads(pickle.dumps(StoppedEarly(3, 10)))
    assert str(error) == "Stopped after step 3 of 10; the same command goes on from there."
    assert error.exit_code == 75


def test_float32_where_bf16_is_not_wanted() -> None:
    with autocast(torch.device("cpu"), bf16=False):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.float32


def test_larc_excludes_nothing_where_that_is_asked() -> None:
    model = small_model()
    config = TrainingConfig(optimizer="larc", lr=0.5, weight_decay=0.1, larc_exclude="nothing")
    optimizer = build_optimizer(model, config)
    model(torch.randn(5, 3)).square().sum().backward()
    expected = []
    for weight in model.parameters():
        assert weight.grad is not None
        norm, gradient_norm = float(weight.detach().norm()), float(weight.grad.norm())
        local = TRUST * norm / (gradient_norm + 0.1 * norm + 1e-8) if norm and gradient_norm else 1.0
        expected.append(weight.detach() - 0.5 * local * (weight.grad + 0.1 * weight.detach()))
    optimizer.step()
    torch.testing.assert_close([weight.detach() for weight in model.parameters()], expected)
