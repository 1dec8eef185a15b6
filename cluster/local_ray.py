"""A Ray to run on: the one whose address the environment names, else a small one on this machine, torn down after.

The small one listens on the loopback address alone, asks for a token, has no dashboard, sends no statistics and
keeps its files in a folder of its own. It dies with this process, however that ends; where that was killed, two
of Ray's agents follow within two minutes, and the folder is swept by the next.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from storage.errors import RadmillError

_PREFIX = "radmill-ray-"
_LONGEST = 18  # characters of the folder for temporary files: a socket's path below it may have 107
_STARTS = 3
_ANSWERS_WITHIN_S = 15.0
_OBJECTS_MB = 100  # of shared memory: nothing large travels through Ray
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths stay the user's
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # a stop comes by our own file
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "300",  # importing torch on a busy machine takes long
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "1",
    "TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S": "2",  # a rank that waits for a dead one does not answer
    "RAY_WARN_ON_RESOURCE_CONTENTION": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # our own files hold what a trial says
    "TUNE_GLOBAL_CHECKPOINT_S": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # a sentence tells them; error.txt beside Tune's notes has them in full
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # what the raylet says of a dead worker, we say in one line
}
_LOOPBACK = "127.0.0.1"
_ALONE = {
    "RAY_AUTH_MODE": "token",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # takes the loopback address for this machine's, on Linux too
}


@contextmanager
def connected(cpus: int, gpus: int = 0) -> Iterator[None]:
    """Be connected to Ray: as a part of it, by RAY_ADDRESS, or to one of our own with so many CPUs and GPUs.

    Raises:
        RadmillError: Ray does not start, or nothing answers at RAY_ADDRESS.
    """
    with warnings.catch_warnings(), _environment(_QUIET):
        # Ray's own defaults for its data library warn of themselves
        warnings.filterwarnings("ignore", r"`use_\w+` is deprecated", DeprecationWarning)
        address = os.environ.get("RAY_ADDRESS")
        if "ray" in sys.modules and sys.modules["ray"].is_initialized():  # in a trial, say
            yield
        elif address is None:
            with _own_ray(cpus, gpus):
                yield
        else:
            with _answering(address):
                yield


@contextmanager
def _answering(address: str) -> Iterator[None]:
    import ray

    otherwise = f"No Ray answers at RAY_ADDRESS={address}"
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        try:  # Ray would try again for minutes
            socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWERS_WITHIN_S).close()
        except OSError as error:
            raise RadmillError(f"{otherwise}: {error.strerror or error}.") from error
    _init(otherwise, address=address)
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _own_ray(cpus: int, gpus: int) -> Iterator[None]:
    with (
        _own_folder() as folder,
        # some of it is read when Ray is imported
        _environment(_ALONE | {"RAY_AUTH_TOKEN": _token(), "GLOO_SOCKET_IFNAME": _loopback()}),
    ):
        import ray

        try:
            _start(folder, cpus, gpus)
            yield
        finally:
            ray.shutdown()
            _end_workers()


def _end_workers() -> None:
    """Kill what is left: a worker leaves with its raylet but may hang on the way, and so may what it started."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            environment = process.environ()
            if environment.get("RAY_AUTH_TOKEN") == _token() and "RAY_RAYLET_PID" in environment:
                process.kill()


def _start(folder: Path, cpus: int, gpus: int) -> None:
    """Start it, again where a busy machine took longer than the half minute that Ray waits for its parts."""
    for attempt in range(1, _STARTS + 1):
        try:
            _init(
                "Ray did not start on this machine",
                address="local",
                num_cpus=cpus,
                num_gpus=gpus or None,  # by default those that are there
                include_dashboard=False,
                object_store_memory=_OBJECTS_MB * 2**20,
                _temp_dir=str(folder),
                _node_ip_address=_LOOPBACK,
            )
            return
        except RadmillError:
            for process in psutil.Process().children(recursive=True):  # the parts that did start
                with suppress(psutil.Error):
                    if any(str(folder) in word for word in process.cmdline()):
                        process.kill()
            if attempt == _STARTS:
                raise


def _init(otherwise: str, **options: Any) -> None:
    """Connect; RadmillError that begins with `otherwise` where it fails."""
    import ray
    from ray._raylet import Config  # type: ignore[attr-defined]

    Config.initialize("")  # Ray read the environment when it was imported, which may be long ago
    with _handlers_kept():
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
        except Exception as error:  # of any stage of a start that has many
            why = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise RadmillError(f"{otherwise}: {why}") from error


@cache
def _token() -> str:
    """Without it everyone on this machine could run code in our name; one per process, as Ray reads it once."""
    return secrets.token_hex(32)


@contextmanager
def _own_folder() -> Iterator[Path]:
    """A folder in which Ray's sockets may lie, ours while a lock on it is held; those of the dead are removed."""
    places = (tempfile.gettempdir(), "/tmp")
    base = Path(next((place for place in places if len(place) <= _LONGEST), "/tmp"))
    for old in base.glob(f"{_PREFIX}*"):
        with suppress(OSError), _locked(old):  # somebody else's, in use, or just being removed by another
            shutil.rmtree(old, ignore_errors=True)
    with ExitStack() as held:
        yield _new_folder(base, held)


def _new_folder(base: Path, held: ExitStack) -> Path:
    """A new folder, locked and at last removed by `held`; before our lock is on it others may take it for left."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        with suppress(BlockingIOError, FileNotFoundError), ExitStack() as own:
            own.enter_context(_locked(folder))
            own.callback(shutil.rmtree, folder, ignore_errors=True)
            if folder.is_dir():  # else removed between our opening and our lock
                held.enter_context(own.pop_all())
                return folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the kernel's lock on a folder, which dies with its holder; OSError where another holds it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _loopback() -> str:
    """Name of the interface on which the workers of one machine meet."""
    return next((name for _, name in socket.if_nameindex() if name.startswith("lo")), "lo")


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """The variables for a while; what the user has set stays as it is."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Ray replaces the handler of SIGTERM; whoever called us has one of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
