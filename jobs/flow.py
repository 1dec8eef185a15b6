"""Stages in order: each is skipped if its question and its outputs are unchanged, resumed if it was interrupted."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import OmegaConf

from jobs.config import Settings
from jobs.measure import Measured
from jobs.progress import console, shown
from jobs.run_dir import StageFolder
from pipelines.config import INGEST_KEYS, OUTCOME_KEYS
from pipelines.progress import Progress
from storage.atomic import write_text
from storage.errors import ConfigError, InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# A stage's work: gets its folder and a listener, returns the one line that sums it up.
Action = Callable[[Path, Progress], str]
# Whoever is to hear how far a stage, by its name, has come.
Watch = Callable[[str], AbstractContextManager[Progress]]

_OPERATIONAL = ("loader_workers", "checkpoint_every_steps", "timeout_s", "memory_gb", "drop_missing")
_VERSIONS = ("radmill", "numpy", "torch", "timm", "POT", "scikit-learn", "zarr", "pydicom")


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A stage that has been asked its question; its last step may be another process than its first."""

    folder: StageFolder
    skipped: bool
    """The answer is there already."""
    goes_on: bool = False
    """An earlier attempt at the same question has left something."""
    started: str = ""
    """When, in ISO 8601 and UTC."""

    @property
    def name(self) -> str:
        """The stage's."""
        return self.folder.path.name


class Flow:
    """Runs stages below one `out`."""

    def __init__(self, out: Path, settings: Settings, watch: Watch = shown) -> None:
        self.out = out
        self.settings = settings
        self.watch = watch
        self.total_s = 0.0
        self.skipped: set[str] = set()

    def stage(
        self,
        name: str,
        *,
        sections: tuple[str, ...],
        inputs: Mapping[str, str],
        action: Action,
        intact: Callable[[], bool] = lambda: True,
    ) -> StageFolder:
        """Run one stage, or say why not; arguments as of `begin`."""
        begun = self.begin(name, sections=sections, inputs=inputs, intact=intact)
        if begun.skipped:
            return begun.folder
        try:
            with Measured() as measured, self.watch(name) as progress:
                summary = action(begun.folder.path, progress)
        except (ConfigError, InputError):
            begun.folder.withdraw(begun.goes_on)  # a mistyped value must not cost what was finished before
            raise
        self.finish(begun, summary, measured.seconds, measured.peak_mb)
        return begun.folder

    def begin(
        self,
        name: str,
        *,
        sections: tuple[str, ...],
        inputs: Mapping[str, str],
        intact: Callable[[], bool] = lambda: True,
    ) -> Begun:
        """Ask a stage its question, unless it has answered the same one before.

        Args:
            sections: rooms whose configuration decides the outcome, with the study always among them.
            inputs: name to fingerprint of everything read; without `outcomes` the study's rule does not count.
                Nor do its gates for films in any stage but `ingest`.
            intact: whether what the stage wrote outside its own folder (into the store) is still there.
        """
        config = {section: _deciding(getattr(self.settings, section)) for section in ("study", *sections)}
        idle = (
            *(() if "outcomes" in inputs else OUTCOME_KEYS),
            *(() if "ingest" in sections else INGEST_KEYS),
        )
        config["study"] = {key: value for key, value in config["study"].items() if key not in idle}
        folder = StageFolder(
            self.out / name, {"config": config, "inputs": dict(inputs), "version": version("radmill")}
        )
        folder.recall()
        if not self.settings.fresh and folder.finished() and intact():
            _say(f"{name:16} skipped, nothing changed: {folder.summary()}")
            self.skipped.add(name)
            return Begun(folder=folder, skipped=True)
        if changes := folder.changes():
            _say(
                f"{name:16} runs again, changed: {'; '.join(changes[:4])}{' ...' if len(changes) > 4 else ''}"
            )
        goes_on = folder.begin(self.settings.fresh)
        started = datetime.now(UTC).isoformat(timespec="seconds")
        write_text(folder.path / "resolved.yaml", OmegaConf.to_yaml(OmegaConf.create(config)))
        return Begun(folder=folder, skipped=False, goes_on=goes_on, started=started)

    def finish(self, begun: Begun, summary: str, seconds: float, peak_mb: float) -> None:
        """Write down that the stage is done, and how. seconds: of all its steps; peak_mb: of the largest."""
        self.total_s += seconds
        begun.folder.finish(summary, _provenance(begun, seconds, peak_mb))
        _say(f"{begun.name:16} {seconds:6.1f} s  {peak_mb / 1024:4.1f} GB  {summary}")


def _deciding(section: DataclassInstance) -> dict[str, object]:
    """A room's settings without those that change how it works but not what comes out."""
    return {key: value for key, value in asdict(section).items() if key not in _OPERATIONAL}


def _say(line: str) -> None:
    console.print(line, markup=False)


def _provenance(begun: Begun, seconds: float, peak_mb: float) -> dict[str, object]:
    return {
        "stage": begun.name,
        "started": begun.started,
        "seconds": round(seconds, 2),
        "peak_memory_mb": round(peak_mb),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in _VERSIONS},
        "config": begun.folder.asked["config"],
    }
