"""One function over many indices as job arrays, in chunks of what the scheduler allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.collect import collect
from cluster.commands import max_array_size
from cluster.config import ClusterConfig
from cluster.executor import make_executor, refusals
from cluster.resources import Resources
from storage.errors import ClusterError

if TYPE_CHECKING:
    import submitit


class ArrayError(ClusterError):
    """Indices that failed in every try; `failures` has the last line of each one's error."""

    def __init__(self, name: str, failures: Mapping[int, str], tries: int) -> None:
        self.failures = dict(sorted(failures.items()))
        listed = ", ".join(str(index) for index in list(self.failures)[:20])
        more = f" and {len(failures) - 20} more" if len(failures) > 20 else ""
        super().__init__(
            f"{name}: {len(failures)} of its tasks failed in each of {tries} tries: {listed}{more}. "
            f"The first said: {next(iter(self.failures.values()))}"
        )


def submit_array(
    config: ClusterConfig,
    folder: Path,
    name: str,
    resources: Resources,
    function: Callable[..., object],
    indices: Sequence[int],
    *,
    arguments: Sequence[object] = (),
    after: Sequence[str] = (),
    exclude: Sequence[str] = (),
    owner: str = "",
) -> list[submitit.Job[Any]]:
    """Submit function(*arguments, index) for every index; the jobs in the order of the indices.

    On Slurm in arrays of at most MaxArraySize tasks, of which `array_width` run at once; on this machine
    `array_width` processes at a time, and the call returns when the last of them have started.

    Args:
        function: importable on the nodes by its module's name.
        after: Slurm ids that must have ended before.
        exclude: nodes not to use.
        owner: stands in the jobs as their comment.

    Raises:
        ConfigError, ClusterError: the scheduler refuses; what was submitted before stays.
    """
    executor = make_executor(config, folder, name, resources, after=after, exclude=exclude, owner=owner)
    jobs: list[submitit.Job[Any]] = []
    for chunk in _chunks(config, indices):
        if config.kind == "local":
            for job in jobs:
                job.wait()
        with refusals(config, resources), executor.batch():
            jobs += [executor.submit(function, *arguments, index) for index in chunk]
    return jobs


def _chunks(config: ClusterConfig, indices: Sequence[int]) -> list[Sequence[int]]:
    size = len(indices)
    if config.kind == "slurm":
        size = max_array_size()
    elif config.kind == "local":
        size = config.array_width
    return [indices[begin : begin + size] for begin in range(0, len(indices), max(size, 1))]


def map_array(
    config: ClusterConfig,
    folder: Path,
    name: str,
    resources: Resources,
    function: Callable[..., object],
    indices: Sequence[int],
    *,
    arguments: Sequence[object] = (),
    tries: int = 2,
) -> list[Any]:
    """function(*arguments, index) for every index: the results in the order of the indices.

    Indices that fail are run again, they alone, up to `tries` times in all. The folder belongs to this one call:
    where this process was killed, the same call takes up what it had submitted, and no index runs twice.

    Raises:
        ArrayError: indices that failed in every try.
        ConfigError, ClusterError: the scheduler refuses.
    """
    jobs = _submitted_before(config, folder)
    jobs = {index: jobs[index] for index in indices if index in jobs}
    results: dict[int, Any] = {}
    failures: dict[int, str] = {}
    for _ in range(tries):
        missing = [index for index in indices if index not in jobs and index not in results]
        submitted = submit_array(config, folder, name, resources, function, missing, arguments=arguments)
        done, failures = collect(jobs | dict(zip(missing, submitted, strict=True)))
        results |= done
        jobs = {}
        if not failures:
            return [results[index] for index in indices]
    raise ArrayError(name, failures, tries)


def _submitted_before(config: ClusterConfig, folder: Path) -> dict[int, submitit.Job[Any]]:
    """The job of each index that an earlier, killed call submitted: one with a good result, else the latest.

    submitit moves a task's pickle to its id after sbatch: a task without one ends without having run.
    """
    import submitit
    from submitit.core.utils import DelayedSubmission

    kinds = {"slurm": submitit.SlurmJob, "local": submitit.LocalJob}
    found: dict[int, submitit.Job[Any]] = {}
    pickles = folder.glob("*_submitted.pkl") if config.kind in kinds else ()
    for path in sorted(pickles, key=lambda path: path.stat().st_mtime_ns):
        index = DelayedSubmission.load(path).args[-1]
        if index not in found or not collected_well(found[index]):
            found[index] = kinds[config.kind](folder, path.name.removesuffix("_submitted.pkl"))
    return found


def collected_well(job: submitit.Job[Any]) -> bool:
    """A result lies there and is no error."""
    from cluster.queue import outcome

    return job.paths.result_pickle.exists() and outcome(job.paths.result_pickle) == "success"
