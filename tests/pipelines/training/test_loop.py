"""Laws of the loop: a fit that was stopped or killed ends in the same bits as one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pipelines.training import loop
from pipelines.training.session import LocalSession
from pipelines.training.state import Training
from pipelines.training.tracking import TIMES
from storage.errors import ConfigError, InputError, StorageError, TrainingError
from storage.sampler import SampleOrder

ROOT = Path(__file__).parents[3]


class StopsAfter(LocalSession):
    """Asks to stop after one step."""

    def __init__(self, step: int) -> None:
        super().__init__("cpu")
        self.step = step

    def should_stop(self, step: int) -> bool:
        return step == self.step


def outcome(folder: Path) -> dict[str, Any]:
    """Everything that must not depend on stops: weights as bytes, and the rows without their times."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {
        "model": (folder / "model.safetensors").read_bytes(),
        "best": (folder / "best.safetensors").read_bytes(),
        "rows": [{key: value for key, value in row.items() if key not in TIMES} for row in rows],
    }


def script(small: ModuleType, *arguments: object) -> subprocess.Popen[bytes]:
    """small_fit.py in a process of its own."""
    command = [sys.executable, str(small.__file__), *map(str, arguments)]
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)})


def test_views_are_rendered_on_as_many_threads_as_a_step_has(small: ModuleType, tmp_path: Path) -> None:
    cv2.setNumThreads(torch.get_num_threads() + 1)
    small.small_fit(tmp_path)
    assert cv2.getNumThreads() == torch.get_num_threads()


@pytest.fixture(scope="module")
def uninterrupted(small: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    result = small.small_fit(folder)
    assert (result.steps, result.stopped) == (10, False)
    assert result.best_step in (3, 6, 9, 10)
    return outcome(folder)


@pytest.mark.parametrize("stops", [[1], [4], [7], [2, 3, 8], [9]])
def test_a_stopped_fit_goes_on_bit_for_bit(
    small: ModuleType, uninterrupted: dict[str, Any], tmp_path: Path, stops: list[int]
) -> None:
    for step in stops:
        result = small.small_fit(tmp_path, StopsAfter(step))
        assert (result.steps, result.stopped) == (step, True)
    small.small_fit(tmp_path)
    assert outcome(tmp_path) == uninterrupted


def test_a_killed_fit_goes_on_bit_for_bit(
    small: ModuleType, uninterrupted: dict[str, Any], tmp_path: Path
) -> None:
    with script(small, "kill", tmp_path, 6) as killed:
        assert killed.wait(timeout=120) == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000004"]
    with (tmp_path / "metrics.jsonl").open("a") as rows:
        rows.write('{"step": 6, "lo')  # what a write cut in two leaves
    small.small_fit(tmp_path)
    assert outcome(tmp_path) == uninterrupted


def test_two_ranks_equal_one_and_the_first_alone_writes(small: ModuleType, tmp_path: Path) -> None:
    small.fit_rank(tmp_path, rank=0, world_size=1)
    with script(small, "rank", tmp_path, 0) as first, script(small, "rank", tmp_path, 1) as second:
        assert (first.wait(timeout=120), second.wait(timeout=120)) == (0, 0)
    alone, together = (load_file(tmp_path / world / "model.safetensors") for world in ("1", "2"))
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-6)
    rows = [json.loads(line) for line in (tmp_path / "2" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 11))


@pytest.mark.parametrize("loader_workers", [1, 3])
def test_loader_workers_change_nothing(
    small: ModuleType, uninterrupted: dict[str, Any], tmp_path: Path, loader_workers: int
) -> None:
    small.small_fit(tmp_path, loader_workers=loader_workers)
    assert outcome(tmp_path) == uninterrupted


def test_a_finished_fit_does_nothing_again(
    small: ModuleType, uninterrupted: dict[str, Any], tmp_path: Path
) -> None:
    first = small.small_fit(tmp_path)
    assert small.small_fit(tmp_path) == first
    assert outcome(tmp_path) == uninterrupted


def test_another_seed_gives_other_weights(
    small: ModuleType, uninterrupted: dict[str, Any], tmp_path: Path
) -> None:
    small.small_fit(tmp_path, seed=1)
    assert outcome(tmp_path)["model"] != uninterrupted["model"]


def test_the_model_ends_with_the_averaged_weights(small: ModuleType, tmp_path: Path) -> None:
    for ema in (0.0, 0.9):
        small.small_fit(tmp_path / str(ema), ema=ema, optimizer="larc", gradient_clip=1.0)
    plain, averaged = (load_file(tmp_path / str(ema) / "model.safetensors") for ema in (0.0, 0.9))
    weights = [
        torch.load(tmp_path / "0.9" / "checkpoints" / "step-00000010" / "state.pt", weights_only=True)[name]
        for name in ("model", "average")
    ]
    torch.testing.assert_close(dict(weights[0]), plain, rtol=0, atol=0)
    torch.testing.assert_close(dict(weights[1]), averaged, rtol=0, atol=0)


def test_a_loss_that_is_not_finite_names_step_and_samples(small: ModuleType, tmp_path: Path) -> None:
    sentence = (
        r"^The loss of step \d+ is (nan|inf) \(first samples: \d+, \d+, \d+(, \d+)?\);"
        r" lower training\.lr or look at these samples\.$"
    )
    with pytest.raises(TrainingError, match=sentence):
        small.small_fit(tmp_path, lr=1e30, ema=0.0)


def test_weights_that_are_not_finite_push_no_checkpoint_out(small: ModuleType, tmp_path: Path) -> None:
    small.small_fit(tmp_path, StopsAfter(4))
    learner, config = small.SmallLearner(), small.config()
    training, _ = loop.set_up(learner, config, LocalSession("cpu"), tmp_path, "000001")
    loop.check_finite(training, config)
    with torch.no_grad():
        next(learner.model.parameters())[0] = torch.nan
    with pytest.raises(
        TrainingError, match=r"^The weights after step 4 are not finite, so they are not saved;"
    ):
        loop.check_finite(training, config)


class ManyRanks(LocalSession):
    world_size = 5


def test_a_batch_smaller_than_the_world(small: ModuleType, tmp_path: Path) -> None:
    sentence = (
        r"^training\.batch_size must be at least the number of workers, 5, so that each has a sample, but is"
    )
    with pytest.raises(ConfigError, match=sentence):
        small.small_fit(tmp_path, ManyRanks("cpu"), batch_size=4)


def test_a_checkpoint_of_other_samples_or_another_model_is_refused(small: ModuleType, tmp_path: Path) -> None:
    small.small_fit(tmp_path, StopsAfter(5))
    learner = small.SmallLearner()
    with pytest.raises(
        InputError, match=r"this run has .* '11 samples, full shuffle'; start over with fresh=true"
    ):
        loop.fit(learner, small.config(), LocalSession("cpu"), tmp_path, "000002")
    learner = small.SmallLearner(plain=True)
    with pytest.raises(StorageError, match=r"belongs to another model; start over with fresh=true\.$"):
        loop.fit(learner, small.config(), LocalSession("cpu"), tmp_path, "000001")


def test_nothing_to_train_on(small: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least 1 sample"):
        loop.fit(small.SmallLearner(0), small.config(), LocalSession("cpu"), tmp_path, "000001")


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_weights_average_over_the_real_samples(small: ModuleType, world_size: int) -> None:
    """mean over ranks of mean(w x) is the mean of x over the samples of the step, also in the tail."""
    config = small.config(steps=9, batch_size=5)
    order = SampleOrder(11, config.seed, "000001")
    learner = small.SmallLearner()
    optimizer = torch.optim.AdamW(learner.model.parameters())
    training = Training(learner, learner.model, optimizer, order.start())
    ranks = []
    for rank in range(world_size):
        session = LocalSession("cpu")
        session.rank, session.world_size = rank, world_size
        ranks.append(list(loop.positions(training, order, config, session)))
    for step, parts in enumerate(zip(*ranks, strict=True)):
        real = np.concatenate([part.indices_N[part.weights_N > 0] for part in parts])
        assert len(real) == (5, 5, 1)[step % 3]
        mean = np.mean([np.mean(part.weights_N * part.indices_N) for part in parts])
        assert mean == pytest.approx(real.mean(), rel=1e-6)
