"""Slurm's own programs, asked with a deadline."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

ANSWER_S = 60
DEFAULT_MAX_ARRAY = 1001  # Slurm's own, where the controller does not say


def ask(words: Sequence[str], timeout_s: float = ANSWER_S) -> str | None:
    """What the program wrote; None where there is no such program, it failed or did not answer in time."""
    if shutil.which(words[0]) is None:
        return None
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=timeout_s, check=True)
    except (subprocess.SubprocessError, OSError):
        return None
    return done.stdout


@contextmanager
def outside_job() -> Iterator[None]:
    """Inside a job, hide what Slurm set for that job, or a job submitted from it would inherit its shape.

    What the user or the site set for every submission (SLURM_CONF, SBATCH_ACCOUNT, ...) stays.
    """
    from submitit.helpers import clean_env

    kept = {
        name: text for name, text in os.environ.items() if name == "SLURM_CONF" or name.startswith("SBATCH_")
    }
    with clean_env():
        os.environ.update(kept)
        yield


def max_array_size() -> int:
    """Most tasks of one job array, as the controller is configured; an index stays below it."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", ask(["scontrol", "show", "config"]) or "", re.MULTILINE)
    return int(found[1]) if found else DEFAULT_MAX_ARRAY
