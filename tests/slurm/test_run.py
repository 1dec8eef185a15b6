"""`radmill run cluster=slurm` on the lab: without the shell that submitted it, without a task, after a cancel."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.executor import whole_jobs
from cluster.graph_file import read_graph
from cluster.queue import job_states
from jobs.overview import StepStatus, overview
from jobs.submission import Submission
from tests.slurm.conftest import Break, Lab, Partition, wait_for

pytestmark = pytest.mark.slurm

WORKERS = 3
TINY = """
segmentation.steps=4 segmentation.batch_size=3 segmentation.foreign_views=0 segmentation.grid_height=64
segmentation.grid_width=64 segmentation.channels=[8,8,16,16] segmentation.validate_every=4
segmentation.validation_films=2 segmentation.checkpoint_every_steps=2 segmentation.threads=1
pretraining.steps=2 pretraining.batch_size=6 pretraining.crop_pixels=32 pretraining.global_size=32
pretraining.local_size=32 pretraining.warmup_steps=1 pretraining.threads=1 pretraining.backbone=resnet10t
pretraining.checkpoint_every_steps=1 classification.input_size=32 classification.inner_folds=2
splits.repeats=1 splits.folds=2 ingest.films_per_shard=4
"""
ON_LAB = """
cluster=slurm cluster.site=lab cluster.memory_gb=6.5 cluster.scratch=/var/tmp cluster.dashboard=false
cluster.array_width=3
"""
SAME = (
    "report/subjects.parquet",
    "report/regions.parquet",
    "report/films.parquet",
    "report/exclusions.parquet",
)
MODELS = ("train-segmenter/model.safetensors", "pretrain/model.safetensors", "classify/model.safetensors")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw = tmp_path_factory.mktemp("phantoms") / "raw"
    words = f"phantoms out={raw} subjects=12 unlabelled=8 height=128 width=100 annotators=2"
    radmill(*words.split())
    return raw


def radmill(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "jobs", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_words(raw: Path, place: Path) -> list[str]:
    inputs = f"run raw={raw}/films outcomes={raw}/outcomes.csv annotations={raw}/annotations"
    return [*inputs.split(), f"store={place}/store", f"out={place}/out", *TINY.split()]


def wait_until(out: Path, wanted: Callable[[dict[str, StepStatus]], bool], seconds: float = 600) -> None:
    """Ask as `radmill status` does."""
    deadline = time.monotonic() + seconds
    while True:
        steps = {step.name: step for step in overview(Submission.of(out))}
        if wanted(steps):
            return
        told = {name: (step.state, step.words) for name, step in steps.items()}
        assert time.monotonic() < deadline, told
        assert not any(step.state == "failed" for step in steps.values()), told
        time.sleep(1)


def finished(steps: dict[str, StepStatus]) -> bool:
    return steps["report"].state == "done"


@pytest.mark.timeout(1200)
def test_the_submitting_shell_dies_and_the_report_appears(lab: Lab, raw: Path, tmp_path: Path) -> None:
    words = [*run_words(raw, tmp_path / "slurm"), *ON_LAB.split(), f"cluster.workers={WORKERS}"]
    with subprocess.Popen(
        [sys.executable, "-m", "jobs", *words], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as shell:
        assert shell.stderr is not None
        assert any(line.startswith("Submitted;") for line in shell.stderr)
        os.killpg(shell.pid, signal.SIGKILL)
    local = tmp_path / "local"
    radmill(*run_words(raw, local), f"cluster.workers={WORKERS}")
    out = tmp_path / "slurm" / "out"
    wait_until(out, finished)
    for name in (*SAME, *MODELS):
        assert (out / name).read_bytes() == (local / "out" / name).read_bytes(), name
    assert (out / "report" / "report.html").is_file()
    assert not (tmp_path / "slurm" / "store" / ".run.json").exists()
    again = radmill(*words)
    assert again == ""
    wait_until(out, lambda steps: steps["report"].state == "skipped")


@pytest.mark.timeout(1200)
def test_a_cancelled_task_is_asked_for_again_and_a_cancelled_run_goes_on(
    lab: Lab, raw: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    radmill(*run_words(raw, tmp_path), *ON_LAB.split())
    folder = Submission.of(out).folder
    subprocess.run(["scancel", read_graph(folder).nodes["ingest-write"].latest[1]], check=True)
    wait_until(out, lambda steps: steps["ingest-commit"].state == "done")
    assert (folder / "again-001-ingest-write" / "ids.json").is_file()
    radmill("cancel", f"out={out}")
    deadline = time.monotonic() + 60
    while any(step.state in ("running", "waiting") for step in overview(Submission.of(out))):
        assert time.monotonic() < deadline
        time.sleep(1)
    told = radmill("retry", f"out={out}")
    assert "ingest" not in told and "report once more: Slurm" in told
    wait_until(out, finished)


@pytest.mark.timeout(1200)
def test_a_whole_run_in_the_users_own_sbatch(lab: Lab, raw: Path, tmp_path: Path) -> None:
    """As README shows it: the script's nodes are used, and nothing is submitted."""
    own = "cluster=allocation cluster.workers=2 cluster.cpus_per_worker=1 cluster.scratch=/var/tmp"
    words = [*run_words(raw, tmp_path), *own.split(), "cluster.dashboard=false"]
    script = tmp_path / "run.sh"
    script.write_text(
        f"""#!/bin/bash
#SBATCH --nodes=2 --ntasks-per-node=1 --cpus-per-task=1 --mem=6G --time=30 --signal=USR2@60 --requeue
#SBATCH --output={tmp_path}/log
{sys.executable} -m jobs {shlex.join(words)}
"""
    )
    sent = subprocess.run(["sbatch", "--parsable", script], capture_output=True, text=True, check=True)
    job = sent.stdout.strip()
    state = wait_for([job], lambda state: state.finished, 1000)[job]
    assert state.state == "COMPLETED", (tmp_path / "log").read_text()
    assert (tmp_path / "out" / "report" / "report.html").is_file()
    assert not list((tmp_path / "out" / "cluster").glob("settings-*"))
    assert subprocess.run(["squeue", "-h"], capture_output=True, text=True, check=True).stdout == ""


@pytest.mark.timeout(1200)
def test_what_a_lost_node_took_along_is_asked_for_again_elsewhere(
    lab: Lab, raw: Path, tmp_path: Path, partition: Partition, break_node: Break
) -> None:
    """On a cluster that requeues nothing, and with nobody left to ask: that takes a person, and retry."""
    out = tmp_path / "out"
    partition("DOWN")  # until all is said of its jobs
    radmill(*run_words(raw, tmp_path), *ON_LAB.split())
    nodes = read_graph(Submission.of(out).folder).nodes
    scans = nodes["ingest-scan"].ids
    for job in whole_jobs([one for node in nodes.values() for one in node.ids]):
        subprocess.run(["scontrol", "update", f"JobId={job}", "Requeue=0"], check=True)
    later = [one for node in list(nodes.values())[2:] for one in node.ids]
    subprocess.run(["scancel", *whole_jobs(later)], check=True)
    partition("UP")
    deadline = time.monotonic() + 300
    while not (running := {k: v for k, v in job_states(scans).items() if v.state == "RUNNING" and v.node}):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    task, lost = next((task, state.node) for task, state in running.items())
    break_node("kill", lost)
    assert wait_for([*scans, *later], lambda state: state.finished, 240)[task].state == "NODE_FAIL"
    told = radmill("retry", f"out={out}")
    assert "ingest-scan once more" in told and f"Without {lost}, which failed before." in told
    wait_until(out, lambda steps: steps["ingest-commit"].state == "done")
    (again,) = read_graph(Submission.of(out).folder).nodes["ingest-scan"].tries[1:]
    assert scans.index(task) in again
    assert lost not in {state.node for state in job_states(again.values()).values()}
    radmill("cancel", f"out={out}")
