"""Kill ingest at every step it takes on disk, or at random moments; run by test_ingest_kill.py, in its own process.

The interpreter is prepared once, and each ingest is a fork of it, so that hundreds of kills take minutes. A step is
an open for writing, write, fsync, rename, link, mkdir, truncate or removal below PLACE, counted over all threads at the
process's edge: an audit hook sees what has an audit event, and os.fsync, os.write, os.pwrite and the raw layer of
io.open are wrapped. Step k is killed before it happens, but a write after half of its bytes.

Prints one JSON object: how many steps of each kind an undisturbed ingest takes, how many kills there were, and
what differed after the rerun.
"""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import multiprocessing.forkserver as forkserver
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

from pipelines.config import StudyConfig
from pipelines.ingest.run import ingest
from storage.config import IngestConfig

MOMENTS = 50
_EVENTS = ("open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")


class Steps:
    """Counts this process' steps below a folder from now on, and kills it at one of them."""

    def __init__(self, place: Path, kill_at: int | None) -> None:
        self.kinds: Counter[str] = Counter()
        self._place, self._kill_at = f"{place.resolve()}/", kill_at
        self._lock = Lock()
        sys.addaudithook(self._heard)
        for name in ("fsync", "write", "pwrite"):
            setattr(os, name, self._wrapped(name, getattr(os, name)))
        io.open = self._opening(io.open)  # type: ignore[assignment]

    def step(self, kind: str, path: Any, half: Callable[[], object] | None = None) -> None:
        """The process is about to do this. half: how to do but a part of it."""
        name = self._name(path)
        if not name.startswith(self._place) or name.endswith("/.lock"):
            return
        with self._lock:
            self.kinds[kind] += 1
            if self.kinds.total() == self._kill_at:
                if half:
                    half()
                os.kill(os.getpid(), signal.SIGKILL)

    def _name(self, path: Any, folder: int | None = None) -> str:
        if isinstance(path, int):
            return str(Path(f"/proc/self/fd/{path}").readlink())
        where = Path(f"/proc/self/fd/{folder}").readlink() if folder not in (None, -1) else Path.cwd()
        return str(where / os.fsdecode(path))

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _EVENTS:
            return
        path, folder = arguments[0], None
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        if event in ("os.remove", "os.rmdir"):
            folder = arguments[1]
        self.step(event.removeprefix("os."), self._name(path, folder))

    def _wrapped(self, kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(descriptor: int, *rest: Any) -> Any:
            def half() -> None:
                function(descriptor, rest[0][: len(rest[0]) // 2], *rest[1:])

            self.step(kind.removeprefix("p"), descriptor, half if rest else None)
            return function(descriptor, *rest)

        return call

    def _opening(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        steps = self

        class Raw(io.FileIO):
            def write(self, data: Any) -> int:
                steps.step("write", self.fileno(), lambda: super(Raw, self).write(data[: len(data) // 2]))
                return super().write(data)

        def call(file: Any, mode: str = "r", *rest: Any, **named: Any) -> Any:
            if "w" not in mode:
                return plain(file, mode, *rest, **named)
            buffered = io.BufferedWriter(Raw(file, "w"))
            return buffered if "b" in mode else io.TextIOWrapper(buffered, *rest[1:], **named)

        return call


def run(place: Path, processes: int = 1) -> None:
    """One ingest of PLACE/raw into PLACE/store."""
    config = IngestConfig(films_per_shard=2, memory_gb=1, key_file=str(place / "site.key"))
    ingest(
        place / "raw",
        place / "store",
        config,
        StudyConfig(),
        outcomes=place / "outcomes.csv",
        annotations=place / "annotations",
        processes=processes,
    )


def child(work: Callable[[], None]) -> int:
    """Start the work in a fork of this process; returns its id."""
    # A fork that is killed while it asks for a decoder takes the server of decoders, which all share here, with it.
    forkserver.ensure_running()
    identity = os.fork()
    if identity:
        return identity
    # The server of decoders is the parent's, and still there: the fork may use it but not wait for it.
    forkserver._forkserver.ensure_running = lambda: None  # type: ignore[attr-defined]
    try:
        work()
        os._exit(0)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def code(identity: int) -> int:
    """Wait for the child; its exit code, -9 for a killed one."""
    ended = os.waitstatus_to_exitcode(os.waitpid(identity, 0)[1])
    if ended == -signal.SIGKILL:
        settle()
    return ended


def settle() -> None:
    """Wait until the server of decoders has come to what a killed fork asked of it last, which may have ended it.

    Until then it looks alive, and the next fork would be refused.
    """
    for _ in range(20):
        try:
            probe = multiprocessing.get_context("forkserver").Process(target=time.sleep, args=(0,))
            probe.start()
        except (OSError, EOFError):
            time.sleep(0.05)
        else:
            probe.join()
            return
    raise RuntimeError("The server of decoders does not start.")


def digests(place: Path) -> dict[str, str]:
    """Every file and folder that ingest may leave."""
    return {
        path.relative_to(place).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in sorted(place.rglob("*"))
        if path.relative_to(place).parts[0] != "raw"
    }


def differing(whole: dict[str, str], left: dict[str, str]) -> list[str]:
    """Names that are not as they should be."""
    return sorted(name for name in whole.keys() | left.keys() if whole.get(name) != left.get(name))


class Place:
    """PLACE before ingest, and how it must look after."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before = folder.with_name(f"{folder.name}.before")
        shutil.copytree(folder, self._before)

    def reset(self) -> None:
        """As before any ingest, raw excepted, which ingest only reads."""
        for path in self.folder.iterdir():
            if path.name != "raw":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in self._before.iterdir():
            if path.name != "raw":
                copy = shutil.copytree if path.is_dir() else shutil.copy
                copy(path, self.folder / path.name)


def kill_at_every_step(place: Place, whole: dict[str, str]) -> dict[str, Any]:
    """SIGKILL before each step of an ingest, then a rerun."""
    counted, kinds = os.pipe()

    def counting() -> None:
        steps = Steps(place.folder, None)
        run(place.folder)
        os.write(kinds, json.dumps(steps.kinds).encode())

    assert code(child(counting)) == 0
    steps = json.loads(os.read(counted, 1 << 16))
    wrong = {}
    for number in range(1, sum(steps.values()) + 1):
        place.reset()

        def killed(number: int = number) -> None:
            Steps(place.folder, number)
            run(place.folder)

        ended = code(child(killed))
        again = code(child(lambda: run(place.folder)))
        different = differing(whole, digests(place.folder))
        if ended != -signal.SIGKILL or again or different:
            wrong[number] = [ended, again, *different]
    return {"steps": steps, "kills": sum(steps.values()), "wrong": wrong}


def kill_at_random_moments(place: Place, whole: dict[str, str]) -> dict[str, Any]:
    """SIGKILL some time after the start of an ingest with two decoders, then a rerun.

    The guess of how long an ingest takes follows the machine, which slows down and speeds up.
    """
    begun = time.monotonic()
    assert code(child(lambda: run(place.folder, 2))) == 0
    seconds = time.monotonic() - begun
    moments, kills, wrong = random.Random(20261121), 0, {}
    for number in range(MOMENTS):
        place.reset()
        running = child(lambda: run(place.folder, 2))
        time.sleep(moments.uniform(0.02, 0.95) * seconds)
        os.kill(running, signal.SIGKILL)
        hit = code(running) == -signal.SIGKILL
        kills += hit
        seconds *= 1.03 if hit else 0.9
        again = code(child(lambda: run(place.folder, 2)))
        different = differing(whole, digests(place.folder))
        if again or different:
            wrong[number] = [again, *different]
    return {"kills": kills, "wrong": wrong}


def main(folder: Path, how: str) -> None:
    """Print what the kills left. Where there is PLACE/later, it comes over PLACE after a first ingest, left alone."""
    if (folder / "later").exists():
        run(folder)
        shutil.copytree(folder / "later", folder, dirs_exist_ok=True)
    place = Place(folder)
    run(folder)  # all that is imported late is imported now, and the server of decoders runs
    whole = digests(folder)
    place.reset()
    kill = {"steps": kill_at_every_step, "moments": kill_at_random_moments}[how]
    print(json.dumps(kill(place, whole)))
