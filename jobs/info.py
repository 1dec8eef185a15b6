"""`radmill info`: versions and methods as JSON, in under a second; imports neither torch nor pandas."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version

from jobs.choices import choices
from jobs.registry import JOBS, PLAIN
from pipelines.pretraining.config import METHODS
from storage.schemas import FORMAT

PACKAGES = (
    "numpy",
    "torch",
    "torchvision",
    "timm",
    "POT",
    "zarr",
    "pydicom",
    "imagecodecs",
    "scikit-learn",
    "pandas",
)


def info() -> str:
    """JSON text: version, python, packages, studies, methods, jobs, CPUs."""
    return json.dumps(
        {
            "radmill": version("radmill"),
            "format": FORMAT,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "cpus": len(os.sched_getaffinity(0)),
            "packages": {name: _version(name) for name in PACKAGES},
            "studies": choices("study"),
            "methods": METHODS,
            "jobs": [*JOBS, *PLAIN],
        },
        indent=2,
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
