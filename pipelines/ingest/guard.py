"""Decoders in a child with a cap on memory and time: a file that kills its reader costs itself, not the run.

A GuardedWorker is one child that runs one function after the other. A GuardedPool has a few of them, and
threads, which do no more than wait for them and write what comes back. Answers come through memory that both
processes share: a film of 10 MB through a pipe takes as long as its checksums.
"""

from __future__ import annotations

import importlib
import logging
import mmap
import multiprocessing
import os
import pickle
import resource
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar

from pipelines.heap import keep_freed_memory
from storage.errors import Quarantined, StorageError

T = TypeVar("T")
R = TypeVar("R")

_START_S = 300.0  # imports from a busy network file system
_KEPT_MB = 64  # the pixels of most films
_ATTEMPTS = 2  # a child killed from outside (another's memory, an operator) is not the file's fault


class _DiedError(Exception):
    """The child went away without an answer; where that happens again, the file is refused."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__()
        self.refusal = Quarantined(reason, detail)


class GuardedWorker:
    """One child process, started at the first call and again after each death."""

    def __init__(self, memory_gb: float, timeout_s: float, imports: Sequence[str]) -> None:
        """memory_gb: on top of what the idle child takes; imports: modules loaded before the clock starts."""
        self._memory_bytes = int(memory_gb * 2**30)
        self._timeout_s = timeout_s
        self._imports = list(imports)
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection[Any, Any] | None = None
        self._answers = mmap.mmap(-1, mmap.PAGESIZE)
        self._closed = False

    def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Run a module's function in the child. Raises Quarantined where it does or where the child dies."""
        for _ in range(_ATTEMPTS):
            try:
                return self._ask(function, arguments)
            except _DiedError as error:
                refusal = error.refusal
        self._check_open()  # else it was we who killed it
        raise refusal

    def kill(self) -> None:
        """End the child from another thread: a call that waits for it fails at once, and there is no other."""
        self._closed = True
        if (process := self._process) is not None:
            process.kill()

    def close(self) -> None:
        """End the child; no call may be waiting for it."""
        self.kill()
        self._stop()

    def _ask(self, function: Callable[..., T], arguments: tuple[object, ...]) -> T:
        connection = self._connection or self._start()
        try:
            connection.send((function, arguments))
            if not connection.poll(self._timeout_s):
                self._stop()
                raise Quarantined("timeout", "decoding took longer than ingest.timeout_s")
            answer, error = _read(self._answers, connection.recv())
        except (EOFError, OSError) as broken:
            if self._stop() == -signal.SIGKILL:
                raise _DiedError(
                    "timeout", "the decoder was killed twice, probably for its memory"
                ) from broken
            raise _DiedError("unreadable", "the decoder crashed") from broken
        if isinstance(error, MemoryError):
            self._stop()  # perhaps it was for what the child kept of files before: a new one has nothing
            raise _DiedError("timeout", "decoding took more memory than ingest.memory_gb")
        if error is not None:
            raise error
        result: T = answer
        return result

    def _start(self) -> Connection[Any, Any]:
        self._check_open()
        # Not fork, which would copy the locks of this process' threads; a server of forks imports only once.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(self._imports)
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_serve, args=(theirs, self._memory_bytes, self._imports), daemon=True
        )
        process.start()
        theirs.close()
        self._process, self._connection = process, ours
        if self._closed:  # meanwhile
            process.kill()
        try:
            self._answers = _shared_memory(ours, process.pid)
            ready = ours.poll(_START_S) and ours.recv()
        except (EOFError, OSError):
            ready = False
        if not ready:
            self._stop()
            raise StorageError("The process that decodes films did not start; is the installation complete?")
        return ours

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("The guarded worker is closed.")

    def _stop(self) -> int | None:
        """Make sure that the child is gone; its exit code."""
        process, connection = self._process, self._connection
        self._process = self._connection = None
        if connection is not None:
            connection.close()
        if process is None:
            return None
        process.join(timeout=0.5)
        died_alone = process.exitcode
        if died_alone is None:
            process.kill()
            process.join()
        return died_alone


class GuardedPool:
    """A few guarded workers, for the length of a with block.

    Two and more have twice as many threads, each with its item: no child waits while what it gave is written and
    synced. One alone has one, and all steps on disk come in order.
    """

    def __init__(self, processes: int, memory_gb: float, timeout_s: float, imports: Sequence[str]) -> None:
        self._workers = [GuardedWorker(memory_gb, timeout_s, imports) for _ in range(processes)]
        self._idle: SimpleQueue[GuardedWorker] = SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        keep_freed_memory(_KEPT_MB)  # encoded films arrive here, one like the other
        self._threads = ThreadPoolExecutor(2 * processes if processes > 1 else 1)
        self._ahead = 4 * processes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._kill()
        self._threads.shutdown()
        for worker in self._workers:
            worker.close()

    def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Run a module's function in the next child that is idle; as `GuardedWorker.call`, from any thread."""
        worker = self._idle.get()
        try:
            return worker.call(function, *arguments)
        finally:
            self._idle.put(worker)

    def map(self, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """The results of work(item), which may `call`, in the order of the items.

        The first exception ends it, once nothing of this call runs any more: what had begun has come to its
        end, what had not is left out.
        """
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(self._threads.submit(work, item))
                if len(waiting) > self._ahead:  # a future takes kilobytes: never as many as there are files
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BaseException as error:
            running = [future for future in waiting if not future.cancel()]
            if not isinstance(error, (Exception, GeneratorExit)):  # Ctrl-C, which waits for nobody
                self._kill()
            wait(running)
            raise

    def _kill(self) -> None:
        for worker in self._workers:
            worker.kill()


def _shared_memory(connection: Connection[Any, Any], child: int | None) -> mmap.mmap:
    """Memory for the child's answers, which takes part in it by `recv_handle`."""
    descriptor = os.memfd_create("answers")
    try:
        os.ftruncate(descriptor, mmap.PAGESIZE)
        send_handle(connection, descriptor, child)
        return mmap.mmap(descriptor, mmap.PAGESIZE)
    finally:
        os.close(descriptor)  # the map has its own


def _write(answers: BinaryIO, answer: object) -> int:
    """Put an answer in the place of the one before, in the child; how many bytes it has."""
    answers.seek(0)
    pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)  # to a file it copies no large bytes
    answers.flush()
    return answers.tell()


def _read(memory: mmap.mmap, size: int) -> Any:
    """The answer of so many bytes, in the parent."""
    if size > len(memory):
        memory.resize(size)
    with memoryview(memory) as whole, whole[:size] as data:
        return pickle.loads(data)


def _serve(connection: Connection[Any, Any], memory_bytes: int, imports: list[str]) -> None:
    """The child: answer each (function, arguments) by (result, exception) until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C ends
    # Decoders print header values: what they say belongs nowhere.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    logging.disable()
    for module in imports:
        importlib.import_module(module)
    answers = os.fdopen(recv_handle(connection), "wb")
    keep_freed_memory(_KEPT_MB)
    _cap_memory(memory_bytes)
    connection.send(True)
    while True:
        try:
            function, arguments = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(_write(answers, _answer(function, arguments)))


def _answer(
    function: Callable[..., object], arguments: tuple[object, ...]
) -> tuple[object, Exception | None]:
    try:
        return function(*arguments), None
    except Exception as error:
        return None, error


def _cap_memory(more_bytes: int) -> None:
    """Limit the address space to what is mapped now (libraries, thread stacks) and `more_bytes`."""
    mapped_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = mapped_bytes + more_bytes
    resource.setrlimit(
        resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
    )
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
