"""The real stages, not a loop that stands for them: interrupted on the lab, they leave the bytes of one that was not.

Pretraining runs on two nodes. Its reference is made on this machine with as many workers.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobs.__main__ import main
from jobs.ingest import QUARANTINED
from jobs.tasks import read_task
from tests.slurm.conftest import Break, Lab, wait_for
from tests.slurm.one_step import submit_one
from tests.slurm.ray_jobs import Loop, clean, kill, preempt, slurm, wait

pytestmark = [pytest.mark.slurm, pytest.mark.chaos, pytest.mark.timeout(1200)]
in_full = pytest.mark.skipif(
    os.environ.get("RADMILL_CHAOS") != "all", reason="set RADMILL_CHAOS=all to run it"
)

# Small steps and a checkpoint at every other one: slow enough to be hit on a fast machine, quick enough on a busy one.
STEPS, EVERY = 80, 2
SEGMENTER = """
segmentation.steps=2 segmentation.batch_size=3 segmentation.foreign_views=0 segmentation.grid_height=64
segmentation.grid_width=64 segmentation.channels=[8,8,16,16] segmentation.validate_every=2
segmentation.validation_films=2 segmentation.threads=1
"""
ENCODER = f"""
pretraining.steps={STEPS} pretraining.batch_size=6 pretraining.num_local=0 pretraining.crop_pixels=32
pretraining.global_size=32 pretraining.local_size=32 pretraining.warmup_steps=1 pretraining.threads=1
pretraining.backbone=resnet10t pretraining.checkpoint_every_steps={EVERY}
"""

WHOLE = f"""
supervised.backbone=resnet10t supervised.input_size=64 supervised.steps={STEPS} supervised.batch_size=8
supervised.threads=1 supervised.checkpoint_every_steps={EVERY}
"""


def radmill(*words: str) -> None:
    assert main(list(words)) in (0, QUARANTINED)


def uninterrupted(out: Path, stage: str) -> bytes:
    """The weights of a finished stage, which then makes way for the next attempt."""
    weights = (out / stage / "model.safetensors").read_bytes()
    shutil.rmtree(out / stage)
    return weights


@dataclass(frozen=True)
class Pretraining:
    """A run up to its pretraining: words of `radmill run`, and what uninterrupted pretraining leaves."""

    out: Path
    words: list[str]
    weights: bytes


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Pretraining:
    place = tmp_path_factory.mktemp("pretraining")
    raw, store, out = place / "raw", place / "store", place / "out"
    radmill(*f"phantoms out={raw} subjects=4 unlabelled=8 height=128 width=100 annotators=1".split())
    films = f"raw={raw}/films annotations={raw}/annotations store={store}"
    radmill("ingest", *films.split(), f"outcomes={raw}/outcomes.csv")
    radmill("train-segmenter", f"store={store}", f"out={place}/bones", *SEGMENTER.split())
    radmill("segment", f"store={store}", f"out={out}", f"model={place}/bones/train-segmenter")
    pretrain = ["pretrain", f"store={store}", f"out={out}", *ENCODER.split(), "cluster.workers=2"]
    subprocess.run([sys.executable, "-m", "jobs", *pretrain], check=True)  # where Ray stays alone
    words = f"{films} outcomes={raw}/outcomes.csv out={out} segmenter={place}/bones/train-segmenter"
    more = "cluster.workers=2 cluster.memory_gb=5 segmentation.threads=1"
    words = f"{words} {more} {ENCODER}"
    return Pretraining(out, words.split(), uninterrupted(out, "pretrain"))


@pytest.fixture
def begun(lab: Lab, prepared: Pretraining) -> Iterator[Loop]:
    """The pretraining on two nodes, a few checkpoints after its beginning."""
    shutil.rmtree(prepared.out / "pretrain", ignore_errors=True)
    shutil.rmtree(prepared.out / "cluster", ignore_errors=True)
    submission, job = submit_one("pretrain", prepared.words)
    run = Loop(lab, submission.folder / "pretrain", nodes=2, steps=STEPS, job=job)
    wait(
        lambda: checkpoint(prepared.out / "pretrain") >= 2 * EVERY or run.ended(),
        300,
        "the first checkpoints",
    )
    yield run
    slurm("scancel", job, check=False)


def checkpoint(stage: Path) -> int:
    """The newest one's step."""
    return max((int(path.name[5:]) for path in (stage / "checkpoints").glob("step-*")), default=0)


def check(run: Loop, prepared: Pretraining, *nodes: str, restarts: int) -> None:
    """It ended by itself, in as many attempts as expected, with the same bytes and nothing left behind."""
    wait(run.ended, 600, f"the end of job {run.job}")
    assert run.events("end")[-1]["word"] == "done", run.events("end")
    assert [event["restart"] for event in run.events("begin")] == list(range(restarts + 1))
    assert (prepared.out / "pretrain" / "model.safetensors").read_bytes() == prepared.weights
    clean(run.lab, *nodes)


def test_a_preempted_pretraining_leaves_the_same_weights(begun: Loop, prepared: Pretraining) -> None:
    preempt()
    wait(lambda: begun.events("requeue") or begun.events("end"), 60, "the end of the first attempt")
    assert begun.events("end")[0]["failure"] == "preempted"
    check(begun, prepared, *begun.lab.nodes, restarts=1)


@in_full
@pytest.mark.parametrize("how", ["kill", "cut"])
@pytest.mark.parametrize("where", [0, 1], ids=["head", "worker"])
def test_a_lost_node_leaves_the_same_weights(
    begun: Loop, prepared: Pretraining, break_node: Break, how: str, where: int
) -> None:
    lost = begun.hosts()[where]
    newest = checkpoint(prepared.out / "pretrain")
    break_node(how, lost)
    check(begun, prepared, *set(begun.lab.nodes) - {lost}, restarts=1)
    assert begun.events("begin")[1]["progress"] >= newest  # no more than one interval is made again


@in_full
@pytest.mark.parametrize(
    ("where", "words"),
    [
        pytest.param(0, "jobs.step", id="driver"),
        pytest.param(0, "ray::RayTrainWorker", id="worker"),
        pytest.param(1, "raylet/raylet", id="raylet"),
    ],
)
def test_a_killed_process_leaves_the_same_weights(
    begun: Loop, prepared: Pretraining, where: int, words: str
) -> None:
    kill(begun.lab, begun.hosts()[where], words)
    check(begun, prepared, *begun.lab.nodes, restarts=0)


def test_a_preempted_training_on_whole_films_goes_on(lab: Lab, tmp_path: Path) -> None:
    """It runs in its Slurm job itself, without Ray and its supervisor."""
    raw, out = tmp_path / "raw", tmp_path / "out"
    radmill(*f"phantoms study=hsg out={raw} subjects=24 unlabelled=0 height=128".split())
    words = f"study=hsg raw={raw}/films outcomes={raw}/outcomes.csv ingest.overrides={raw}/frames.csv"
    words = f"{words} store={tmp_path}/store out={out} {WHOLE}"
    radmill("run", *words.split())
    weights = uninterrupted(out, "classify")
    submission, job = submit_one("classify", [*words.split(), "cluster.memory_gb=3"])
    wait(lambda: checkpoint(out / "classify" / "films") >= 2 * EVERY, 240, "the first checkpoints")
    preempt()
    states = wait_for([job], lambda state: state.finished, 400)
    record = read_task(submission.folder, "classify")
    assert record is not None and (record.state, record.restarts) == ("done", 1), record
    assert states[job].state == "COMPLETED" and states[job].earlier_node_s > 0
    assert (out / "classify" / "model.safetensors").read_bytes() == weights
