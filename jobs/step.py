"""`python -m jobs.step OUT SUBMISSION STEP [INDEX]`: one task of a submitted run, as a process of its own.

Ray's jobs start their driver so; exit codes as of `radmill`, so that a user's error (2) is not tried again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cluster import failures
from jobs.steps import run_step
from storage.errors import RadmillError


def main(words: Sequence[str]) -> int:
    """Run the task and return the exit code."""
    out, submission, step, *index = words
    try:
        run_step(out, submission, step, int(index[0]) if index else 0)
    except BaseException as error:
        failures.record(error)  # for the job's supervisor, who decides whether another attempt may help
        if not isinstance(error, RadmillError):
            raise
        print(f"radmill: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
