"""How submitted jobs stand: by sacct, else squeue, else the files that submitit leaves (Slurm without accounting)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cluster.commands import ask

UNKNOWN = "UNKNOWN"  # Slurm does not answer
GONE = "GONE"  # Slurm answers and knows nothing of it: cancelled before it began, or over long ago
# Every other word of Slurm's is of a job that may still run: held after a requeue, staging out, in a federation ...
_ENDS = (
    "COMPLETED",
    "FAILED",
    "CANCELLED",
    "TIMEOUT",
    "NODE_FAIL",
    "PREEMPTED",
    "OUT_OF_MEMORY",
    "DEADLINE",
    "BOOT_FAIL",
    "REVOKED",
    GONE,
)
_MAYBE_AGAIN = (
    "NODE_FAIL",
    "PREEMPTED",
)  # accounting's last word on an attempt, though the job may wait for another
_IDS_PER_CALL = 200  # a command line has a length
# --states=all: what ended within MinJobAge (five minutes) is still told.
_SQUEUE = ("squeue", "-h", "-r", "--states=all", "-o", "%i|%T|%r|%N|%M|%S|%D|")
_FIELDS = "JobID,State,Reason,NodeList,ElapsedRaw,Start,NNodes,ExitCode"

# Slurm's reason of waiting -> plain words; what is not here is told as Slurm has it.
_REASONS = {
    "Priority": "others are before it",
    "Resources": "waits for free nodes",
    "Dependency": "waits for the step before it",
    "DependencyNeverSatisfied": "waits for a job that is gone",
    "BeginTime": "was requeued and starts again within two minutes",
    "JobArrayTaskLimit": "waits for other tasks of its array",
    "JobHeldUser": "held by its owner (scontrol release starts it)",
    "JobHeldAdmin": "held by the administrator",
    "ReqNodeNotAvail": "the nodes that it needs are down or reserved",
    "PartitionNodeLimit": "asks for more nodes than the partition gives",
    "PartitionTimeLimit": "asks for more time than the partition gives",
    "PartitionDown": "the partition is down",
    "PartitionInactive": "the partition is closed",
    "NodeDown": "a node that it needs is down",
    "Licenses": "waits for a licence",
    "Reservation": "waits for its reservation",
    "InvalidAccount": "its account is not valid",
    "InvalidQOS": "its QOS is not valid",
    "Cleaning": "its last attempt is being cleared away",
    "BadConstraints": "no node has what it asks for",
}
_LIMITED = re.compile(r"^(QOS|Assoc|MaxJobs|MaxMem|MaxNode|MaxCpu|MaxWall)")


@dataclass(frozen=True, kw_only=True, slots=True)
class JobState:
    """One job or array task.

    state: Slurm's word (PENDING, RUNNING, COMPLETED, FAILED, TIMEOUT, NODE_FAIL, ...), or GONE or UNKNOWN;
    reason: why it waits, in plain words, empty otherwise; node: Slurm's node list; start: ISO time or empty.
    All are of its last attempt; earlier_node_s: nodes times seconds of those before, and lost_nodes: nodes that failed
    under one of its attempts (of several nodes Slurm does not tell which), which only sacct tells.
    """

    state: str = UNKNOWN
    reason: str = ""
    node: str = ""
    elapsed_s: int = 0
    nodes: int = 1
    start: str = ""
    exit_code: str = ""
    earlier_node_s: int = 0
    lost_nodes: frozenset[str] = frozenset()

    @property
    def node_s(self) -> int:
        """Nodes times seconds, over all attempts."""
        return self.earlier_node_s + self.elapsed_s * self.nodes

    @property
    def finished(self) -> bool:
        """Slurm will not start or continue it."""
        return self.state in _ENDS

    @property
    def live(self) -> bool:
        """Slurm says that it waits or runs, or may again."""
        return not self.finished and self.state != UNKNOWN


def job_states(ids: Iterable[str], folders: Sequence[Path] = ()) -> dict[str, JobState]:
    """The state of every id (`7` or `7_3`).

    Args:
        folders: where submitit keeps these jobs' files, for what Slurm has forgotten.
    """
    wanted = list(dict.fromkeys(ids))
    known = _from_sacct(wanted)
    settled = [one for one in known if known[one].finished and known[one].state not in _MAYBE_AGAIN]
    unsettled = [one for one in wanted if one not in settled]
    queued = _from_squeue(unsettled)
    rest = [one for one in unsettled if one not in queued]
    # The whole queue in one answer: a job that it does not hold is over, and only a result says how. sacct may lag.
    queue = ask((*_SQUEUE, "--me")) if rest else None
    queued |= {one: told for one, told in _read(queue or "").items() if one in rest}
    known |= {one: _with_earlier(now, known.get(one)) for one, now in queued.items()}
    for one in rest:
        if one not in queued:
            known[one] = _unqueued(one, known.get(one), folders, answered=queue is not None)
    return {one: known[one] for one in wanted}


def _unqueued(one: str, recorded: JobState | None, folders: Sequence[Path], answered: bool) -> JobState:
    """A job that squeue does not name, because it is over or because squeue did not answer; recorded: by sacct."""
    if recorded is not None and recorded.state in _MAYBE_AGAIN:
        return recorded if answered else replace(recorded, state=UNKNOWN)
    if recorded is not None and not answered:
        return recorded
    found = _from_files([one], folders, results_alone=answered).get(one)
    state = found or JobState(state=GONE if answered else UNKNOWN)
    return state if recorded is None else replace(recorded, state=state.state, reason=state.reason)


def owned(owner: str) -> list[str]:
    """Ids, without array indices, of the user's jobs that wait or run and whose comment is `owner`."""
    said = ask(["squeue", "-h", "--me", "-o", "%A|%F|%k"]) or ""
    lines = [line.split("|", 2) for line in said.splitlines() if line.count("|") >= 2]
    return list(dict.fromkeys(array for _, array, comment in lines if comment == owner))


def node_hours(states: Mapping[str, JobState]) -> float:
    """Nodes times hours, over all the jobs and their attempts."""
    return sum(state.node_s for state in states.values()) / 3600


def in_words(reason: str) -> str:
    """Slurm's reason as a reader understands it."""
    word = reason.strip("() ").split(",")[0]
    if word in ("", "None"):
        return ""
    if _LIMITED.match(word):
        return f"a limit of your account or QOS is reached ({word})"
    return _REASONS.get(word, word)


def _with_earlier(now: JobState, before: JobState | None) -> JobState:
    """squeue's word of an attempt with what sacct knows, whose last record may be of the attempt before."""
    if before is None:
        return now
    same = before.start == now.start
    return replace(
        now,
        earlier_node_s=before.earlier_node_s if same else before.node_s,
        lost_nodes=now.lost_nodes | before.lost_nodes,
    )


def _from_sacct(ids: Sequence[str]) -> dict[str, JobState]:
    # Without --duplicates only the last attempt of a job that was requeued is told.
    return _from(["sacct", "-X", "--duplicates", "-n", "-P", "-o", _FIELDS, "-j"], ids)


def _from_squeue(ids: Sequence[str]) -> dict[str, JobState]:
    return _from([*_SQUEUE, "-j"], ids)


def _from(command: Sequence[str], ids: Sequence[str]) -> dict[str, JobState]:
    jobs = list(dict.fromkeys(one.partition("_")[0] for one in ids if one[:1].isdigit()))
    found: dict[str, JobState] = {}
    for begin in range(0, len(jobs), _IDS_PER_CALL):
        found |= _read(ask([*command, ",".join(jobs[begin : begin + _IDS_PER_CALL])]) or "")
    return {one: found[one] for one in ids if one in found}


def _read(said: str) -> dict[str, JobState]:
    found: dict[str, JobState] = {}
    for line in said.splitlines():
        for one, state in _parsed(line).items():
            if before := found.get(one):  # attempts come in their order
                lost = before.lost_nodes | state.lost_nodes
                found[one] = replace(state, earlier_node_s=before.node_s, lost_nodes=lost)
            else:
                found[one] = state
    return found


def _parsed(line: str) -> dict[str, JobState]:
    fields = line.split("|")
    if len(fields) < 8:
        return {}
    identity, state, reason, node, elapsed, start, nodes, code = fields[:8]
    words = state.split()
    lost = words[:1] == ["NODE_FAIL"] and nodes == "1" and node
    one = JobState(
        state=words[0].rstrip("+") if words else UNKNOWN,
        reason=in_words(reason) if words and words[0] == "PENDING" else "",
        node="" if node == "None assigned" else node,
        elapsed_s=_seconds(elapsed),
        nodes=int(nodes) if nodes.isdigit() else 1,
        start=start if start[:1].isdigit() else "",
        exit_code=code,
        lost_nodes=frozenset([node] if lost else []),
    )
    return dict.fromkeys(expand_ids(identity), one)


def expand_ids(identity: str) -> list[str]:
    """`7_[1-2,5%4]` is 7_1, 7_2, 7_5; a single id is itself."""
    job, bracket, rest = identity.partition("_[")
    if not bracket:
        return [identity]
    indices: list[str] = []
    for part in rest.rstrip("]").split("%")[0].split(","):
        low, dash, high = part.partition("-")
        if not low.isdigit() or (dash and not high.isdigit()):
            return [identity]  # a list that Slurm cut short (SLURM_BITSTR_LEN)
        indices += [str(index) for index in range(int(low), int(high or low) + 1)]
    return [f"{job}_{index}" for index in indices]


def _seconds(elapsed: str) -> int:
    """sacct's seconds, or squeue's [days-][hours:]minutes:seconds."""
    if elapsed.isdigit():
        return int(elapsed)
    days, dash, clock = elapsed.rpartition("-")
    parts = clock.split(":")
    if not all(part.isdigit() for part in parts):
        return 0
    total = 0
    for part in parts:
        total = 60 * total + int(part)
    return total + (86400 * int(days) if dash and days.isdigit() else 0)


def _from_files(ids: Sequence[str], folders: Sequence[Path], results_alone: bool) -> dict[str, JobState]:
    """What a result says; where Slurm does not answer, a log or a submission file too, as of when it last did."""
    found: dict[str, JobState] = {}
    for one in ids:
        for folder in folders:
            result = folder / f"{one}_0_result.pkl"
            if result.exists():
                found[one] = JobState(state="COMPLETED" if outcome(result) == "success" else "FAILED")
            elif results_alone:
                continue
            elif (folder / f"{one}_0_log.out").exists():
                found[one] = JobState(state="RUNNING", reason="by its log; Slurm does not answer")
            elif (folder / f"{one}_submitted.pkl").exists():
                found[one] = JobState(state="PENDING", reason="by its files; Slurm does not answer")
    return found


def outcome(result: Path) -> str:
    """`success` or `error`, as submitit wrote it; only for results of our own jobs (a pickle runs code)."""
    from submitit.core.utils import pickle_load

    return str(pickle_load(result)[0])
