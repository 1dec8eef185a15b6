"""Stages in order: each is skipped if its question and its outputs are unchanged, resumed if it was interrupted."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import OmegaConf

from jobs.config import Settings
from jobs.measure import Measured
from jobs.progress import console, shown
from jobs.run_dir import StageFolder
from pipelines.config import OUTCOME_KEYS
from pipelines.progress import Progress
from storage.atomic import write_text
from storage.errors import ConfigError, InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# A stage's work: gets its folder and a listener, returns the one line that sums it up.
Action = Callable[[Path, Progress], str]

_OPERATIONAL = ("loader_workers", "checkpoint_every_steps", "timeout_s", "memory_gb")
_VERSIONS = ("radmill", "numpy", "torch", "timm", "POT", "scikit-learn", "zarr", "pydicom")


class Flow:
    """Runs stages below one `out`."""

    def __init__(self, out: Path, settings: Settings) -> None:
        self.out = out
        self.settings = settings
        self.total_s = 0.0

    def stage(
        self,
        name: str,
        *,
        sections: tuple[str, ...],
        inputs: Mapping[str, str],
        action: Action,
        intact: Callable[[], bool] = lambda: True,
    ) -> StageFolder:
        """Run one stage, or say why not.

        Args:
            sections: rooms whose configuration decides the outcome, with the study always among them.
            inputs: name to fingerprint of everything read; without `outcomes` the study's rule does not count.
            intact: whether what the stage wrote outside its own folder (into the store) is still there.
        """
        config = {section: _deciding(getattr(self.settings, section)) for section in ("study", *sections)}
        if "outcomes" not in inputs:
            config["study"] = {k: v for k, v in config["study"].items() if k not in OUTCOME_KEYS}
        folder = StageFolder(
            self.out / name, {"config": config, "inputs": dict(inputs), "version": version("radmill")}
        )
        folder.recall()
        if not self.settings.fresh and folder.finished() and intact():
            _say(f"{name:16} skipped, nothing changed: {folder.summary()}")
            return folder
        if changes := folder.changes():
            _say(
                f"{name:16} runs again, changed: {'; '.join(changes[:4])}{' ...' if len(changes) > 4 else ''}"
            )
        goes_on = folder.begin(self.settings.fresh)
        started = datetime.now(UTC).isoformat(timespec="seconds")
        write_text(folder.path / "resolved.yaml", OmegaConf.to_yaml(OmegaConf.create(config)))
        try:
            with Measured() as measured, shown(name) as progress:
                summary = action(folder.path, progress)
        except (ConfigError, InputError):
            folder.withdraw(goes_on)  # a mistyped value must not cost what was finished before
            raise
        self.total_s += measured.seconds
        folder.finish(summary, _provenance(name, started, measured, config))
        _say(f"{name:16} {measured.seconds:6.1f} s  {measured.peak_mb / 1024:4.1f} GB  {summary}")
        return folder


def _deciding(section: DataclassInstance) -> dict[str, object]:
    """A room's settings without those that change how it works but not what comes out."""
    return {key: value for key, value in asdict(section).items() if key not in _OPERATIONAL}


def _say(line: str) -> None:
    console.print(line, markup=False)


def _provenance(name: str, started: str, measured: Measured, config: object) -> dict[str, object]:
    return {
        "stage": name,
        "started": started,
        "seconds": round(measured.seconds, 2),
        "peak_memory_mb": round(measured.peak_mb),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in _VERSIONS},
        "config": config,
    }
