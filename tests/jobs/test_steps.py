"""Stages spread over tasks: the bytes of one process, missing tasks asked for again, one submission at a time."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from submitit.helpers import DelayedSubmission

from cluster.config import ClusterConfig
from cluster.graph import submit_graph
from cluster.resumable import Resumable
from jobs.__main__ import main
from jobs.compose import settings_for
from jobs.config import Settings
from jobs.flow import Flow
from jobs.folders import held
from jobs.ingest import ingest
from jobs.registry import JOBS
from jobs.segment import segment
from jobs.steps import run_step, steps_of
from jobs.submission import Submission
from jobs.submit import run_nodes
from jobs.tasks import read_task, read_tasks
from pipelines.config import StudyConfig
from pipelines.segmentation import segment as segmentation
from pipelines.segmentation.config import SegmentationConfig
from pipelines.segmentation.model import SegmenterSettings
from storage.atomic import write_json
from storage.errors import ClusterError, InputError, LockedError, StorageError
from storage.lock import FolderLock

INGEST = ("ingest-begin", "ingest-scan", "ingest-plan", "ingest-write", "ingest-commit")
SEGMENT = ("segment-prepare", "segment", "segment-assemble")
WIDTH = 3


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten films with outcomes and masks, and a segmenter that has learnt nothing."""
    place = tmp_path_factory.mktemp("place")
    words = f"phantoms out={place}/raw subjects=6 unlabelled=4 height=96 width=96 annotators=1"
    assert main(words.split()) == 0
    torch.manual_seed(0)
    config = SegmentationConfig(grid_height=32, grid_width=32, channels=[4, 8], experts=2, samples=2)
    model = SegmenterSettings.of(config, StudyConfig())
    weights = {name: value.contiguous() for name, value in model.build().state_dict().items()}
    (place / "model").mkdir()
    save_file(weights, place / "model" / "model.safetensors")
    write_json(place / "model" / "model.json", {"segmenter": model.to_dict()})
    return place


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A step sets umask, folder and environment of its process, which here is pytest's."""
    umask, folder, environment = os.umask(0o077), Path.cwd(), dict(os.environ)
    yield
    os.umask(umask)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)


def settings_of(place: Path, tmp_path: Path, *more: str) -> Settings:
    raw = place / "raw"
    words = (
        f"raw={raw}/films outcomes={raw}/outcomes.csv annotations={raw}/annotations segmenter={place}/model "
        f"store={tmp_path}/store out={tmp_path}/out ingest.films_per_shard=3 segmentation.threads=1 "
        f"cluster.array_width={WIDTH} cluster.cpus_per_worker=1"
    )
    return settings_for(JOBS["run"], [*words.split(), *more])


def submitted(settings: Settings) -> Submission:
    """What `run cluster=slurm` writes before it submits."""
    submission = Submission.new(Path(str(settings.out)), Path(str(settings.store)))
    with held("run", Path(submission.out), Path(submission.store), submission=submission.id):
        submission.write(settings)
    return submission


def run_steps(submission: Submission, *names: str) -> None:
    """Each step's tasks, the last one first: their order does not matter."""
    for name in names:
        width = WIDTH if name in ("ingest-scan", "ingest-write", "segment") else 1
        for index in reversed(range(width)):
            run_step(submission.out, submission.id, name, index)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but for what says when it was made."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("provenance.json", ".lock")
    }


def in_one_process(settings: Settings) -> None:
    flow, store = Flow(Path(str(settings.out)), settings), Path(str(settings.store))
    ingest(flow, store)
    segment(flow, store, Path(str(settings.segmenter)))


def test_steps_leave_the_bytes_of_one_process(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segmentation, "FILMS_PER_PART", 2)
    alone = settings_of(place, tmp_path / "alone")
    in_one_process(alone)
    settings = settings_of(place, tmp_path / "spread")
    submission = submitted(settings)
    run_steps(submission, *INGEST, *SEGMENT)
    one, spread = tmp_path / "alone", tmp_path / "spread"
    made = contents(spread / "store")
    del made[".run.json"]
    assert made == contents(one / "store")
    for stage in ("ingest", "segment"):
        assert contents(spread / "out" / stage) == contents(one / "out" / stage)
    for name in ("ingest-scan", "ingest-write", "segment"):
        tasks = read_tasks(submission.folder, name, submission.id)
        assert [one.state for one in tasks.values()] == ["done"] * WIDTH
        assert sum(one.done for one in tasks.values()) == 10


def test_a_finished_stage_is_skipped_by_every_task(place: Path, tmp_path: Path) -> None:
    settings = settings_of(place, tmp_path)
    in_one_process(settings)
    before = contents(tmp_path)
    submission = submitted(settings)
    run_steps(submission, *INGEST, *SEGMENT)
    for name in (*INGEST, *SEGMENT):
        record = read_task(submission.folder, name)
        assert record is not None and record.state == "skipped"
    now = contents(tmp_path)
    assert {name: now[name] for name in before} == before


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # submitit waits for no child
def test_what_is_missing_is_asked_for_again_and_found(place: Path, tmp_path: Path) -> None:
    alone, settings = settings_of(place, tmp_path / "alone"), settings_of(place, tmp_path / "spread")
    flow = Flow(Path(str(alone.out)), alone)
    ingest(flow, Path(str(alone.store)))
    submission = submitted(settings)
    nodes = {node.name: node for node in run_nodes(submission, settings)}
    last = [replace(nodes["ingest-write"], after=()), nodes["ingest-commit"]]
    local = replace(settings.cluster, kind="local")
    submit_graph(last, local, submission.folder)  # too early: every task of it fails
    record = read_task(submission.folder, "ingest-commit")
    assert record is not None and record.state == "failed"
    run_steps(submission, "ingest-begin", "ingest-scan", "ingest-plan")
    run_step(submission.out, submission.id, "ingest-write", 1)
    run_step(submission.out, submission.id, "ingest-commit")
    made = contents(tmp_path / "spread" / "store")
    del made[".run.json"]
    assert made == contents(tmp_path / "alone" / "store")
    again = sorted(path.name for path in submission.folder.glob("again-*"))
    assert again == ["again-001-ingest-commit", "again-001-ingest-write"]
    ids = json.loads((submission.folder / "again-001-ingest-write" / "ids.json").read_text())
    assert 0 < len(ids) < WIDTH and "1" not in ids


def test_what_stays_missing_is_named(place: Path, tmp_path: Path) -> None:
    settings = settings_of(place, tmp_path)
    submission = submitted(settings)
    run_steps(submission, "ingest-begin")
    graph = {"nodes": [], "config": {"kind": "local"}, "whole": True, "earlier": {}}
    node = {
        "name": "ingest-scan",
        "width": 3,
        "resources": {},
        "after": [],
        "ray": False,
        "tries": [{"0": "7_0", "1": "7_1", "2": "7_2"}],
    }
    write_json(submission.folder / "graph.json", graph | {"nodes": [node]})
    run_step(submission.out, submission.id, "ingest-scan", 2)
    first = DelayedSubmission(Resumable(run_step), submission.out, submission.id, "ingest-scan", 0)
    (submission.folder / "ingest-scan").mkdir()
    first.dump(submission.folder / "ingest-scan" / "7_0_submitted.pkl")
    for number in (1, 2):
        (submission.folder / f"again-00{number}-ingest-scan").mkdir()
    with pytest.raises(StorageError, match="2 of 3 tasks of ingest-scan left nothing: 0, 1") as caught:
        run_step(submission.out, submission.id, "ingest-plan")
    assert f"radmill logs out={submission.out} stage=ingest-scan index=0" in str(caught.value)
    with pytest.raises(
        StorageError, match=r"^ingest-commit needs what ingest-plan makes, which has failed: 2 of 3"
    ):
        run_step(submission.out, submission.id, "ingest-commit")


def test_a_job_that_slurm_starts_again_and_again_ends(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A film that brings its node down must not bring down one node after the other."""
    settings = settings_of(place, tmp_path)
    submission = submitted(settings)
    run_steps(submission, "ingest-begin")
    most = settings.cluster.max_attempts
    monkeypatch.setenv("SLURM_RESTART_COUNT", str(most))
    with pytest.raises(
        ClusterError, match=f"started this job {most + 1} times and cluster.max_attempts is {most}"
    ):
        run_step(submission.out, submission.id, "ingest-scan", 0)
    monkeypatch.setenv("SLURM_RESTART_COUNT", str(most - 1))
    run_step(submission.out, submission.id, "ingest-scan", 0)


def test_a_training_whose_supervisor_gave_up_is_quoted(place: Path, tmp_path: Path) -> None:
    """Its driver never began, so the task itself has said nothing."""
    settings = replace(settings_of(place, tmp_path), segmenter=None)
    submission = submitted(settings)
    run_steps(submission, *INGEST)
    node = {"name": "train-segmenter", "width": 0, "resources": {}, "after": [], "ray": True}
    graph = {
        "nodes": [node | {"tries": [{"0": "7"}]}],
        "config": {"kind": "local"},
        "whole": True,
        "earlier": {},
    }
    write_json(submission.folder / "graph.json", graph)
    end = {
        "job": "7",
        "restart": 2,
        "event": "end",
        "word": "failed",
        "sentence": "Ray was not ready on 2 nodes.",
    }
    (submission.folder / "train-segmenter").mkdir()
    (submission.folder / "train-segmenter" / "attempts.jsonl").write_text(f"{json.dumps(end)}\n")
    with pytest.raises(
        StorageError, match=r"train-segmenter makes, which has failed: Ray was not ready on 2"
    ):
        run_step(submission.out, submission.id, "segment-prepare")


def test_a_refusal_costs_nothing_that_was_finished(place: Path, tmp_path: Path) -> None:
    settings = settings_of(place, tmp_path)
    in_one_process(settings)
    before = contents(tmp_path / "out" / "ingest")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "letter.dcm").write_text("dear colleague")
    submission = submitted(replace(settings, raw=str(tmp_path / "letters"), outcomes=None, annotations=None))
    run_steps(submission, "ingest-begin", "ingest-scan")
    assert not (tmp_path / "out" / "ingest" / "DONE.json").exists()
    with pytest.raises(InputError, match="holds no radiograph"):
        run_step(submission.out, submission.id, "ingest-plan")
    assert contents(tmp_path / "out" / "ingest") == before
    assert not list(tmp_path.glob(".store.key*"))
    with pytest.raises(
        StorageError, match=r"ingest-plan makes, which has failed: raw=.* holds no radiograph"
    ):
        run_step(submission.out, submission.id, "segment-prepare")


def test_jobs_of_an_earlier_submission_write_nothing(place: Path, tmp_path: Path) -> None:
    settings = settings_of(place, tmp_path)
    first, second = submitted(settings), submitted(settings)
    with pytest.raises(LockedError, match="of an earlier submission"):
        run_step(first.out, first.id, "ingest-begin")
    second.release()
    with pytest.raises(LockedError, match="does not belong to this submission any more"):
        run_step(second.out, second.id, "ingest-begin")
    assert not (tmp_path / "out" / "ingest").exists()


def test_an_attempt_that_another_has_followed_ends(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submission = submitted(settings_of(place, tmp_path))
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    run_steps(submission, "ingest-begin")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "0")
    with pytest.raises(LockedError, match=r"was begun anew on \S+ \(job 77, restart 1\)"):
        run_step(submission.out, submission.id, "ingest-begin")


def test_a_job_in_a_shell_is_refused_while_submitted_ones_live(
    place: Path, tmp_path: Path, slurm_says: Callable[..., None]
) -> None:
    submission = submitted(settings_of(place, tmp_path))
    graph = {"config": {"kind": "slurm"}, "whole": True, "earlier": {}}
    node = {
        "name": "ingest-begin",
        "width": 0,
        "resources": {},
        "after": [],
        "ray": False,
        "tries": [{"0": "7"}],
    }
    write_json(submission.folder / "graph.json", graph | {"nodes": [node]})
    slurm_says("7|RUNNING||n1|60|2026-11-22T10:00:00|1|0:0")
    with pytest.raises(LockedError) as caught, held("segment", Path(submission.store)):
        pass
    assert f"radmill cancel out={submission.out}" in str(caught.value)
    slurm_says("7|COMPLETED||n1|60|2026-11-22T10:00:00|1|0:0")
    with held("segment", Path(submission.store)):
        pass


def test_jobs_run_and_shells_are_refused_while_the_rest_is_submitted(place: Path, tmp_path: Path) -> None:
    submission = submitted(settings_of(place, tmp_path))
    with submission.submitting("run"):
        run_steps(submission, "ingest-begin")
        for folder in (submission.out, submission.store):
            with (
                pytest.raises(LockedError, match=r"in use by radmill run on host"),
                held("segment", Path(folder)),
            ):
                pass
        with (
            pytest.raises(LockedError, match="in use by radmill run on host"),
            submission.submitting("cancel"),
        ):
            pass
    with held("segment", Path(submission.store)):
        pass


def test_who_goes_on_submitting_claims_the_folders_though_jobs_hold_them(place: Path, tmp_path: Path) -> None:
    submission = submitted(settings_of(place, tmp_path))
    with submission.held("ingest-begin"):
        with held("run", Path(submission.out), Path(submission.store), submission=submission.id):
            submission.claim()
        with pytest.raises(LockedError), held("run", Path(submission.out)):
            pass


def test_a_job_waits_for_who_claims_the_folders(place: Path, tmp_path: Path) -> None:
    submission, order = submitted(settings_of(place, tmp_path)), list[str]()

    def job() -> None:
        with submission.held("ingest-begin"):
            order.append("job")

    with ThreadPoolExecutor() as pool:
        with FolderLock(Path(submission.out), "radmill run"):
            begun = pool.submit(job)
            time.sleep(0.2)
            order.append("claimed")
        begun.result()
    assert order == ["claimed", "job"]


def test_a_submitted_run_has_the_stages_of_one_in_a_shell(place: Path, tmp_path: Path) -> None:
    settings = settings_of(place, tmp_path, "study=hsg")
    assert [step.name for step in steps_of(settings)] == [*INGEST, "classify", "report"]
    named = [step.stage for step in steps_of(settings_of(place, tmp_path))]
    assert tuple(dict.fromkeys(named)) == ("ingest", "segment", "pretrain", "classify", "report")
    settings = replace(settings_of(place, tmp_path), segmenter=None)
    assert "train-segmenter" in [step.stage for step in steps_of(settings)]


def test_who_was_followed_submits_nothing(place: Path, tmp_path: Path) -> None:
    first = submitted(settings_of(place, tmp_path))
    submitted(settings_of(place, tmp_path))
    with pytest.raises(LockedError, match="was submitted again just now"), first.submitting("run"):
        pass


def test_a_requeued_job_goes_on_though_the_run_was_to_start_over(place: Path, tmp_path: Path) -> None:
    settings = settings_of(place, tmp_path, "fresh=true")
    in_one_process(settings)
    submission = submitted(settings)
    run_steps(submission, *INGEST)
    record = read_task(submission.folder, "ingest-begin")
    assert record is not None and record.state == "done"
    run_step(submission.out, submission.id, "ingest-begin")
    record = read_task(submission.folder, "ingest-begin")
    assert record is not None and record.state == "skipped"


def test_settings_come_back_as_they_were(place: Path, tmp_path: Path) -> None:
    settings = settings_of(place, tmp_path, "study.outcome_rule=< -1.5", "cluster.setup=[module load gcc]")
    assert submitted(settings).settings() == settings
    assert isinstance(settings.cluster, ClusterConfig)
