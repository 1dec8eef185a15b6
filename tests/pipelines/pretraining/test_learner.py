"""The learner: the same crops for any workers and ranks, padding without effect, words for dead embeddings."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.pretraining.backbone import build_backbone
from pipelines.pretraining.config import METHODS, PretrainingConfig
from pipelines.pretraining.learner import PretrainingLearner
from pipelines.pretraining.recipes import resolved
from pipelines.pretraining.samples import Samples
from pipelines.training.learner import Batch
from storage.prefetch import prefetch
from storage.sampler import SampleOrder


def samples(count: int, seed: int = 0) -> Samples:
    rng = np.random.default_rng(seed)
    masks_NSS = np.zeros((count, 40, 40), np.uint8)
    masks_NSS[:, 5:35, 10:30] = 1
    return Samples(
        images_NSS=rng.integers(0, 256, (count, 40, 40), dtype=np.uint8),
        masks_NSS=masks_NSS,
        names=[f"film{number // 2} bone{number % 2}" for number in range(count)],
        subject_N=np.arange(count) // 2,
        region_N=np.arange(count) % 2,
        outcome_N=np.arange(count) % 3 - 1,
    )


def learner(of: Samples, **changes: Any) -> PretrainingLearner:
    values: dict[str, Any] = {"backbone": "test_resnet", "steps": 5, "batch_size": 4, "global_size": 32}
    values |= {"local_size": 32, "num_local": 1, "projection_hidden": 16, "projection_size": 8}
    values |= {"num_prototypes": 4}
    torch.manual_seed(0)
    config = resolved(PretrainingConfig(**(values | changes)), 96, len(of))
    return PretrainingLearner(build_backbone("test_resnet"), of, config)


def views_of_samples(trained: PretrainingLearner, workers: int, ranks: int) -> dict[int, list[torch.Tensor]]:
    """Every sample's views in an epoch, as the loop makes them."""
    order = SampleOrder(trained.num_samples, seed=3)
    seen: dict[int, list[torch.Tensor]] = {}
    for rank in range(ranks):
        places = [order.batch(1, start, 4, rank, ranks) for start in range(0, trained.num_samples, 4)]

        def prepare(place: tuple[np.ndarray, np.ndarray]) -> Batch:
            return trained.batch(place[0], place[1], 1)

        with closing(prefetch(iter(places), prepare, workers)) as batches:
            for (indices_N, weights_N), batch in batches:
                used = indices_N[weights_N > 0]
                if not len(used):
                    continue
                views = [view.unflatten(0, (-1, len(used))).transpose(0, 1) for view in trained.views(batch)]
                for number, sample in enumerate(used.tolist()):
                    assert sample not in seen
                    seen[sample] = [view[number] for view in views]
    return seen


@pytest.mark.parametrize(("workers", "ranks"), [(0, 1), (1, 1), (4, 1), (0, 2), (4, 2)])
def test_neither_workers_nor_ranks_change_a_crop(workers: int, ranks: int) -> None:
    trained = learner(samples(11))
    expected = views_of_samples(trained, 0, 1)
    found = views_of_samples(trained, workers, ranks)
    assert found.keys() == expected.keys() == set(range(11))
    for sample, views in expected.items():
        for view, other in zip(views, found[sample], strict=True):
            assert torch.equal(view, other), sample


@pytest.mark.parametrize("method", METHODS[:-1])
@pytest.mark.parametrize("num_local", [0, 2])
def test_padding_of_the_tail_is_not_computed_and_changes_nothing(method: str, num_local: int) -> None:
    trained = learner(samples(5), num_local=num_local, method=method)
    trained.model.train()
    alone = trained.batch(np.array([3, 1]), np.ones(2, np.float32), 0)
    padded = trained.batch(np.array([3, 1, 3, 3]), np.array([2, 2, 0, 0], np.float32), 0)
    assert len(padded["image"]) == 2
    losses = [trained.loss(trained.model, batch)[0] for batch in (alone, padded)]
    torch.testing.assert_close(losses[0], losses[1])


@pytest.mark.parametrize("method", METHODS[:-1])
def test_a_lone_crop_in_the_tail_gives_finite_gradients(method: str) -> None:
    trained = learner(samples(5), method=method, num_local=2)
    trained.model.train()
    loss, figures = trained.loss(trained.model, trained.batch(np.array([3]), np.ones(1, np.float32), 0))
    loss.backward()
    assert all(np.isfinite(value) for value in figures.values())
    assert all(
        weight.grad is not None and weight.grad.isfinite().all() for weight in trained.model.parameters()
    )


def test_classes_come_equally_often_to_supcon_alone_and_in_other_views() -> None:
    few = samples(9)
    few.outcome_N[:] = [0, 0, 0, 0, 0, 1, -1, -1, -1]
    assert learner(few).num_samples == learner(few, method="supcon", class_balance=False).num_samples == 9
    trained = learner(few, method="supcon")
    assert trained.num_samples == 13
    batch = trained.batch(np.array([5, 12]), np.ones(2, np.float32), 0)
    assert batch["crop"].tolist() == [5, 5] and batch["outcome"].tolist() == [1, 1]
    assert torch.equal(batch["image"][0], batch["image"][1])
    assert not torch.equal(batch["affine"][0], batch["affine"][1])


def test_samples_have_names() -> None:
    few = samples(9)
    few.outcome_N[:] = [0, 0, 0, 0, 0, 1, -1, -1, -1]
    assert learner(few, method="supcon").names(np.array([0, 12])) == ["film0 bone0", "film2 bone1"]


def test_validation_probes_bones_and_outcomes() -> None:
    many = samples(24)
    many.images_NSS[many.region_N == 1, :, ::2] = 0
    trained = learner(many)
    trained.model.eval()
    with torch.no_grad():
        figures = trained.validate(trained.model, step=1)
    assert figures["bone/knn"] == figures["bone/linear"] == 1 and figures["bone/chance"] == 0.5
    assert 0 <= figures["outcome/knn"] <= 1
    assert figures["whole/embedding_std"] > 0


def test_dead_embeddings_are_said_in_words(caplog: pytest.LogCaptureFixture) -> None:
    dead = samples(5)
    dead.images_NSS[:] = 9
    trained = learner(dead)
    trained.model.eval()
    with torch.no_grad():
        trained.validate(trained.model, step=5)
        assert trained.warning is None  # too early to tell
        figures = trained.validate(trained.model, step=50)
    assert figures["whole/embedding_std"] < 1e-3
    assert trained.warning is not None and trained.warning.startswith(
        "The embeddings are collapsing: different"
    )
    assert caplog.messages == [f"Step 50: {trained.warning}"]
    other = learner(dead)
    other.load_state_dict(trained.state_dict())
    assert other.warning == trained.warning
