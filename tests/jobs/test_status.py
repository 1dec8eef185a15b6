"""A recorded run, told to any shell: where each step stands, its log, its end, and what to ask for once more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from cluster.attempts import Attempts
from cluster.config import ClusterConfig
from cluster.graph_file import Graph, Submitted, read_graph, write_graph
from cluster.resources import Resources
from jobs.__main__ import main
from jobs.submission import Submission
from jobs.tasks import TaskRecord
from storage.atomic import write_json

Say = Callable[..., None]
BEGUN = time.mktime((2026, 11, 20, 10, 0, 0, 0, 0, -1))


def node(name: str, job: str, width: int = 0, after: str = "") -> Submitted:
    ids = {index: f"{job}_{index}" for index in range(width)} if width else {0: job}
    return Submitted(
        name=name,
        width=width,
        resources=Resources(),
        after=(after,) if after else (),
        ray=name == "pretrain",
        tries=(ids,),
    )


@pytest.fixture
def run(tmp_path: Path) -> Submission:
    """A submission with one array between two steps, and a training."""
    out, store = tmp_path / "out", tmp_path / "store"
    submission = Submission(
        id="0" * 16, out=str(out), store=str(store), cwd="/", since="2026-11-20 09:59:00 UTC", host="login1"
    )
    write_json(submission.folder / "submission.json", asdict(submission))
    submission.claim()
    nodes = [
        node("segment-prepare", "1"),
        node("segment", "2", 3, "segment-prepare"),
        node("segment-assemble", "3", after="segment"),
        node("pretrain", "4", after="segment-assemble"),
    ]
    graph = Graph(nodes={one.name: one for one in nodes}, config=ClusterConfig(kind="slurm"), whole=True)
    write_graph(submission.folder, graph)
    return submission


def tell(run: Submission, step: str, index: int, state: str, **more: object) -> None:
    record = TaskRecord(
        submission=run.id,
        step=step,
        index=index,
        job="",
        restarts=0,
        host="n1",
        pid=1,
        state=state,
        since=BEGUN,
        updated=BEGUN + 60,
    )
    write_json(run.folder / "tasks" / f"{step}-{index:05d}.json", asdict(record) | more)


def log(run: Submission, step: str, job: str, text: str) -> Path:
    path = run.folder / step / f"{job}_0_log.err"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def half_way(run: Submission, slurm_says: Say) -> None:
    tell(run, "segment-prepare", 0, "done")
    tell(run, "segment", 0, "done", done=32, total=32)
    tell(run, "segment", 1, "running", done=8, total=32)
    slurm_says(
        "1|COMPLETED||n1|60|2026-11-20T10:00:00|1|0:0",
        "2_0|COMPLETED||n1|1800|2026-11-20T10:01:00|1|0:0",
        "2_1|RUNNING||n2|1800|2026-11-20T10:01:00|1|0:0",
        "2_2|PENDING|Resources|None assigned|0|Unknown|1|0:0",
        "3|PENDING|Dependency|None assigned|0|Unknown|1|0:0",
        "4|PENDING|Dependency|None assigned|0|Unknown|2|0:0",
    )


def said(capsys: pytest.CaptureFixture[str], words: str, code: int = 0) -> str:
    assert main(words.split()) == code
    captured = capsys.readouterr()
    return captured.out if code == 0 else captured.err


def test_half_way(run: Submission, slurm_says: Say, capsys: pytest.CaptureFixture[str]) -> None:
    half_way(run, slurm_says)
    path = log(run, "segment", "2_1", "reading films\n")
    assert (
        said(capsys, f"status out={run.out}")
        == f"""\
{run.out}: submitted from login1 on 2026-11-20 09:59:00 UTC
step              state    done                    since        node hours
segment-prepare   done                             11-20 10:01  0.02
segment           running  1 of 3 tasks, 40 of 64  11-20 10:01  1.00        on n2
segment-assemble  waiting                                                   waits for segment
pretrain          waiting                                                   waits for segment-assemble
1.02 node hours in all.
Its log: {path}; radmill logs out={run.out} -f follows it.
"""
    )


def failed(run: Submission, slurm_says: Say) -> None:
    tell(run, "segment-prepare", 0, "done")
    tell(run, "segment", 0, "done", done=32, total=32)
    tell(run, "segment", 2, "done", done=32, total=32)
    tell(run, "segment-assemble", 0, "failed", said="1 of 3 tasks of segment left nothing: 1.")
    slurm_says(
        "1|COMPLETED||n1|60|2026-11-20T10:00:00|1|0:0",
        "2_0|COMPLETED||n1|60|2026-11-20T10:01:00|1|0:0",
        "2_1|NODE_FAIL||n2|60|2026-11-20T10:01:00|1|0:0",
        "2_2|COMPLETED||n1|60|2026-11-20T10:01:00|1|0:0",
        "3|FAILED||n1|60|2026-11-20T10:02:00|1|1:0",
        "4|FAILED||n[1-2]|60|2026-11-20T10:03:00|2|1:0",
    )


def test_what_failed_is_told_first(
    run: Submission, slurm_says: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    failed(run, slurm_says)
    told = said(capsys, f"status out={run.out}").splitlines()
    assert told[3].split()[:6] == ["segment", "failed", "2", "of", "3", "tasks,"]
    assert told[3].endswith("tasks 1: lost its node on n2")
    assert told[4].endswith("1 of 3 tasks of segment left nothing: 1.")
    assert told[-1] == (
        f"segment failed first: radmill logs out={run.out} stage=segment shows its log. "
        f"radmill retry out={run.out} asks for what is missing."
    )


def test_an_array_that_will_be_asked_for_again_has_not_failed(
    run: Submission, slurm_says: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    half_way(run, slurm_says)
    slurm_says(
        "1|COMPLETED||n1|60|2026-11-20T10:00:00|1|0:0",
        "2_0|COMPLETED||n1|60|2026-11-20T10:01:00|1|0:0",
        "2_1|NODE_FAIL||n2|60|2026-11-20T10:01:00|1|0:0",
        "2_2|COMPLETED||n1|60|2026-11-20T10:01:00|1|0:0",
        "3|PENDING|Dependency|None assigned|0|Unknown|1|0:0",
        "4|PENDING|Dependency|None assigned|0|Unknown|2|0:0",
    )
    tell(run, "segment", 2, "done", done=32, total=32)
    told = said(capsys, f"status out={run.out}").splitlines()
    assert told[3].split()[:2] == ["segment", "waiting"]
    assert told[3].endswith("tasks 1: lost its node on n2; segment-assemble asks for them again")
    tell(run, "segment", 1, "failed", said="model=DIR holds no segmenter.", users=True)
    told = said(capsys, f"status out={run.out}").splitlines()
    assert told[3].split()[:2] == ["segment", "failed"] and told[3].endswith("model=DIR holds no segmenter.")


def test_a_step_whose_second_try_was_cancelled_has_failed(
    run: Submission, slurm_says: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    failed(run, slurm_says)
    tell(run, "segment-assemble", 0, "asks again", said="1 of 3 tasks of segment left nothing: 1")
    told = said(capsys, f"status out={run.out}").splitlines()
    assert told[4].split()[:2] == ["segment-assemble", "failed"]
    assert told[4].endswith("1 of 3 tasks of segment left nothing: 1")
    assert "radmill retry" in told[-1]


def test_what_ended_a_ray_cluster_is_told(
    run: Submission, slurm_says: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    failed(run, slurm_says)
    attempts = Attempts(run.folder / "pretrain" / "attempts.jsonl", "4", 0)
    attempts.write("begin")
    attempts.write("end", word="failed", sentence="Ray was not ready on 2 nodes within 300 s.")
    capsys.readouterr()
    told = said(capsys, f"status out={run.out}").splitlines()
    assert told[5].endswith("Ray was not ready on 2 nodes within 300 s.")


def test_files_alone_tell_where_there_is_no_slurm(
    run: Submission, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    tell(run, "segment-prepare", 0, "done")
    tell(run, "segment", 0, "running", done=8, total=32)
    tell(run, "segment", 1, "failed", said="No space left.")
    told = said(capsys, f"status out={run.out}").splitlines()
    assert told[3].split()[:2] == ["segment", "running"] and "on n1, silent for" in told[3]
    assert told[3].endswith("tasks that failed: 1")
    assert told[4].split()[:2] == ["segment-assemble", "waiting"]


def test_logs_shows_what_matters(
    run: Submission, slurm_says: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    half_way(run, slurm_says)
    log(run, "segment", "2_0", "zero\n")
    log(run, "segment", "2_1", "one\n")
    assert said(capsys, f"logs out={run.out}") == "one\n"
    assert said(capsys, f"logs out={run.out} stage=segment index=0") == "zero\n"
    assert said(capsys, f"logs out={run.out} stage=pretrain", 2) == (
        "radmill: pretrain has printed nothing yet: it is waiting (waits for segment-assemble).\n"
    )
    assert said(capsys, f"logs out={run.out} stage=segment index=3", 2) == (
        "radmill: index=3 is none of the 3 tasks of segment, which count from 0.\n"
    )
    assert said(capsys, f"logs out={run.out} stage=ingest", 2) == (
        "radmill: stage=ingest is none of the steps that were submitted: segment-prepare, segment, "
        "segment-assemble, pretrain.\n"
    )


FOLLOW = """
import sys
import jobs.logs
from jobs.__main__ import main
jobs.logs._ASKS_EVERY_S = 0
sys.exit(main(sys.argv[1:]))
"""


def test_a_followed_log_ends_with_the_run(run: Submission, slurm_says: Say) -> None:
    half_way(run, slurm_says)
    path = log(run, "segment", "2_1", "one\n")
    words = [sys.executable, "-c", FOLLOW, "logs", f"out={run.out}", "-f"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ) as following:
        assert following.stdout is not None and following.stdout.readline() == "one\n"
        with path.open("a") as file:
            file.write("two\n")
        assert following.stdout.readline() == "two\n"
        failed(run, slurm_says)
        assert following.wait(60) == 0


def test_cancel_ends_what_lives_and_gives_the_folders_back(
    run: Submission, slurm_says: Say, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    half_way(run, slurm_says)
    assert (tmp_path / "store" / ".run.json").exists()
    told = said(capsys, f"cancel out={run.out}")
    assert told == "Ended 4 jobs; what is finished stays, and the same radmill run goes on from there.\n"
    assert (tmp_path / "slurm" / "cancelled").read_text() == "2 3 4\n"
    assert not (tmp_path / "store" / ".run.json").exists()


def test_cancel_keeps_the_folders_while_jobs_remain(
    run: Submission,
    slurm_says: Say,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    half_way(run, slurm_says)
    (tmp_path / "slurm" / "deaf").touch()
    monkeypatch.setattr("jobs.cancel._PATIENCE_S", 0.0)
    assert "Slurm jobs 2, 3, 4 have not ended" in said(capsys, f"cancel out={run.out}", 1)
    assert (tmp_path / "store" / ".run.json").exists()


def test_what_was_cancelled_is_not_gone_on_with(run: Submission, slurm_says: Say) -> None:
    half_way(run, slurm_says)
    write_graph(run.folder, replace(read_graph(run.folder), whole=False, owner=run.id))
    assert main(["cancel", f"out={run.out}"]) == 0
    assert read_graph(run.folder).whole


def test_retry_waits_until_the_run_has_ended(
    run: Submission, slurm_says: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    half_way(run, slurm_says)
    assert "ask for what they miss by themselves" in said(capsys, f"retry out={run.out}", 1)


def test_retry_tells_what_a_person_must_mend(
    run: Submission, slurm_says: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    failed(run, slurm_says)
    tell(run, "segment", 1, "failed", said="model=DIR holds no segmenter.", users=True)
    assert said(capsys, f"retry out={run.out}", 1) == (
        "radmill: segment refused what it was given: model=DIR holds no segmenter. Mend that, then the same "
        "radmill run goes on.\n"
    )


def test_the_dashboard_of_the_cluster_that_is_up(run: Submission, capsys: pytest.CaptureFixture[str]) -> None:
    assert "No Ray cluster of out=" in said(capsys, f"dashboard out={run.out}", 2)
    up = {
        "state": "up",
        "node": "n1",
        "ssh": "ssh -N -L 8265:127.0.0.1:20005 -J login1 n1",
        "token_file": "/t",
    }
    write_json(run.folder / "pretrain" / "cluster.json", up)
    assert said(capsys, f"dashboard out={run.out}") == (
        "On your own machine:  ssh -N -L 8265:127.0.0.1:20005 -J login1 n1\n"
        "Then open:            http://127.0.0.1:8265\n"
        "It asks for a token:  cat /t\n"
    )


@pytest.mark.parametrize("job", ["status", "logs", "cancel", "retry"])
def test_nothing_was_submitted(job: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, f"{job} out={tmp_path}", 2) == (
        f"radmill: Nothing was submitted from out={tmp_path}: it has no cluster/submission.json. "
        "Name the out= of a radmill run ... cluster=slurm.\n"
    )


def test_asking_imports_nothing_heavy(run: Submission, slurm_says: Say) -> None:
    half_way(run, slurm_says)
    log(run, "segment", "2_1", "one\n")
    code = (
        "import json, sys; from jobs.__main__ import main; codes = [main([job, sys.argv[1]]) for job in sys.argv[2:]];"
        "print(json.dumps([codes, sorted({'torch', 'ray', 'pandas'} & set(sys.modules))]), file=sys.stderr)"
    )
    words = [sys.executable, "-c", code, f"out={run.out}", "status", "logs", "cancel", "dashboard", "retry"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert json.loads(done.stderr.splitlines()[-1]) == [[0, 0, 0, 2, 1], []]
