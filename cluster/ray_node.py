"""Ray on this node: folder, ports, `ray start --block`, logs, guard; and all of it away again."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from cluster import ray_start, sessions
from cluster.allocation import Allocation
from cluster.ports import PortBlock, take_block
from cluster.ray_logs import LogCopier
from cluster.scratch import Scratch, sweep
from storage.atomic import write_text


class RayNode:
    """One `ray start`, from `__init__` (which returns before Ray is up) to `end`."""

    def __init__(
        self,
        allocation: Allocation,
        start: int,
        *,
        address: str,
        interface: str,
        scratch: Path,
        logs: Path,
        token_file: Path,
        head_address: str = "",
        dashboard: bool = False,
    ) -> None:
        """start: how many came before it on this node in this attempt; each has its own folder and other ports.

        head_address: of the head to join; none makes this node the head. What fails here leaves nothing behind.
        """
        scratch.mkdir(parents=True, exist_ok=True)
        self.swept = sweep(scratch)
        self._vouched = False
        with ExitStack() as undo:
            own = Scratch(scratch, f"r{allocation.attempt}.{allocation.node}.{start}")
            undo.callback(own.release)
            # Nodes that share an address of their scratch folder, and restarts, begin at other blocks.
            self.ports: PortBlock = take_block(scratch, int(allocation.job) * 8 + allocation.node + start)
            undo.callback(self.ports.release)
            self.guard = sessions.Guard()
            undo.callback(self.guard.close)
            self.guard.folder(own.folder)
            self.address = f"{address}:{self.ports[ray_start.GCS]}"
            self.environment: Mapping[str, str] = ray_start.environment(token_file, interface, self.ports)
            if head_address:
                command = ray_start.worker(head_address, address, self.ports, own.folder, allocation)
            else:
                command = ray_start.head(address, self.ports, own.folder, allocation, dashboard)
            logs.mkdir(parents=True, exist_ok=True)
            undo.callback(LogCopier(own.folder, logs).finish)
            self._output = logs / "ray_start.log"
            with self._output.open("a") as output:
                self._before = output.tell()
                self._process = sessions.start(command, self.environment, output)
            undo.callback(sessions.stop, self._process)
            self.guard.session(self._process.pid)
            own.own([self._process.pid])
            self._undo = undo.pop_all()

    @property
    def code(self) -> int | None:
        """Exit code of `ray start`, which ends when one of Ray's processes does; None while all live."""
        return self._process.poll()

    @property
    def up(self) -> bool:
        """True once this node is in Ray's table of nodes: only then `ray start` says that it started."""
        if not self._vouched:
            self._vouched = self._vouch()
        return "Ray runtime started" in self._told()

    def _vouch(self) -> bool:
        """Write the file by which Ray's agent tells the raylet its port; True once done.

        The raylet waits for it for 15 s, then aborts (ray-project/ray#65983): too short where Python starts from a
        busy shared folder. The port is ours to know, and so nodes are ready before their agents are.
        """
        for pid in sessions.members(self._process.pid):
            words = dict(word.split("=", 1) for word in sessions.words(pid) if "=" in word)
            if "--node_id" in words and "--raylet_socket_name" in words:
                session = Path(words["--raylet_socket_name"]).parents[1]
                port = str(self.ports[ray_start.AGENT_HTTP])
                write_text(session / f"dashboard_agent_listen_port_{words['--node_id']}", port)
                return True
        return False

    @property
    def clashed(self) -> bool:
        """True if what `ray start` said points to a port that somebody else has."""
        told = self._told().lower()
        return any(words in told for words in ("already in use", "failed to bind", "eaddrinuse"))

    def _told(self) -> str:
        with self._output.open(errors="replace") as output:
            output.seek(self._before)
            return output.read()

    def end(self) -> None:
        """SIGKILL all of it, keep the logs, leave neither folder nor lock."""
        self._undo.close()

    def run(self, command: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a driver in a session of its own, which ends with this node at the latest."""
        driver = sessions.start(command, environment)
        self.guard.session(driver.pid)
        return driver
