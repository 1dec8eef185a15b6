"""The line between the supervisor and the agents: who lives, and who has to leave.

Every second each agent says how its Ray is and hears what to do. Whoever hears nothing for FENCE_S ends what it runs:
a node that is cut off must not go on beside the attempt that follows. This goes over the network, never over the
shared folder, which may hang on just the node that is lost.
"""

from __future__ import annotations

import hmac
import json
import socket
import socketserver
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

PERIOD_S = 1.0
# Above a loaded node's hiccups; below SlurmdTimeout, after which Slurm gives the node's work to another.
FENCE_S = 10.0
_PATIENCE_S = 3.0

STARTING, UP, DOWN, REFUSED, LEFT = "starting", "up", "down", "refused", "left"


@dataclass(slots=True)
class Heard:
    """What an agent said last."""

    state: str
    generation: int
    sentence: str
    at: float = field(default_factory=time.monotonic)


class HeartbeatServer:
    """Listens on a port of the kernel's choice; `orders` is the answer that every agent gets."""

    def __init__(self, address: str, token: str) -> None:
        self.orders: dict[str, Any] = {}
        # Replaced, never changed: the supervisor walks through it while handlers, a thread each, hear more.
        self.heard: dict[int, Heard] = {}
        self._hearing = threading.Lock()
        self._token = token
        server = self

        class Handler(socketserver.StreamRequestHandler):
            timeout = _PATIENCE_S

            def handle(self) -> None:
                with suppress(OSError, ValueError, KeyError, TypeError):
                    answer = server._answer(json.loads(self.rfile.readline(4096)))
                    self.wfile.write(json.dumps(answer).encode() + b"\n")

        self._server = _Server((address, 0), Handler)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    def silent(self) -> list[int]:
        """Nodes that spoke once and have not for FENCE_S."""
        now = time.monotonic()
        return sorted(node for node, heard in self.heard.items() if now - heard.at > FENCE_S)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, said: dict[str, Any]) -> dict[str, Any]:
        if not hmac.compare_digest(str(said["token"]), self._token):
            raise ValueError("not one of ours")
        heard = Heard(str(said["state"]), int(said["generation"]), str(said["sentence"]))
        with self._hearing:
            self.heard = {**self.heard, int(said["node"]): heard}
        return self.orders


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 256


class Pulse:
    """An agent's side: speaks in a thread of its own, for the agent may be busy starting Ray."""

    def __init__(self, host: str, port: int, token: str, node: int) -> None:
        self.orders: dict[str, Any] = {}
        self._heard_at = time.monotonic()
        self._to = (host, port)
        self._said = {"token": token, "node": node, "state": STARTING, "generation": 0, "sentence": ""}
        self._soon = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    def say(self, state: str, generation: int, sentence: str = "") -> None:
        """Tell the supervisor at once, and from now on."""
        now = {"state": state, "generation": generation, "sentence": sentence[:500]}
        if any(self._said[key] != value for key, value in now.items()):
            self._said = self._said | now
            self._soon.set()

    def goodbye(self) -> None:
        """Tell the supervisor that all is down here, as the last word."""
        self._said = self._said | {"state": LEFT}
        self._speak()

    @property
    def lost(self) -> bool:
        """True if the supervisor has not answered for FENCE_S."""
        return time.monotonic() - self._heard_at > FENCE_S

    def _beat(self) -> None:
        while self._said["state"] != LEFT:
            self._speak()
            self._soon.wait(PERIOD_S)
            self._soon.clear()

    def _speak(self) -> None:
        with (
            suppress(OSError, ValueError),
            socket.create_connection(self._to, timeout=_PATIENCE_S) as connection,
            connection.makefile("rwb") as line,
        ):
            line.write(json.dumps(self._said).encode() + b"\n")
            line.flush()
            if answer := line.readline(65536):
                self.orders = json.loads(answer)
                self._heard_at = time.monotonic()
