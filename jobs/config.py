"""The whole configuration as one tree; every room's own config is nested here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field

from cluster.config import ClusterConfig
from pipelines.classification.config import ClassificationConfig
from pipelines.classification.supervised_config import SupervisedConfig
from pipelines.config import StudyConfig
from pipelines.evaluation.config import EvaluationConfig
from pipelines.phantoms.config import PhantomsConfig
from pipelines.pretraining.config import PretrainingConfig
from pipelines.reporting.config import ReportingConfig
from pipelines.segmentation.config import SegmentationConfig
from storage.care.config import (
    EraseConfig,
    FindConfig,
    GcConfig,
    LsConfig,
    RebuildConfig,
    SheetConfig,
    ShowConfig,
)
from storage.config import IngestConfig, SplitConfig
from storage.errors import check_at_least, check_one_of


@dataclass(kw_only=True, slots=True)
class LogsConfig:
    """Which log of a submitted run is shown."""

    stage: str | None = None
    """A stage, or one of its steps, as status names them; none shows what runs, else what failed."""
    index: int | None = None
    """Which task of an array, from 0."""
    follow: bool = False
    """Go on printing until the run ends; -f says the same."""

    def __post_init__(self) -> None:
        if self.index is not None:
            check_at_least("logs.index", self.index, 0)


@dataclass(kw_only=True)
class Settings:
    """What the user may set: paths at the top, one section per room. `jobs.registry` says which job takes what."""

    raw: str | None = None
    outcomes: str | None = None
    mapping: str | None = None
    annotations: str | None = None
    store: str | None = None
    out: str | None = None
    model: str | None = None
    segmenter: str | None = None
    sweep: str | None = None
    seed_controls: str | None = None
    population: str = "adult"
    fresh: bool = False
    study: StudyConfig = field(default_factory=StudyConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    phantoms: PhantomsConfig = field(default_factory=PhantomsConfig)
    ingest: IngestConfig = field(default_factory=IngestConfig)
    splits: SplitConfig = field(default_factory=SplitConfig)
    segmentation: SegmentationConfig = field(default_factory=SegmentationConfig)
    pretraining: PretrainingConfig = field(default_factory=PretrainingConfig)
    classification: ClassificationConfig = field(default_factory=ClassificationConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    supervised: SupervisedConfig = field(default_factory=SupervisedConfig)
    reporting: ReportingConfig = field(default_factory=ReportingConfig)
    show: ShowConfig = field(default_factory=ShowConfig)
    sheet: SheetConfig = field(default_factory=SheetConfig)
    ls: LsConfig = field(default_factory=LsConfig)
    find: FindConfig = field(default_factory=FindConfig)
    rebuild: RebuildConfig = field(default_factory=RebuildConfig)
    gc: GcConfig = field(default_factory=GcConfig)
    erase: EraseConfig = field(default_factory=EraseConfig)
    logs: LogsConfig = field(default_factory=LogsConfig)

    def __post_init__(self) -> None:
        check_one_of("population", self.population, ("adult", "child"))
