"""Machines that differ: what the lab can't show, since its nodes share a clock and an environment."""

from dataclasses import replace

from cluster.findings import machine_findings, node_findings
from cluster.probe import Answer, Request, examine

GOOD = Answer(
    host="n1",
    time_s=100.0,
    cpus=4,
    memory=1 << 33,
    scratch_free=9 << 30,
    shm_free=9 << 30,
    open_files=65536,
    marker="m",
    interfaces=["lo", "ib0", "eth0"],
    versions={"python": "3.11.2", "torch": "2.11"},
)


def test_an_older_torch_on_one_node() -> None:
    other = replace(GOOD, host="n2", versions={"python": "3.11.2", "torch": "2.10"})
    versions = machine_findings([GOOD, other], "/tmp")[0]
    assert not versions.ok and versions.found == "n2: torch 2.10"
    assert "n1 has python 3.11.2, torch 2.11" in versions.advice


def test_a_package_that_is_not_installed() -> None:
    bare = replace(GOOD, host="n3", versions={"python": "3.11.2", "torch": ""})
    assert machine_findings([bare], "/tmp")[0].found == "n3: has no torch"


def test_clocks_that_differ_and_slow_answers_that_do_not_matter() -> None:
    late = replace(GOOD, host="n2", time_s=109.0)
    ahead = replace(GOOD, host="n3", time_s=170.0)
    behind = replace(GOOD, host="n4", time_s=60.0)
    clock = node_findings([GOOD, late, ahead, behind], "m", "/shared", None, (99.0, 110.0))[-1]
    assert clock.found == "n3: 60 s off; n4: 39 s off" and not clock.ok


def test_few_open_files_and_little_shared_memory() -> None:
    poor = replace(GOOD, host="n2", open_files=1024, shm_free=64 << 20)
    found = {one.name: one for one in machine_findings([GOOD, poor], "/tmp")}
    assert found["open files"].found == "n2: 1024" and not found["open files"].ok
    assert found["shared memory"].found == "n2: 0.06 GB free" and not found["shared memory"].ok
    assert found["scratch"].ok


def test_many_nodes_are_counted_not_listed() -> None:
    blind = [replace(GOOD, host=f"n{number}", marker="") for number in range(40)]
    assert node_findings(blind, "m", "/x", None, (99, 101))[0].found.endswith(" and 35 more nodes")


def test_an_interface_that_all_have_is_offered() -> None:
    other = replace(GOOD, host="n2", interfaces=["lo", "eth0"])
    finding = node_findings([GOOD, other], "m", "/x", "ib0", (99, 101))[1]
    assert finding.found == "n2: has lo, eth0"
    assert finding.advice == "set cluster.interface to one that all nodes have: eth0."


def test_this_machine_answers() -> None:
    answer = examine(Request(marker="/no/such/marker", scratch="/no/such/folder"))
    assert answer.trouble == {
        "scratch": "No such file or directory",
        "marker": "No such file or directory",
    }
    assert answer.cpus >= 1 and "lo" in answer.interfaces and answer.versions["numpy"]
