"""One writer at a time: kernel locks that die with their holder, and a note of who holds a folder."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from storage.errors import ConfigError, InputError, LockedError, StorageError

_own: set[int] = set()


def open_own(path: Path) -> int:
    """Open a file to lock, made where missing; the descriptor, and so the lock, stays out of child processes.

    A forked child that outlived its killed parent would else hold the parent's lock for ever.
    """
    # The mode is the umask's: a store is shared by a group, whom tempfile's 0600 would lock out.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    _own.add(descriptor)
    return descriptor


def close_own(descriptor: int) -> None:
    """Close what `open_own` opened; nothing happens in a forked child, where it is closed already."""
    # Without LOCK_UN a lock goes with its last descriptor: a child's close takes nothing away.
    if descriptor in _own:
        _own.discard(descriptor)
        os.close(descriptor)


def _close_inherited() -> None:
    for descriptor in list(_own):
        close_own(descriptor)


os.register_at_fork(after_in_child=_close_inherited)


class FolderLock:
    """Hold `folder/.lock` for the length of a with block; a second holder gets LockedError.

    While held, the file says who holds it (JSON); then it is empty, as no output tells when it was made. A
    holder who only refuses what was asked (ConfigError, InputError, LockedError) leaves no file that it made.
    """

    def __init__(self, folder: Path, purpose: str, *, shared: bool = False) -> None:
        """purpose: what the holder does there, as a user would say it ("radmill ingest").

        shared: others who share may hold it too, such as the tasks of one run, of which no two write the same
        file; the file then says nothing, as who writes last would not be who stays longest.
        """
        self.folder = folder
        self.purpose = purpose
        self.shared = shared

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._made = not self._file.exists()
            self._descriptor = open_own(self._file)
        except OSError as error:
            advice = "choose another folder."
            raise StorageError(f"{self.folder} can't be written: {error.strerror}; {advice}") from error
        try:
            fcntl.flock(self._descriptor, (fcntl.LOCK_SH if self.shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            if not self._is_current():  # a holder who refused has just removed it
                close_own(self._descriptor)
                return self.__enter__()
            if not self.shared:
                self._note(self._holder())
        except OSError as error:
            said = os.pread(self._descriptor, 4096, 0)
            close_own(self._descriptor)
            if isinstance(error, BlockingIOError):
                raise LockedError(_sentence(self.folder, said)) from None
            advice = "choose a folder on another file system."
            raise StorageError(f"{self.folder} can't be locked: {error.strerror}; {advice}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor in _own:
            if not self.shared:
                if self._made and isinstance(error, ConfigError | InputError | LockedError):
                    self._file.unlink(missing_ok=True)
                self._note(b"")
            close_own(self._descriptor)

    @property
    def _file(self) -> Path:
        return self.folder / ".lock"

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(self._file.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def _note(self, data: bytes) -> None:
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, data, 0)

    def _holder(self) -> bytes:
        holder = {
            "purpose": self.purpose,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "job": os.environ.get("SLURM_JOB_ID", ""),
            "restarts": int(os.environ.get("SLURM_RESTART_COUNT", "0")),
            "since": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        }
        return json.dumps(holder).encode()


def _sentence(folder: Path, said: bytes) -> str:
    try:
        holder = json.loads(said)
        job = f", Slurm job {holder['job']}, restart {holder['restarts']}" if holder["job"] else ""
        where = f"on host {holder['host']} (process {holder['pid']}{job})"
        who = f"{holder['purpose']} {where} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        who = "another run that has just begun"  # it has the lock and has not yet said who it is
    return f"{folder} is in use by {who}. Wait until it ends, or choose another folder."
