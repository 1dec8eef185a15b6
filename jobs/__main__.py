"""`radmill JOB [key=value ...]`: find the job, build its settings, run its page, turn errors into exit codes.

0 done; 1 failed; 2 wrong arguments or configuration; 3 done, some inputs quarantined; 75 stopped early, goes on later;
130 interrupted; 141 whoever read what it prints has gone before it ended.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from storage.errors import ConfigError, RadmillError, StorageError

if TYPE_CHECKING:
    from jobs.config import Settings
    from jobs.job import Job

READER_GONE = 141  # as a shell tells of whoever wrote to a pipe that nobody reads
RAW = ("raw", "annotations")  # folders in which the names of files may be names of people
# Nothing that we run may look for news on the network or send any.
OFFLINE = {"HF_HUB_OFFLINE": "1", "NO_ALBUMENTATIONS_UPDATE": "1", "RAY_USAGE_STATS_ENABLED": "0"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    os.environ.update(OFFLINE)
    os.umask(0o077)  # what comes from patients is nobody else's to read
    try:
        code = _dispatch(words)
    except RadmillError as error:
        return _fail(str(error), error.exit_code)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _reader_has_gone():
            return READER_GONE
        return _fail(f"The system refused: {system_said(error, words)}.", StorageError.exit_code)
    except KeyboardInterrupt:
        return _fail("Interrupted; the same command goes on from here.", 130)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _reader_has_gone()
    return code


def _dispatch(words: list[str]) -> int:
    from jobs.registry import PLAIN, is_group

    if not words or words[0] in ("-h", "--help", "help"):
        from jobs.help import overview

        print(overview())
        return 0
    if words[0] == "--version":
        from importlib.metadata import version

        print(f"radmill {version('radmill')}")
        return 0
    if words[0] == "--completion":
        from jobs.completion import script

        print(script(words[1] if len(words) > 1 else "bash"))
        return 0
    if is_group(words[0]) and (not words[1:] or words[1] in ("-h", "--help")):
        from jobs.help import group_help

        print(group_help(words[0]))
        return 0
    if words[0] in PLAIN and words[-1] in ("-h", "--help"):
        from jobs.help import plain_help

        print(plain_help(words[0]))
        return 0
    if words[0] == "info":
        if words[1:]:
            raise ConfigError(f"radmill info takes no words, but came with {' '.join(words[1:])}.")
        from jobs.info import info

        print(info())
        return 0
    if words[0] == "plan":
        from jobs.plan import plan

        return plan(words[1:])
    return _run_job(words)


def _run_job(words: list[str]) -> int:
    from jobs.help import job_help
    from jobs.registry import JOBS

    name, rest = split_job(words)
    job = JOBS[name]
    if "-h" in rest or "--help" in rest:
        print(job_help(job))
        return 0
    from jobs.compose import resolved_yaml, settings_for

    if "--cfg" in rest:
        overrides = [word for word in rest if "=" in word]
        print(resolved_yaml(job, overrides), end="")
        return 0
    settings = settings_for(job, rest)
    check(job, settings)
    if settings.cluster.kind == "allocation":
        from jobs.allocation import run_allocated

        return run_allocated(name, settings)
    return int(import_module(job.page).main(settings))


def check(job: Job, settings: Settings) -> None:
    """Whatever the job's page can refuse before it makes or computes anything; `plan` asks the same."""
    if (kind := settings.cluster.kind) not in job.clusters:
        raise ConfigError(
            f"radmill {job.name} does not take cluster={kind}, only {', '.join(job.clusters)}; "
            "radmill run takes every stage there."
        )
    page = import_module(job.page)
    if hasattr(page, "check"):
        page.check(settings)


def split_job(words: Sequence[str]) -> tuple[str, list[str]]:
    """The job's name, one word or two, and the words that follow it."""
    import difflib

    from jobs.registry import JOBS, PLAIN, is_group

    for length in (2, 1):
        name = " ".join(words[:length])
        if name in JOBS:
            return name, list(words[length:])
    name = " ".join(words[: 2 if is_group(words[0]) else 1])
    close = difflib.get_close_matches(name, [*JOBS, *PLAIN], n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise ConfigError(f"There is no job {name!r}.{hint} radmill --help lists the jobs.")


def _reader_has_gone() -> bool:
    """True where whoever read our words has read enough, as `| head` does; what is left to say goes nowhere."""
    output = select.poll()
    output.register(sys.stdout, 0)
    if not output.poll(0):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def system_said(error: OSError, words: Sequence[str]) -> str:
    """What the system refused and for which file; of one below a folder of RAW, the key alone."""
    told = str(error.strerror or error)
    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes | os.PathLike) else ""
    for key, _, value in (word.partition("=") for word in words):
        if key not in RAW:
            continue
        folder = Path(value.strip("'\"")).expanduser()
        roots = {str(folder.absolute()).rstrip("/"), os.path.realpath(folder).rstrip("/")}
        if any(f"{root}/" in told for root in roots):  # a library that puts the path into its own words
            told = type(error).__name__
        forms = {str(Path(path).absolute()), os.path.realpath(path)} if path else set()
        if any(f"{form}/".startswith(f"{root}/") for form in forms for root in roots):
            path = f"at or below {key}={folder}"
    return f"{told} ({path})" if path else told


def _fail(sentence: str, code: int) -> int:
    print(f"radmill: {sentence}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
