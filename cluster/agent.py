"""Every node but the first: joins the head's Ray, and leaves with it.

It leaves when the supervisor says so, when Slurm ends the job, or when the supervisor has not been heard of for
FENCE_S: then either this node is cut off or the head is gone, and in both cases what runs here must end. If the
head is gone and Slurm does not know it yet, the first agent to find out asks for the next attempt.
"""

from __future__ import annotations

import json
import platform
import time
from pathlib import Path
from typing import Any

from cluster import heartbeat
from cluster.addresses import own_address
from cluster.allocation import Allocation
from cluster.attempts import Attempts
from cluster.failures import Failure
from cluster.ray_node import RayNode
from cluster.ray_spec import Place, RaySpec
from cluster.requeue import claim, refusal, requeue
from cluster.signals import Signals
from storage.errors import RadmillError

_POLL_S = 0.2
_PAUSE_S = 1.0


class Agent:
    """One agent, from its start to its end."""

    def __init__(self, spec: RaySpec, allocation: Allocation, signals: Signals) -> None:
        self._spec, self._allocation, self._signals = spec, allocation, signals
        self._place = Place(Path(spec.run_folder), allocation.attempt)
        self._attempts = Attempts(self._place.attempts, allocation.job, allocation.restart)
        self._node: RayNode | None = None
        self._starts = 0

    def run(self) -> str:
        """Returns how it ended: done, failed, requeue, terminated, lost."""
        meeting = self._first_meeting()
        if meeting is None:
            return self._word("terminated") if self._signals.ended else self._orphaned()
        host, _, port = meeting["heartbeat"].rpartition(":")
        pulse = heartbeat.Pulse(host, int(port), self._place.token.read_text().strip(), self._allocation.node)
        try:
            outcome = self._serve(pulse, meeting)
        finally:
            self._end_ray()
        if outcome == "lost":
            return self._orphaned()
        if outcome != "terminated":
            pulse.goodbye()
        return outcome

    def _serve(self, pulse: heartbeat.Pulse, meeting: dict[str, Any]) -> str:
        """Keep this node's Ray as the supervisor wants it; returns how it ended."""
        generation, tries, was_up, failed = -1, 0, False, ""
        while True:
            orders = pulse.orders or meeting
            if self._signals.ended:
                return "terminated"
            if "leave" in orders:
                return str(orders["leave"])
            if pulse.lost:
                return "lost"
            if orders["generation"] != generation:
                generation = orders["generation"]
                self._end_ray()
                pulse.say(heartbeat.STARTING, generation)
                tries, was_up, failed = 0, False, self._start_ray(orders)
            if failed:
                pulse.say(heartbeat.REFUSED, generation, failed)
            elif self._node is not None and self._node.code is None:
                if not was_up and self._node.up:
                    was_up = True
                    pulse.say(heartbeat.UP, generation)
            elif was_up:
                pulse.say(heartbeat.DOWN, generation, "Ray lost a process.")
            else:
                # A slow head, or another user who took a port between our test and Ray's start: the supervisor's
                # deadline bounds this.
                tries += 1
                self._attempts.write("ray_start_again", node=self._allocation.node, tries=tries)
                self._end_ray()
                time.sleep(_PAUSE_S)
                failed = self._start_ray(orders)
            time.sleep(_POLL_S)

    def _start_ray(self, meeting: dict[str, Any]) -> str:
        """Returns why Ray can't be started here, as a sentence; empty if it was."""
        start, self._starts = self._starts, self._starts + 1
        try:
            address, interface = own_address(self._spec.interface)
            self._node = RayNode(
                self._allocation,
                start,
                address=address,
                interface=interface,
                scratch=Path(self._spec.scratch),
                logs=self._place.logs(self._allocation.node),
                token_file=self._place.token,
                head_address=meeting["address"],
            )
        except RadmillError as error:
            return str(error)
        except OSError as error:
            return f"The system of {platform.node()} refused: {error}."
        if self._node.swept:
            self._attempts.write("swept", folders=self._node.swept)
        return ""

    def _end_ray(self) -> None:
        if self._node is not None:
            self._node.end()
            self._node = None

    def _first_meeting(self) -> dict[str, Any] | None:
        deadline = time.monotonic() + self._spec.ready_timeout_s
        path = self._place.meeting(0)
        while time.monotonic() < deadline and not self._signals.ended:
            # Listing the folder makes NFS look again: it remembers for a while that a file was not there.
            there = set(self._place.folder.iterdir()) if self._place.folder.is_dir() else set()
            if self._place.done in there:
                return None
            if path in there:
                meeting: dict[str, Any] = json.loads(path.read_text())
                return meeting
            time.sleep(_POLL_S)
        return None

    def _orphaned(self) -> str:
        word = self._word("lost")
        if word not in ("lost", "requeue"):
            return word
        # Also where the supervisor meant to ask: it may be cut off, and then could not.
        refused = refusal(self._spec, self._attempts.of_job(), Failure.NODE_FAIL)
        self._attempts.write("fenced", node=self._allocation.node, refused=refused)
        if not refused and claim(self._place.folder):
            complaint = requeue(self._allocation.job, self._allocation.restart)
            self._attempts.write("requeue", failure=Failure.NODE_FAIL, complaint=complaint)
        return word

    def _word(self, otherwise: str) -> str:
        """The supervisor's last word, if it left one."""
        return self._place.done.read_text().strip() if self._place.done.exists() else otherwise
