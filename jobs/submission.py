"""What was submitted from an `out`: its settings, and the claim that keeps other runs away while its jobs live.

OUT/cluster/settings.yaml     every value of the run, as its steps read it
OUT/cluster/submission.json   which submission this is, and where it came from
OUT/cluster/graph.json        the jobs (cluster.graph)
OUT/.run.json STORE/.run.json the claim: which submission writes here
"""

from __future__ import annotations

import json
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from jobs.compose import settings_from, whole_yaml
from jobs.config import Settings
from storage.atomic import write_json, write_text
from storage.errors import InputError, LockedError, StorageError
from storage.lock import FolderLock
from storage.wording import counted

FOLDER = "cluster"
CLAIM = ".run.json"
_OURS_S = 60.0  # who submits or retries holds the folders alone for a moment, to claim them


@dataclass(frozen=True, kw_only=True)
class Submission:
    """One `radmill run cluster=slurm`; paths are absolute."""

    id: str
    out: str
    store: str
    cwd: str
    """Where it was typed: paths within the sections are as the user wrote them."""
    since: str
    host: str

    @classmethod
    def new(cls, out: Path, store: Path) -> Submission:
        """A submission that begins now."""
        return cls(
            id=secrets.token_hex(8),
            out=str(out.resolve()),
            store=str(store.resolve()),
            cwd=str(Path.cwd()),
            since=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
            host=socket.gethostname(),
        )

    @classmethod
    def of(cls, out: Path) -> Submission:
        """The last one of an `out`; InputError where nothing was submitted from it."""
        path = out / FOLDER / "submission.json"
        if not path.is_file():
            raise InputError(
                f"Nothing was submitted from out={out}: it has no {FOLDER}/submission.json. "
                f"Name the out= of a radmill run ... cluster=slurm."
            )
        return cls(**json.loads(path.read_text()))

    @property
    def folder(self) -> Path:
        """Scripts, logs, the graph, and what each task says of itself."""
        return Path(self.out) / FOLDER

    def settings(self) -> Settings:
        """The run's, as they were when it was submitted."""
        return settings_from(self.folder / "settings.yaml")

    def write(self, settings: Settings) -> None:
        """Write it down and claim `out` and store for it. The caller holds their locks."""
        write_text(self.folder / "settings.yaml", whole_yaml(settings))
        write_json(self.folder / "submission.json", asdict(self))
        self.claim()

    def claim(self) -> None:
        """Keep other runs away from `out` and store as long as jobs of this one live."""
        for folder in (self.out, self.store):
            write_json(
                Path(folder) / CLAIM, {name: getattr(self, name) for name in ("id", "out", "since", "host")}
            )

    def release(self) -> None:
        """Give the folders back."""
        for folder in (self.out, self.store):
            if _claim(Path(folder)).get("id") == self.id:
                (Path(folder) / CLAIM).unlink(missing_ok=True)

    @contextmanager
    def held(self, step: str) -> Iterator[None]:
        """Hold `out` and store together with the other tasks of this submission.

        Raises:
            LockedError: a run in a shell is writing there, or another submission has taken the folders.
        """
        with ExitStack() as stack:
            for folder in dict.fromkeys((self.out, self.store)):
                self._share(stack, Path(folder), f"radmill run ({step})")
                if _claim(Path(folder)).get("id") != self.id:
                    raise LockedError(
                        f"{folder} does not belong to this submission any more: the run was cancelled, has "
                        f"ended, or was submitted again. This job ends; radmill status out={self.out} tells more."
                    )
            yield

    @contextmanager
    def submitting(self, job: str) -> Iterator[None]:
        """Be the only one who submits, retries or cancels jobs of this `out`; its jobs may run meanwhile.

        Raises:
            LockedError: somebody else does, or another submission has followed this one.
        """
        with FolderLock(self.folder, f"radmill {job}"):
            if Submission.of(Path(self.out)).id != self.id:
                raise LockedError(
                    f"out={self.out} was submitted again just now; radmill status out={self.out}."
                )
            yield

    def _share(self, stack: ExitStack, folder: Path, purpose: str) -> None:
        """Take the lock; while the folder is claimed for us, who holds it alone is of this run too: wait."""
        deadline = time.monotonic() + _OURS_S
        while True:
            try:
                stack.enter_context(FolderLock(folder, purpose, shared=True))
            except LockedError:
                if _claim(folder).get("id") != self.id or time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
            else:
                return


def live_jobs(out: Path) -> list[str]:
    """Ids of jobs of this `out` that have not ended, as far as anybody knows."""
    from cluster.graph import strays
    from cluster.graph_file import NAME, read_graph
    from cluster.queue import job_states

    folder = out / FOLDER
    if not (folder / NAME).is_file():
        return []
    graph = read_graph(folder)
    if graph.config.kind != "slurm":
        return []
    ids = [one for node in graph.nodes.values() for one in node.ids]
    states = job_states(ids, [folder / name for name in graph.nodes])
    return [*(one for one, state in states.items() if not state.finished), *strays(folder)]


def check_free(folder: Path, but: str = "") -> None:
    """Raise LockedError where a submission whose jobs live has claimed the folder. but: one that may have."""
    claim = _claim(folder)
    if not claim or claim["id"] == but:
        return
    _check_submitted(Path(claim["out"]) / FOLDER)
    if not (live := live_jobs(Path(claim["out"]))):
        return
    raise LockedError(
        f"{folder} is in use by a run submitted from {claim['host']} on {claim['since']}; "
        f"{counted(len(live), 'job')} of it did not end yet (the first is Slurm's {live[0].partition('_')[0]}). "
        f"radmill status out={claim['out']} shows them; wait, or end them by radmill cancel out={claim['out']}."
    )


def _check_submitted(folder: Path) -> None:
    """Raise LockedError while somebody submits from there: not all of its jobs are known yet."""
    if (folder / ".lock").is_file():
        with suppress(StorageError), FolderLock(folder, "radmill", shared=True):  # it may be another user's
            pass


def _claim(folder: Path) -> dict[str, str]:
    try:
        return dict(json.loads((folder / CLAIM).read_text()))
    except FileNotFoundError:
        return {}
