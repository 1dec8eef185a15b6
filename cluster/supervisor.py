"""The first node: Ray's head, the driver, and every decision.

One attempt brings Ray up and runs the driver until it has done its work, was stopped, or failed for good. What breaks
is mended at the lowest level that can: a driver that dies is started again; Ray that lost a process is brought up
again as a whole, a generation later; a node that is lost ends the attempt, for the work needs all of them, and Slurm
gives the job new nodes. Each level is bounded, and only progress eases a bound.
"""

from __future__ import annotations

import subprocess
import time
import traceback
from pathlib import Path

from cluster import announce, failures, heartbeat, requeue, sessions
from cluster.addresses import own_address
from cluster.allocation import Allocation
from cluster.attempts import Attempts
from cluster.bounds import Budget, End
from cluster.failures import REQUEUE, RESTART, Failure
from cluster.heartbeat import HeartbeatServer
from cluster.ray_node import RayNode
from cluster.ray_spec import Place, RaySpec
from cluster.signals import Signals
from storage.atomic import write_json, write_text
from storage.errors import RadmillError

_POLL_S = 0.2
# Driver starts, and generations of Ray, in a row without progress.
_MOST_STARTS = 3
# Slurm sends the warning up to a minute early.
_SLACK_S = 75
# Before the time limit, for Slurm does not requeue a job that has reached it.
_LAST_S = 15
_FAREWELL_S = 5.0
# Until `ray start --block` has seen that a process of Ray is gone, and Ray that a driver's actors have to go.
_SHOWS_S = 2.0


class Supervisor:
    """One attempt."""

    def __init__(self, spec: RaySpec, command: list[str], allocation: Allocation, signals: Signals) -> None:
        self._spec, self._command, self._allocation, self._signals = spec, command, allocation, signals
        self._place = Place(Path(spec.run_folder), allocation.attempt)
        self._attempts = Attempts(self._place.attempts, allocation.job, allocation.restart)
        self._limit_at = float("inf")
        self._node: RayNode | None = None
        self._hearts: HeartbeatServer
        self._driver_starts = Budget(spec.progress_now, _MOST_STARTS)

    def run(self) -> End:
        """Do all of it; what it leaves is down. An End whose word is `stopped` was requeued, as the last act."""
        begun = time.monotonic()
        progress = self._spec.progress_now()
        # The bounds first: where Slurm requeues by itself, after a node's death, nobody else asks.
        refused = requeue.refusal(self._spec, self._attempts.of_job(), Failure.NODE_FAIL)
        self._attempts.write("begin", progress=progress, nodes=self._allocation.nodes)
        if self._allocation.restart and refused:
            end = End("failed", Failure.UNKNOWN, refused)
            self._attempts.write("end", word=end.word, failure=end.failure, sentence=end.sentence)
            self._say_done("failed")
            return end
        word = "failed"
        try:
            again, end = self._again(self._attempt())
            word = "requeue" if again else end.word
        finally:
            self._down(word)
        self._attempts.write(
            "end",
            word=end.word,
            failure=end.failure,
            sentence=end.sentence,
            progress=self._spec.progress_now(),
            seconds=round(time.monotonic() - begun, 1),
        )
        if not again:
            return end
        complaint = requeue.requeue(self._allocation.job, self._allocation.restart)
        self._attempts.write("requeue", failure=end.failure, complaint=complaint)
        return End("stopped", end.failure, complaint)

    def _attempt(self) -> End:
        try:
            address, interface = own_address(self._spec.interface)
            self._place.folder.mkdir(parents=True, exist_ok=True)
            self._limit_at = requeue.end_time(self._allocation.job)
            token = announce.new_token(self._place.token)
            self._hearts = HeartbeatServer(address, token)
            generations = Budget(self._spec.progress_now, _MOST_STARTS)
            generation = 0
            while True:
                end = self._generation(generation, address, interface)
                if end.word != "ray_lost":
                    return end
                self._attempts.write("ray_lost", generation=generation, sentence=end.sentence)
                self._end_ray()
                if not generations.spend():
                    return End("failed", end.failure or Failure.NODE_FAIL, end.sentence)
                generation += 1
        except RadmillError as error:
            return End("failed", failures.failure_of(error), str(error))
        except Exception as error:  # a bug, or a file that can't be written: the nodes have to hear of it
            traceback.print_exc()
            return End("failed", failures.failure_of(error), f"{type(error).__name__}: {error}")

    def _generation(self, generation: int, address: str, interface: str) -> End:
        """Bring Ray up and run the driver on it."""
        self._node = RayNode(
            self._allocation,
            generation,
            address=address,
            interface=interface,
            scratch=Path(self._spec.scratch),
            logs=self._place.logs(0),
            token_file=self._place.token,
            dashboard=self._spec.dashboard,
        )
        if self._node.swept:
            self._attempts.write("swept", folders=self._node.swept)
        meeting = {
            "generation": generation,
            "address": self._node.address,
            "heartbeat": f"{address}:{self._hearts.port}",
        }
        self._hearts.orders = meeting
        write_json(self._place.meeting(generation), meeting)
        begun = time.monotonic()
        end = self._wait_ready(generation)
        if end is None:
            self._attempts.write("ready", generation=generation, seconds=round(time.monotonic() - begun, 1))
            announce.up(self._place, self._allocation, self._node, generation, self._spec.dashboard)
            end = self._drive(generation)
        return end

    def _wait_ready(self, generation: int) -> End | None:
        """None once Ray is up on all nodes."""
        deadline = time.monotonic() + self._spec.ready_timeout_s
        while self._up(generation) < self._spec.nodes:
            if end := self._broken(generation):
                return end
            if self._signals.warned:
                return self._stopped()
            if time.monotonic() > deadline:
                return End("failed", Failure.NODE_FAIL, self._missing())
            time.sleep(_POLL_S)
        return None

    def _up(self, generation: int) -> int:
        assert self._node is not None
        agents = [
            heard.state == heartbeat.UP and heard.generation == generation
            for heard in self._hearts.heard.values()
        ]
        return sum(agents) + self._node.up

    def _missing(self) -> str:
        up = {node for node, heard in self._hearts.heard.items() if heard.state == heartbeat.UP}
        absent = sorted(set(range(1, self._allocation.nodes)) - up)
        return (
            f"Ray was not ready on {self._spec.nodes} nodes within {self._spec.ready_timeout_s} s; "
            f"missing are the nodes {absent or '[0]'} of the job. Logs lie in {self._place.folder / 'nodes'}."
        )

    def _drive(self, generation: int) -> End:
        """Run the driver, again if need be, until it or Ray ends for good."""
        assert self._node is not None
        while True:
            if self._signals.warned:
                return self._stopped()
            self._place.error.unlink(missing_ok=True)
            driver = self._node.run(self._command, self._driver_environment())
            self._attempts.write("driver", generation=generation, pid=driver.pid)
            end = self._watch(driver, generation)
            sessions.stop(driver)  # with what it may have started
            if end.word == "failed" and end.failure in RESTART:
                end = self._fell_with(generation) or end
            if end.failure not in RESTART or end.word != "failed":
                return end
            self._attempts.write("driver_failed", failure=end.failure, sentence=end.sentence)
            if not self._driver_starts.spend():
                return end

    def _watch(self, driver: subprocess.Popen[bytes], generation: int) -> End:
        while True:
            code = driver.poll()
            if self._signals.warned and not self._place.stop.exists():
                write_text(self._place.stop, "")
                self._attempts.write("stop", failure=self._warning())
            if code is None:
                if self._signals.warned and time.time() > self._limit_at - _LAST_S:
                    return self._stopped()  # the checkpoint before this one has to do
                if end := self._broken(generation):
                    return self._stopped() if self._signals.warned and end.word == "ray_lost" else end
                time.sleep(_POLL_S)
                continue
            if code == failures.DONE:
                return End("done")
            if code == failures.STOPPED or (self._signals.warned and code < 0):
                return self._stopped()
            return End("failed", *failures.of_driver(code, self._place.error))

    def _fell_with(self, generation: int) -> End | None:
        """What broke and took the driver along, for a driver may notice first; None once every node has shown life."""
        shown_at = time.monotonic() + _SHOWS_S
        # Ends for sure: a node that shows no life is one that has not been heard of for FENCE_S.
        while True:
            if end := self._broken(generation):
                return end
            if time.monotonic() > shown_at and all(
                heard.at > shown_at for heard in self._hearts.heard.values()
            ):
                return None
            time.sleep(_POLL_S)

    def _broken(self, generation: int) -> End | None:
        """What makes waiting useless: the job ends, a node is lost, a node has no Ray any more."""
        assert self._node is not None
        if self._signals.ended:
            return End("terminated")
        if silent := self._hearts.silent():
            return End("failed", Failure.NODE_FAIL, f"Nodes {silent} have not been heard of.")
        for node, heard in self._hearts.heard.items():
            if heard.state == heartbeat.REFUSED:
                return End("failed", Failure.CONFIG, heard.sentence)
            if heard.state == heartbeat.DOWN and heard.generation == generation:
                return End("ray_lost", None, f"Node {node}: {heard.sentence}")
        if self._node.code is not None:
            failure = Failure.PORT if self._node.clashed else None
            return End("ray_lost", failure, f"The head's ray start ended with {self._node.code}.")
        return None

    def _stopped(self) -> End:
        return End("stopped", self._warning())

    def _warning(self) -> Failure:
        """Why Slurm warned us: the time limit is near, or something more urgent wants the nodes."""
        near = time.time() > self._limit_at - self._spec.signal_delay_s - _SLACK_S
        return Failure.TIMEOUT if near else Failure.PREEMPTED

    def _again(self, end: End) -> tuple[bool, End]:
        """Whether to requeue, and how the attempt ended in that light.

        TERM is Slurm's own decision, which has no failure: it requeues by itself, or was told to cancel.
        """
        if end.failure not in REQUEUE:
            return False, end
        refused = requeue.refusal(self._spec, self._attempts.of_job(), end.failure)
        if not refused:
            return True, end
        return False, End("failed", end.failure, f"{end.sentence} {refused}".strip())

    def _driver_environment(self) -> dict[str, str]:
        assert self._node is not None
        return {
            **self._node.environment,
            "RAY_ADDRESS": self._node.address,
            "RADMILL_STOP_FILE": str(self._place.stop),
            failures.ERROR_FILE: str(self._place.error),
        }

    def _down(self, word: str) -> None:
        """Everybody leaves; returns when all is down here and every agent has said so, or time is up."""
        try:
            self._say_done(word)
        finally:
            if hasattr(self, "_hearts"):  # else it was refused before anything ran
                self._leave(word)

    def _leave(self, word: str) -> None:
        self._hearts.orders = {**self._hearts.orders, "leave": word}
        self._end_ray()
        deadline = time.monotonic() + _FAREWELL_S
        while time.monotonic() < deadline and not self._signals.ended and self._staying():
            time.sleep(0.05)
        self._hearts.close()
        announce.down(self._place, self._allocation)

    def _staying(self) -> bool:
        silent = self._hearts.silent()
        return any(
            heard.state != heartbeat.LEFT for node, heard in self._hearts.heard.items() if node not in silent
        )

    def _say_done(self, word: str) -> None:
        write_text(self._place.done, word)

    def _end_ray(self) -> None:
        if self._node is not None:
            self._node.end()
            self._node = None
