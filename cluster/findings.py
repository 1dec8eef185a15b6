"""What machines answered, judged: a finding per subject, good or with what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.probe import Answer

GB = 2**30
LEAST_SCRATCH_GB = 2.0  # Ray's logs and spilled objects
LEAST_SHM_GB = 0.5  # loader workers and Ray's object store
LEAST_OPEN_FILES = 4096
MOST_SKEW_S = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One line of `doctor`: what was looked at, whether it is good, what was found, what to do where it is not."""

    name: str
    ok: bool
    found: str
    advice: str = ""


def machine_findings(answers: Sequence[Answer], scratch: str) -> list[Finding]:
    """Versions, scratch, shared memory and limits of one machine or many."""
    return [
        _versions(answers),
        _scratch(answers, scratch),
        _least(
            "shared memory",
            {one.host: one.shm_free for one in answers},
            LEAST_SHM_GB,
            "/dev/shm",
            "ask for more, or in a container start it with --shm-size.",
        ),
        _open_files(answers),
    ]


def node_findings(
    answers: Sequence[Answer], marker: str, folder: str, interface: str | None, asked_s: tuple[float, float]
) -> list[Finding]:
    """What only several nodes can get wrong.

    Args:
        marker: what the shared folder's marker file holds.
        asked_s: this machine's clock before and after the nodes were asked, in seconds.
    """
    return [_shared(answers, marker, folder), *_interface(answers, interface), _clock(answers, asked_s)]


def _shared(answers: Sequence[Answer], marker: str, folder: str) -> Finding:
    blind = {one.host: one.trouble.get("marker", "another file") for one in answers if one.marker != marker}
    advice = f"{folder} must be the same folder on every node: put out= and store= on storage that all nodes mount."
    return _judged("shared folder", blind, f"{folder} is seen from {_count(answers)}", advice)


def _interface(answers: Sequence[Answer], interface: str | None) -> list[Finding]:
    if interface is None:
        return []
    common = set.intersection(*(set(one.interfaces) for one in answers)) if answers else set()
    without = {
        one.host: "has " + ", ".join(one.interfaces) for one in answers if interface not in one.interfaces
    }
    shared = ", ".join(sorted(common - {"lo"})) or "there is none"
    advice = f"set cluster.interface to one that all nodes have: {shared}."
    return [_judged("interface", without, f"{interface} is on {_count(answers)}", advice)]


def _clock(answers: Sequence[Answer], asked_s: tuple[float, float]) -> Finding:
    """A node answers between the two moments, so that its clock must read something between them."""
    begun, ended = asked_s
    off = {one.host: max(begun - one.time_s, one.time_s - ended) for one in answers}
    wrong = {host: f"{skew:.0f} s off" for host, skew in off.items() if skew > MOST_SKEW_S}
    advice = "clocks must agree (NTP): heartbeats and locks compare times; tell who runs the cluster."
    return _judged("clocks", wrong, f"agree within {MOST_SKEW_S:g} s", advice)


def _versions(answers: Sequence[Answer]) -> Finding:
    first = answers[0]
    missing = {one.host: "has no " + ", ".join(_absent(one)) for one in answers if _absent(one)}
    if missing:
        return _judged("versions", missing, "", "install radmill there into the same environment (make).")
    differ = {
        one.host: ", ".join(
            f"{name} {one.versions[name]}"
            for name in one.versions
            if one.versions[name] != first.versions[name]
        )
        for one in answers
        if one.versions != first.versions
    }
    told = ", ".join(f"{name} {text}" for name, text in first.versions.items())
    advice = f"{first.host} has {told}; let all nodes use one environment on the shared folder."
    return _judged("versions", differ, told, advice)


def _absent(answer: Answer) -> list[str]:
    return [name for name, text in answer.versions.items() if not text]


def _scratch(answers: Sequence[Answer], scratch: str) -> Finding:
    refused = {one.host: one.trouble["scratch"] for one in answers if "scratch" in one.trouble}
    if refused:
        advice = f"{scratch} must be local, writable and able to hold sockets; set cluster.scratch."
        return _judged("scratch", refused, "", advice)
    return _least(
        "scratch",
        {one.host: one.scratch_free for one in answers},
        LEAST_SCRATCH_GB,
        scratch,
        "clear it, or set cluster.scratch to a roomier local folder.",
    )


def _least(name: str, free: Mapping[str, int], least_gb: float, folder: str, advice: str) -> Finding:
    short = {host: f"{max(size, 0) / GB:.2f} GB free" for host, size in free.items() if size < least_gb * GB}
    found = f"{folder} has at least {min(free.values(), default=0) / GB:.1f} GB free"
    return _judged(name, short, found, f"{folder} needs {least_gb:g} GB: {advice}")


def _open_files(answers: Sequence[Answer]) -> Finding:
    few = {one.host: f"{one.open_files}" for one in answers if 0 <= one.open_files < LEAST_OPEN_FILES}
    advice = f"Ray needs at least {LEAST_OPEN_FILES}: raise the hard limit (ulimit -Hn) in limits.conf."
    least = min((one.open_files for one in answers), default=0)
    return _judged("open files", few, f"at least {least} allowed", advice)


def _judged(name: str, wrong: Mapping[str, str], found: str, advice: str) -> Finding:
    if not wrong:
        return Finding(name=name, ok=True, found=found)
    shown = "; ".join(f"{host}: {what}" for host, what in list(wrong.items())[:5])
    more = f" and {len(wrong) - 5} more nodes" if len(wrong) > 5 else ""
    return Finding(name=name, ok=False, found=shown + more, advice=advice)


def _count(answers: Sequence[Answer]) -> str:
    return "1 node" if len(answers) == 1 else f"all {len(answers)} nodes asked"
