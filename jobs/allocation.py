"""`cluster=allocation`: a job inside the user's own sbatch or salloc, on a Ray over its nodes; nothing is submitted.

The job runs in a driver beside Ray's head, `python -m jobs.allocation JOB SETTINGS`, which is stopped at a step's edge
and started again, or the Slurm job requeued, as a submitted training is.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from jobs.compose import settings_from, whole_yaml
from jobs.config import Settings
from jobs.ingest import QUARANTINED, left_out_code
from jobs.registry import JOBS
from jobs.submission import FOLDER
from storage.atomic import write_text


def run_allocated(name: str, settings: Settings) -> int:
    """Run a job and return its exit code.

    Raises ConfigError outside of an allocation, or where it is too small.
    """
    from cluster.ray_cluster import run_in_allocation
    from cluster.ray_spec import spec_of

    folder = Path(str(settings.out)).absolute() / FOLDER
    # of its own, for a second run in this `out`, which its lock refuses, must not change what the first one reads
    written = folder / f"settings-{os.environ.get('SLURM_JOB_ID', 'none')}-{os.getpid()}.yaml"
    spec = spec_of(settings.cluster, folder, progress="../*/**/checkpoints/step-*")
    if "SLURM_JOB_ID" in os.environ:  # else the next line refuses, and leaves nothing behind
        write_text(written, whole_yaml(settings))
    try:
        code = run_in_allocation(spec, [sys.executable, "-m", "jobs.allocation", name, str(written)])
    finally:
        written.unlink(missing_ok=True)  # whoever is requeued comes by here again
    return left_out_code(Path(str(settings.store))) if code == 0 and name == "run" else code


def main(name: str, path: str) -> int:
    """The driver."""
    from cluster import failures
    from storage.errors import RadmillError

    os.umask(0o077)  # what comes from patients is nobody else's to read
    settings = settings_from(Path(path))
    if int(os.environ.get("SLURM_RESTART_COUNT", "0")):
        settings = replace(settings, fresh=False)  # a job that was requeued goes on
    elif settings.fresh:  # and so does a driver that the supervisor starts again
        write_text(Path(path), whole_yaml(replace(settings, fresh=False)))
    try:
        code = int(import_module(JOBS[name].page).main(settings))
    except BaseException as error:
        failures.record(error)  # for the supervisor, who decides whether another attempt may help
        if not isinstance(error, RadmillError):
            raise
        print(f"radmill: {error}", file=sys.stderr)
        return error.exit_code
    return 0 if code == QUARANTINED else code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
