"""`radmill doctor` on the lab: every check passes, and every bad input is found by name."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.__main__ import main
from tests.slurm.conftest import Lab

pytestmark = pytest.mark.slurm
Doctor = Callable[..., tuple[int, str]]


@pytest.fixture
def doctor(lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """doctor(*words) -> exit code and what it printed; `out=` is a folder that every node sees."""

    def run(*words: str) -> tuple[int, str]:
        code = main(["doctor", "cluster=slurm", "cluster.site=lab", f"out={tmp_path}/out", *words])
        return code, capsys.readouterr().out

    return run


def test_a_good_cluster(doctor: Doctor, lab: Lab) -> None:
    code, told = doctor("cluster.workers=2")
    assert code == 0, told
    assert [line.split()[1] for line in told.splitlines()] == [
        "out", "Slurm", "accounting", "partition", "submission", "nodes", "shared", "interface", "clocks",
        "versions", "scratch", "shared", "open",
    ]  # fmt: skip
    assert f"{', '.join(lab.nodes)} answered" in told and "is seen from all 3 nodes asked" in told
    assert "main: 3 nodes of 4 CPUs, 2 GPUs and 6.8 GB; at most 14400 minutes" in told


def test_only_nodes_with_the_wanted_features_are_asked(doctor: Doctor, lab: Lab) -> None:
    update = ["scontrol", "update", f"NodeName={lab.nodes[1]}"]
    subprocess.run([*update, "AvailableFeatures=fast,new", "ActiveFeatures=fast,new"], check=True)
    try:
        code, told = doctor("cluster.constraint=fast&new")
        many, refused = doctor("cluster.constraint=fast", "cluster.workers=2")
    finally:
        subprocess.run([*update, "AvailableFeatures=", "ActiveFeatures="], check=True)
    assert code == 0 and f" {lab.nodes[1]} answered" in told and lab.nodes[0] not in told, told
    assert many == 1 and "can never give 2 node(s)" in refused, refused


def test_nodes_that_differ(doctor: Doctor, lab: Lab) -> None:
    """A full scratch on one node, an interface that none has, and a folder that only this machine sees."""
    lab.do("exec", lab.nodes[1], "mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", "/var/tmp")
    try:
        code, told = doctor("out=/var/tmp/out", "cluster.interface=ib7", "cluster.scratch=/var/tmp")
    finally:
        lab.do("exec", lab.nodes[1], "umount", "/var/tmp")
    assert code == 1
    problems = {line.split(maxsplit=1)[1] for line in told.splitlines() if line.startswith("problem")}
    assert len(problems) == 3, told
    assert any(line.startswith("shared folder") and line.count("No such file") == 3 for line in problems)
    assert any(line.startswith("interface") and f"{lab.nodes[0]}: has lo, eth0" in line for line in problems)
    assert any(line.startswith(f"scratch        {lab.nodes[1]}: 0.01 GB free") for line in problems)
    assert "set cluster.interface to one that all nodes have: eth0." in told


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["cluster.partition=moon"], "problem  partition   moon does not exist"),
        (["cluster.workers=9"], "partition main can never give 9 node(s) of 1 CPUs, 0 GPUs, 1.5 GB"),
        (["cluster.gpus_per_worker=3"], "partition main can never give 1 node(s) of 1 CPUs, 3 GPUs, 1.5 GB"),
        (["cluster.timeout_min=20000"], "partition main allows 14400 minutes, but the job asks for 20000"),
        (["cluster.account=nobody"], "cluster.account=nobody can't be used by you"),
    ],
)
def test_what_the_cluster_can_not_do(doctor: Doctor, words: list[str], sentence: str) -> None:
    code, told = doctor(*words)
    assert code == 1 and sentence in told, told


def test_a_dead_node_is_named_and_does_not_hold_the_others_up(doctor: Doctor, lab: Lab) -> None:
    lab.do("kill", lab.nodes[2])
    subprocess.run(
        ["scontrol", "update", f"nodename={lab.nodes[2]}", "state=down", "reason=test"], check=True
    )
    try:
        code, told = doctor("cluster.workers=3")
    finally:
        lab.do("revive", lab.nodes[2])
        subprocess.run(["scontrol", "update", f"nodename={lab.nodes[2]}", "state=resume"], check=False)
    assert code == 0, told
    assert f"not free, not asked: {lab.nodes[2]}" in told
    assert "Slurm would queue the job: nodes that it needs are down, drained or reserved now." in told


def test_without_accounting(doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only = tmp_path / "bin"
    only.mkdir()
    for name in ("sbatch", "srun", "squeue", "sinfo", "scontrol", "scancel"):
        (only / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(only))
    code, told = doctor()
    assert code == 0 and "accounting     none: status asks squeue and our own files" in told
