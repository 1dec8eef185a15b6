"""What one machine has to offer, as a line of JSON: `python -m cluster.probe REQUEST` runs on every node."""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import socket
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cluster.addresses import interfaces

PACKAGES = ("radmill", "torch", "ray", "submitit", "numpy")
_SOCKET_BYTES = 70  # what Ray appends to its folder in scratch, with some reserve


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What to look at. marker: a file that the asker wrote into the shared folder; None asks for no folder."""

    marker: str | None = None
    scratch: str = "/tmp"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One machine. Sizes in bytes, -1 where they can't be told; `trouble` holds the reasons, by subject."""

    host: str
    time_s: float
    cpus: int
    memory: int
    scratch_free: int = -1
    shm_free: int = -1
    open_files: int = 0
    marker: str = ""
    interfaces: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    trouble: dict[str, str] = field(default_factory=dict)


def examine(request: Request) -> Answer:
    """Look at this machine."""
    trouble: dict[str, str] = {}
    if (said := _scratch_trouble(request.scratch)) is not None:
        trouble["scratch"] = said
    marker = ""
    if request.marker is not None:
        try:
            marker = Path(request.marker).read_text("utf-8")
        except OSError as error:
            trouble["marker"] = error.strerror or str(error)
    return Answer(
        host=socket.gethostname(),
        time_s=time.time(),
        cpus=len(os.sched_getaffinity(0)),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        scratch_free=_free(request.scratch),
        shm_free=_free("/dev/shm"),
        # Ray and torch raise the soft limit themselves, as far as the hard one.
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        marker=marker,
        interfaces=interfaces(),
        versions={"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        trouble=trouble,
    )


def _scratch_trouble(scratch: str) -> str | None:
    """Write there, and bind a socket as long as Ray's: shared file systems often can't hold one."""
    try:
        with tempfile.TemporaryDirectory(prefix="radmill", dir=scratch) as folder:
            Path(folder, "file").write_bytes(bytes(4096))
            name = Path(
                folder, "s" * max(1, len(scratch.encode()) + _SOCKET_BYTES - len(folder.encode()) - 1)
            )
            with closing(socket.socket(socket.AF_UNIX)) as bound:
                bound.bind(str(name))
    except OSError as error:
        return error.strerror or str(error)
    return None


def _free(folder: str) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return -1


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


if __name__ == "__main__":
    print(json.dumps(asdict(examine(Request(**json.loads(sys.argv[1]))))), flush=True)
